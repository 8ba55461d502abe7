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

import { MAX_FRAMES } from "../table/entry.js";
import { MemoryError } from "../errors.js";
import { GrowingWords } from "../shared-memory.js";
import { addToWord, compareExchangeWord, loadWord } from "../shared-word.js";
import * as frameRecord from "./frame-record.js";
import * as tableShape from "../table/table-shape.js";

export * from "./frame-record.js";

// A module's own constants become part of its code; imported and exported ones are looked up at every use.
const FRAME_WORDS = frameRecord.FRAME_WORDS;
const FRAME_SHIFT = frameRecord.FRAME_SHIFT;
const REFCOUNT = frameRecord.REFCOUNT;
const MAPCOUNT = frameRecord.MAPCOUNT;
const MAPPING = frameRecord.MAPPING;
const PRIVATE = frameRecord.PRIVATE;
const PG_COMPOUND = frameRecord.PG_COMPOUND;
const PG_LOCKED = frameRecord.PG_LOCKED;
const PG_TAIL = frameRecord.PG_TAIL;
const GUP_PIN_COUNTING_BIAS = frameRecord.GUP_PIN_COUNTING_BIAS;
const MAPPING_ANON = frameRecord.MAPPING_ANON;
const MAPPING_KIND_MASK = frameRecord.MAPPING_KIND_MASK;
const BLOCK_FRAMES = tableShape.BLOCK_FRAMES;

/** Of a compound page, where its huge entries are counted: in the record of its second frame. */
const COMPOUND_MAPCOUNT = FRAME_WORDS + PRIVATE;

export class Frames {
  /** Eight words a frame. Replaced when the table grows, so never kept over an `await`. */
  words: Int32Array;
  count = 0;
  readonly #growing: GrowingWords;

  constructor(shared = false) {
    this.#growing = new GrowingWords(MAX_FRAMES * FRAME_WORDS, shared);
    this.words = this.#growing.words;
  }

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
      this.#growing.grow(needed);
      this.words = this.#growing.words;
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
    const flags = this.words[frame << FRAME_SHIFT];
    return (flags & PG_TAIL) === 0 ? flags : this.words[this.head(frame) << FRAME_SHIFT];
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

  /** All entries that map the page; a compound one: huge entries, and those of its parts. */
  totalMapcount(frame: number): number {
    if (!this.isCompound(frame)) return this.mapcount(frame);
    const head = this.head(frame);
    let total = this.compoundMapcount(head);
    for (let part = head; part < head + BLOCK_FRAMES; part++) total += this.words[(part << FRAME_SHIFT) + MAPCOUNT];
    return total;
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

  /** Takes `references` unless the page is free: what a lockless pin does before it reads the entry again. */
  tryGet(frame: number, references: number): boolean {
    const words = this.words;
    const at = (frame << FRAME_SHIFT) + REFCOUNT;
    let seen = loadWord(words, at);
    while (seen > 0) {
      const found = compareExchangeWord(words, at, seen, seen + references);
      if (found === seen) return true;
      seen = found;
    }
    // A part of a compound page has no references of its own.
    return (words[frame << FRAME_SHIFT] & PG_TAIL) !== 0 && this.tryGet(this.head(frame), references);
  }

  /**
   * Is the page pinned for DMA? It may err on the side of yes, as in Linux, after 1,024 short references; the references of
   * a compound page's entries, which may be more than that, do not count.
   */
  maybeDmaPinned(frame: number): boolean {
    const references = this.refcount(frame);
    if (references < GUP_PIN_COUNTING_BIAS) return false;
    return !this.isCompound(frame) || references - this.totalMapcount(frame) >= GUP_PIN_COUNTING_BIAS;
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
