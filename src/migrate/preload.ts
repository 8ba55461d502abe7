/**
 * Reads the frame records of the next pages of a batch before a step works on them one by one. The records lie anywhere
 * in memory, and each step would wait for one after the other; a loop that only reads lets the processor wait for many at
 * a time. Nothing depends on it but the time that a batch takes over a large, scattered memory: a fifth of it. Where
 * the first and the last page suggest that frames are in order it does nothing: then the processor reads ahead itself.
 */

import * as pageTableEntry from "../mm/table/entry.js";
import { isDevicePrivateEntry } from "../mm/table/entry.js";
import * as frameTable from "../mm/frames/frames.js";
import * as migrateEntry from "./entry.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const PTE_FRAME_SHIFT = pageTableEntry.PTE_FRAME_SHIFT;
const PTE_PRESENT = pageTableEntry.PTE_PRESENT;
const FLAGS = frameTable.FLAGS;
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const LRU_NEXT = frameTable.LRU_NEXT;
const LRU_PREV = frameTable.LRU_PREV;
const MIGRATE_PFN_SHIFT = migrateEntry.MIGRATE_PFN_SHIFT;
const MIGRATE_PFN_VALID = migrateEntry.MIGRATE_PFN_VALID;

/** Pages that are read ahead: few enough that their records, and the way to them, are still in the caches in turn. */
export const PRELOAD_PAGES = 32;

/** Where what was read goes, so that the reading is not optimized away. */
let seen = 0;

/** Pages that the next entries of a leaf map, of those below `end`. */
export function preloadMapped(words: Int32Array, entries: Int32Array, at: number, end: number): void {
  const until = Math.min(at + PRELOAD_PAGES, end);
  const last = until - 1;
  if ((entries[last] >>> PTE_FRAME_SHIFT) - (entries[at] >>> PTE_FRAME_SHIFT) === last - at) return;
  let read = 0;
  for (let i = at; i < until; i++) {
    const word = entries[i];
    if ((word & PTE_PRESENT) !== 0 || isDevicePrivateEntry(word)) {
      read ^= words[((word >>> PTE_FRAME_SHIFT) << FRAME_SHIFT) + FLAGS];
    }
  }
  seen ^= read;
}

/** Neighbours on the LRU list of the next pages in `src`. */
export function preloadListNeighbours(words: Int32Array, src: Int32Array, from: number, npages: number): void {
  const until = Math.min(from + PRELOAD_PAGES, npages);
  if (isInOrder(src, from, until) && isBesideItsNeighbours(words, src[(from + until) >>> 1])) return;
  let read = 0;
  for (let i = from; i < until; i++) {
    if ((src[i] & MIGRATE_PFN_VALID) === 0) continue;
    const at = (src[i] >>> MIGRATE_PFN_SHIFT) << FRAME_SHIFT;
    read ^= words[(words[at + LRU_NEXT] << FRAME_SHIFT) + FLAGS] ^ words[(words[at + LRU_PREV] << FRAME_SHIFT) + FLAGS];
  }
  seen ^= read;
}

/** The next pages in `src` and `dst`. */
export function preloadBoth(words: Int32Array, src: Int32Array, dst: Int32Array, from: number, npages: number): void {
  const until = Math.min(from + PRELOAD_PAGES, npages);
  if (isInOrder(src, from, until) && isInOrder(dst, from, until)) return;
  let read = 0;
  for (let i = from; i < until; i++) {
    if ((src[i] & MIGRATE_PFN_VALID) !== 0) read ^= words[((src[i] >>> MIGRATE_PFN_SHIFT) << FRAME_SHIFT) + FLAGS];
    if ((dst[i] & MIGRATE_PFN_VALID) !== 0) read ^= words[((dst[i] >>> MIGRATE_PFN_SHIFT) << FRAME_SHIFT) + FLAGS];
  }
  seen ^= read;
}

function isInOrder(named: Int32Array, from: number, until: number): boolean {
  return named[until - 1] - named[from] === (until - 1 - from) << MIGRATE_PFN_SHIFT;
}

function isBesideItsNeighbours(words: Int32Array, word: number): boolean {
  const frame = word >>> MIGRATE_PFN_SHIFT;
  const at = frame << FRAME_SHIFT;
  return Math.abs(words[at + LRU_NEXT] - frame) === 1 && Math.abs(words[at + LRU_PREV] - frame) === 1;
}
