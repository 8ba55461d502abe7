/**
 * A machine as a thread in user mode sees it, a processor beside the pager's: it reads entries, marks them young and dirty,
 * takes and drops pins by atomics, and reaches the bytes of what it has pinned. What it cannot do so it asks the pager for.
 *
 * A pin without a lock: claim a slot, take a reference unless there is none, look at the entry again (the exchange that marks
 * it is that look), then at the way to it; give the reference back if anything has changed. The pager for its part changes
 * the entry first and looks at references and slots after. So one of them sees the other.
 *
 * Pinned are pages of host memory that are the mapping's own (anonymous-exclusive): no page that others share, of a file,
 * of a device or under a huge entry.
 *
 * Counterpart: `gup_pte_range`, `try_grab_folio`, `gup_put_folio` in `mm/gup.c`.
 */

import {
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../mm/table/entry-bits.js";
import { FRAME_SHIFT, GUP_PIN_COUNTING_BIAS, PG_COMPOUND, REFCOUNT } from "../../mm/frames/frame-record.js";
import { BLOCK_FRAMES, BLOCK_SHIFT, TABLE_MASK, TABLE_WORDS } from "../../mm/table/table-shape.js";
import {
  ALIVE,
  MISSES,
  PAGER_WAITS,
  PINS,
  RETRIES,
  RING,
  RING_MASK,
  RING_PUT,
  RING_READ,
  RING_WORDS,
  SLOT_COUNT,
  SLOT_FRAME,
  SLOT_HELD,
  SLOT_PAGE,
  SLOT_PAGES,
  SLOT_READ,
  SLOT_STATE,
  SLOT_TRANSIENT,
  SLOT_WORDS,
  SLOT_WRITE,
  SLOTS,
} from "./port-words.js";
import type { SharedGrowth, SharedRegion, SharedView } from "./shared-view.js";
import { UserTables } from "./user-tables.js";

/** How often a pin is tried again whose entry changed under it, before the pager is asked. */
const MOST_ATTEMPTS = 8;

/** Pinned pages: the frames in order, and the slots that say so. Given back once, by `unpin`. */
export interface UserPin {
  /** The first frame when all are contiguous and in one region, else -1. */
  readonly first: number;
  readonly count: number;
  /** The frames one by one when they are not contiguous. */
  readonly frames: Int32Array | null;
  readonly slots: readonly number[];
}

/** What a thread has done by itself. */
export interface UserCounters {
  /** Pages that were pinned. */
  readonly pins: number;
  /** References given back because the entry had changed while they were taken. */
  readonly retries: number;
  /** Pins that were left to the pager. */
  readonly misses: number;
}

/** A shared machine in the hands of another thread: it pins pages without a lock, and reaches their bytes. */
export class UserMachine {
  readonly pageSize: number;
  readonly #tables: UserTables;
  readonly #control: Int32Array;
  readonly #port: Int32Array;
  readonly #regions: SharedRegion[] = [];
  /** Of each block of frames, the number of its region, from 1. */
  #regionOfBlock = new Uint16Array(0);
  #frames: Int32Array = new Int32Array(0);
  /** Places of the slots that are free. */
  readonly #free: number[] = [];
  /** References whose last put found the ring full. */
  #owed: number[] = [];
  readonly #onPut: () => void;

  /** `onPut` is called when the pager has something to collect from the ring, or from `takeOwed`. */
  constructor(view: SharedView, onPut: () => void = () => {}) {
    this.pageSize = 2 ** view.pageShift;
    this.#tables = new UserTables(view.root);
    this.#control = new Int32Array(view.control);
    this.#port = new Int32Array(view.port);
    this.#onPut = onPut;
    for (let slot = SLOT_COUNT - 1; slot >= 0; slot--) this.#free.push(SLOTS + slot * SLOT_WORDS);
    this.grow(view.parts);
  }

  /** Learns of parts that were added to the machine. */
  grow({ frameTable, tables, regions }: SharedGrowth): void {
    if (frameTable !== null) this.#frames = new Int32Array(frameTable);
    this.#tables.add(tables);
    for (const region of regions) {
      this.#regions.push(region);
      const first = region.first >>> BLOCK_SHIFT;
      const end = Math.ceil((region.first + region.frames) / BLOCK_FRAMES);
      if (end > this.#regionOfBlock.length) {
        const longer = new Uint16Array(Math.max(end, 2 * this.#regionOfBlock.length));
        longer.set(this.#regionOfBlock);
        this.#regionOfBlock = longer;
      }
      this.#regionOfBlock.fill(this.#regions.length, first, end);
    }
  }

  /** Not yet destroyed. */
  get alive(): boolean {
    return Atomics.load(this.#control, ALIVE) !== 0;
  }

  get counters(): UserCounters {
    return { pins: this.#port[PINS], retries: this.#port[RETRIES], misses: this.#port[MISSES] };
  }

  /** The bytes of `count` neighbouring frames of one region. */
  bytes(frame: number, count: number): Uint8Array<SharedArrayBuffer> {
    const { first, buffer, byteOffset } = this.#regions[this.#regionOfBlock[frame >>> BLOCK_SHIFT] - 1];
    return new Uint8Array(buffer, byteOffset + (frame - first) * this.pageSize, count * this.pageSize);
  }

  /**
   * Pins pages `[page, page + pages)` if that needs nobody else; null, with nothing pinned, otherwise. A `transient` pin lasts
   * no longer than a copy, and is refused while the pager waits for such pins.
   */
  tryPin(page: number, pages: number, write: boolean, transient = false): UserPin | null {
    if (!this.alive || (transient && Atomics.load(this.#control, PAGER_WAITS) !== 0)) return this.#missed();
    const state = (write ? SLOT_WRITE : SLOT_READ) | (transient ? SLOT_TRANSIENT : 0);
    const slots: number[] = [];
    const end = page + pages;
    for (let at = page; at < end;) {
      const leaf = this.#tables.leaf(at);
      if (leaf === 0) return this.#giveUp(slots);
      const entries = this.#tables.chunkOf(leaf);
      const base = this.#tables.baseOf(leaf);
      const first = at;
      const leafEnd = Math.min(end, (at & ~TABLE_MASK) + TABLE_WORDS);
      for (; at < leafEnd; at++) {
        if (!this.#pinPage(entries, base + (at & TABLE_MASK), at, end - at, state, slots)) return this.#giveUp(slots);
      }
      if (this.#tables.leaf(first) !== leaf) {
        this.#count(RETRIES);
        return this.#giveUp(slots);
      }
    }
    // Tables that went with their address space, which `alive` says first, may belong to another one.
    if (!this.alive) return this.#giveUp(slots);
    this.#count(PINS, pages);
    return this.#pinOf(slots, pages);
  }

  /** Gives a pin back; one that was `written` through leaves its pages dirty. */
  unpin({ slots }: UserPin, written: boolean): void {
    for (const slot of slots) {
      while (this.#port[slot + SLOT_HELD] > 0) {
        const last = this.#port[slot + SLOT_HELD] - 1;
        const marked =
          !written || this.#markDirty(this.#port[slot + SLOT_PAGE] + last, this.#port[slot + SLOT_FRAME] + last);
        this.#putLast(slot, !marked);
      }
      this.#release(slot);
    }
  }

  /** Puts that the ring had no room for, as its words: to be posted to the pager. */
  takeOwed(): readonly number[] {
    const owed = this.#owed;
    if (owed.length > 0) this.#owed = [];
    return owed;
  }

  /** Pins the page behind an entry, the first of `left`, in the last of the slots if it follows its pages, else in a new one. */
  #pinPage(entries: Int32Array, index: number, page: number, left: number, state: number, slots: number[]): boolean {
    const write = (state & SLOT_WRITE) !== 0;
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const word = Atomics.load(entries, index);
      if (!this.#mayPin(word, write)) return false;
      const frame = word >>> PTE_FRAME_SHIFT;
      const slot = this.#slotBefore(frame, slots) || this.#claim(state, page, left, frame, slots);
      if (slot === 0) return false;
      if (this.#tryGet(frame)) {
        Atomics.store(this.#port, slot + SLOT_HELD, this.#port[slot + SLOT_HELD] + 1);
        if (this.#lookAgain(entries, index, word, write)) return true;
        this.#putLast(slot);
        this.#count(RETRIES);
      }
      if (this.#port[slot + SLOT_HELD] === 0) this.#release(slots.pop() as number);
    }
    return false;
  }

  /** The last of the slots, if the frame follows those that it holds within their block; else 0. */
  #slotBefore(frame: number, slots: readonly number[]): number {
    if (slots.length === 0 || (frame & (BLOCK_FRAMES - 1)) === 0) return 0;
    const slot = slots[slots.length - 1];
    return this.#port[slot + SLOT_FRAME] + this.#port[slot + SLOT_HELD] === frame ? slot : 0;
  }

  #mayPin(word: number, write: boolean): boolean {
    const needed = write ? PTE_PRESENT | PTE_EXCLUSIVE | PTE_WRITE : PTE_PRESENT | PTE_EXCLUSIVE;
    if ((word & (needed | PTE_NO_ACCESS)) !== needed) return false;
    const frame = word >>> PTE_FRAME_SHIFT;
    if ((this.#regionOfBlock[frame >>> BLOCK_SHIFT] ?? 0) === 0) return false;
    return (Atomics.load(this.#frames, frame << FRAME_SHIFT) & PG_COMPOUND) === 0;
  }

  #tryGet(frame: number): boolean {
    const at = (frame << FRAME_SHIFT) + REFCOUNT;
    let seen = Atomics.load(this.#frames, at);
    while (seen > 0) {
      const found = Atomics.compareExchange(this.#frames, at, seen, seen + GUP_PIN_COUNTING_BIAS);
      if (found === seen) return true;
      seen = found;
    }
    return false;
  }

  /** The second look at an entry, which marks it; false when it does not map the same page in the same way any more. */
  #lookAgain(entries: Int32Array, index: number, word: number, write: boolean): boolean {
    const marks = write ? PTE_YOUNG | PTE_MAKE_DIRTY : PTE_YOUNG;
    for (let seen = word; ;) {
      const marked = seen | marks;
      const found =
        marked === seen ? Atomics.load(entries, index) : Atomics.compareExchange(entries, index, seen, marked);
      // Also an entry that is the same may map another page by now: a part of a compound one.
      if (found >>> PTE_FRAME_SHIFT !== word >>> PTE_FRAME_SHIFT || !this.#mayPin(found, write)) return false;
      if (found === seen) return true;
      seen = found;
    }
  }

  /** Marks a page that was written through a pin; false when its entry does not map the frame now. */
  #markDirty(page: number, frame: number): boolean {
    const leaf = this.#tables.leaf(page);
    if (leaf === 0) return false;
    const entries = this.#tables.chunkOf(leaf);
    const index = this.#tables.baseOf(leaf) + (page & TABLE_MASK);
    for (let word = Atomics.load(entries, index); ;) {
      if ((word & PTE_PRESENT) === 0 || word >>> PTE_FRAME_SHIFT !== frame) return false;
      const marked = word | PTE_YOUNG | PTE_MAKE_DIRTY;
      const found = marked === word ? word : Atomics.compareExchange(entries, index, word, marked);
      if (found === word) return true;
      word = found;
    }
  }

  /** Gives back the reference to the last page of a slot: here, or by the pager when it is the last one or has to mark the page. */
  #putLast(slot: number, unmarked = false): void {
    const held = this.#port[slot + SLOT_HELD] - 1;
    const frame = this.#port[slot + SLOT_FRAME] + held;
    const at = (frame << FRAME_SHIFT) + REFCOUNT;
    Atomics.store(this.#port, slot + SLOT_HELD, held);
    for (let seen = Atomics.load(this.#frames, at); !unmarked && seen !== GUP_PIN_COUNTING_BIAS;) {
      const found = Atomics.compareExchange(this.#frames, at, seen, seen - GUP_PIN_COUNTING_BIAS);
      if (found === seen) return;
      seen = found;
    }
    this.#leaveToPager((frame << 1) | (unmarked ? 1 : 0));
  }

  #leaveToPager(word: number): void {
    const put = this.#port[RING_PUT];
    const waiting = (put - Atomics.load(this.#port, RING_READ)) >>> 0;
    if (waiting === RING_WORDS) {
      this.#owed.push(word);
      if (this.#owed.length === 1) this.#onPut();
      return;
    }
    this.#port[RING + (put & RING_MASK)] = word;
    Atomics.store(this.#port, RING_PUT, (put + 1) | 0);
    if (waiting === 0) this.#onPut();
  }

  /** The place of one more slot, 0 when all are taken. */
  #claim(state: number, page: number, pages: number, frame: number, slots: number[]): number {
    const slot = this.#free.pop() ?? 0;
    if (slot === 0) return 0;
    this.#port[slot + SLOT_PAGE] = page;
    this.#port[slot + SLOT_PAGES] = pages;
    this.#port[slot + SLOT_FRAME] = frame;
    Atomics.store(this.#port, slot + SLOT_STATE, state);
    slots.push(slot);
    return slot;
  }

  #release(slot: number): void {
    Atomics.store(this.#port, slot + SLOT_STATE, 0);
    this.#free.push(slot);
  }

  #giveUp(slots: readonly number[]): null {
    for (const slot of slots) {
      while (this.#port[slot + SLOT_HELD] > 0) this.#putLast(slot);
      this.#release(slot);
    }
    return this.#missed();
  }

  #missed(): null {
    this.#count(MISSES);
    return null;
  }

  /** Slots know now how many pages they are for. */
  #pinOf(slots: readonly number[], count: number): UserPin {
    for (const slot of slots) Atomics.store(this.#port, slot + SLOT_PAGES, this.#port[slot + SLOT_HELD]);
    if (slots.length === 1) return { first: this.#port[slots[0] + SLOT_FRAME], count, frames: null, slots };
    const frames = new Int32Array(count);
    let i = 0;
    let contiguous = true;
    for (const slot of slots) {
      const first = this.#port[slot + SLOT_FRAME];
      if (i > 0) contiguous &&= this.#continues(frames[0], first, i);
      for (let page = 0; page < this.#port[slot + SLOT_HELD]; page++) frames[i++] = first + page;
    }
    return contiguous ? { first: frames[0], count, frames: null, slots } : { first: -1, count, frames, slots };
  }

  /** Is `frame` the i-th after `first`, in the same region? Slots end at blocks. */
  #continues(first: number, frame: number, i: number): boolean {
    const regions = this.#regionOfBlock;
    return frame === first + i && regions[frame >>> BLOCK_SHIFT] === regions[first >>> BLOCK_SHIFT];
  }

  #count(counter: number, by = 1): void {
    Atomics.store(this.#port, counter, this.#port[counter] + by);
  }
}
