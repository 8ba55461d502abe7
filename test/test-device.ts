/**
 * A device for tests of the engine: memory, private or coherent, and nothing else. It counts what it copies, hands
 * frames out from the first on, and can wait or fail while it copies.
 */

import type { AddressSpace } from "../src/mm/space/address-space.js";
import { PG_LOCKED } from "../src/mm/frames/frames.js";
import type { Machine } from "../src/mm/machine.js";
import type { Invalidation, MmuInterval } from "../src/mm/space/notifier.js";
import { ADDRESS_SPACE_PAGES } from "../src/mm/table/page-table.js";
import type { DeviceFault, Zone } from "../src/mm/frames/zone.js";
import { homeOfPage, migrateDeviceRange } from "../src/migrate/device-range.js";
import {
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_SHIFT,
  MIGRATE_PFN_VALID,
  MIGRATE_VMA_SELECT_DEVICE_COHERENT,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_SYSTEM,
  migratePfn,
} from "../src/migrate/entry.js";
import { migrateDeviceFinalize, migrateVmaFinalize } from "../src/migrate/finalize.js";
import type { MigrateVma } from "../src/migrate/migrate-vma.js";
import { migrateDevicePages, migrateVmaPages } from "../src/migrate/pages.js";
import { migrateVmaSetup } from "../src/migrate/setup.js";
import { lockedHostFrame, migration, offerHostFrames, PAGE, reading } from "./builders.js";

/** The arrays of a migration between setup and finalize. */
export interface MigrationArrays {
  readonly src: Int32Array;
  readonly dst: Int32Array;
  readonly npages: number;
}

/** Devices by their memory, so that one can copy from another. */
const devices = new WeakMap<Zone, TestDevice>();

export class TestDevice {
  readonly owner: object = {};
  readonly machine: Machine;
  readonly zone: Zone;
  readonly kind: "private" | "coherent";
  /** The device's memory. */
  readonly memory: Uint8Array;
  /** Frames that came back through `page_free`, in order. */
  readonly freed: number[] = [];
  /** Pages copied and cleared so far. */
  copied = 0;
  cleared = 0;
  /** CPU faults that were asked to bring a page home. */
  faults = 0;
  /** Awaited while the pages are locked. */
  pause: (() => Promise<void>) | null = null;
  /** Is the copy of this source frame to fail? */
  failsCopy: (source: number) => boolean = () => false;
  readonly inFlight = new Set<MigrationArrays>();
  /** Frames whose faults are being served: each is held by its faulter. */
  readonly faulting = new Map<number, number>();
  readonly #free: number[];

  constructor(machine: Machine, kind: "private" | "coherent", frames: number) {
    this.machine = machine;
    this.kind = kind;
    this.memory = new Uint8Array(frames * PAGE);
    this.zone = machine.addDeviceMemory(kind, frames, kind === "coherent" ? this.memory : null, {
      owner: this.owner,
      ops: {
        pageFree: (frame) => {
          this.freed.push(frame);
          this.#free.push(frame);
        },
        migrateToRam: (fault) => this.#migrateToRam(fault),
      },
    });
    devices.set(this.zone, this);
    this.#free = Array.from({ length: frames }, (_, i) => this.zone.first + frames - 1 - i);
  }

  get select(): number {
    return this.kind === "private" ? MIGRATE_VMA_SELECT_DEVICE_PRIVATE : MIGRATE_VMA_SELECT_DEVICE_COHERENT;
  }

  get freeFrames(): number {
    return this.#free.length;
  }

  holds(frame: number): boolean {
    return frame >= this.zone.first && frame < this.zone.first + this.zone.frames;
  }

  bytesOf(frame: number): Uint8Array {
    const offset = (frame - this.zone.first) * PAGE;
    return this.memory.subarray(offset, offset + PAGE);
  }

  /** A kernel's store: the bytes of the frame change, and its retained copy is given up first. */
  write(frame: number, byte: number): void {
    this.machine.host.retained.wrote(frame);
    this.bytesOf(frame).fill(byte);
  }

  /** A free frame, locked and with one reference; 0 when there is none. */
  allocate(): number {
    const frame = this.#free.pop();
    if (frame === undefined) return 0;
    this.machine.frames.get(frame);
    this.machine.frames.setFlags(frame, PG_LOCKED);
    return frame;
  }

  /** Gives every page that may migrate a device frame, as far as they go. */
  offer(args: MigrateVma): void {
    for (let i = 0; i < args.npages; i++) {
      if ((args.src[i] & MIGRATE_PFN_MIGRATE) === 0) continue;
      const frame = this.allocate();
      if (frame !== 0) args.dst[i] = migratePfn(frame);
    }
  }

  /** Copies what has a source and clears what has none; a page whose copy fails does not migrate. */
  copy({ src, dst, npages }: MigrationArrays): void {
    for (let i = 0; i < npages; i++) {
      const source = src[i];
      const destination = dst[i];
      if ((source & MIGRATE_PFN_MIGRATE) === 0 || (destination & MIGRATE_PFN_VALID) === 0) continue;
      const to = this.#bytes(destination >>> MIGRATE_PFN_SHIFT);
      if ((source & MIGRATE_PFN_VALID) === 0) {
        to.fill(0);
        this.cleared++;
      } else if (this.failsCopy(source >>> MIGRATE_PFN_SHIFT)) {
        to.fill(0xee);
        src[i] = source & ~MIGRATE_PFN_MIGRATE;
      } else {
        to.set(this.#bytes(source >>> MIGRATE_PFN_SHIFT));
        this.copied++;
      }
    }
  }

  /** Moves pages to the device; which of them moved. */
  async migrateToDevice(mm: AddressSpace, page: number, pages = 1): Promise<boolean[]> {
    return reading(mm, async () => {
      const args = migration(mm, page, pages, { flags: MIGRATE_VMA_SELECT_SYSTEM, owner: this.owner });
      migrateVmaSetup(args);
      this.offer(args);
      return this.#finish(args);
    });
  }

  /** Moves those of the pages that are on this device to another. */
  async migrateTo(other: TestDevice, mm: AddressSpace, page: number, pages = 1): Promise<boolean[]> {
    return reading(mm, async () => {
      const args = migration(mm, page, pages, { flags: this.select, owner: this.owner });
      migrateVmaSetup(args);
      for (let i = 0; i < pages; i++) if ((args.src[i] & MIGRATE_PFN_VALID) === 0) args.src[i] = 0;
      other.offer(args);
      return this.#finish(args);
    });
  }

  /** Moves those of the pages that are on this device to the host; which of them moved. */
  async migrateToHost(mm: AddressSpace, page: number, pages = 1): Promise<boolean[]> {
    return reading(mm, () => this.#comeHome(mm, page, pages, -1));
  }

  /** Empties frames `[first, first + count)` whoever they belong to; which of them moved. */
  async evict(first = this.zone.first, count = this.zone.frames): Promise<boolean[]> {
    const src = new Int32Array(count);
    const dst = new Int32Array(count);
    migrateDeviceRange(this.machine, src, first, count);
    for (let i = 0; i < count; i++) {
      const source = src[i];
      if ((source & MIGRATE_PFN_MIGRATE) === 0) continue;
      const frame = lockedHostFrame(this.machine, homeOfPage(this.machine, source >>> MIGRATE_PFN_SHIFT));
      if (frame !== 0) dst[i] = migratePfn(frame);
    }
    const arrays = { src, dst, npages: count };
    await this.#copyAndPause(arrays);
    migrateDevicePages(this.machine, src, dst, count);
    const moved = movedPages(arrays);
    migrateDeviceFinalize(this.machine, src, dst, count);
    this.inFlight.delete(arrays);
    return moved;
  }

  async #migrateToRam({ mm, page, frame }: DeviceFault): Promise<void> {
    this.faults++;
    this.faulting.set(frame, (this.faulting.get(frame) ?? 0) + 1);
    try {
      await this.#comeHome(mm, page, 1, frame);
    } finally {
      this.faulting.set(frame, (this.faulting.get(frame) ?? 0) - 1);
    }
  }

  async #comeHome(mm: AddressSpace, page: number, pages: number, faultPage: number): Promise<boolean[]> {
    const args = migration(mm, page, pages, { flags: this.select, owner: this.owner, faultPage });
    migrateVmaSetup(args);
    offerHostFrames(args);
    return this.#finish(args);
  }

  async #finish(args: MigrateVma): Promise<boolean[]> {
    await this.#copyAndPause(args);
    migrateVmaPages(args);
    const moved = movedPages(args);
    migrateVmaFinalize(args);
    this.inFlight.delete(args);
    return moved;
  }

  async #copyAndPause(arrays: MigrationArrays): Promise<void> {
    this.inFlight.add(arrays);
    if (this.pause !== null) await this.pause();
    this.copy(arrays);
    if (this.pause !== null) await this.pause();
  }

  #bytes(frame: number): Uint8Array {
    const device = devices.get(this.machine.zones.of(frame));
    return device === undefined ? this.machine.zones.bytes(frame) : device.bytesOf(frame);
  }
}

function movedPages({ src, npages }: MigrationArrays): boolean[] {
  return Array.from({ length: npages }, (_, i) => (src[i] & MIGRATE_PFN_MIGRATE) !== 0);
}

/** Writes down what a device hears of an address space: event, first page, end, and whether it was its own migration. */
export class Listener implements MmuInterval {
  readonly heard: [event: string, start: number, end: number][] = [];
  readonly start: number;
  readonly end: number;
  readonly #owner: object | null;

  constructor(mm: AddressSpace, owner: object | null = null, start = 0, end = ADDRESS_SPACE_PAGES) {
    this.start = start;
    this.end = end;
    this.#owner = owner;
    mm.notifiers.register(this);
  }

  invalidate({ event, start, end, owner }: Readonly<Invalidation>): boolean {
    this.heard.push([event, start, end]);
    return this.#owner === null || owner !== this.#owner;
  }

  /** What was heard since the last time. */
  take(): [event: string, start: number, end: number][] {
    return this.heard.splice(0);
  }
}
