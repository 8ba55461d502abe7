// Random programs over arrays and kernels whose device is lost at random moments: what is lost is what was nowhere else, and
// it is said and refused; all else is what plain typed arrays would hold. A seed replays a program.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceLostError } from "../../../src/device/device-lost-error.js";
import type { HostKernel } from "../../../src/device/driver.js";
import { mirrorDevice } from "../../../src/device/mirror/index.js";
import { MemoryError } from "../../../src/mm/errors.js";
import { isDevicePrivateEntry, isMigrationEntry, PTE_FRAME_SHIFT } from "../../../src/mm/table/entry.js";
import "../../../src/unified/local/on-demand.js";
import type { Kernel } from "../../../src/unified/kernel.js";
import type { PagedArray } from "../../../src/unified/paged-array.js";
import { PAGE, TestSwapStore } from "../../builders.js";
import { LosableDriver } from "../../device/losable-driver.js";
import { SeededEnvironment } from "../../environments.js";
import { setting } from "../../setting.js";
import { type OpenedMemory, openUntended } from "../../unified/opened-memory.js";

const EACH = PAGE / 4;
/** Small enough for exact sums. */
const MODULUS = 4096;

const accumulate: HostKernel = {
  writes: ["y"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) {
      const at = i - base["y"];
      arrays["y"][at] = ((arrays["y"][at] as number) + (arrays["x"][i - base["x"]] as number) + 1) % MODULUS;
    }
  },
};

/** An array, what it should hold, and which of its pages are lost. */
interface Shadowed {
  readonly array: PagedArray<"f32">;
  readonly values: Float32Array;
  readonly lost: Set<number>;
}

interface Tally {
  losses: number;
  lostPages: number;
  kept: number;
  refused: number;
  healed: number;
  during: Set<string>;
}

class Program {
  readonly #env: SeededEnvironment;
  readonly #tally: Tally;
  #opened!: OpenedMemory;
  #driver!: LosableDriver;
  #kernel!: Kernel;
  readonly #arrays: Shadowed[] = [];
  #made = 0;
  /** At the moment of the loss: pages that were nowhere else, and pages that were on their way; and arrays. */
  #onlyThere = new Set<string>();
  #onTheWay = new Set<string>();
  #mappedThen = new Set<string>();

  constructor(seed: number, tally: Tally) {
    this.#env = new SeededEnvironment(seed);
    this.#tally = tally;
  }

  async run(steps: number): Promise<void> {
    this.#driver = this.#newDriver();
    const { latency } = this.#driver;
    this.#driver.latency = 0;
    const swapped = this.#chance(0.3);
    // What is imported for the first time comes in no order that a seed decides.
    this.#opened = await openUntended({
      driver: this.#driver,
      environment: this.#env,
      ...(swapped && { hostPages: 10, swap: new TestSwapStore(200) }),
      ...(!swapped && this.#chance(0.4) && { hostPages: 30 }),
    });
    this.#kernel = await this.#opened.memory.createKernel({
      host: accumulate,
      footprint: { x: { each: 1 }, y: { each: 1 } },
    });
    this.#driver.latency = latency;
    for (let i = 0; i < 3; i++) this.#createArray();
    for (let step = 0; step < steps; step++) {
      await this.#step();
      if (this.#driver.isLost) await this.#afterLoss();
      this.#opened.check();
    }
    for (const shadowed of this.#arrays) await this.#verify(shadowed);
    await this.#settle(this.#opened.destroyed());
  }

  #newDriver(): LosableDriver {
    const pages = 2 + this.#below(12);
    const driver = new LosableDriver(mirrorDevice({ budget: pages * PAGE }));
    driver.latency = this.#below(2);
    return driver;
  }

  #createArray(): void {
    const length = 1 + this.#below(5 * EACH);
    const array = this.#opened.memory.createArray("f32", length, { label: `array-${this.#made++}` });
    this.#arrays.push({ array, values: new Float32Array(length), lost: new Set() });
  }

  async #step(): Promise<void> {
    const shadowed = this.#arrays[this.#below(this.#arrays.length)];
    const { array } = shadowed;
    const start = this.#below(array.length);
    const length = 1 + this.#below(array.length - start);
    if (this.#chance(0.15)) this.#loseSoon();
    switch (this.#below(9)) {
      case 0:
        return this.#write(shadowed, start, length);
      case 1:
        return this.#write(shadowed, 0, array.length);
      case 2:
      case 3:
      case 4:
        return this.#dispatch();
      case 5:
        return this.#read(shadowed, start, length);
      case 6:
        return this.#tolerate("prefetch", array.prefetch(this.#chance(0.7) ? "device" : "host", { start, length }));
      case 7:
        return this.#snapshot(shadowed);
      default:
        if (this.#arrays.length < 5) this.#createArray();
        else if (this.#chance(0.5)) {
          const [gone] = this.#arrays.splice(this.#below(this.#arrays.length), 1);
          gone?.array.destroy();
        }
    }
  }

  /** Within one of the next operations of the device, between two turns of anything, or now. */
  #loseSoon(): void {
    const driver = this.#driver;
    driver.onLose = () => this.#look();
    const how = this.#below(4);
    if (how < 2) driver.loseAt = { operation: driver.operations + 1 + this.#below(5), done: how === 1 };
    else if (how === 2) this.#env.schedule(() => driver.lose());
    else driver.lose();
  }

  /** What the tables say at the very moment. */
  #look(): void {
    const { machine, mm } = this.#opened;
    this.#onlyThere = new Set();
    this.#mappedThen = new Set();
    this.#onTheWay = new Set();
    for (const { array } of this.#arrays) {
      if (array.mapping.page < 0) continue;
      this.#mappedThen.add(array.label);
      for (let page = 0; page < array.pages; page++) {
        const word = mm.pageTable.read(array.mapping.page + page);
        const name = `${array.label} ${page}`;
        if (isMigrationEntry(word)) this.#onTheWay.add(name);
        if (isDevicePrivateEntry(word) && !machine.host.retained.hasCopy(word >>> PTE_FRAME_SHIFT))
          this.#onlyThere.add(name);
      }
    }
  }

  async #write(shadowed: Shadowed, start: number, length: number): Promise<void> {
    const { array, values, lost } = shadowed;
    if (array.readOnly) return;
    const source = Float32Array.from({ length }, () => this.#below(MODULUS));
    const first = Math.floor(start / EACH);
    const end = Math.ceil((start + length) / EACH);
    const whole = (page: number): boolean =>
      page * EACH >= start && Math.min((page + 1) * EACH, array.length) <= start + length;
    let barrier = end;
    for (let page = end - 1; page >= first; page--) if (lost.has(page) && !whole(page)) barrier = page;
    const failure = await this.#failure("write", array.write(source, { start }));
    if (failure === null) {
      assert.equal(barrier, end, `${array.label}: a part of a lost page was written`);
      values.set(source, start);
      for (let page = first; page < end; page++) if (lost.delete(page)) this.#tally.healed++;
      return;
    }
    if (failure.code === "EIO") this.#tally.refused++;
    // Pages before the one that it stopped at are written: each of them, as a whole.
    await this.#adopt(shadowed, (i) => (i >= start && i < start + length ? source[i - start] : null));
  }

  async #read({ array, values, lost }: Shadowed, start: number, length: number): Promise<void> {
    let read: Float32Array | undefined;
    const failure = await this.#failure(
      "read",
      array.read({ start, length }).then((bytes) => {
        read = bytes;
      }),
    );
    if (failure?.code === "ENODEV") return;
    const touches = [...lost].some((page) => page * EACH < start + length && start < (page + 1) * EACH);
    assert.equal(failure !== null, touches, `${array.label}: ${String(failure)}`);
    if (read !== undefined) assert.deepEqual(read, values.subarray(start, start + length));
    else this.#tally.refused++;
  }

  async #dispatch(): Promise<void> {
    const writable = this.#arrays.filter(({ array }) => !array.readOnly);
    const y = writable[this.#below(writable.length)];
    const others = this.#arrays.filter((shadowed) => shadowed !== y);
    const x = others[this.#below(others.length)];
    const invocations = 1 + this.#below(Math.min(x.array.length, y.array.length));
    const next = Float32Array.from(y.values);
    for (let i = 0; i < invocations; i++) next[i] = (y.values[i] + x.values[i] + 1) % MODULUS;
    const uses = ({ lost }: Shadowed): boolean => [...lost].some((page) => page * EACH < invocations);
    const expected = uses(x) || uses(y);
    const failure = await this.#failure(
      "dispatch",
      this.#kernel.dispatch({ invocations, arrays: { x: x.array, y: y.array } }),
    );
    if (failure === null) {
      assert.ok(!expected, "a kernel has used what is lost");
      y.values.set(next);
      return;
    }
    if (failure.code === "EIO") {
      assert.ok(expected, String(failure));
      this.#tally.refused++;
      return;
    }
    await this.#adopt(y, (i) => (i < invocations ? next[i] : null));
  }

  async #snapshot({ array, values, lost }: Shadowed): Promise<void> {
    if (this.#arrays.length > 6) return;
    const snapshot = array.snapshot({ label: `snapshot-${this.#made++}` });
    const shadowed: Shadowed = { array: snapshot, values: values.slice(), lost: new Set(lost) };
    this.#arrays.push(shadowed);
    const failure = await this.#failure(
      "snapshot",
      snapshot.dirtyRanges().then(() => {}),
    );
    assert.equal(failure, null);
    if (!this.#driver.isLost) return;
    // Whether it was taken before or after: nothing has been written in between.
    await this.#report();
    for (const page of lost) shadowed.lost.add(page);
  }

  async #tolerate(what: string, work: Promise<unknown>): Promise<void> {
    const failure = await this.#failure(what, work);
    assert.notEqual(failure?.code, "EIO");
  }

  /** Why the work failed, null when it did not: for want of the device, or of what was lost with it, and for nothing else. */
  async #failure(what: string, work: Promise<unknown>): Promise<MemoryError | null> {
    const wasLost = this.#driver.isLost;
    try {
      await this.#settle(work);
      return null;
    } catch (error) {
      if (error instanceof DeviceLostError) {
        assert.ok(this.#driver.isLost);
        if (!wasLost) this.#tally.during.add(`${what} ${this.#driver.lostBy ?? "idle"}`);
        return error;
      }
      assert.ok(error instanceof MemoryError && (error.code === "EIO" || error.code === "ENOMEM"), String(error));
      if (error.code === "EIO")
        assert.match(error.message, /elements \d+ to \d+ of array ".*" were only on a device that is lost/);
      return error;
    }
  }

  /** After an operation that was cut short: each element is what it was, or what it was to become. */
  async #adopt(shadowed: Shadowed, next: (i: number) => number | null): Promise<void> {
    if (this.#driver.isLost) await this.#report();
    const { array, values, lost } = shadowed;
    for (let page = 0; page < array.pages; page++) {
      const start = page * EACH;
      const length = Math.min(EACH, array.length - start);
      const now = await this.#pageOf(shadowed, start, length);
      if (now === null) {
        assert.ok(lost.has(page), `${array.label} ${page} is lost, and was not said to be`);
        continue;
      }
      if (lost.delete(page)) this.#tally.healed++;
      for (let i = 0; i < length; i++) {
        const was = values[start + i];
        const would = next(start + i);
        assert.ok(
          now[i] === was || now[i] === would,
          `${array.label}[${start + i}] is ${now[i]}, not ${was} or ${would}`,
        );
      }
      values.set(now, start);
    }
  }

  #reported = false;

  /** Takes over what the memory says is lost. */
  async #report(): Promise<void> {
    if (this.#reported) return;
    this.#reported = true;
    this.#tally.losses++;
    const { ranges } = await this.#settle(this.#opened.memory.deviceLost);
    for (const { array, start, length } of ranges) {
      const shadowed = this.#arrays.find((candidate) => candidate.array === array);
      if (shadowed === undefined) continue;
      for (let page = start / EACH; page * EACH < start + length; page++) {
        const name = `${array.label} ${page}`;
        const moved = this.#onTheWay.has(name) || !this.#mappedThen.has(array.label);
        assert.ok(moved || this.#onlyThere.has(name), `${name} was not only on the device`);
        shadowed.lost.add(page);
        this.#tally.lostPages++;
      }
    }
    for (const name of this.#onlyThere) {
      const [label, page] = name.split(" ");
      const shadowed = this.#arrays.find(({ array }) => array.label === label);
      // The rest was zeros that nothing had written, or came home while the device went.
      if (shadowed?.lost.has(Number(page)) === false) this.#tally.kept++;
    }
  }

  async #afterLoss(): Promise<void> {
    await this.#report();
    for (const shadowed of this.#arrays) await this.#verify(shadowed);
    if (this.#chance(0.5)) return;
    this.#driver = this.#newDriver();
    this.#reported = false;
    await this.#settle(this.#opened.memory.replaceDevice(this.#driver));
  }

  async #verify(shadowed: Shadowed): Promise<void> {
    const { array, values, lost } = shadowed;
    for (let page = 0; page < array.pages; page++) {
      const start = page * EACH;
      const length = Math.min(EACH, array.length - start);
      const now = await this.#pageOf(shadowed, start, length);
      assert.equal(now === null, lost.has(page), `${array.label} ${page}`);
      if (now !== null) assert.deepEqual(now, values.subarray(start, start + length), `${array.label} ${page}`);
    }
  }

  /** Elements of one page; null when they are lost. The device may go while they come home. */
  async #pageOf({ array }: Shadowed, start: number, length: number): Promise<Float32Array | null> {
    for (;;) {
      let read: Float32Array | null = null;
      const failure = await this.#failure(
        "look",
        array.read({ start, length }).then((elements) => {
          read = elements;
        }),
      );
      if (failure === null || failure.code === "EIO") return read;
      assert.equal(failure.code, "ENODEV", String(failure));
      await this.#report();
    }
  }

  #settle<T>(work: Promise<T>): Promise<T> {
    return this.#env.settle(work);
  }

  #below(bound: number): number {
    return Math.floor(this.#env.random() * bound);
  }

  #chance(probability: number): boolean {
    return this.#env.random() < probability;
  }
}

test("whatever a device is lost in, what is not lost is right, and what is lost was nowhere else", async (t) => {
  const tally: Tally = { losses: 0, lostPages: 0, kept: 0, refused: 0, healed: 0, during: new Set() };
  const only = setting("PAGEFERRY_SEED");
  const seeds = only === undefined ? Array.from({ length: 40 }, (_, i) => i + 1) : [Number(only)];
  for (const seed of seeds) {
    try {
      await new Program(seed, tally).run(40);
    } catch (cause) {
      throw new Error(`seed ${seed}: ${String(cause)}`, { cause });
    }
  }
  const { losses, lostPages, kept, refused, healed, during } = tally;
  t.diagnostic(`${losses} losses, ${lostPages} pages lost, ${refused} refused, ${healed} made good, ${kept} kept`);
  t.diagnostic(`lost in ${[...during].toSorted().join(", ")}`);
  if (only !== undefined) return;
  for (const figure of [losses - 100, lostPages - 50, refused - 10, healed - 10]) assert.ok(figure > 0);
  for (const moment of ["dispatch upload", "dispatch execute", "read download", "dispatch clear", "prefetch upload"])
    assert.ok(during.has(moment), `never lost in: ${moment}`);
});
