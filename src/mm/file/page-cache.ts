/**
 * The page cache of one file or shared memory object: its pages by offset, the VMAs that map it, and where a page is when
 * it is not in memory: in swap, in the file behind it, or nowhere yet.
 *
 * Invariants: each cached page has a reference of the cache; an offset is cached or in a swap slot, never both. An object
 * that is neither mapped nor held by anybody has no pages.
 *
 * Counterpart: `struct address_space`, `mm/filemap.c`, `mm/shmem.c`.
 */

import { assert, MemoryError } from "../errors.js";
import {
  FRAME_SHIFT,
  INDEX,
  MAPPING,
  MAPPING_FILE,
  MAPPING_KIND_SHIFT,
  PG_DIRTY,
  PG_LOCKED,
} from "../frames/frames.js";
import { type HomeRange, homeFrameOf } from "../host/home-range.js";
import { forEachRun } from "../frames/frame-runs.js";
import type { Machine } from "../machine.js";
import type { Vma } from "../space/vma.js";
import { insertByOffset } from "../space/vma-order.js";
import { settled } from "../settled.js";

/** What lies behind a file: fills pages with its contents. */
export interface FileBacking {
  /** Pages that one call may ask for, side by side in the view, so that a disk sees large requests. Default 1. */
  readonly maxRun?: number;
  /** Several calls may be under way at once. A rejection makes the access fail. */
  read(index: number, into: Uint8Array): Promise<void>;
  /** The object is gone; called once, when nothing is under way. */
  close?(): void;
}

export class PageCache {
  readonly id: number;
  readonly machine: Machine;
  /** Pages of the object: an access beyond them has no memory behind it. */
  readonly length: number;
  /** All VMAs that map it, by offset, then in the order of linking. */
  readonly vmas: Vma[] = [];
  readonly #backing: FileBacking | null;
  readonly #pages = new Map<number, number>();
  /** Pages that were paged out, by offset: their swap slots. */
  readonly #slots = new Map<number, number>();
  /** Where cached pages are at home, or prefer to be: that of the one mapping that this object is for. */
  place: HomeRange | null = null;
  #holders = 1;

  /** Made by `createPageCache`; held by the caller until `release`. */
  constructor(machine: Machine, id: number, length: number, backing: FileBacking | null) {
    this.machine = machine;
    this.id = id;
    this.length = length;
    this.#backing = backing;
  }

  /** The cached page at an offset, 0 when it is not in memory. */
  page(index: number): number {
    return this.#pages.get(index) ?? 0;
  }

  get pages(): ReadonlyMap<number, number> {
    return this.#pages;
  }

  get slots(): ReadonlyMap<number, number> {
    return this.#slots;
  }

  /** Is the page to be read from somewhere, or else made of zeros? */
  mustRead(index: number): boolean {
    return this.#slots.has(index) || this.#backing !== null;
  }

  /** A page of zeros at an offset that has none; 0 when there is no host memory for it. */
  addZeros(index: number): number {
    const frame = this.machine.host.allocate(0, true);
    if (frame === 0) return 0;
    this.#add(index, frame);
    this.machine.lru.add(frame);
    return frame;
  }

  /**
   * Replaces the page at an offset, which differs from what lies behind the object from now on. EINVAL for less than a page,
   * an offset beyond the object or an object that is gone, EBUSY while the page is being read or paged out, ENOMEM without
   * host memory for it.
   */
  write(index: number, bytes: Uint8Array): void {
    const { frames, pageSize, zones } = this.machine;
    this.#checkInUse();
    if (bytes.byteLength !== pageSize)
      throw new MemoryError("EINVAL", `${bytes.byteLength} bytes are not the ${pageSize} of a page`);
    if (!Number.isInteger(index) || index < 0 || index >= this.length)
      throw new MemoryError("EINVAL", `page ${index} is not within the ${this.length} of the object`);
    if ((frames.flags(this.page(index)) & PG_LOCKED) !== 0)
      throw new MemoryError("EBUSY", `page ${index} of an object is being read or paged out`);
    const frame = this.page(index) || this.addZeros(index);
    if (frame === 0) throw new MemoryError("ENOMEM", `no host memory for page ${index} of an object`);
    this.#releaseSlot(index);
    zones.bytes(frame).set(bytes);
    frames.setFlags(frame, PG_DIRTY);
  }

  /**
   * Brings the page at an offset into memory; others find it locked until its bytes are there. False when there is no host
   * memory for it; rejects with the error of the swap store or of the file.
   */
  async read(index: number): Promise<boolean> {
    const { machine } = this;
    const frame = this.#addLocked(index);
    if (frame === 0) return false;
    try {
      await this.#fill(index, machine.zones.bytes(frame), frame);
      machine.lru.add(frame);
    } catch (error) {
      this.#remove(index, frame);
      throw error;
    } finally {
      machine.pageLocks.unlock(frame);
      machine.put(frame);
    }
    return true;
  }

  /** Is the page in the file behind the object, and nowhere else? Then `readRun` can bring it. */
  isInFileOnly(index: number): boolean {
    return this.#backing !== null && !this.#slots.has(index) && !this.#pages.has(index) && index < this.length;
  }

  /**
   * Starts to bring pages `[index, index + count)`, which are in the file only, into memory: as many as there is host
   * memory for. Their number comes at once; the promise is that they are all there, or the error of the file.
   */
  readRun(index: number, count: number): { readonly begun: number; readonly done: Promise<unknown> } {
    const frames: number[] = [];
    for (let i = 0; i < count; i++) {
      const frame = this.#addLocked(index + i);
      if (frame === 0) break;
      frames.push(frame);
    }
    const reads: Promise<void>[] = [];
    const together = (): boolean => true;
    forEachRun(this.machine.zones, frames, this.#backing?.maxRun ?? 1, together, (from, length) => {
      reads.push(this.#readLocked(index + from, frames[from], length));
    });
    return { begun: frames.length, done: settled(reads) };
  }

  /**
   * Lets go of a page so that a mapping can have it for itself; true if nobody else used it. The cache's reference is the
   * mapping's then, and the page has no identity.
   */
  giveUp(frame: number): boolean {
    const { frames } = this.machine;
    const at = frame << FRAME_SHIFT;
    if ((frames.flags(frame) & (PG_LOCKED | PG_DIRTY)) !== 0 || frames.refcount(frame) !== 1) return false;
    this.#pages.delete(frames.words[at + INDEX]);
    frames.words[at + MAPPING] = 0;
    return true;
  }

  /**
   * Takes a locked page, which only the cache and the caller refer to, out of memory: to swap if it differs from what lies
   * behind the object. False, with the page as it was, when it cannot go.
   */
  async evict(frame: number): Promise<boolean> {
    const { machine } = this;
    const { frames, swap, zones } = machine;
    const index = frames.words[(frame << FRAME_SHIFT) + INDEX];
    if ((frames.flags(frame) & PG_DIRTY) !== 0) {
      const slot = swap?.allocate() ?? 0;
      if (swap === null || slot === 0) return false;
      try {
        await swap.store.write(slot, zones.bytes(frame));
      } catch {
        swap.giveBack(slot);
        return false;
      }
      // The object has gone meanwhile, and its hold of the page with it.
      if (this.#pages.get(index) !== frame) {
        swap.giveBack(slot);
        return true;
      }
      swap.duplicate(slot);
      this.#slots.set(index, slot);
    }
    this.#remove(index, frame);
    return true;
  }

  /** EINVAL when the object is gone, or another machine's. */
  link(vma: Vma): void {
    if (vma.mm.machine !== this.machine)
      throw new MemoryError("EINVAL", `object ${this.id} belongs to another machine and cannot be mapped`);
    this.#checkInUse();
    insertByOffset(this.vmas, vma);
  }

  unlink(vma: Vma): void {
    this.vmas.splice(this.vmas.indexOf(vma), 1);
    this.#destroyUnused();
  }

  /** The caller holds it no more. */
  release(): void {
    this.#holders--;
    assert(this.#holders >= 0, "a page cache is released more often than it is held");
    this.#destroyUnused();
  }

  /** A locked page for what is to be read, with a reference of its own beside that of the cache; 0 without memory. */
  #addLocked(index: number): number {
    const { machine, place } = this;
    const frame = machine.host.allocate(place === null ? 0 : homeFrameOf(place, place.page + index), false);
    if (frame === 0) return 0;
    machine.frames.setFlags(frame, PG_LOCKED);
    this.#add(index, frame);
    // When the read fails the cache lets go of the page while others wait for its lock.
    machine.frames.get(frame);
    return frame;
  }

  async #readLocked(index: number, first: number, count: number): Promise<void> {
    const { machine } = this;
    let failed = true;
    try {
      await this.#backing?.read(index, machine.zones.run(first, count));
      failed = false;
    } finally {
      for (let i = 0; i < count; i++) {
        if (failed) this.#remove(index + i, first + i);
        else machine.lru.add(first + i);
        machine.pageLocks.unlock(first + i);
        machine.put(first + i);
      }
    }
  }

  async #fill(index: number, into: Uint8Array, frame: number): Promise<void> {
    const { swap, frames } = this.machine;
    const slot = this.#slots.get(index);
    if (slot === undefined || swap === null) {
      await this.#backing?.read(index, into);
      return;
    }
    await swap.store.read(slot, into);
    this.#releaseSlot(index);
    frames.setFlags(frame, PG_DIRTY);
  }

  /** The page at an offset is not in swap any more. */
  #releaseSlot(index: number): void {
    const slot = this.#slots.get(index);
    if (slot === undefined) return;
    this.#slots.delete(index);
    this.machine.swap?.release(slot);
  }

  #add(index: number, frame: number): void {
    const { words } = this.machine.frames;
    words[(frame << FRAME_SHIFT) + MAPPING] = (this.id << MAPPING_KIND_SHIFT) | MAPPING_FILE;
    words[(frame << FRAME_SHIFT) + INDEX] = index;
    this.#pages.set(index, frame);
  }

  #remove(index: number, frame: number): void {
    this.#pages.delete(index);
    this.machine.put(frame);
  }

  #checkInUse(): void {
    if (this.machine.pageCache(this.id) !== this)
      throw new MemoryError("EINVAL", `object ${this.id} is neither held nor mapped any more`);
  }

  #destroyUnused(): void {
    if (this.#holders > 0 || this.vmas.length > 0) return;
    for (const [index, frame] of this.#pages) this.#remove(index, frame);
    for (const slot of this.#slots.values()) this.machine.swap?.release(slot);
    this.#slots.clear();
    this.machine.forgetPageCache(this);
    this.#backing?.close?.();
  }
}
