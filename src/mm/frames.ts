/**
 * The frame table: for every page frame of the machine, of host memory and of all devices, a record of eight words
 * (`frame-record.ts`). `refcount` is written by any thread, with atomics; all other words by the pager alone.
 *
 * Invariants: a frame is free iff its refcount is 0; a mapped frame has at least mapcount references; frame 0 is the zero
 * page, referenced for ever, never on a list. Of the frames of a compound page the head alone has references and flags;
 * the methods here take any of them.
 *
 * Counterpart: `struct page`, `include/linux/page_ref.h`, `include/linux/page-flags.h`.
 */

import { MAX_FRAMES } from "./entry.js";
import { MemoryError } from "./errors.js";
import * as sharedWord from "./shared-word.js";
import * as frameRecord from "./frame-record.js";
import * as tableShape from "./table-shape.js";

export * from "./frame-record.js";

// A module's own constants become part of its code; imported and exported ones are looked up at every use.
const {
  FRAME_WORDS,
  FRAME_SHIFT,
  REFCOUNT,
  MAPCOUNT,
  MAPPING,
  PRIVATE,
  PG_COMPOUND,
  PG_LOCKED,
  PG_TAIL,
  GUP_PIN_COUNTING_BIAS,
  MAPPING_ANON,
  MAPPING_KIND_MASK,
} = frameRecord;
const { addToWord, compareExchangeWord, loadWord } = sharedWord;
const { BLOCK_FRAMES } = tableShape;

/** Words of a compound page beyond its head's record: in the record of its second frame, as Linux keeps them. */
const COMPOUND_MAPCOUNT = FRAME_WORDS + PRIVATE;
const COMPOUND_PINCOUNT = 2 * FRAME_WORDS + PRIVATE;

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

  /** The frame that has the references, the flags and the lock: the first of a compound page, else the frame itself. */
  head(frame: number): number {
    return (this.words[frame << FRAME_SHIFT] & PG_TAIL) === 0 ? frame : frame & ~(BLOCK_FRAMES - 1);
  }

  isCompound(frame: number): boolean {
    return (this.words[frame << FRAME_SHIFT] & PG_COMPOUND) !== 0;
  }

  flags(frame: number): number {
    return this.words[this.head(frame) << FRAME_SHIFT];
  }

  setFlags(frame: number, flags: number): void {
    this.words[this.head(frame) << FRAME_SHIFT] |= flags;
  }

  clearFlags(frame: number, flags: number): void {
    this.words[this.head(frame) << FRAME_SHIFT] &= ~flags;
  }

  refcount(frame: number): number {
    return loadWord(this.words, (this.head(frame) << FRAME_SHIFT) + REFCOUNT);
  }

  /** How many entries map the frame: by itself, or the compound page that it is part of as a whole. */
  mapcount(frame: number): number {
    const own = this.words[(frame << FRAME_SHIFT) + MAPCOUNT];
    return this.isCompound(frame) ? own + this.compoundMapcount(frame) : own;
  }

  /** Huge entries that map the compound page as a whole. */
  compoundMapcount(frame: number): number {
    return this.words[(this.head(frame) << FRAME_SHIFT) + COMPOUND_MAPCOUNT];
  }

  addCompoundMapcount(frame: number, count: number): void {
    this.words[(this.head(frame) << FRAME_SHIFT) + COMPOUND_MAPCOUNT] += count;
  }

  private(frame: number): number {
    return this.words[(frame << FRAME_SHIFT) + PRIVATE];
  }

  /** Is the page anonymous? */
  isAnonymous(frame: number): boolean {
    return (this.words[(frame << FRAME_SHIFT) + MAPPING] & MAPPING_KIND_MASK) === MAPPING_ANON;
  }

  get(frame: number): void {
    addToWord(this.words, (this.head(frame) << FRAME_SHIFT) + REFCOUNT, 1);
  }

  /** Takes `references` unless the frame is free: what a lockless pin does before it reads the entry again. */
  tryGet(frame: number, references: number): boolean {
    const words = this.words;
    if ((words[frame << FRAME_SHIFT] & PG_COMPOUND) !== 0) return this.#tryGetCompound(frame, references);
    const at = (frame << FRAME_SHIFT) + REFCOUNT;
    let seen = loadWord(words, at);
    while (seen !== 0) {
      const found = compareExchangeWord(words, at, seen, seen + references);
      if (found === seen) return true;
      seen = found;
    }
    return false;
  }

  #tryGetCompound(frame: number, references: number): boolean {
    if (this.refcount(frame) === 0) return false;
    this.addCompoundReferences(frame, references, 1);
    return true;
  }

  /**
   * Adds (sign 1) or drops (sign -1) references to a compound page and returns how many it had. DMA pins are counted apart,
   * each with one reference: 512 entries in each of several address spaces are more references than the bias of one pin.
   */
  addCompoundReferences(frame: number, references: number, sign: 1 | -1): number {
    const at = this.head(frame) << FRAME_SHIFT;
    const pins = Math.floor(references / GUP_PIN_COUNTING_BIAS);
    if (pins > 0) addToWord(this.words, at + COMPOUND_PINCOUNT, sign * pins);
    return addToWord(this.words, at + REFCOUNT, sign * (pins + (references % GUP_PIN_COUNTING_BIAS)));
  }

  /** Is the page pinned for DMA? It may err on the side of yes, as in Linux, after 1,024 short references. */
  maybeDmaPinned(frame: number): boolean {
    if (this.isCompound(frame)) return loadWord(this.words, (this.head(frame) << FRAME_SHIFT) + COMPOUND_PINCOUNT) > 0;
    return this.refcount(frame) >= GUP_PIN_COUNTING_BIAS;
  }

  tryLock(frame: number): boolean {
    const at = this.head(frame) << FRAME_SHIFT;
    const flags = this.words[at];
    if ((flags & PG_LOCKED) !== 0) return false;
    this.words[at] = flags | PG_LOCKED;
    return true;
  }

  get byteLength(): number {
    return this.words.byteLength;
  }
}
