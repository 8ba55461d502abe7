/**
 * A machine with two devices and swap under a seeded environment, address spaces, and the truth about them. Operations are
 * begun and overlap; after every step `check` compares each page with the truth, and the machine with its invariants.
 */

import assert from "node:assert/strict";
import { AttachedDevice } from "../../../src/device/attached-device.js";
import type { Device } from "../../../src/device/driver.js";
import type { LinkDirection } from "../../../src/device/mirror/link-options.js";
import { mirrorDevice } from "../../../src/device/mirror/index.js";
import type { Transfer } from "../../../src/device/transfers.js";
import { createPageCache, swapOn } from "../../../src/mm/stores.js";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import {
  isDevicePrivateEntry,
  PTE_FRAME_SHIFT,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_WRITE,
} from "../../../src/mm/table/entry.js";
import { MemoryError } from "../../../src/mm/errors.js";
import { PG_DIRTY, PG_HOME, PG_SWAPCACHE } from "../../../src/mm/frames/frames.js";
import { Machine } from "../../../src/mm/machine.js";
import { ZONE_COHERENT } from "../../../src/mm/frames/zone.js";
import { SHARED } from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { SimulatedFile } from "../../simulation/simulated-file.js";
import { letPromisesSettle, type SimulatedEnvironment } from "../../simulation/simulated-environment.js";
import { SimulatedSwapStore } from "../../simulation/simulated-swap-store.js";
import { SimulatedTransfers } from "../../simulation/simulated-transfer.js";
import { Contents } from "./contents.js";
import { watchIsolatedPages } from "./isolated-pages.js";
import { valueOf } from "./page-contents.js";
import { type Behind, SharedObject } from "./shared-object.js";
import { type HeldPin, type Mapping, Space } from "./space.js";
import { type Tallies, tallyOf } from "./tally.js";

export const PAGE_SIZE = 4096;

/** What fails without memory or without a link. A device hears of a fault that found no memory as of any other: EFAULT. */
const SHORTAGES = new Set(["ENOMEM", "EIO", "EFAULT"]);

export interface DeviceSetup {
  readonly kind: "private" | "coherent";
  readonly frames: number;
  /** When the bytes of a copy move: at once, after a wait or before it. With a wait, copies complete in any order. */
  readonly link: "instant" | "late" | "early";
}

export interface SwapSetup {
  /** 0 for a machine without swap. */
  readonly slots: number;
  /** When the bytes of a page move: after a wait or before it. Also those of files. */
  readonly link: "late" | "early";
}

export interface WorldSetup {
  readonly devices: readonly [DeviceSetup, DeviceSetup];
  /** Pages of host memory; Infinity for no limit. */
  readonly hostPages: number;
  readonly swap: SwapSetup;
}

/** Something that was begun and may not have ended. */
export interface Operation {
  readonly kind: string;
  readonly what: string;
  readonly space: Space | null;
  readonly start: number;
  readonly end: number;
  /** The rights of one of its pages changed since it began: either answer is right. */
  uncertain: boolean;
  /** Another one was under way with it. */
  met: boolean;
  /** Frames, or what is below 0: to each it was given a reference, and will drop it. */
  held: ArrayLike<number>;
  /** It has these frames locked as well. */
  hasLocked: boolean;
  /** It may hold one more reference to a coherent page while it waits for the page's lock. */
  readonly waitsWithReference: boolean;
}

/** A migration that is carried out step by step. */
export interface Steps {
  readonly src: Int32Array;
  readonly dst: Int32Array;
  readonly npages: number;
}

export class World {
  readonly environment: SimulatedEnvironment;
  readonly machine: Machine;
  readonly devices: AttachedDevice[] = [];
  readonly spaces: Space[] = [];
  mappings: Mapping[] = [];
  /** Pages that the test has locked, with a reference to each, as who writes a page back does. */
  readonly lockedFrames: number[] = [];
  /** Shared memory objects and files that the test holds, and those that are mapped. */
  readonly objects: SharedObject[] = [];
  readonly heldObjects = new Set<SharedObject>();
  readonly inFlight = new Set<Steps>();
  readonly store: SimulatedSwapStore | null;
  readonly pageTransfers: SimulatedTransfers;
  readonly contents: Contents;
  readonly tallies: Tallies = new Map();
  /** Pages that a device had for itself, and pages that left a device that was emptied step by step. */
  exclusivePages = 0;
  emptiedPages = 0;
  /** What operations ended with, if not with success. */
  readonly errors: MemoryError[] = [];
  readonly #setup: WorldSetup;
  readonly #underWay = new Set<Operation>();
  readonly #transfers = new Set<Transfer>();
  readonly #isolated: ReadonlySet<number>;
  readonly #broken: unknown[] = [];
  #lastValue = 0;

  private constructor(setup: WorldSetup, environment: SimulatedEnvironment) {
    this.#setup = setup;
    this.environment = environment;
    const { slots, link } = setup.swap;
    this.pageTransfers = new SimulatedTransfers(environment, link === "early");
    this.store = slots === 0 ? null : new SimulatedSwapStore(slots, this.pageTransfers);
    const hostBudget = setup.hostPages * PAGE_SIZE;
    this.machine = new Machine({ pageSize: PAGE_SIZE, hostBudget, environment, debug: true, shared: SHARED });
    if (this.store !== null) swapOn(this.machine, this.store);
    this.contents = new Contents(this.machine, this.devices, this.store, this.pageTransfers);
    this.#isolated = watchIsolatedPages(this.machine);
  }

  static async create(setup: WorldSetup, environment: SimulatedEnvironment): Promise<World> {
    const world = new World(setup, environment);
    for (const device of setup.devices) world.devices.push(await world.#attach(device));
    return world;
  }

  /** A value that no page was ever filled with. */
  newValue(): number {
    return ++this.#lastValue;
  }

  /** May an allocation or a copy have failed for a reason that the program did not give? */
  get isShort(): boolean {
    return this.environment.failures.failed > 0 || this.#setup.hostPages !== Infinity;
  }

  get pins(): HeldPin[] {
    return this.spaces.flatMap((space) => [...space.pins]);
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  isUsing(space: Space): boolean {
    return [...this.#underWay].some((operation) => operation.space === space);
  }

  createSpace(): void {
    try {
      this.#adopt(this.machine.createAddressSpace());
    } catch (error) {
      if (!(error instanceof MemoryError) || !this.isShort) throw error;
    }
  }

  /** The child of a fork holds what its parent held at that moment, and has no home frames. */
  adoptChild(mm: AddressSpace, parent: Space): void {
    const child = this.#adopt(mm);
    child.inherit(parent);
    for (const mapping of this.mappings) {
      if (mapping.space === parent) this.mappings.push({ ...mapping, space: child, home: null });
    }
  }

  /**
   * Begins an operation on pages of a space. `accepts` says whether an error that it ended with was to be expected; null
   * stands for success.
   */
  begin(
    kind: string,
    what: string,
    where: { space: Space | null; start: number; end: number },
    act: (operation: Operation) => Promise<void>,
    accepts: (error: MemoryError | null) => boolean = (error) => error === null,
  ): void {
    const operation: Operation = {
      kind,
      what,
      ...where,
      uncertain: false,
      met: this.#underWay.size > 0,
      held: [],
      hasLocked: false,
      waitsWithReference: kind === "pinLongTerm",
    };
    for (const other of this.#underWay) other.met = true;
    this.#underWay.add(operation);
    const ended = (error: unknown): void => {
      this.#underWay.delete(operation);
      const tally = tallyOf(this.tallies, kind);
      tally.taken++;
      if (operation.met) tally.met++;
      if (error !== null && !(error instanceof MemoryError)) this.#broken.push(error);
      else {
        if (error !== null) this.errors.push(error);
        const shortage = error !== null && this.isShort && SHORTAGES.has(error.code);
        if (operation.uncertain || accepts(error) || shortage) return;
        const answer = error === null ? "succeeded" : `failed with ${error.message}`;
        this.#broken.push(new Error(`${what} ${answer}, which is not what should happen`, { cause: error }));
      }
    };
    act(operation).then(() => ended(null), ended);
  }

  /** Counts something that was done at once. */
  did(kind: string): void {
    const tally = tallyOf(this.tallies, kind);
    tally.taken++;
    if (this.#underWay.size > 0) tally.met++;
  }

  /** Makes a shared memory object, or a file with a value of its own in each page. */
  createObject(pages: number, isFile: boolean): SharedObject {
    const values = Array.from({ length: pages }, () => (isFile ? this.newValue() : 0));
    const cache = createPageCache(this.machine, pages, isFile ? new SimulatedFile(values, this.pageTransfers) : null);
    const object = new SharedObject(cache, values);
    this.objects.push(object);
    this.heldObjects.add(object);
    return object;
  }

  isInUse({ cache }: SharedObject): boolean {
    return this.machine.pageCache(cache.id) === cache;
  }

  /** The object lives on as long as it is mapped. */
  releaseObject(object: SharedObject): void {
    if (this.heldObjects.delete(object)) object.cache.release();
  }

  /** Notes something that should not be. */
  report(broken: string): void {
    this.#broken.push(new Error(broken));
  }

  check(): void {
    for (const broken of this.#broken) throw broken;
    this.#releaseHomes();
    this.contents.refresh();
    for (const space of this.spaces) {
      for (const broken of space.brokenMappings()) throw new Error(broken);
      for (const page of space.shadow.pages) {
        const value = this.contents.page(space, page);
        if (space.shadow.agrees(page, value)) continue;
        assert.fail(`${space.name(page)} holds ${value} and should hold ${space.shadow.expected(page)}`);
      }
      for (const pin of space.pins) this.#checkPin(pin);
      for (const device of this.devices) this.#checkTable(space, device);
    }
    for (const device of this.devices) this.#checkFrames(device);
    for (const object of this.objects) if (this.isInUse(object)) this.#checkObject(object);
    const transfers = [...this.pageTransfers.underWay];
    checkInvariants(this.machine, {
      references: this.#references(),
      unsure: this.#unsureReferences(),
      isolated: this.#isolated,
      inFlight: [...[...this.#transfers].map(({ args }) => args), ...this.inFlight],
      locked: this.#locked(),
      writtenSlots: transfers.filter(({ site }) => site === "swap-write").map(({ index }) => index),
      busy: this.#underWay.size > 0,
      deviceBytes: (frame) => this.contents.bytes(frame),
    });
  }

  /** Runs everything that is under way to its end, with a check after each task, or only after the last one. */
  async quiesce(checks: "each" | "last" = "each"): Promise<void> {
    const check = checks === "each" ? () => this.check() : undefined;
    await letPromisesSettle();
    check?.();
    await this.environment.runAll(check);
    this.check();
    const stuck = [...this.#underWay].map(({ what }) => what);
    assert.deepEqual(stuck, [], "deadlock: these wait and nothing is left to run");
  }

  /** Lets go of everything, and finds nothing left. */
  async tearDown(exit: (space: Space) => void): Promise<void> {
    while (this.unlockPage());
    for (const pin of this.pins) this.dropPin(pin);
    for (const space of this.spaces) if (space.alive) exit(space);
    for (const object of this.heldObjects) this.releaseObject(object);
    await this.quiesce();
    this.machine.lru.drain();
    this.check();
    const { machine } = this;
    for (let frame = 1; frame < machine.frames.count; frame++) {
      assert.equal(machine.frames.refcount(frame), 0, `page frame ${frame} is left over`);
      assert.equal(machine.frames.flags(frame) & PG_HOME, 0, `page frame ${frame} still belongs to a home range`);
    }
    assert.equal(machine.tables.used, 0, "page tables are left over");
    assert.equal(machine.anonVmaCount, 0, "roots of the reverse map are left over");
    assert.equal(machine.swap?.used ?? 0, 0, "swap slots are left over");
    assert.equal(this.store?.pages.size ?? 0, 0, "pages in swap are left over");
    assert.deepEqual([...machine.pageCaches], [], "page caches are left over");
    assert.equal(machine.host.charge.usage, 0, "host memory is still charged");
    assert.equal(machine.host.retained.list.length, 0, "home frames are still retained");
    for (const device of this.devices) assert.equal(device.usedFrames, 0, "device frames are still in use");
  }

  holdPin(pin: HeldPin): void {
    pin.space.pins.add(pin);
  }

  dropPin(pin: HeldPin): void {
    pin.space.pins.delete(pin);
    if (pin.write) this.machine.frames.setFlags(pin.frame, PG_DIRTY);
    this.machine.put(pin.frame, pin.references);
  }

  /** Locks the page behind an address; false if nobody is there or somebody has locked it. */
  lockPage(space: Space, page: number): boolean {
    const { frames } = this.machine;
    const word = space.mm.pageTable.read(page);
    const frame = word >>> PTE_FRAME_SHIFT;
    if ((word & PTE_PRESENT) === 0 || frame === 0 || !frames.tryLock(frame)) return false;
    frames.get(frame);
    this.lockedFrames.push(frame);
    return true;
  }

  /** Unlocks the page that was locked first; false when there is none. */
  unlockPage(): boolean {
    const frame = this.lockedFrames.shift();
    if (frame === undefined) return false;
    this.machine.pageLocks.unlock(frame);
    // Who gave the page up while it was locked could not take it out of the swap cache.
    if ((this.machine.frames.flags(frame) & PG_SWAPCACHE) !== 0) this.machine.swap?.releaseUnmapped(frame);
    this.machine.put(frame);
    return true;
  }

  #adopt(mm: AddressSpace): Space {
    const space = new Space(mm, (changed, start, end) => {
      for (const operation of this.#underWay) {
        if (operation.space === changed && operation.start < end && start < operation.end) operation.uncertain = true;
      }
    });
    this.spaces.push(space);
    for (const device of this.devices) device.table(mm);
    return space;
  }

  async #attach({ kind, frames, link }: DeviceSetup): Promise<AttachedDevice> {
    const fails = (direction: LinkDirection): boolean => this.environment.failures.fails(direction);
    const latency = link === "late" ? 1 : 0;
    const driver = mirrorDevice({ kind, budget: frames * PAGE_SIZE, link: { latency, fails } });
    const device = await AttachedDevice.attach(this.machine, driver);
    if (link === "early") this.#waitAfterCopies(device.device);
    const { transfers } = device;
    const take = transfers.take.bind(transfers);
    const give = transfers.give.bind(transfers);
    transfers.take = () => {
      const transfer = take();
      // What the last migration left in the arrays is not under way.
      transfer.args.npages = 0;
      this.#transfers.add(transfer);
      return transfer;
    };
    transfers.give = (transfer) => {
      this.#transfers.delete(transfer);
      give(transfer);
    };
    return device;
  }

  #waitAfterCopies(device: Device): void {
    for (const direction of ["upload", "download", "clear"] as const) {
      const copy = device[direction].bind(device);
      device[direction] = async (copies) => {
        await copy(copies);
        await this.environment.sleep(1);
      };
    }
  }

  *#references(): Generator<readonly [frame: number, references: number]> {
    for (const { frame, references } of this.pins) yield [frame, references];
    for (const frame of this.lockedFrames) yield [frame, 1];
    for (const { held } of this.#underWay) yield* onceEach(held);
    for (const { args } of this.#transfers) if (args.faultPage >= 0) yield [args.faultPage, 1];
    for (const { site, bytes } of this.pageTransfers.underWay)
      if (site !== "swap-write") yield [this.contents.frameOf(bytes), 1];
  }

  *#locked(): Generator<number> {
    yield* this.lockedFrames;
    for (const { held, hasLocked } of this.#underWay) if (hasLocked) for (const [frame] of onceEach(held)) yield frame;
    for (const { bytes } of this.pageTransfers.underWay) yield this.contents.frameOf(bytes);
  }

  /** Coherent pages for whose lock a pin may be waiting. */
  #unsureReferences(): ReadonlyMap<number, number> {
    const unsure = new Map<number, number>();
    let waiting = 0;
    for (const { waitsWithReference } of this.#underWay) if (waitsWithReference) waiting++;
    if (waiting === 0) return unsure;
    for (const { zone } of this.devices) {
      if (zone.kind !== ZONE_COHERENT) continue;
      for (let frame = zone.first; frame < zone.first + zone.frames; frame++) unsure.set(frame, waiting);
    }
    return unsure;
  }

  #checkPin(pin: HeldPin): void {
    const { space, page, frame, behind } = pin;
    // The zero page is not pinned to an address: the next store there brings another page.
    if (frame === 0) return;
    if (behind !== null) return this.#checkObjectPin(pin, behind);
    if (pin.shared) return;
    if (!pin.orphaned) assert.ok(space.names(page, frame), `${space.name(page)} moved although it is pinned`);
    else if (!space.names(page, frame)) {
      const value = valueOf(this.machine.zones.bytes(frame));
      assert.equal(value, pin.value, `the pinned frame ${frame} of ${space.name(page)} changed`);
    }
  }

  /** A pinned page of an object stays in the object's cache as long as there is one. */
  #checkObjectPin({ frame }: HeldPin, { object, index }: Behind): void {
    if (!this.isInUse(object)) return;
    assert.equal(object.cache.page(index), frame, `page ${index} of ${object.name} left memory although it is pinned`);
  }

  #checkObject(object: SharedObject): void {
    for (let index = 0; index < object.cache.length; index++) {
      const value = this.contents.object(object, index);
      assert.equal(value, object.value(index), `page ${index} of ${object.name}`);
    }
  }

  /** What the device reaches through its own table is what the page table says, and no more. */
  #checkTable(space: Space, device: AttachedDevice): void {
    if (!space.alive) return;
    const table = device.table(space.mm);
    for (const page of space.shadow.pages) {
      const frame = table.lookup(page, false);
      if (frame < 0) continue;
      const word = space.mm.pageTable.read(page);
      const reachable = (word & (PTE_PRESENT | PTE_NO_ACCESS)) === PTE_PRESENT || isDevicePrivateEntry(word);
      const what = `the entry of ${space.name(page)} in the table of ${device.driver.name}`;
      assert.ok(reachable && word >>> PTE_FRAME_SHIFT === frame, `${what} outlives the page's place in frame ${frame}`);
      if (table.lookup(page, true) >= 0) assert.ok((word & PTE_WRITE) !== 0, `${what} allows to write`);
    }
  }

  #checkFrames({ zone, allocator, driver }: AttachedDevice): void {
    let used = 0;
    for (let frame = zone.first; frame < zone.first + zone.frames; frame++) {
      const isUsed = this.machine.frames.refcount(frame) > 0;
      if (isUsed) used++;
      assert.equal(allocator.isFree(frame - zone.first), !isUsed, `${driver.name} is wrong about its frame ${frame}`);
    }
    assert.equal(allocator.frames - allocator.free, used, `${driver.name} counts its used frames wrong`);
  }

  /** Home ranges of which nothing is mapped any more go back, whoever still holds one of their pages. */
  #releaseHomes(): void {
    this.mappings = this.mappings.filter((mapping) => {
      if (mapping.space.isLeft(mapping)) return true;
      if (mapping.home !== null) this.machine.host.releaseHome(mapping.home);
      return false;
    });
  }
}

function* onceEach(frames: ArrayLike<number>): Generator<readonly [frame: number, references: number]> {
  for (let i = 0; i < frames.length; i++) if (frames[i] >= 0) yield [frames[i], 1];
}
