/**
 * The frame table: for every page frame of the machine, of host memory and of all devices, a record of eight words
 * (`frame-record.ts`). `refcount` is written by any thread, with atomics; all other words by the pager alone.
 *
 * Invariants: a frame is free iff its refcount is 0; a mapped frame has at least mapcount references; frame 0 is the zero
 * page, referenced for ever, never on a list.
 *
 * Counterpart: `struct page`, `include/linux/page_ref.h`, `include/linux/page-flags.h`.
 */

import { MAX_FRAMES } from "./entry.js";
import { MemoryError } from "./errors.js";
import * as sharedWord from "./shared-word.js";
import * as frameRecord from "./frame-record.js";

export * from "./frame-record.js";

// A module's own constants become part of its code; imported and exported ones are looked up at every use.
const {
  FRAME_WORDS,
  FRAME_SHIFT,
  REFCOUNT,
  MAPCOUNT,
  MAPPING,
  PRIVATE,
  PG_LOCKED,
  GUP_PIN_COUNTING_BIAS,
  MAPPING_ANON,
  MAPPING_KIND_MASK,
} = frameRecord;
const { addToWord, compareExchangeWord, loadWord } = sharedWord;

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
