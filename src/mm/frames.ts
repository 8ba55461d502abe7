/**
 * The frame table: for every page frame of the machine, of host memory and of all devices, a record of eight words.
 *
 * ```text
 * word  0      1         2         3        4      5         6         7
 *       flags  refcount  mapcount  mapping  index  LRU next  LRU prev  private
 * ```
 *
 * `refcount` is written by any thread, with atomics; all other words by the pager alone. `mapping` is an anon_vma's
 * number shifted left by two, with the kind in the low bits, 0 for none. `private` belongs to the frame's owner: a
 * retained home frame and the device frame that holds its page name each other there.
 *
 * Invariants: a frame is free iff its refcount is 0; a mapped frame has at least mapcount references; frame 0 is the zero
 * page, referenced for ever, never on a list.
 *
 * Counterpart: `struct page`, `include/linux/page_ref.h`, `include/linux/page-flags.h`.
 */

import { MAX_FRAMES } from "./entry.js";
import { MemoryError } from "./errors.js";
import { addToWord, compareExchangeWord, loadWord } from "./shared-word.js";

export const FRAME_WORDS = 8;
export const FRAME_SHIFT = 3;
export const FLAGS = 0;
export const REFCOUNT = 1;
export const MAPCOUNT = 2;
export const MAPPING = 3;
export const INDEX = 4;
export const LRU_NEXT = 5;
export const LRU_PREV = 6;
export const PRIVATE = 7;

export const PG_LOCKED = 1;
/** On the LRU list. */
export const PG_LRU = 1 << 1;
export const PG_DIRTY = 1 << 2;
/** Somebody waits for the page's lock. */
export const PG_WAITERS = 1 << 3;
/** The frame belongs to a home range and is never given to another page. */
export const PG_HOME = 1 << 4;
/** A free home frame that still holds the bytes of its page, which is on a device (`private` names where). */
export const PG_RETAINED = 1 << 5;
/** Of a device frame: the retained home frame named by `private` holds the same bytes. */
export const PG_HAS_COPY = 1 << 6;
/** The frame of host memory has been handed out before, so it may hold other bytes than zeros. */
export const PG_TOUCHED = 1 << 7;
/** In the swap cache: `private` is the slot. */
export const PG_SWAPCACHE = 1 << 8;

/** A DMA pin adds this to the reference count, so that it can be told from short references. */
export const GUP_PIN_COUNTING_BIAS = 1024;

export const MAPPING_KIND_SHIFT = 2;
export const MAPPING_ANON = 1;
/** `mapping` is the number of a page cache. */
export const MAPPING_FILE = 2;
export const MAPPING_KIND_MASK = (1 << MAPPING_KIND_SHIFT) - 1;

export class Frames {
  /** Eight words a frame. Replaced when the table grows, so never kept over an `await`. */
  words = new Int32Array(0);
  count = 0;

  /**
   * Adds `count` frames and returns the number of the first. The table is never larger than its frames: it grows by whole
   * zones, of which there are few and ever larger ones.
   */
  add(count: number): number {
    const first = this.count;
    const total = first + count;
    if (total > MAX_FRAMES) {
      throw new MemoryError("ENOMEM", `${total} page frames exceed the ${MAX_FRAMES} that page-table entries can name`);
    }
    const needed = total * FRAME_WORDS;
    if (needed > this.words.length) {
      const grown = new Int32Array(needed);
      grown.set(this.words);
      this.words = grown;
    }
    this.count = total;
    return first;
  }

  flags(frame: number): number {
    return this.words[frame << FRAME_SHIFT];
  }

  setFlags(frame: number, flags: number): void {
    this.words[frame << FRAME_SHIFT] |= flags;
  }

  clearFlags(frame: number, flags: number): void {
    this.words[frame << FRAME_SHIFT] &= ~flags;
  }

  refcount(frame: number): number {
    return loadWord(this.words, (frame << FRAME_SHIFT) + REFCOUNT);
  }

  mapcount(frame: number): number {
    return this.words[(frame << FRAME_SHIFT) + MAPCOUNT];
  }

  private(frame: number): number {
    return this.words[(frame << FRAME_SHIFT) + PRIVATE];
  }

  /** Is the page anonymous? */
  isAnonymous(frame: number): boolean {
    return (this.words[(frame << FRAME_SHIFT) + MAPPING] & MAPPING_KIND_MASK) === MAPPING_ANON;
  }

  get(frame: number): void {
    addToWord(this.words, (frame << FRAME_SHIFT) + REFCOUNT, 1);
  }

  /** Takes `references` unless the frame is free: what a lockless pin does before it reads the entry again. */
  tryGet(frame: number, references: number): boolean {
    const words = this.words;
    const at = (frame << FRAME_SHIFT) + REFCOUNT;
    let seen = loadWord(words, at);
    while (seen !== 0) {
      const found = compareExchangeWord(words, at, seen, seen + references);
      if (found === seen) return true;
      seen = found;
    }
    return false;
  }

  /** Is the page pinned for DMA? It may err on the side of yes, as in Linux, after 1,024 short references. */
  maybeDmaPinned(frame: number): boolean {
    return this.refcount(frame) >= GUP_PIN_COUNTING_BIAS;
  }

  tryLock(frame: number): boolean {
    const at = frame << FRAME_SHIFT;
    const flags = this.words[at];
    if ((flags & PG_LOCKED) !== 0) return false;
    this.words[at] = flags | PG_LOCKED;
    return true;
  }

  get byteLength(): number {
    return this.words.byteLength;
  }
}
