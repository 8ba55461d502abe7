/**
 * Swap: where pages of host memory go when they are paged out, and the swap cache, through which they come back.
 *
 * A slot counts the entries that name it. A page in the swap cache belongs to a slot as well as to its mappings: it has a
 * reference of the cache, PG_SWAPCACHE, and the slot in its `private` word. A slot is free when no entry names it and no
 * page belongs to it. What is read for an access stays in the cache until a write makes the page one mapping's own.
 *
 * Counterpart: `mm/swapfile.c`, `mm/swap_state.c`.
 */

import { assert, MemoryError } from "../errors.js";
import { FRAME_SHIFT, type Frames, PG_DIRTY, PG_LOCKED, PG_SWAPCACHE, PRIVATE } from "../frames/frames.js";

/** Where the bytes of slots lie. Slots are numbered from 1; each holds a page. */
export interface SwapStore {
  readonly slots: number;
  /**
   * Slots that one call may cover: pages from `slot` on, side by side in the view, so that a disk sees large requests.
   * Default 1. Several calls may be under way at once, never on the same slot.
   */
  readonly maxRun?: number;
  /** Keeps the bytes; the view is the engine's again when the promise settles. A rejection leaves the pages in memory. */
  write(slot: number, bytes: Uint8Array): Promise<void>;
  /** Fills the view. A rejection makes the access fail; the slots keep their bytes. */
  read(slot: number, into: Uint8Array): Promise<void>;
  /** Nobody will read the slot again before it is written. Synchronous. */
  discard(slot: number): void;
  /** The machine is gone; called once, when nothing is under way. */
  close?(): Promise<void>;
}

export const MAX_SWAP_SLOTS = (1 << 24) - 1;
/** Slots that are accounted for at first; the account doubles as they are used. */
const FIRST_SLOTS = 1024;
/** Free slots are used again once they are this part of all that were ever used: then a search finds one soon. */
const MANY_FREE = 4;

export class Swap {
  readonly store: SwapStore;
  readonly #frames: Frames;
  readonly #put: (frame: number) => void;
  /** Pages written and read so far. */
  written = 0;
  filled = 0;
  /** By slot: entries that name it. These grow with the slots in use. */
  #counts = new Int32Array(FIRST_SLOTS);
  /** By slot: its page in the swap cache, 0 for none. */
  #cache = new Int32Array(FIRST_SLOTS);
  /** By slot: is it taken? */
  #taken = new Uint8Array(FIRST_SLOTS);
  #free = 0;
  #next = 1;
  /** Where the search for a free slot goes on. */
  #cursor = 1;

  constructor(store: SwapStore, frames: Frames, put: (frame: number) => void) {
    if (!Number.isInteger(store.slots) || store.slots < 1 || store.slots > MAX_SWAP_SLOTS) {
      throw new MemoryError("EINVAL", `${store.slots} swap slots are not from 1 to ${MAX_SWAP_SLOTS}`);
    }
    this.store = store;
    this.#frames = frames;
    this.#put = put;
  }

  /**
   * A slot that nothing names yet, 0 when all are taken. Neighbours in time become neighbours in the store: new slots are
   * taken in order, and free ones, once they are many, in order too.
   */
  allocate(): number {
    const isAtEnd = this.#next > this.store.slots;
    if (this.#free > 0 && (isAtEnd || this.#free * MANY_FREE >= this.#next)) return this.#takeFree();
    if (isAtEnd) return this.#takeFromCache() ? this.#takeFree() : 0;
    const slot = this.#next++;
    if (slot >= this.#taken.length) this.#grow();
    this.#taken[slot] = 1;
    return slot;
  }

  /** Writes pages that lie side by side to slots that do. */
  async write(slot: number, bytes: Uint8Array, pages: number): Promise<void> {
    await this.store.write(slot, bytes);
    this.written += pages;
  }

  /** The way back. */
  async read(slot: number, into: Uint8Array, pages: number): Promise<void> {
    await this.store.read(slot, into);
    this.filled += pages;
  }

  /** Gives back a slot that nothing came to name. */
  giveBack(slot: number): void {
    this.#freeSlot(slot);
  }

  /** Slots in use. */
  get used(): number {
    return this.#next - 1 - this.#free;
  }

  /** The highest slot that was ever used. */
  get highest(): number {
    return this.#next - 1;
  }

  count(slot: number): number {
    return this.#counts[slot] ?? 0;
  }

  /** The slot's page in the swap cache, 0 for none. */
  cached(slot: number): number {
    return this.#cache[slot] ?? 0;
  }

  /** One more entry names the slot. */
  duplicate(slot: number): void {
    this.#counts[slot]++;
  }

  /** One entry less names the slot, because its page is being mapped (`swap_free`). */
  release(slot: number): void {
    this.#counts[slot]--;
    assert(this.#counts[slot] >= 0, `swap slot ${slot} is released more often than it is named`);
    if (this.#counts[slot] === 0 && this.#cache[slot] === 0) this.#freeSlot(slot);
  }

  /** One entry less, because its mapping is gone: a page that only the cache keeps goes too (`free_swap_and_cache`). */
  releaseAndReclaim(slot: number): void {
    this.release(slot);
    const frame = this.#cache[slot];
    if (frame !== 0 && this.#counts[slot] === 0) this.releaseUnmapped(frame);
  }

  /** The page belongs to the slot from now on, and the cache holds a reference to it. */
  add(slot: number, frame: number): void {
    this.#frames.get(frame);
    this.#frames.setFlags(frame, PG_SWAPCACHE);
    this.#frames.words[(frame << FRAME_SHIFT) + PRIVATE] = slot;
    this.#cache[slot] = frame;
  }

  /** The page leaves the cache, which drops its reference; a slot that no entry names is free. */
  remove(frame: number): void {
    const slot = this.#frames.private(frame);
    this.#frames.clearFlags(frame, PG_SWAPCACHE);
    this.#frames.words[(frame << FRAME_SHIFT) + PRIVATE] = 0;
    this.#cache[slot] = 0;
    if (this.#counts[slot] === 0) this.#freeSlot(slot);
    this.#put(frame);
  }

  /** Another page, with the same bytes, takes the page's place; that one's only copy is in memory then. */
  replace(frame: number, other: number): void {
    const slot = this.#frames.private(frame);
    this.add(slot, other);
    this.#frames.clearFlags(frame, PG_SWAPCACHE);
    this.#frames.setFlags(frame, PG_DIRTY);
    this.#frames.words[(frame << FRAME_SHIFT) + PRIVATE] = 0;
    this.#put(frame);
  }

  /** Takes a page out of the cache if no entry names its slot; its only copy is in memory then (`folio_free_swap`). */
  tryRemove(frame: number): boolean {
    if ((this.#frames.flags(frame) & PG_SWAPCACHE) === 0 || this.#counts[this.#frames.private(frame)] > 0) return false;
    this.#frames.setFlags(frame, PG_DIRTY);
    this.remove(frame);
    return true;
  }

  /** A mapping of the page is gone: if that was the last and nobody holds its lock, it leaves the cache (`free_swap_cache`). */
  releaseUnmapped(frame: number): void {
    const unused = this.#frames.mapcount(frame) === 0 && this.#frames.tryGet(frame, 1);
    if (!unused) return;
    // Nothing awaits while the page is locked here, so nobody can come to wait for it.
    if (this.#frames.tryLock(frame)) {
      this.tryRemove(frame);
      this.#frames.clearFlags(frame, PG_LOCKED);
    }
    this.#put(frame);
  }

  #freeSlot(slot: number): void {
    this.store.discard(slot);
    this.#taken[slot] = 0;
    this.#free++;
  }

  /** There is a free slot. */
  #takeFree(): number {
    while (this.#taken[this.#cursor] !== 0) this.#cursor = this.#cursor + 1 < this.#next ? this.#cursor + 1 : 1;
    this.#taken[this.#cursor] = 1;
    this.#free--;
    return this.#cursor;
  }

  /** Frees the slot of a page that is back in memory, so that its slot is only a spare copy; false when there is none. */
  #takeFromCache(): boolean {
    for (let slot = 1; slot < this.#next; slot++) {
      const frame = this.#cache[slot];
      if (frame === 0 || this.#counts[slot] > 0 || !this.#frames.tryLock(frame)) continue;
      this.tryRemove(frame);
      this.#frames.clearFlags(frame, PG_LOCKED);
      return true;
    }
    return false;
  }

  #grow(): void {
    const length = Math.min(this.#taken.length * 2, this.store.slots + 1);
    const [counts, cache, taken] = [new Int32Array(length), new Int32Array(length), new Uint8Array(length)];
    counts.set(this.#counts);
    cache.set(this.#cache);
    taken.set(this.#taken);
    [this.#counts, this.#cache, this.#taken] = [counts, cache, taken];
  }
}
