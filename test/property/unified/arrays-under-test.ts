/**
 * A unified memory and, beside each of its arrays, a plain typed array that says what it must hold. Operations take effect
 * in call order, so the plain array changes when an operation is called, whenever it is carried out.
 */

import assert from "node:assert/strict";
import type { DeviceDriver, PagedDispatch, PagedRun } from "../../../src/device/driver.js";
import { strideOf, type View, viewOf } from "../../../src/device/element.js";
import { mirrorDevice } from "../../../src/device/mirror/index.js";
import { MemoryError } from "../../../src/mm/errors.js";
import { DMA_PIN } from "../../../src/mm/fault/gup.js";
import { ZONE_PRIVATE } from "../../../src/mm/frames/zone.js";
import { elementsOf, type Operand, pagesOf } from "../../../src/unified/footprint.js";
import type { DispatchReport, Kernel } from "../../../src/unified/kernel.js";
import type { PagedArray } from "../../../src/unified/paged-array.js";
import type { Pin } from "../../../src/unified/pin.js";
import { checkInvariants } from "../../invariants.js";
import { SimulatedSwapStore } from "../../simulation/simulated-swap-store.js";
import { SimulatedTransfers } from "../../simulation/simulated-transfer.js";
import { letPromisesSettle, type SimulatedEnvironment } from "../../simulation/simulated-environment.js";
import { alteredDriver } from "../../device/ledger-driver.js";
import { type OpenedMemory, openUntended } from "../../unified/opened-memory.js";
import { INTEGER_TYPES, type KernelUnderTest, kernels, type NumberType } from "./kernels.js";
import { isWgslType, type PagedKernelUnderTest, type WgslType } from "./paged-kernels.js";
import { sameBytes } from "../../bytes.js";

/** What fails without memory or without a link; EBUSY is a page that could not be moved for want of a frame. */
const SHORTAGES = new Set(["ENOMEM", "EIO", "EBUSY"]);

export interface Setup {
  readonly pageSize: number;
  readonly devicePages: number;
  /** Pages of host memory; 0 for no limit. */
  readonly hostPages: number;
  readonly kind: "private" | "coherent";
  readonly latency: number;
  /** Is there swap, so that arrays may exceed host memory? */
  readonly swapped: boolean;
  /** Do kernels run in a worker, while the next step is loaded? */
  readonly workers: boolean;
}

const SWAP_SLOTS = 400;
/** What numbers stay below that programs themselves make. */
const LARGEST = 2 ** 16;

export type NumberArray = View<NumberType>;
export type Mode = "auto" | "resident" | "streamed";

export interface ArrayUnderTest {
  readonly array: PagedArray<NumberType>;
  readonly shadow: NumberArray;
  /** What the array is mapped from, null for one that began with zeros. */
  readonly source: Uint8Array | null;
  /** Has it the pages of another one, as elements of another type? The other fields are then the other's as well. */
  readonly isView: boolean;
  /** Pages that were written since the last clear. */
  readonly dirty: Set<number>;
  /** Pages of which that is unknown, since what was to write them failed. */
  readonly perhapsDirty: Set<number>;
}

interface HeldPin extends ArrayUnderTest {
  readonly pin: Pin<NumberType>;
  readonly pages: PinnedPages;
  readonly frames: readonly number[];
}

/** Elements that hold nobody knows what, since an operation that writes them failed. */
interface Unspecified extends ArrayUnderTest {
  readonly start: number;
  readonly length: number;
  /** Pages that nothing else had written. */
  readonly newlyDirty: readonly number[];
}

/** Pages of an array that a pin holds, or will when its turn comes. */
interface PinnedPages {
  readonly array: PagedArray;
  readonly first: number;
  readonly end: number;
  readonly mode: "read" | "write";
}

export class ArraysUnderTest {
  arrays: ArrayUnderTest[] = [];
  readonly pins: HeldPin[] = [];
  readonly #opened: OpenedMemory;
  readonly #environment: SimulatedEnvironment;
  readonly #setup: Setup;
  readonly #kernels = new Map<KernelUnderTest, Kernel>();
  /** By label and types. */
  readonly #pagedKernels = new Map<string, Kernel>();
  readonly #pinned = new Set<PinnedPages>();
  readonly #broken: unknown[] = [];
  /** Since the last look. */
  readonly #unspecified: Unspecified[] = [];
  readonly modes = new Set<string>();
  /** How many have broken, and how many views there have been. */
  brokenStreams = 0;
  views = 0;
  #underWay = 0;

  private constructor(opened: OpenedMemory, environment: SimulatedEnvironment, setup: Setup) {
    this.#opened = opened;
    this.#environment = environment;
    this.#setup = setup;
  }

  static async open(setup: Setup, environment: SimulatedEnvironment): Promise<ArraysUnderTest> {
    const { pageSize, devicePages, hostPages, kind, latency, swapped, workers } = setup;
    const transfers = new SimulatedTransfers(environment, latency === 0);
    const swap = swapped ? { swap: new SimulatedSwapStore(SWAP_SLOTS, transfers) } : {};
    const limit = hostPages === 0 ? {} : { hostPages };
    const link = { latency, fails: (direction: string): boolean => environment.failures.fails(direction) };
    const opened = await openUntended({
      pageSize,
      devicePages,
      ...limit,
      ...swap,
      kind,
      ...(workers && {
        driver: kernelsElsewhere(mirrorDevice({ budget: devicePages * pageSize, kind, link }), environment),
      }),
      link,
      shared: workers,
      debug: true,
      environment,
    });
    const made = new ArraysUnderTest(opened, environment, setup);
    for (const each of kernels) {
      const { label, footprint, host, module } = each;
      const kernel = await opened.memory.createKernel({ label, footprint, host: workers ? module : host });
      made.#kernels.set(each, kernel);
    }
    return made;
  }

  get stats(): OpenedMemory["memory"]["stats"] {
    return this.#opened.memory.stats;
  }

  /** Does a pin hold pages, or will it when its turn comes? */
  get arePinned(): boolean {
    return this.#pinned.size > 0;
  }

  create(type: NumberType, length: number): void {
    const array = this.#opened.memory.createArray(type, length);
    const shadow = viewOf(type, new ArrayBuffer(length * strideOf(type)), 0, length);
    this.arrays.push({ array, shadow, source: null, isView: false, dirty: new Set(), perhapsDirty: new Set() });
  }

  /** An array over a blob, whose reads take their time and may fail. */
  async map(type: NumberType, values: NumberArray): Promise<void> {
    const environment = this.#environment;
    const source = new Uint8Array(values.byteLength);
    source.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    const slice = (from: number, to: number): object => ({
      async arrayBuffer(): Promise<ArrayBuffer> {
        const fails = environment.failures.fails("file-read");
        await environment.sleep(1);
        if (fails) throw new Error("the blob cannot be read");
        return source.slice(from, to).buffer;
      },
    });
    const blob = { size: source.byteLength, slice } as unknown as Blob;
    const array = await this.#opened.memory.mapBlob(blob, { type });
    this.arrays.push({
      array,
      shadow: values.slice(),
      source,
      isView: false,
      dirty: new Set(),
      perhapsDirty: new Set(),
    });
  }

  /** What an array is now it stays in its snapshot, for which there may be no memory when allocations fail. */
  async snapshot({ array, shadow, source, dirty, perhapsDirty }: ArrayUnderTest): Promise<void> {
    const snapshot = array.snapshot();
    const under = {
      array: snapshot,
      shadow: shadow.slice(),
      source,
      isView: false,
      dirty: new Set(dirty),
      perhapsDirty: new Set(perhapsDirty),
    };
    this.arrays.push(under);
    if (!this.#mayFail("ENOMEM")) return;
    await this.#runAll();
    try {
      assert.ok(snapshot.firstPage >= 0);
    } catch (error) {
      assert.ok(isError("ENOMEM")(error), String(error));
      this.destroy(under);
    }
  }

  /** A write of a snapshot: nothing happens but the error. */
  refuseToWrite({ array, shadow }: ArrayUnderTest): void {
    const refused = (writing: Promise<unknown>): Promise<unknown> => assert.rejects(writing, isError("EPERM"));
    const writes = [array.write(shadow), array.fill(1), array.pin("write"), array.clearDirty()].map(refused);
    this.#begin(`writes of ${array.label}`, Promise.all(writes));
  }

  dirtyRanges({ array, dirty, perhapsDirty }: ArrayUnderTest): void {
    const [certain, uncertain] = [new Set(dirty), new Set(perhapsDirty)];
    const elements = this.#setup.pageSize / strideOf(array.type);
    const reading = array.dirtyRanges().then((ranges) => {
      const found = new Set<number>();
      let last = -1;
      for (const { start, length } of ranges) {
        assert.ok(start > last && length > 0, "ranges ascend, and do not touch each other");
        last = start + length;
        assert.ok(start % elements === 0 && (last % elements === 0 || last === array.length), "ranges are whole pages");
        for (let page = start / elements; page < last / elements; page++) found.add(page);
      }
      for (const page of certain)
        assert.ok(found.has(page), `page ${page} of ${array.label} was written and is not dirty`);
      for (const page of found)
        assert.ok(
          certain.has(page) || uncertain.has(page),
          `page ${page} of ${array.label} is dirty and was not written`,
        );
    });
    this.#begin(`dirty ranges of ${array.label}`, reading);
  }

  clearDirty({ array, dirty, perhapsDirty }: ArrayUnderTest): void {
    dirty.clear();
    perhapsDirty.clear();
    for (const pages of this.#pinned) {
      if (pages.array.mapping !== array.mapping || pages.mode !== "write") continue;
      for (let page = pages.first; page < pages.end; page++) dirty.add(page);
    }
    this.#begin(`clear dirty ranges of ${array.label}`, array.clearDirty());
  }

  destroy(under: ArrayUnderTest): void {
    under.array.destroy();
    // Views of it end with it.
    this.arrays = this.arrays.filter(({ array }) => !array.destroyed);
  }

  write(under: ArrayUnderTest, start: number, values: NumberArray): void {
    const { array, shadow } = under;
    shadow.set(values, start);
    const writes = [this.#writes(under, start, values.length)];
    this.#begin(`write ${array.label}`, array.write(values, { start }), writes);
  }

  /** The same from a source that gives the bytes in chunks. */
  writeStream(under: ArrayUnderTest, start: number, values: NumberArray, chunk: number): void {
    const { array, shadow } = under;
    shadow.set(values, start);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
    };
    const writes = [this.#writes(under, start, values.length)];
    this.#begin(`stream into ${array.label}`, array.write(chunks(), { start }), writes);
  }

  /** The same from a source that breaks within the values: the elements that came whole are written. */
  writeBrokenStream(under: ArrayUnderTest, start: number, values: NumberArray, chunk: number, share: number): void {
    const { array, shadow } = under;
    const bytes = new Uint8Array(values.buffer, values.byteOffset, Math.floor(values.byteLength * share));
    const whole = Math.floor(bytes.byteLength / strideOf(array.type));
    shadow.set(values.subarray(0, whole), start);
    const reason = new Error("the line broke");
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
      throw reason;
    };
    const broken = array.write(chunks(), { start }).then(
      () => assert.fail("a source that breaks is no success"),
      (error: unknown) => {
        if (error !== reason) throw error;
        this.brokenStreams++;
      },
    );
    this.#begin(`broken stream into ${array.label}`, broken, [this.#writes(under, start, whole)]);
  }

  /** The same pages as elements of another type, if they are a whole number of those; its shadow is of the same bytes. */
  view(under: ArrayUnderTest, type: (typeof INTEGER_TYPES)[number]): void {
    const { array, shadow } = under;
    const isOfIntegers = (INTEGER_TYPES as readonly NumberType[]).includes(array.type);
    if (!isOfIntegers || array.byteLength % strideOf(type) !== 0) return;
    const view = array.as(type);
    this.arrays.push({ ...under, array: view, shadow: viewOf(type, shadow.buffer, 0, view.length), isView: true });
    this.views++;
  }

  fill(under: ArrayUnderTest, value: number, start: number, length: number): void {
    const { array, shadow } = under;
    shadow.fill(value, start, start + length);
    const writes = [this.#writes(under, start, length)];
    this.#begin(`fill ${array.label}`, array.fill(value, { start, length }), writes);
  }

  read({ array, shadow }: ArrayUnderTest, start: number, length: number, into: boolean): void {
    const expected = shadow.slice(start, start + length);
    const target = viewOf(array.type, new ArrayBuffer(expected.byteLength), 0, length);
    const reading = into ? array.read(target, { start }) : array.read({ start, length });
    this.#begin(
      `read ${array.label}`,
      reading.then((read) => this.#compare(`read ${array.label} from ${start}`, read, expected)),
    );
  }

  prefetch({ array }: ArrayUnderTest, to: "device" | "host", start: number, length: number): void {
    this.#begin(`prefetch ${array.label} to the ${to}`, array.prefetch(to, { start, length }));
  }

  pin(under: ArrayUnderTest, mode: "read" | "write", start: number, length: number): void {
    const { array } = under;
    const pages = this.#pagesOf(array, mode, start, length);
    this.#pinned.add(pages);
    const writes = mode === "write" ? [{ ...this.#writes(under, start, length), length: 0 }] : [];
    this.#begin(
      `pin ${array.label}`,
      array.pin(mode, { start, length }).then(
        (pin) => this.#hold(under, pin, pages),
        (error: unknown) => {
          this.#pinned.delete(pages);
          throw error;
        },
      ),
      writes,
    );
  }

  tryPin(under: ArrayUnderTest, mode: "read" | "write", start: number, length: number): boolean {
    const pin = under.array.tryPin(mode, { start, length });
    if (pin === null) return false;
    const pages = this.#pagesOf(under.array, mode, start, length);
    this.#pinned.add(pages);
    if (mode === "write") this.#writes(under, start, length);
    this.#hold(under, pin, pages);
    this.#comparePin({ ...under, pin });
    return true;
  }

  /** Stores through a pin what it then must show. Nothing is under way. */
  storeThroughPin({ pin, shadow }: HeldPin, value: number): void {
    if (pin.mode !== "write") return;
    for (const { start, view } of pin.runs) {
      view.fill(value);
      shadow.fill(value, start, start + view.length);
    }
  }

  /** Lets a pin go. Nothing is under way. */
  release(held: HeldPin): void {
    held.pin.release();
    this.pins.splice(this.pins.indexOf(held), 1);
    this.#pinned.delete(held.pages);
  }

  /**
   * Dispatches a kernel. It must succeed when the device certainly has room for each of its steps, and must be refused
   * when a pin holds one of its pages; where neither is certain it runs alone, so that what it did can be seen.
   */
  async dispatch(under: KernelUnderTest, given: readonly ArrayUnderTest[], share: number, mode: Mode): Promise<void> {
    const names = Object.keys(under.footprint);
    const operands = names.map((name, i): Operand & ArrayUnderTest => {
      const { array } = given[i];
      const footprint = under.footprint[name];
      return { ...given[i], name, footprint, stride: strideOf(array.type), length: array.length };
    });
    const most = Math.min(
      ...operands.map(({ footprint, length }) =>
        footprint === "whole" ? Infinity : Math.floor(length / footprint.each),
      ),
    );
    const invocations = Math.ceil(most * share);
    if (invocations < 1) return;
    const arrays = Object.fromEntries(operands.map(({ name, array }) => [name, array]));
    const kernel = this.#kernels.get(under) ?? assert.fail();
    const dispatch = (): Promise<DispatchReport> =>
      kernel.dispatch({ invocations, arrays, mode }).then((report) => {
        assert.equal(report.invocations, invocations);
        this.modes.add(report.mode);
        return report;
      });
    const apply = (): void => {
      const shadows = Object.fromEntries(operands.map(({ name, shadow }) => [name, shadow]));
      const base = Object.fromEntries(names.map((name) => [name, 0]));
      under.host.run({ first: 0, count: invocations, arrays: shadows, base, uniforms: {} });
    };
    const isWritten = ({ name }: Operand): boolean => under.host.writes.includes(name);
    if (operands.some((operand) => isWritten(operand) && operand.array.readOnly)) {
      return this.#begin(`${under.label} of a snapshot`, assert.rejects(dispatch(), isError("EPERM")));
    }
    const isRefused = operands.some(
      (operand, i) =>
        isWritten(operand) && operands.some((other, j) => i !== j && other.array.mapping === operand.array.mapping),
    );
    if (isRefused) return this.#begin(`${under.label} twice`, assert.rejects(dispatch(), isError("EINVAL")));
    const written = (): Unspecified[] =>
      operands.filter(isWritten).map((operand) => {
        const { first, length } = elementsOf(operand, 0, invocations);
        return { ...this.#writes(operand, first, length), start: 0, length: operand.length };
      });
    if (operands.some((operand) => this.#isPinned(operand, isWritten(operand), invocations))) {
      return this.#begin(`${under.label}, pinned`, assert.rejects(dispatch(), isError("EBUSY")));
    }
    if (mode !== "resident" && this.#certainlyFits(operands)) {
      apply();
      return this.#begin(under.label, dispatch(), written());
    }
    await this.settle();
    let refused = false;
    const running = dispatch().catch((error: unknown) => {
      refused = true;
      if (this.#environment.failures.failed > 0 || !isError("ENOMEM")(error)) throw error;
      assert.match(String(error), /\d+ bytes.* \d+ bytes/);
    });
    const before = operands.map(({ dirty }) => [...dirty]);
    this.#begin(`${under.label}, perhaps too large`, running, written());
    await this.#runAll();
    if (!refused) apply();
    else if (this.#environment.failures.failed === 0) {
      for (const [i, { dirty }] of operands.entries()) {
        dirty.clear();
        for (const page of before[i]) dirty.add(page);
      }
    }
    this.check();
  }

  /**
   * Dispatches a kernel that asks for pages. The device has room for each of its invocations, or it is not dispatched. What it
   * stores to was written, and with it what its footprints say that it writes; nothing else was.
   */
  async dispatchPaged(under: PagedKernelUnderTest, given: readonly ArrayUnderTest[], share: number): Promise<void> {
    const { names, label } = under;
    if (under.pages > this.#setup.devicePages) return;
    const operands = names.map((name, i): Operand & ArrayUnderTest => {
      const { array } = given[i];
      const { [name]: footprint = "whole" } = under.footprint;
      return { ...given[i], name, footprint, stride: strideOf(array.type), length: array.length };
    });
    // Under another name, as floats seen as integers, numbers are none that the kernel's arithmetic has room for.
    if (
      operands.some(({ shadow }) => shadow.some((value) => !(Number.isInteger(value) && value >= 0 && value < LARGEST)))
    )
      return;
    const most = under.invocations(Object.fromEntries(operands.map(({ name, length }) => [name, length])));
    const invocations = Math.ceil(most * share);
    const kernel = await this.#pagedKernel(under, operands);
    const arrays = Object.fromEntries(operands.map(({ name, array }) => [name, array]));
    const dispatch = (): Promise<void> =>
      kernel.dispatch({ invocations, arrays, mode: "paged" }).then((report) => {
        assert.equal(report.mode, "paged");
        this.modes.add(report.mode);
      });
    const isWritten = ({ name }: Operand): boolean => under.writes.includes(name);
    if (operands.some((operand) => isWritten(operand) && operand.array.readOnly))
      return this.#begin(`${label} of a snapshot`, assert.rejects(dispatch(), isError("EPERM")));
    const isTwice = operands.some(
      (operand, i) =>
        isWritten(operand) && operands.some((other, j) => i !== j && other.array.mapping === operand.array.mapping),
    );
    if (isTwice) return this.#begin(`${label} twice`, assert.rejects(dispatch(), isError("EINVAL")));
    if (operands.some((operand) => this.#isPinned(operand, isWritten(operand), invocations)))
      return this.#begin(`${label}, pinned`, assert.rejects(dispatch(), isError("EBUSY")));
    const writes = operands.filter(isWritten).map((operand): Unspecified => {
      const { first, length } = elementsOf(operand, 0, operand.footprint === "whole" ? 0 : invocations);
      const declared = operand.footprint === "whole" ? 0 : length;
      return { ...this.#writes(operand, first, declared), start: 0, length: operand.length };
    });
    const shadows = Object.fromEntries(operands.map(({ name, shadow }) => [name, shadow as Float32Array]));
    const store = (name: string, element: number, value: number): void => {
      const at = names.indexOf(name);
      shadows[name][element] = value;
      const page = Math.floor((element * operands[at].stride) / this.#setup.pageSize);
      if (operands[at].dirty.has(page)) return;
      operands[at].dirty.add(page);
      const write = writes.find(({ array }) => array === operands[at].array) ?? assert.fail();
      (write.newlyDirty as number[]).push(page);
    };
    for (let i = 0; i < invocations; i++) under.invocation(i, shadows, store);
    this.#begin(label, dispatch(), writes);
  }

  async #pagedKernel(under: PagedKernelUnderTest, operands: readonly (Operand & ArrayUnderTest)[]): Promise<Kernel> {
    const { label, footprint } = under;
    const types = Object.fromEntries(operands.map(({ name, array }) => [name, array.type as WgslType]));
    assert.ok(Object.values(types).every((type) => isWgslType(type)));
    const key = `${label} of ${Object.values(types).join(", ")}`;
    let kernel = this.#pagedKernels.get(key);
    if (kernel === undefined) {
      kernel = await this.#opened.memory.createKernel({ label, footprint, wgsl: under.wgsl(types) });
      this.#pagedKernels.set(key, kernel);
    }
    return kernel;
  }

  /** Lets everything that was called be carried out; then every array must be what it should be. */
  async settle(): Promise<void> {
    await this.#runAll();
    this.check();
  }

  /** Runs some tasks of what is under way. */
  async runSome(tasks: number): Promise<void> {
    await letPromisesSettle();
    for (let i = 0; i < tasks && (await this.#environment.runOne()); i++);
    for (const broken of this.#broken) throw broken;
  }

  check(): void {
    const { machine, attached } = this.#opened;
    for (const broken of this.#broken) throw broken;
    this.#adoptUnspecified();
    assert.equal(this.#underWay, 0, "deadlock: something waits and nothing is left to run");
    for (const { array, shadow, source } of this.arrays) {
      const bytes = this.#opened.contents(array, source);
      const held = viewOf(array.type, bytes.buffer, bytes.byteOffset, array.length);
      this.#compare(`array ${array.label} where it is`, held, shadow);
    }
    for (const held of this.pins) this.#comparePin(held);
    const references = this.pins.flatMap(({ frames }) => frames.map((frame) => [frame, DMA_PIN] as const));
    const { zone, device } = attached;
    checkInvariants(machine, {
      references,
      deviceBytes: (frame) => (zone.kind === ZONE_PRIVATE ? device.run(frame - zone.first, 1) : null),
    });
    const { budgetBytes, usedBytes } = this.stats.device;
    assert.equal(budgetBytes, this.#setup.devicePages * this.#setup.pageSize);
    assert.equal(usedBytes, attached.usedFrames * this.#setup.pageSize);
  }

  async tearDown(): Promise<void> {
    await this.settle();
    while (this.pins.length > 0) this.release(this.pins[0]);
    const destroyed = this.#opened.destroyed();
    this.#begin("destroy", destroyed);
    await this.#runAll();
    await destroyed;
    for (const broken of this.#broken) throw broken;
  }

  async #runAll(): Promise<void> {
    await letPromisesSettle();
    await this.#environment.runAll();
  }

  /** What an operation writes is unspecified if it fails for want of memory or of a link; all else is as it was. */
  #begin(what: string, operation: Promise<unknown>, writes: readonly Unspecified[] = []): void {
    this.#underWay++;
    const ended = (): void => {
      this.#underWay--;
    };
    operation.then(ended, (error: unknown) => {
      ended();
      const short = this.#mayFail(error instanceof MemoryError ? error.code : "");
      if (short) this.#unspecified.push(...writes);
      else this.#broken.push(new Error(`${what}: ${String(error)}`, { cause: error }));
    });
  }

  #mayFail(code: string): boolean {
    if (this.#environment.failures.failed > 0 && SHORTAGES.has(code)) return true;
    // Swap does not help where pins hold all that host memory has.
    return this.#setup.swapped && code === "ENOMEM" && this.#pinned.size > 0;
  }

  #adoptUnspecified(): void {
    for (const { array, shadow, start, length, source, newlyDirty, dirty, perhapsDirty } of this.#unspecified.splice(
      0,
    )) {
      for (const page of newlyDirty) if (dirty.delete(page)) perhapsDirty.add(page);
      if (array.destroyed) continue;
      const bytes = this.#opened.contents(array, source);
      const held = viewOf(array.type, bytes.buffer, bytes.byteOffset, array.length);
      shadow.set(held.subarray(start, start + length), start);
    }
  }

  /** Notes that an operation writes the elements. */
  #writes(under: ArrayUnderTest, start: number, length: number): Unspecified {
    const { first, end } = this.#pagesOf(under.array, "write", start, length);
    const newlyDirty: number[] = [];
    for (let page = first; length > 0 && page < end; page++) if (!under.dirty.has(page)) newlyDirty.push(page);
    for (const page of newlyDirty) under.dirty.add(page);
    return { ...under, start, length, newlyDirty };
  }

  #hold(under: ArrayUnderTest, pin: Pin<NumberType>, pages: PinnedPages): void {
    this.pins.push({ ...under, pin, pages, frames: this.#framesOf(pin) });
  }

  /** By its views: the array may be destroyed, and its pages mapped no more, when its program hears of the pin. */
  #framesOf(pin: Pin<NumberType>): number[] {
    const { zones, pageSize } = this.#opened.machine;
    return pin.runs.flatMap(({ view }) => {
      const zone = zones.list.find(({ bytes }) => bytes?.buffer === view.buffer);
      assert.ok(zone !== undefined && zone.bytes !== null, "a pin's views are of host memory");
      const { first, bytes } = zone;
      const offset = view.byteOffset - bytes.byteOffset;
      const start = first + Math.floor(offset / pageSize);
      const end = first + Math.ceil((offset + view.byteLength) / pageSize);
      return Array.from({ length: end - start }, (_, i) => start + i);
    });
  }

  #comparePin({ array, shadow, pin }: ArrayUnderTest & { readonly pin: Pin<NumberType> }): void {
    let next = pin.start;
    for (const { start, view } of pin.runs) {
      assert.equal(start, next, "the runs of a pin follow each other");
      next = start + view.length;
      this.#compare(`pin of ${array.label}`, view, shadow.subarray(start, next));
    }
    assert.equal(next, pin.start + pin.length);
    if (pin.runs.length === 1) assert.equal(pin.view.length, pin.length);
    else assert.throws(() => pin.view, isError("EINVAL"));
  }

  #pagesOf(array: PagedArray, mode: PinnedPages["mode"], start: number, length: number): PinnedPages {
    const stride = strideOf(array.type);
    const { pageSize } = this.#setup;
    return {
      array,
      mode,
      first: Math.floor((start * stride) / pageSize),
      end: Math.ceil(((start + length) * stride) / pageSize),
    };
  }

  /** Does a pin keep the kernel from its pages? What both only read, a coherent device reads where it is. */
  #isPinned(operand: Operand & ArrayUnderTest, written: boolean, invocations: number): boolean {
    const { page, pages } = pagesOf(operand, elementsOf(operand, 0, invocations), this.#setup.pageSize);
    const inPlace = this.#setup.kind === "coherent" && !written;
    return [...this.#pinned].some(({ array, mode, first, end }) => {
      if (inPlace && mode === "read") return false;
      return array.mapping === operand.array.mapping && first < page + pages && page < end;
    });
  }

  /** Room for a step of one invocation wherever it is, whole arrays included. */
  #certainlyFits(operands: readonly Operand[]): boolean {
    const { pageSize, devicePages } = this.#setup;
    let pages = 0;
    for (const { footprint, stride, length } of operands) {
      if (footprint === "whole") pages += Math.ceil((length * stride) / pageSize);
      else {
        const { each, before = 0, after = 0 } = footprint;
        pages += Math.ceil(((before + each + after) * stride) / pageSize) + 1;
      }
    }
    return pages <= devicePages;
  }

  #compare(what: string, actual: NumberArray, expected: NumberArray): void {
    if (sameBytes(actual, expected)) return;
    assert.equal(actual.length, expected.length, `${what} has another length`);
    const at = expected.findIndex((element, i) => element !== actual[i]);
    assert.fail(`${what} differs from element ${at} on: ${actual[at]} instead of ${expected[at]}`);
  }
}

function isError(code: string): (error: unknown) => boolean {
  return (error) => error instanceof MemoryError && error.code === code;
}

/** A driver whose kernels end when the simulation says so. */
function kernelsElsewhere(driver: DeviceDriver, environment: SimulatedEnvironment): DeviceDriver {
  return alteredDriver(driver, (device) => ({
    async createKernel(descriptor) {
      const kernel = await device.createKernel(descriptor);
      return {
        lookahead: 1,
        get scratchBytes() {
          return kernel.scratchBytes;
        },
        execute: (step) => environment.elsewhere(kernel.execute(step)),
        ...(kernel.beginPaged !== undefined && {
          beginPaged: async (dispatch: PagedDispatch): Promise<PagedRun> => {
            const run = await environment.elsewhere(kernel.beginPaged!(dispatch));
            return {
              units: run.units,
              mostUnits: run.mostUnits,
              map: (page, frame, writable) => run.map(page, frame, writable),
              round: (units) => environment.elsewhere(run.round(units)),
              close: () => run.close(),
            };
          },
        }),
      };
    },
  }));
}
