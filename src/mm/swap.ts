/**
 * Swap: where pages of host memory go when they are paged out, and the swap cache, through which they come back.
 *
 * A slot counts the entries that name it. A page in the swap cache belongs to a slot as well as to its mappings: it has a
 * reference of the cache, PG_SWAPCACHE, and the slot in its `private` word. A slot is free when no entry names it and no
 * page belongs to it. What is read for an access stays in the cache until a write makes the page one mapping's own.
 *
 * Counterpart: `mm/swapfile.c`, `mm/swap_state.c`.
 */

import { assert, MemoryError } from "./errors.js";
import { FRAME_SHIFT, type Frames, PG_DIRTY, PG_LOCKED, PG_SWAPCACHE, PRIVATE } from "./frames.js";

/** Where the bytes of slots lie. Slots are numbered from 1; each holds a page. */
export interface SwapStore {
  readonly slots: number;
  /** Keeps the bytes; the view is the engine's again when the promise settles. A rejection leaves the page in memory. */
  write(slot: number, bytes: Uint8Array): Promise<void>;
  /** Fills the view. A rejection makes the access fail; the slot keeps its bytes. */
  read(slot: number, into: Uint8Array): Promise<void>;
  /** Nobody will read the slot again before it is written. Synchronous. */
  discard(slot: number): void;
}

export const MAX_SWAP_SLOTS = (1 << 24) - 1;

export class Swap {
  readonly store: SwapStore;
  readonly #frames: Frames;
  readonly #put: (frame: number) => void;
  /** By slot: entries that name it. */
  readonly #counts: Int32Array;
  /** By slot: its page in the swap cache, 0 for none. */
  readonly #cache: Int32Array;
  readonly #free: number[] = [];
  #next = 1;

  constructor(store: SwapStore, frames: Frames, put: (frame: number) => void) {
    if (!Number.isInteger(store.slots) || store.slots < 1 || store.slots > MAX_SWAP_SLOTS) {
      throw new MemoryError("EINVAL", `${store.slots} swap slots are not from 1 to ${MAX_SWAP_SLOTS}`);
    }
    this.store = store;
    this.#frames = frames;
    this.#put = put;
    this.#counts = new Int32Array(store.slots + 1);
    this.#cache = new Int32Array(store.slots + 1);
  }

  /** A slot that nothing names yet, 0 when all are taken. */
  allocate(): number {
    return this.#free.pop() ?? (this.#next <= this.store.slots ? this.#next++ : 0);
  }

  /** Gives back a slot that nothing came to name. */
  giveBack(slot: number): void {
    this.#freeSlot(slot);
  }

  /** Slots in use. */
  get used(): number {
    return this.#next - 1 - this.#free.length;
  }

  /** The highest slot that was ever used. */
  get highest(): number {
    return this.#next - 1;
  }

  count(slot: number): number {
    return this.#counts[slot];
  }

  /** The slot's page in the swap cache, 0 for none. */
  cached(slot: number): number {
    return this.#cache[slot];
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
    this.#free.push(slot);
  }
}
