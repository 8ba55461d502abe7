/**
 * The pages of the arrays of a paged dispatch, as the kernel that was compiled for it reaches them, one unit at a time. Where
 * each page is, the host has said; what units use and what they miss is noted.
 *
 * Invariant: a unit that misses a page leaves nothing behind. What it stored before is put back, from then on it stores
 * nothing, and what is missing reads as all bits set. So each unit takes effect at once and as a whole, or not at all.
 */

import { PAGE_WRITE, type PagedDispatch } from "../../driver.js";

/** Where the bytes of pages are. */
export interface PagedMemory {
  readonly pageSize: number;
  /** All of the device's memory. */
  bytes(): Uint8Array;
  /** The bytes of a host frame that is read in place. */
  hostPage(frame: number): Uint8Array;
}

/** What `missed` is: nothing; a page whose contents decide nothing about what else is used; or one that may. */
export const NONE_MISSED = 0;
export const SOME_MISSED = 1;
export const VALUE_MISSED = 2;

/** Rounds that the loops of a unit go on for after it missed a page, to find what else it misses. */
const MOST_ROUNDS = 4096;
const MISSING = -1;

/** An index that is not among the elements that the unit uses: the element in its place, or an error. */
export type FindOutside = (
  array: number,
  index: number,
  low: number,
  count: number,
  length: number,
  at: number,
) => number;

export class UnitPages {
  /** The device's memory as words. */
  readonly f: Float32Array;
  readonly i: Int32Array;
  readonly u: Uint32Array;
  /** What the unit that runs has missed. */
  missed = NONE_MISSED;
  readonly #memory: PagedMemory;
  readonly #words: number;
  readonly #findOutside: FindOutside;
  /** By page: a frame of the device, `MISSING`, or `-2 - slot` for a copy of a host page. */
  readonly #frames: Int32Array;
  readonly #writable: Uint8Array;
  /** By page: what units of this round did. */
  readonly #used: Uint8Array;
  readonly #misses: number[] = [];
  readonly #missedAs: Uint8Array;
  /** Words that the unit has stored to, and what was there. */
  #storedAt = new Float64Array(64);
  #storedOver = new Uint32Array(64);
  #stored = 0;
  #rounds = 0;
  /** Pages of the host that are read in place, one after another. */
  #away = { f: new Float32Array(0), i: new Int32Array(0), u: new Uint32Array(0) };
  #awayPages = 0;

  constructor({ operands }: PagedDispatch, memory: PagedMemory, findOutside: FindOutside) {
    const { buffer, byteOffset, byteLength } = memory.bytes();
    this.f = new Float32Array(buffer, byteOffset, byteLength / 4);
    this.i = new Int32Array(buffer, byteOffset, byteLength / 4);
    this.u = new Uint32Array(buffer, byteOffset, byteLength / 4);
    this.#memory = memory;
    this.#words = memory.pageSize / 4;
    this.#findOutside = findOutside;
    const pages = operands.reduce((sum, operand) => sum + operand.pages, 0);
    this.#frames = new Int32Array(pages).fill(MISSING);
    this.#writable = new Uint8Array(pages);
    this.#used = new Uint8Array(pages);
    this.#missedAs = new Uint8Array(pages);
  }

  /** From the next unit on the page is in a frame of the device; -1: not here; `-1 - frame`: in a frame of the host, read in place. */
  map(page: number, frame: number, writable: boolean): void {
    this.#frames[page] = frame < MISSING ? this.#copyAway(this.#frames[page], -1 - frame) : frame;
    this.#writable[page] = writable ? 1 : 0;
  }

  /** Nothing is used or missed yet. */
  beginRound(): void {
    this.#used.fill(0);
    for (const page of this.#misses) this.#missedAs[page] = 0;
    this.#misses.length = 0;
  }

  /** Called by the kernel before each unit. */
  begin(): void {
    this.missed = NONE_MISSED;
    this.#stored = 0;
    this.#rounds = 0;
  }

  /** Called by the kernel after each unit: whether it has run. */
  end(): boolean {
    if (this.missed === NONE_MISSED) return true;
    this.#putBack();
    return false;
  }

  /** The device's word with the number `word` of a page; below 0 when the page is not in its memory. */
  reach(page: number, word: number, how: number): number {
    if (page < 0) return MISSING;
    this.#used[page] = 1;
    const frame = this.#frames[page];
    if (frame >= 0) return frame * this.#words + word;
    if (frame !== MISSING) return -2 - ((-2 - frame) * this.#words + word);
    this.#miss(page, 1, how);
    return MISSING;
  }

  /** The same for a word that is stored to. */
  reachToWrite(page: number, word: number, how: number): number {
    if (page < 0) return MISSING;
    this.#used[page] = 1;
    if (this.#writable[page] !== 0) return this.#frames[page] * this.#words + word;
    this.#miss(page, 2, how);
    return MISSING;
  }

  /** Before each store: whether it may happen. What it overwrites is kept until the unit ends. */
  keep(at: number): boolean {
    if (this.missed !== NONE_MISSED) return false;
    if (this.#stored === this.#storedAt.length) this.#growStored();
    this.#storedAt[this.#stored] = at;
    this.#storedOver[this.#stored++] = this.u[at];
    return true;
  }

  awayF(at: number, word: number): number {
    return at === MISSING ? NaN : this.#away.f[-2 - at + word];
  }

  awayI(at: number, word: number): number {
    return at === MISSING ? -1 : this.#away.i[-2 - at + word];
  }

  awayU(at: number, word: number): number {
    return at === MISSING ? 0xffff_ffff : this.#away.u[-2 - at + word];
  }

  /** The element in place of one that the unit may not use; -1, as good as missing, where the index comes from what is missing. */
  outside(array: number, index: number, low: number, count: number, length: number, at: number): number {
    if (this.missed !== NONE_MISSED) return -1;
    return this.#findOutside(array, index, low, count, length, at) + low;
  }

  /** Of a unit that has missed a page: whether its loops go no further. */
  endsLoop(): boolean {
    return this.missed === VALUE_MISSED || ++this.#rounds > MOST_ROUNDS;
  }

  takeMisses(): Uint32Array {
    return Uint32Array.from(this.#misses, (page) => (this.#missedAs[page] === 2 ? page + PAGE_WRITE : page));
  }

  takeTouched(): Uint32Array {
    const bits = new Uint32Array(Math.ceil(this.#used.length / 32));
    for (let page = 0; page < this.#used.length; page++) {
      if (this.#used[page] !== 0) bits[page >>> 5] |= 1 << (page & 31);
    }
    return bits;
  }

  #miss(page: number, as: number, how: number): void {
    if (this.missed < how) this.missed = how;
    if (this.#missedAs[page] === 0) this.#misses.push(page);
    if (this.#missedAs[page] < as) this.#missedAs[page] = as;
  }

  #putBack(): void {
    for (let n = this.#stored - 1; n >= 0; n--) this.u[this.#storedAt[n]] = this.#storedOver[n];
  }

  #growStored(): void {
    const at = new Float64Array(this.#storedAt.length * 2);
    at.set(this.#storedAt);
    this.#storedAt = at;
    const over = new Uint32Array(at.length);
    over.set(this.#storedOver);
    this.#storedOver = over;
  }

  /** Nobody writes a host page while a device reads it in place: so a copy is as good. Returns where it is. */
  #copyAway(before: number, frame: number): number {
    const place = before < MISSING ? before : -2 - this.#awayPages++;
    const first = (-2 - place) * this.#words;
    if (first + this.#words > this.#away.u.length) this.#growAway();
    new Uint8Array(this.#away.u.buffer).set(this.#memory.hostPage(frame), first * 4);
    return place;
  }

  #growAway(): void {
    const grown = new Uint8Array(this.#awayPages * 2 * this.#memory.pageSize);
    grown.set(new Uint8Array(this.#away.u.buffer));
    const { buffer } = grown;
    this.#away = { f: new Float32Array(buffer), i: new Int32Array(buffer), u: new Uint32Array(buffer) };
  }
}
