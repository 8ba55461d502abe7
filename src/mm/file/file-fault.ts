/**
 * Faults in mappings of files and of shared memory: the page comes from the object's cache. A read maps what is cached
 * around it too; a write to a private mapping copies the page into an anonymous one.
 *
 * Counterpart: `do_read_fault`, `do_shared_fault`, `do_cow_fault`, `filemap_map_pages`.
 */

import { PTE_PRESENT } from "../table/entry.js";
import {
  allocateAnonymous,
  FAULT_DONE,
  FAULT_OOM,
  FAULT_READ,
  FAULT_SIGBUS,
  FAULT_WAIT,
  FAULT_WRITE,
  faultResult,
  mapNewPage,
  writeShared,
  writtenEntry,
} from "../fault/fault.js";
import { PG_LOCKED } from "../frames/frames.js";
import type { PageCache } from "./page-cache.js";
import { TABLE_MASK, TABLE_WORDS } from "../table/page-table.js";
import { duplicateRmap } from "../frames/rmap.js";
import { makeEntry, VM_SHARED, type Vma } from "../space/vma.js";

/** Pages, aligned, that one read fault maps if they are cached (`fault_around_bytes`). */
const AROUND_PAGES = 16;

/** A page of an object that is not mapped yet. */
export function faultFile(vma: Vma, file: PageCache, page: number, flags: number): number {
  const { machine } = vma.mm;
  const index = vma.indexOf(page);
  if (index >= file.length) return FAULT_SIGBUS;
  const write = (flags & FAULT_WRITE) !== 0;
  machine.counters.faults++;
  if (!write && mapAround(vma, file, page)) return FAULT_DONE;
  const cached = file.page(index);
  if (cached === 0 && file.mustRead(index)) return FAULT_READ;
  if ((machine.frames.flags(cached) & PG_LOCKED) !== 0) return faultResult(FAULT_WAIT, cached);
  const frame = cached === 0 ? file.addZeros(index) : cached;
  if (frame === 0) return FAULT_OOM;
  if (write && (vma.flags & VM_SHARED) === 0) return copyFilePage(vma, page, frame);
  mapFilePage(vma, page, frame);
  if (write) vma.mm.pageTable.exchange(page, writeShared(vma, frame, vma.mm.pageTable.read(page)));
  return FAULT_DONE;
}

/** A write to a private mapping gets a page of its own. Nothing was mapped, so nobody has to hear of it (`do_cow_fault`). */
function copyFilePage(vma: Vma, page: number, source: number): number {
  const frame = allocateAnonymous(vma, page, false);
  if (frame === 0) return FAULT_OOM;
  vma.mm.machine.zones.copy(frame, source);
  mapNewPage(vma, page, frame, writtenEntry(vma, frame));
  return FAULT_DONE;
}

/** Maps what is cached around a page for reading; true if the page itself was among it. */
function mapAround(vma: Vma, file: PageCache, page: number): boolean {
  const { pageTable, machine } = vma.mm;
  const start = Math.max(page - (page % AROUND_PAGES), vma.start);
  const end = Math.min(start + AROUND_PAGES, vma.end, (page & ~TABLE_MASK) + TABLE_WORDS);
  for (let at = start; at < end; at++) {
    const frame = file.page(vma.indexOf(at));
    if (frame === 0 || pageTable.read(at) !== 0 || (machine.frames.flags(frame) & PG_LOCKED) !== 0) continue;
    mapFilePage(vma, at, frame);
  }
  return (pageTable.read(page) & PTE_PRESENT) !== 0;
}

function mapFilePage(vma: Vma, page: number, frame: number): void {
  duplicateRmap(vma.mm.machine, frame);
  vma.mm.pageTable.exchange(page, makeEntry(vma, frame));
}
