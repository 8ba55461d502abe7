/**
 * Faults in mappings of files and of shared memory: the page comes from the object's cache. A read maps what is cached
 * around it too; a write to a private mapping copies the page into an anonymous one.
 *
 * Counterpart: `do_read_fault`, `do_shared_fault`, `filemap_map_pages` (`do_cow_fault` is in `fault.ts`).
 */

import { PTE_MAKE_DIRTY, PTE_PRESENT } from "../table/entry.js";
import { PG_DIRTY, PG_LOCKED } from "../frames/frames.js";
import type { PageCache } from "./page-cache.js";
import { TABLE_MASK, TABLE_WORDS } from "../table/page-table.js";
import { duplicateRmap } from "../frames/rmap.js";
import { makeEntry, maybeWritable, type Vma } from "../space/vma.js";

/** Pages, aligned, that one read fault maps if they are cached (`fault_around_bytes`). */
const AROUND_PAGES = 16;

/** Offset in the object that the VMA maps at `page`. */
export function indexOf(vma: Vma, page: number): number {
  return vma.offset + (page - vma.start);
}

/** Maps what is cached around a page for reading; true if the page itself was among it. */
export function mapAround(vma: Vma, file: PageCache, page: number): boolean {
  const { pageTable, machine } = vma.mm;
  const start = Math.max(page - (page % AROUND_PAGES), vma.start);
  const end = Math.min(start + AROUND_PAGES, vma.end, (page & ~TABLE_MASK) + TABLE_WORDS);
  for (let at = start; at < end; at++) {
    const frame = file.page(indexOf(vma, at));
    if (frame === 0 || pageTable.read(at) !== 0 || (machine.frames.flags(frame) & PG_LOCKED) !== 0) continue;
    mapFilePage(vma, at, frame);
  }
  return (pageTable.read(page) & PTE_PRESENT) !== 0;
}

export function mapFilePage(vma: Vma, page: number, frame: number): void {
  duplicateRmap(vma.mm.machine, frame);
  vma.mm.pageTable.exchange(page, makeEntry(vma, frame));
}

/** The entry of a shared page that a store is about to change. */
export function writeShared(vma: Vma, frame: number, entry: number): number {
  vma.mm.machine.frames.setFlags(frame, PG_DIRTY);
  return maybeWritable(vma, entry | PTE_MAKE_DIRTY);
}
