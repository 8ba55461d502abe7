/**
 * A machine with one mapping and a device whose driver copies nothing: it gives destinations, keeps its page table right,
 * and nothing else, so that what is timed is the protocol alone. All pages migrate in batches of 512, to the device and
 * back.
 *
 * No byte of the pages is ever touched (host memory is only address space until then), which is what lets millions of
 * them be mapped here: they begin as holes, migrate to the device as pages without contents, and from there to the host.
 *
 * In home order, page i is in the i-th frame of its home range or of the device, and the LRU list is in page order.
 * Scrambled, by fresh seeded permutations before every pass: device frames and host frames are handed out in random
 * order (the mapping has no home), the LRU list is in a random order, and the batches are at random places.
 */

import { DevicePageTable } from "../src/device/page-table.js";
import {
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_SHIFT,
  MIGRATE_PFN_VALID,
  MIGRATE_PFN_WRITE,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_SYSTEM,
  MigrateVma,
  migratePfn,
  migrateVmaFinalize,
  migrateVmaPages,
  migrateVmaSetup,
} from "../src/migrate/index.js";
import {
  type AddressSpace,
  isDevicePrivateEntry,
  Machine,
  mmap,
  type PageMap,
  PG_LOCKED,
  PTE_FRAME_SHIFT,
  PTE_PRESENT,
  type Vma,
  type Zone,
} from "../src/mm/index.js";
import { homeFrameOf } from "../src/mm/host/home-range.js";
import { ascending, shuffle } from "./permutation.js";
import { expect } from "./scenario.js";

export const PAGE_SIZE = 4096;
export const BATCH_PAGES = 512;

export class ProtocolMachine {
  readonly pages: number;
  readonly #machine: Machine;
  readonly #mm: AddressSpace;
  readonly #vma: Vma;
  readonly #table: DevicePageTable;
  readonly #zone: Zone;
  readonly #pageMap: FreeFrames;
  readonly #args = new MigrateVma(BATCH_PAGES);
  /** First page of each batch, in the order in which they migrate. */
  readonly #batches: Int32Array;
  readonly #random: (() => number) | null;

  private constructor(machine: Machine, mm: AddressSpace, vma: Vma, pages: number, random: (() => number) | null) {
    this.pages = pages;
    this.#machine = machine;
    this.#mm = mm;
    this.#vma = vma;
    this.#random = random;
    this.#pageMap = new FreeFrames(pages);
    this.#zone = machine.addDeviceMemory("private", pages, null, this.#pageMap);
    this.#pageMap.fill(this.#zone.first);
    this.#table = new DevicePageTable(mm, this.#pageMap.owner);
    this.#batches = ascending(pages / BATCH_PAGES);
    for (let i = 0; i < this.#batches.length; i++) this.#batches[i] = vma.start + i * BATCH_PAGES;
  }

  /** With all pages mapped on the host; `random` scrambles. `pages` is a whole number of batches. */
  static async create(pages: number, random: (() => number) | null): Promise<ProtocolMachine> {
    const machine = new Machine({ pageSize: PAGE_SIZE });
    const mm = machine.createAddressSpace();
    const home = random === null ? { home: machine.host.reserveHome(pages) } : {};
    const address = await mmap(mm, { length: pages * PAGE_SIZE, ...home });
    const vma = mm.vmaAt(address / PAGE_SIZE);
    expect(vma !== undefined, "the mapping is not there");
    const made = new ProtocolMachine(machine, mm, vma, pages, random);
    expect(mm.mmapLock.tryRead(), "the mmap lock is not free");
    made.toDevice();
    if (random !== null) made.#scramblePool();
    made.toHost();
    made.checkOnHost();
    return made;
  }

  /** Gives every order of the next pass to chance, or leaves all as it is. Not timed. */
  scramble(): void {
    if (this.#random === null) return;
    shuffle(this.#batches, this.#random);
    this.#pageMap.shuffle(this.#random);
    if (this.#machine.lru.list.length === this.pages) this.#scrambleLru();
    else this.#scramblePool();
  }

  toDevice(): void {
    const args = this.#args;
    let moved = 0;
    for (let i = 0; i < this.#batches.length; i++) {
      const start = this.#begin(this.#batches[i], MIGRATE_VMA_SELECT_SYSTEM);
      this.#offerDeviceFrames();
      migrateVmaPages(args);
      moved += this.#enterPages(start);
      migrateVmaFinalize(args);
    }
    expect(moved === this.pages, `${moved} of ${this.pages} pages migrated to the device`);
  }

  toHost(): void {
    const args = this.#args;
    let moved = 0;
    for (let i = 0; i < this.#batches.length; i++) {
      const start = this.#begin(this.#batches[i], MIGRATE_VMA_SELECT_DEVICE_PRIVATE);
      this.#offerHostFrames(start);
      migrateVmaPages(args);
      moved += this.#leavePages(start);
      migrateVmaFinalize(args);
    }
    this.#machine.lru.drain();
    expect(moved === this.pages, `${moved} of ${this.pages} pages migrated to the host`);
  }

  /** Every page is on the device alone, and its table says where. */
  checkOnDevice(): void {
    const { frames } = this.#machine;
    for (let page = this.#vma.start; page < this.#vma.end; page++) {
      const word = this.#mm.pageTable.read(page);
      const frame = word >>> PTE_FRAME_SHIFT;
      const placed = isDevicePrivateEntry(word) && this.#table.lookup(page, true) === frame;
      const free =
        frames.refcount(frame) === 1 && frames.mapcount(frame) === 1 && (frames.flags(frame) & PG_LOCKED) === 0;
      if (!placed || !free)
        expect(false, `page ${page} is not as it should be on the device: entry ${word.toString(16)}`);
    }
    expect(this.#pageMap.length === 0, `${this.#pageMap.length} device frames are free that hold pages`);
    expect(this.#machine.lru.list.length === 0, "pages of the device are on the LRU list");
  }

  /** Every page is on the host alone, at home if it has one, on the LRU list, and out of the device's reach. */
  checkOnHost(): void {
    const { frames, lru } = this.#machine;
    for (let page = this.#vma.start; page < this.#vma.end; page++) {
      const word = this.#mm.pageTable.read(page);
      const frame = word >>> PTE_FRAME_SHIFT;
      const home = homeFrameOf(this.#vma.home, page);
      const placed =
        (word & PTE_PRESENT) !== 0 && (home === 0 || home === frame) && this.#table.lookup(page, false) === -1;
      const free =
        frames.refcount(frame) === 1 && frames.mapcount(frame) === 1 && (frames.flags(frame) & PG_LOCKED) === 0;
      if (!placed || !free)
        expect(false, `page ${page} is not as it should be on the host: entry ${word.toString(16)}`);
    }
    expect(lru.list.length === this.pages, `${lru.list.length} of ${this.pages} pages are on the LRU list`);
    expect(this.#pageMap.length === this.pages, "device frames are in use after all pages have left");
  }

  /** Bytes of the engine's tables, and of what this driver keeps beside them. */
  get byteLengths(): { frames: number; frameTable: number; pageTables: number; deviceTable: number; driver: number } {
    const { frames, tables } = this.#machine;
    return {
      frames: frames.count,
      frameTable: frames.byteLength,
      pageTables: tables.byteLength,
      deviceTable: this.#table.byteLength,
      driver: this.#pageMap.byteLength + this.#batches.byteLength,
    };
  }

  /** Setup of one batch; returns its first page. */
  #begin(start: number, flags: number): number {
    const args = this.#args;
    args.vma = this.#vma;
    args.start = start * PAGE_SIZE;
    args.end = (start + BATCH_PAGES) * PAGE_SIZE;
    args.flags = flags;
    args.owner = this.#pageMap.owner;
    migrateVmaSetup(args);
    return start;
  }

  #offerDeviceFrames(): void {
    const { src, dst, npages } = this.#args;
    const { frames } = this.#machine;
    for (let i = 0; i < npages; i++) {
      if ((src[i] & MIGRATE_PFN_MIGRATE) === 0) continue;
      const frame = this.#pageMap.take();
      frames.get(frame);
      frames.setFlags(frame, PG_LOCKED);
      dst[i] = migratePfn(frame);
    }
  }

  #offerHostFrames(start: number): void {
    const { src, dst, npages } = this.#args;
    const { frames, host } = this.#machine;
    const { home } = this.#vma;
    for (let i = 0; i < npages; i++) {
      if ((src[i] & MIGRATE_PFN_MIGRATE) === 0) continue;
      const frame = host.allocate(homeFrameOf(home, start + i), false);
      frames.setFlags(frame, PG_LOCKED);
      dst[i] = migratePfn(frame);
    }
  }

  #enterPages(start: number): number {
    const { src, dst, npages } = this.#args;
    let moved = 0;
    for (let i = 0; i < npages; i++) {
      if ((src[i] & MIGRATE_PFN_MIGRATE) === 0) continue;
      const writable = (src[i] & (MIGRATE_PFN_VALID | MIGRATE_PFN_WRITE)) !== MIGRATE_PFN_VALID;
      this.#table.set(start + i, dst[i] >>> MIGRATE_PFN_SHIFT, writable);
      moved++;
    }
    return moved;
  }

  #leavePages(start: number): number {
    const { src, npages } = this.#args;
    const both = MIGRATE_PFN_MIGRATE | MIGRATE_PFN_VALID;
    let moved = 0;
    for (let i = 0; i < npages;) {
      let end = i;
      while (end < npages && (src[end] & both) === both) end++;
      if (end > i) this.#table.clear(start + i, start + end);
      moved += end - i;
      i = end + 1;
    }
    return moved;
  }

  /** Host memory is handed out in random order from here on: all free frames are taken and given back shuffled. */
  #scramblePool(): void {
    const taken = new Int32Array(this.pages);
    for (let i = 0; i < taken.length; i++) taken[i] = this.#machine.host.allocate(0, false);
    shuffle(taken, this.#random!);
    for (let i = 0; i < taken.length; i++) this.#machine.put(taken[i]);
  }

  #scrambleLru(): void {
    const { lru, frames } = this.#machine;
    const listed = Int32Array.from(lru.list);
    shuffle(listed, this.#random!);
    for (let i = 0; i < listed.length; i++) {
      frames.get(listed[i]);
      lru.isolate(listed[i]);
    }
    for (let i = 0; i < listed.length; i++) lru.putback(listed[i]);
    lru.drain();
  }
}

/** The driver's free frames, handed out in the order in which they were given back. */
class FreeFrames implements PageMap {
  readonly owner: object = this;
  readonly ops = {
    pageFree: (frame: number): void => this.#give(frame),
    migrateToRam: (): Promise<void> => Promise.resolve(),
  };
  length = 0;
  readonly #ring: Int32Array;
  #next = 0;

  constructor(frames: number) {
    this.#ring = new Int32Array(frames);
  }

  /** All frames are free. */
  fill(first: number): void {
    this.length = this.#ring.length;
    for (let i = 0; i < this.length; i++) this.#ring[i] = first + i;
  }

  take(): number {
    const frame = this.#ring[this.#next];
    this.#next = this.#next + 1 === this.#ring.length ? 0 : this.#next + 1;
    this.length--;
    return frame;
  }

  /** Only while all frames are free. */
  shuffle(random: () => number): void {
    if (this.length === this.#ring.length) shuffle(this.#ring, random);
  }

  get byteLength(): number {
    return this.#ring.byteLength;
  }

  #give(frame: number): void {
    const end = this.#next + this.length++;
    this.#ring[end < this.#ring.length ? end : end - this.#ring.length] = frame;
  }
}
