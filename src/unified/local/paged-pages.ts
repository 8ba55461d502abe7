/**
 * The pages of a paged dispatch, by the numbers that the kernel's run has for them: which of them the kernel can reach, and
 * which it may write.
 *
 * Invariants: what the run is told of is held while a round runs, and looked up again before each, since pages may move in
 * between. A page is writable for the run only after it was made its mapping's own and marked as written: so no page counts
 * as written, and none is copied for a snapshot, that no unit asked to write.
 */

import { PAGE_WRITE, type PagedOperand, type PagedRound, type PagedRun, type PagedUnits } from "../../device/driver.js";
import { Readahead } from "../../access/readahead.js";
import { unsharePages } from "../../device/unshare.js";
import { MemoryError } from "../../mm/errors.js";
import { alignment, elementsOf, pagesOf } from "../footprint.js";
import type { Checkpoint } from "../operation-queue.js";
import { isSameMapping } from "../pager.js";
import type { DeviceEngine } from "./engine.js";
import { framesLeft } from "./frames-left.js";
import type { BoundOperand, OperandPages } from "./operand-pages.js";
import { countPages, largestStep } from "./step-plan.js";

/** Of a page: not on the device. */
const MISSING = -1;

const NO_FRAMES = new Int32Array(0);

/** An array, and the numbers of its pages. */
interface Numbered {
  readonly operand: BoundOperand;
  readonly first: number;
  readonly end: number;
}

/** What units used in a round, as far as it takes frames of the device. */
export interface Used {
  readonly here: number;
  readonly missing: number;
}

export class PagedPages {
  readonly operands: readonly PagedOperand[];
  readonly #engine: DeviceEngine;
  /** Frames that there are, beside those that bindings hold for other pages. */
  readonly frames: number;
  readonly #load: OperandPages;
  readonly #numbered: readonly Numbered[];
  /** Those with a footprint. */
  readonly #declared: readonly BoundOperand[];
  /** By page: its frame as the run knows it; below `MISSING` one of the host's that is read in place. */
  readonly #frames: Int32Array;
  readonly #writable: Uint8Array;
  /** One bit a page: used at some time. */
  readonly #ever: Uint32Array;
  /** Pages that the run knows of, and how many. */
  #mapped: Int32Array;
  #count = 0;
  readonly #readahead: Readahead;
  #run: PagedRun | null = null;

  constructor(engine: DeviceEngine, load: OperandPages, operands: readonly BoundOperand[]) {
    const { pageSize } = engine.machine;
    const numbered: Numbered[] = [];
    let next = 0;
    for (const operand of operands) {
      const { pages } = pagesOf(operand, { first: 0, length: operand.length }, pageSize);
      // One array under two names has one set of pages.
      const same = numbered.find((other) => isSameMapping(other.operand.mapping, operand.mapping));
      const first = same === undefined ? next : same.first;
      numbered.push({ operand, first, end: first + pages });
      next = Math.max(next, first + pages);
    }
    const ranges = numbered.map(({ operand: { mapping }, first, end }) => ({
      start: mapping.page,
      end: mapping.page + end - first,
    }));
    this.#engine = engine;
    this.frames = framesLeft(engine.bound, engine.residency.frames, ranges);
    this.#load = load;
    this.#numbered = numbered;
    this.#declared = operands.filter(({ footprint }) => footprint !== "whole");
    this.#frames = new Int32Array(next).fill(MISSING);
    this.#writable = new Uint8Array(next);
    this.#ever = new Uint32Array(Math.ceil(next / 32));
    this.#mapped = new Int32Array(64);
    this.#readahead = new Readahead(pageSize);
    this.operands = numbered.map(({ operand: { name, type, length, written }, first, end }) => ({
      name,
      type,
      total: length,
      pages: end - first,
      firstPage: first,
      written,
    }));
  }

  /** Pages that units have used or asked for. */
  get used(): number {
    let pages = 0;
    for (let word of this.#ever) for (; word !== 0; word &= word - 1) pages++;
    return pages;
  }

  /** Tells the run of all that is on the device already. */
  begin(run: PagedRun): void {
    this.#run = run;
    for (const numbered of this.#numbered) {
      for (let page = numbered.first; page < numbered.end; page++) {
        const frame = this.#frameOf(numbered, page);
        if (frame !== MISSING && this.#frames[page] === MISSING) this.#map(page, frame, false);
      }
    }
  }

  /** Does the run know of every page? */
  get areAllHere(): boolean {
    return this.#count === this.#frames.length;
  }

  /** A round, during which what the run knows of stays where it is. */
  async round(units: PagedUnits): Promise<PagedRound> {
    const { residency, attached, machine } = this.#engine;
    this.#followMoves();
    const held = this.#held(null);
    const began = machine.environment.now();
    residency.keep(held);
    try {
      const found = await this.#running.round(units);
      residency.use(this.#held(found.touched));
      for (let i = 0; i < this.#ever.length; i++) this.#ever[i] |= found.touched[i];
      return found;
    } finally {
      residency.release(held);
      attached.counters.time.compute += machine.environment.now() - began;
    }
  }

  /** Counts the frames that are taken by what was used, and those that are needed for what was missed. */
  count({ touched, misses }: PagedRound): Used {
    const missing = this.#missing(misses);
    return { here: this.#held(touched).reduce((sum, frame) => (frame >= 0 ? sum + 1 : sum), 0), missing };
  }

  /** The first of the pages that are missed, of which `most` are not on the device, and all that is only to be written. */
  firstMissing(misses: Uint32Array, most: number): Uint32Array {
    let left = most;
    return misses.filter((miss) => this.#frames[pageOf(miss)] !== MISSING || left-- > 0);
  }

  /** The pages that footprints say the invocations use, as a list of misses; of arrays without one, none. None if they do not fit. */
  declared(first: number, count: number): Uint32Array {
    const misses: number[] = [];
    if (countPages(this.#declared, first, count, this.#engine.machine.pageSize) > this.frames)
      return new Uint32Array(0);
    for (const { operand, first: firstPage } of this.#numbered) {
      if (operand.footprint === "whole") continue;
      const { page, pages } = pagesOf(operand, elementsOf(operand, first, count), this.#engine.machine.pageSize);
      for (let i = firstPage + page; i < firstPage + page + pages; i++) {
        if (operand.written && this.#writable[i] === 0) misses.push(i + PAGE_WRITE);
        else if (this.#frames[i] === MISSING) misses.push(i);
      }
    }
    return Uint32Array.from(misses);
  }

  /**
   * Invocations from `first` on, up to `most`, of which footprints say that they use no more than half of what there is, or
   * what one of them uses; up to page boundaries of all arrays where that is possible.
   */
  declaredStep(first: number, most: number, invocations: number): number {
    const { pageSize } = this.#engine.machine;
    const operands = this.#declared;
    const bound = Math.max(this.frames / 2, countPages(operands, first, 1, pageSize));
    const unit = alignment(operands, pageSize);
    const step = largestStep(operands, first, invocations, bound, this.frames, unit, pageSize);
    const aligned = Math.floor((first + most) / unit) * unit - first;
    return step <= most ? step : aligned > 0 ? aligned : most;
  }

  /**
   * Brings in what was missed, and lets it be written where that was missed. What has a bit in `needed` stays, as far as it is
   * here; null: all that the run knows of, and no more is brought than that. Else, behind a sequence of misses, more is brought for
   * reading, into frames that are free.
   */
  async bring(misses: Uint32Array, needed: Uint32Array | null, checkpoint: Checkpoint): Promise<void> {
    if (misses.length === 0) return;
    this.#readahead.next();
    let room = needed === null ? 0 : this.#roomBeside(misses);
    // By pages, so that what lies side by side goes together.
    const pages = Float64Array.from(misses, (miss) => pageOf(miss) * 2 + (miss >= PAGE_WRITE ? 1 : 0)).toSorted();
    // First: a page that is held cannot be unshared, and those who shared it may have been units' too.
    await this.#forEachRun(pages, true, (numbered, page, count) => this.#unshare(numbered, page, count, checkpoint));
    this.#followMoves();
    const { residency } = this.#engine;
    const held: Int32Array[] = [];
    const hold = (frames: Int32Array): void => {
      residency.keep(frames);
      held.push(frames);
    };
    try {
      hold(this.#held(needed));
      await this.#forEachRun(pages, false, async (numbered, page, count, write) => {
        checkpoint();
        const wasHere = this.#frames[page] !== MISSING;
        const frames = await this.#framesOf(numbered, page, count, checkpoint);
        hold(frames);
        if (write) this.#grantWrite(numbered, page, frames);
        for (let i = 0; i < count; i++) this.#map(page + i, frames[i], write || this.#writable[page + i] !== 0);
        if (wasHere) return;
        const more = await this.#readAhead(numbered, page, count, room, checkpoint);
        this.#readahead.brought(page, count + more.length);
        hold(more);
        room -= more.length;
      });
    } finally {
      for (const frames of held) residency.release(frames);
    }
  }

  /** The run reaches nothing any more, wherever it is. */
  unmapAll(): void {
    for (let i = 0; i < this.#count; i++) this.#unmap(this.#mapped[i]);
    this.#count = 0;
  }

  /** How many frames the pages that the run knows of take. */
  get mappedFrames(): number {
    return new Set(this.#held(null).filter((frame) => frame >= 0)).size;
  }

  #missing(misses: Uint32Array): number {
    let missing = 0;
    for (const miss of misses) if (this.#frames[pageOf(miss)] === MISSING) missing++;
    return missing;
  }

  /** Free frames that are left for what nobody has asked for; none where pages are lost, which are not to be touched. */
  #roomBeside(misses: Uint32Array): number {
    const { attached, machine } = this.#engine;
    return machine.hasLostPages ? 0 : attached.allocator.free - this.#missing(misses);
  }

  /**
   * Maps what follows a run of `count` pages that were missed, if it is one of a sequence, for reading: up to the next page that is
   * on the device, and no more than `room`. The frames. Only of arrays without a footprint: of others, pages outside of it may be pinned.
   */
  async #readAhead(
    numbered: Numbered,
    page: number,
    count: number,
    room: number,
    checkpoint: Checkpoint,
  ): Promise<Int32Array> {
    const first = page + count;
    const beside = this.#readahead.pagesAt(page, count) - count;
    const end = numbered.operand.footprint === "whole" ? Math.min(first + Math.min(beside, room), numbered.end) : first;
    let next = first;
    while (next < end && this.#frameOf(numbered, next) === MISSING) next++;
    if (next === first) return NO_FRAMES;
    try {
      const frames = await this.#framesOf(numbered, first, next - first, checkpoint);
      for (const [i, frame] of frames.entries()) this.#map(first + i, frame, false);
      return frames;
    } catch (error) {
      // Nobody has asked for them: whoever does hears of it.
      if (error instanceof MemoryError && (error.code === "ENOMEM" || error.code === "EBUSY")) return NO_FRAMES;
      throw error;
    }
  }

  get #running(): PagedRun {
    return this.#run as PagedRun;
  }

  /** Pages that have moved since the last round are missing for the next one, or elsewhere. */
  #followMoves(): void {
    const known = this.#count;
    this.#count = 0;
    for (let i = 0; i < known; i++) {
      const page = this.#mapped[i];
      const frame = this.#frameOf(this.#numberedOf(page), page);
      if (frame === MISSING) this.#unmap(page);
      else {
        if (frame !== this.#frames[page]) this.#enter(page, frame, false);
        this.#mapped[this.#count++] = page;
      }
    }
  }

  #map(page: number, frame: number, writable: boolean): void {
    const isNew = this.#frames[page] === MISSING;
    if (!isNew && this.#frames[page] === frame && this.#writable[page] === (writable ? 1 : 0)) return;
    this.#enter(page, frame, writable);
    if (!isNew) return;
    if (this.#count === this.#mapped.length) {
      const grown = new Int32Array(this.#count * 2);
      grown.set(this.#mapped);
      this.#mapped = grown;
    }
    this.#mapped[this.#count++] = page;
  }

  #unmap(page: number): void {
    this.#enter(page, MISSING, false);
  }

  #enter(page: number, frame: number, writable: boolean): void {
    this.#frames[page] = frame;
    this.#writable[page] = writable ? 1 : 0;
    this.#running.map(page, frame, writable);
  }

  /** The frames of the pages that the run knows of; with `touched`, of those among them that have a bit there. */
  #held(touched: Uint32Array | null): Int32Array {
    const frames = new Int32Array(this.#count);
    let count = 0;
    for (let i = 0; i < this.#count; i++) {
      const page = this.#mapped[i];
      if (touched === null || (touched[page >>> 5] & (1 << (page & 31))) !== 0) frames[count++] = this.#frames[page];
    }
    return frames.subarray(0, count);
  }

  #frameOf({ operand, first }: Numbered, page: number): number {
    return this.#engine.residency.frameOf(operand.mapping.page + page - first, this.#load.readsInPlace(operand));
  }

  #numberedOf(page: number): Numbered {
    return this.#numbered.find(({ first, end }) => page >= first && page < end) as Numbered;
  }

  /** Calls `act` for runs of pages of one array, missing ones apart from others, and written ones apart from others. */
  async #forEachRun(
    pages: Float64Array,
    onlyWrites: boolean,
    act: (numbered: Numbered, page: number, count: number, write: boolean) => Promise<void>,
  ): Promise<void> {
    for (let i = 0; i < pages.length;) {
      const page = Math.floor(pages[i] / 2);
      const write = pages[i] % 2 === 1;
      const isHere = this.#frames[page] !== MISSING;
      const numbered = this.#numberedOf(page);
      let count = 1;
      while (
        i + count < pages.length &&
        pages[i + count] === pages[i] + 2 * count &&
        page + count < numbered.end &&
        (this.#frames[page + count] !== MISSING) === isHere
      )
        count++;
      if (write || !onlyWrites) await act(numbered, page, count, write);
      i += count;
    }
  }

  async #unshare({ operand, first }: Numbered, page: number, count: number, checkpoint: Checkpoint): Promise<void> {
    const { attached, mm } = this.#engine;
    const start = operand.mapping.page + page - first;
    await unsharePages(attached, mm, start, start + count, checkpoint);
  }

  /** Of pages that are all on the device, or all not; those that are not are loaded. */
  async #framesOf(numbered: Numbered, page: number, count: number, checkpoint: Checkpoint): Promise<Int32Array> {
    const frames = Int32Array.from({ length: count }, (_, i) => this.#frameOf(numbered, page + i));
    if (!frames.includes(MISSING)) return frames;
    return this.#load.load(numbered.operand, page - numbered.first, count, checkpoint);
  }

  #grantWrite({ operand, first }: Numbered, page: number, frames: Int32Array): void {
    const { residency } = this.#engine;
    residency.grantWrite(operand.mapping.page + page - first, frames);
    residency.willWrite(frames);
  }
}

function pageOf(miss: number): number {
  return miss >= PAGE_WRITE ? miss - PAGE_WRITE : miss;
}
