/**
 * Reclaim: makes room in host memory when the budget is used up. The pages that were used longest ago go: those of a file
 * that nobody has changed by forgetting them, those whose swap slot still holds their bytes by dropping them, all others
 * by writing them to swap, many at a time. What is locked, pinned or in use by a copy stays.
 *
 * Invariants: it waits for nothing but the store; no page lock is waited for, and the mmap lock is not taken. A page whose
 * write fails stays in memory as it was.
 *
 * Counterpart: `mm/vmscan.c` (`shrink_folio_list`, `folio_referenced`), with one list and a second chance.
 */

import { mapsFrame, PTE_YOUNG } from "../table/entry.js";
import { dropFileCopy } from "../file/file-copy.js";
import { forEachRun } from "../frames/frame-runs.js";
import { FRAME_SHIFT, INDEX, PG_DIRTY, PG_FILE_COPY, PG_LOCKED, PG_SWAPCACHE } from "../frames/frames.js";
import type { Machine } from "../machine.js";
import { evictFromCache, leaveSwapCache, letGo, unmapForSwap, UNUSED } from "./pageout.js";
import { TABLE_MASK } from "../table/page-table.js";
import { settled } from "../settled.js";
import { clearBitsOfWord } from "../shared-word.js";
import { vmasOf } from "../frames/rmap.js";
import type { Swap } from "./swap.js";

/** Bytes that are reclaimed at once, so that the store sees large writes; but never more than a part of all memory. */
const BATCH_BYTES = 2 * 1024 * 1024;
const PART_OF_MEMORY = 8;

/** Bytes that are read at once: enough for a disk, few enough to be still in the processor's cache when they are used. */
const READ_BYTES = 4 * 1024 * 1024;
const PART_TO_READ = 4;

export class Reclaim {
  /** Pages given up so far. */
  pages = 0;
  readonly #machine: Machine;
  #underWay: Promise<unknown> | null = null;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Is there anywhere that pages could go, or be read from again? */
  get isPossible(): boolean {
    return this.#machine.swap !== null || this.#machine.hasPageCaches;
  }

  /** Is host memory used up, and can something be done about it? */
  get isNeeded(): boolean {
    return this.isPossible && this.#machine.host.available < 1;
  }

  /**
   * Reclaims until `pages` can be allocated. False when that cannot be had; rejects with the error of the store when that
   * is why nothing could go. What was made room for is not reserved.
   */
  async makeRoom(pages: number): Promise<boolean> {
    const { host, lru } = this.#machine;
    if (!this.isPossible) return host.available >= pages;
    for (;;) {
      if (host.available >= pages) return true;
      lru.drain();
      if (host.available >= pages) return true;
      // What is on its way out already counts for all who wait.
      if (this.#underWay !== null) await this.#underWay.catch(() => {});
      else if ((await this.#begin(Math.max(pages - host.available, this.#batch))) === 0) return host.available >= pages;
    }
  }

  /** Pages that are worth bringing into host memory at once, at most `pages`: never more than a part of it. */
  pagesAtOnce(pages: number): number {
    if (!this.isPossible) return pages;
    const { pageSize, host } = this.#machine;
    const most = Math.min(READ_BYTES / pageSize, Math.floor(host.charge.limit / PART_TO_READ));
    return Math.max(1, Math.min(pages, most));
  }

  get #batch(): number {
    const { pageSize, host } = this.#machine;
    return Math.max(1, Math.min(BATCH_BYTES / pageSize, Math.floor(host.charge.limit / PART_OF_MEMORY)));
  }

  async #begin(pages: number): Promise<number> {
    const reclaiming = this.#reclaim(pages);
    this.#underWay = reclaiming;
    try {
      const reclaimed = await reclaiming;
      this.pages += reclaimed;
      return reclaimed;
    } finally {
      this.#underWay = null;
    }
  }

  async #reclaim(pages: number): Promise<number> {
    const machine = this.#machine;
    const writes: number[] = [];
    const evictions: number[] = [];
    let reclaimed = 0;
    for (const frame of this.#isolate(pages)) {
      machine.frames.tryLock(frame);
      const kind = this.#giveUp(frame);
      if (kind === WRITE) writes.push(frame);
      else if (kind === EVICT) evictions.push(frame);
      else {
        letGo(machine, frame, kind === FREED);
        if (kind === FREED) reclaimed++;
      }
    }
    const parts: Promise<void>[] = [];
    const count = (freed: number): void => void (reclaimed += freed);
    for (const frame of evictions) parts.push(this.#evict(frame).then(count));
    const { swap, frames, zones } = machine;
    if (swap !== null) {
      const joins = (i: number): boolean => frames.private(writes[i]) === frames.private(writes[i - 1]) + 1;
      forEachRun(zones, writes, swap.store.maxRun ?? 1, joins, (from, length) => {
        parts.push(this.#write(swap, writes.slice(from, from + length)).then(count));
      });
    }
    try {
      await settled(parts);
    } catch (error) {
      if (reclaimed === 0) throw error;
    }
    return reclaimed;
  }

  /** Takes up to `pages` pages off the LRU, each with a reference: those that were not used since they were looked at last. */
  #isolate(pages: number): number[] {
    const { lru, frames } = this.#machine;
    const isolated: number[] = [];
    lru.drain();
    const { length } = lru.list;
    // A second round takes what the first one found in use.
    for (let seen = 0; seen < 2 * length && isolated.length < pages && lru.list.tail !== 0; seen++) {
      const frame = lru.list.tail;
      if (frames.isCompound(frame)) {
        // Its parts go one by one, later than what has been here as long.
        if (this.#machine.swap === null || !this.#machine.hugePages.splitHugePage(this.#machine, frame))
          lru.rotate(frame);
        continue;
      }
      if (!this.#mayGo(frame) || (this.#clearYoung(frame) && seen < length)) {
        lru.rotate(frame);
        continue;
      }
      frames.get(frame);
      lru.isolate(frame);
      isolated.push(frame);
    }
    return isolated;
  }

  /** Does nobody hold the page but its mappings and its cache? */
  #mayGo(frame: number): boolean {
    const { frames } = this.#machine;
    const flags = frames.flags(frame);
    const anonymous = this.#isAnonymous(frame);
    const cached = (flags & PG_SWAPCACHE) !== 0 || !anonymous ? 1 : 0;
    if ((flags & PG_LOCKED) !== 0 || frames.refcount(frame) !== frames.mapcount(frame) + cached) return false;
    return this.#machine.swap !== null || !anonymous || (flags & PG_FILE_COPY) !== 0;
  }

  /** Is the page no page of an object? One that came from swap ahead of its use belongs to no mapping yet. */
  #isAnonymous(frame: number): boolean {
    const { frames } = this.#machine;
    return frames.isAnonymous(frame) || (frames.flags(frame) & PG_SWAPCACHE) !== 0;
  }

  /** Has any mapping used the page since the last time? */
  #clearYoung(frame: number): boolean {
    const { frames } = this.#machine;
    let young = false;
    if (frames.mapcount(frame) === 0) return young;
    const index = frames.words[(frame << FRAME_SHIFT) + INDEX];
    for (const vma of vmasOf(this.#machine, frame)) {
      const page = vma.pageOfIndex(index);
      const { pageTable } = vma.mm;
      const leaf = page < 0 ? 0 : pageTable.leaf(page);
      if (leaf === 0 || !mapsFrame(pageTable.read(page), frame)) continue;
      const at = pageTable.baseOf(leaf) + (page & TABLE_MASK);
      if ((clearBitsOfWord(pageTable.chunkOf(leaf), at, PTE_YOUNG) & PTE_YOUNG) !== 0) young = true;
    }
    return young;
  }

  /** Takes a locked page out of all page tables, and out of memory if its bytes are elsewhere. */
  #giveUp(frame: number): typeof FREED | typeof KEPT | typeof WRITE | typeof EVICT {
    const machine = this.#machine;
    const { swap, frames } = machine;
    if (!this.#isAnonymous(frame)) return EVICT;
    if ((frames.flags(frame) & PG_FILE_COPY) !== 0 && dropFileCopy(machine, frame)) return FREED;
    if (swap === null || !unmapForSwap(machine, swap, frame)) return KEPT;
    if ((frames.flags(frame) & PG_DIRTY) === 0) return leaveSwapCache(machine, swap, frame) ? FREED : KEPT;
    if (frames.refcount(frame) !== UNUSED) return KEPT;
    frames.clearFlags(frame, PG_DIRTY);
    return WRITE;
  }

  async #evict(frame: number): Promise<number> {
    const freed = await evictFromCache(this.#machine, frame);
    letGo(this.#machine, frame, freed);
    return freed ? 1 : 0;
  }

  /** Writes unmapped pages that lie side by side, and frees them unless somebody has come for them meanwhile. */
  async #write(swap: Swap, pages: readonly number[]): Promise<number> {
    const machine = this.#machine;
    const { frames, zones } = machine;
    let failure: { error: unknown } | null = null;
    try {
      await swap.write(frames.private(pages[0]), zones.run(pages[0], pages.length), pages.length);
    } catch (error) {
      failure = { error };
    }
    let freed = 0;
    for (const frame of pages) {
      if (failure !== null) frames.setFlags(frame, PG_DIRTY);
      const gone = failure === null && leaveSwapCache(machine, swap, frame);
      letGo(machine, frame, gone);
      if (gone) freed++;
    }
    if (failure !== null) throw failure.error;
    return freed;
  }
}

/** What became of a page: freed, kept, to be written to swap, to be taken out of the cache of its object. */
const FREED = 0;
const KEPT = 1;
const WRITE = 2;
const EVICT = 3;
