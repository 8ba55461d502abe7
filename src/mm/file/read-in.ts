/**
 * Reading ahead of an access: what swap and files hold of a range comes into memory in runs, so that a disk sees large
 * requests, instead of page by page in faults. Best effort: what there is no room for is left to the fault.
 *
 * And making pages ready for a device: a page that has a swap slot beside its frame, or that is a file's, does not migrate
 * to one, so a device page is the mapping's own.
 *
 * Counterpart: `swapin_readahead`, `page_cache_ra_unbounded`, `madvise_willneed`.
 */

import type { AddressSpace } from "../space/address-space.js";
import { isSwapEntry, PTE_FRAME_SHIFT, PTE_PRESENT } from "../table/entry.js";
import { FAULT_OOM, FAULT_UNSHARE, faultIn, handleFault } from "../fault/fault.js";
import { ownFilePage, takeFilePage } from "./file-copy.js";
import { PG_LOCKED, PG_SWAPCACHE } from "../frames/frames.js";
import { settled } from "../settled.js";
import { readRunIntoSwapCache, swapOf } from "../swap/swap-in.js";
import type { Vma } from "../space/vma.js";

/** How often a page is made its mapping's own again when somebody takes it away in between. */
const ATTEMPTS = 8;

/**
 * Brings what is in swap and in files of pages `[start, end)` into memory, reclaiming other pages for it. Rejects with the
 * error of the store or the file, once nothing is under way any more.
 */
export async function readIn(mm: AddressSpace, start: number, end: number): Promise<void> {
  const { machine } = mm;
  if (!machine.paging.isPossible) return;
  const wanted = countElsewhere(mm, start, end);
  if (wanted === 0) return;
  await machine.paging.makeRoom(wanted);
  await mm.mmapLock.read();
  try {
    const reads: Promise<unknown>[] = [];
    for (let page = start; page < end;) {
      const vma = mm.vmaAt(page);
      const run = vma === undefined ? 0 : lengthOfRun(vma, page, Math.min(end, vma.end));
      if (vma === undefined || run === 0) {
        page++;
        continue;
      }
      const { begun, done } = readRun(vma, page, run);
      reads.push(done);
      if (begun < run) break;
      page += run;
    }
    await settled(reads);
  } finally {
    mm.mmapLock.readUnlock();
  }
}

/** The same for a write: what is read from a private file is the mapping's own at once, instead of a copy of it. */
export async function readInForWrite(mm: AddressSpace, start: number, end: number): Promise<void> {
  const { machine } = mm;
  if (!machine.hasPageCaches) return readIn(mm, start, end);
  await readIn(mm, start, end);
  for (let page = start; page < end; page++) {
    const vma = mm.vmaAt(page);
    if (vma?.file === undefined || vma.file === null) return;
    if (mm.mmapLock.tryRead()) {
      takeFilePage(vma, page);
      mm.mmapLock.readUnlock();
    }
  }
}

/**
 * Makes pages `[start, end)` such that they can migrate to a device: reads them in, and takes them out of the swap cache and
 * out of files. A page that others use too is copied. Returns the first page for which there is no memory, -1 for none.
 */
export async function readInForDevice(mm: AddressSpace, start: number, end: number): Promise<number> {
  if (!mm.machine.paging.isPossible) return -1;
  await readIn(mm, start, end);
  for (let page = start; page < end; page++) {
    if (!tryMakeOwn(mm, page) && !(await makeOwn(mm, page))) return page;
  }
  return -1;
}

/**
 * Makes a page its mapping's own, reading it and waiting as often as it takes: in memory, in no swap cache, of no file, and
 * shared with nobody who has it in swap. False when there is no memory for it.
 */
export async function makeOwn(mm: AddressSpace, page: number): Promise<boolean> {
  const { machine } = mm;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (tryMakeOwn(mm, page)) return true;
    if ((await faultIn(mm, page, FAULT_UNSHARE)) === FAULT_OOM) return false;
    if (tryMakeOwn(mm, page)) return true;
    // A copy of a file page that others use.
    if (!(await machine.paging.makeRoom(1))) return false;
  }
  return false;
}

/** The same at once; false when that takes a fault. */
export function tryMakeOwn(mm: AddressSpace, page: number): boolean {
  if (!mm.mmapLock.tryRead()) return false;
  try {
    return makeOwnLocked(mm, page);
  } finally {
    mm.mmapLock.readUnlock();
  }
}

function makeOwnLocked(mm: AddressSpace, page: number): boolean {
  const { machine } = mm;
  const { frames, swap } = machine;
  const vma = mm.vmaAt(page);
  if (vma === undefined) return true;
  let word = mm.pageTable.read(page);
  if (isSwapEntry(word)) {
    handleFault(mm, page, 0);
    word = mm.pageTable.read(page);
    if (isSwapEntry(word)) return false;
  }
  if (word === 0) return vma.file === null || ownFilePage(vma, page);
  if ((word & PTE_PRESENT) === 0) return true;
  const frame = word >>> PTE_FRAME_SHIFT;
  if (frame === 0) return true;
  if (!frames.isAnonymous(frame)) return ownFilePage(vma, page);
  if ((frames.flags(frame) & PG_SWAPCACHE) === 0) return true;
  if (swap === null || !frames.tryLock(frame)) return false;
  // Nothing awaits while the page is locked here, so nobody can come to wait for it.
  const free = swap.tryRemove(frame);
  frames.clearFlags(frame, PG_LOCKED);
  return free;
}

function countElsewhere(mm: AddressSpace, start: number, end: number): number {
  let count = 0;
  for (let page = start; page < end; page++) {
    const vma = mm.vmaAt(page);
    if (vma !== undefined && isElsewhere(vma, page)) count++;
  }
  return count;
}

/** Is the page in swap or in a file, and nowhere in memory? */
function isElsewhere(vma: Vma, page: number): boolean {
  const word = vma.mm.pageTable.read(page);
  if (word === 0) return vma.file?.isInFileOnly(vma.indexOf(page)) === true;
  return isSwapEntry(word) && swapOf(vma.mm).cached(word >>> PTE_FRAME_SHIFT) === 0;
}

/** Pages from `page` on that one read can bring: neighbours in one file, or in neighbouring slots; 0 for none. */
function lengthOfRun(vma: Vma, page: number, end: number): number {
  const { pageTable } = vma.mm;
  if (!isElsewhere(vma, page)) return 0;
  const first = pageTable.read(page);
  let run = 1;
  for (; page + run < end && isElsewhere(vma, page + run); run++) {
    const word = pageTable.read(page + run);
    const slot = word >>> PTE_FRAME_SHIFT;
    if (first === 0 ? word !== 0 : slot !== (first >>> PTE_FRAME_SHIFT) + run) break;
  }
  return run;
}

function readRun(vma: Vma, page: number, pages: number): { readonly begun: number; readonly done: Promise<unknown> } {
  const word = vma.mm.pageTable.read(page);
  if (word !== 0) return readRunIntoSwapCache(vma, page, word >>> PTE_FRAME_SHIFT, pages);
  const { file } = vma;
  return file === null ? { begun: 0, done: Promise.resolve() } : file.readRun(vma.indexOf(page), pages);
}
