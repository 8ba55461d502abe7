/**
 * Paging out: pages of a range go to swap and their frames are freed. Best effort, like all reclaim: a page that is
 * shared, pinned, on a device or not on the LRU stays.
 *
 * Counterpart: `madvise_pageout`, `shrink_folio_list`, `try_to_unmap`.
 */

import type { AddressSpace } from "../space/address-space.js";
import {
  mapsFrame,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_PRESENT,
  PTE_TRACKING,
  swapEntry,
} from "../table/entry.js";
import { MemoryError } from "../errors.js";
import {
  FRAME_SHIFT,
  INDEX,
  MAPPING,
  MAPPING_KIND_SHIFT,
  PG_DIRTY,
  PG_FILE_COPY,
  PG_SWAPCACHE,
} from "../frames/frames.js";
import type { Machine } from "../machine.js";
import { forEachPart, rangeOf } from "../space/mapping-range.js";
import { assertNotInCallback } from "../space/notifier.js";
import { TABLE_MASK, TABLE_WORDS } from "../table/page-table.js";
import { mayShareAnonRmap, removeRmap, vmasOf } from "../frames/rmap.js";
import type { Swap } from "./swap.js";
import { VM_HUGETLB, VM_PFNMAP } from "../space/vma.js";
import { ZONE_SYSTEM } from "../frames/zone.js";

/** References to an isolated page that only the swap cache, or the cache of its object, keeps beside us. */
export const UNUSED = 2;

/** Pages out what it can of a range (`MADV_PAGEOUT`). ENOMEM for holes, after acting on the mapped parts. */
export async function pageOut(mm: AddressSpace, address: number, length: number): Promise<void> {
  const { start, end } = rangeOf(mm, address, length);
  assertNotInCallback();
  await mm.mmapLock.read();
  try {
    const parts: (readonly [from: number, to: number])[] = [];
    const hole = partsOf(mm, start, end, parts);
    for (const [from, to] of parts) {
      mm.machine.lru.drain();
      for (let page = from; page < to;) {
        const blockEnd = Math.min(to, (page & ~TABLE_MASK) + TABLE_WORDS);
        for (const frame of isolateMappedOnce(mm, page, blockEnd)) await reclaimPage(mm.machine, frame);
        page = blockEnd;
      }
    }
    if (hole !== null) throw hole;
  } finally {
    mm.mmapLock.readUnlock();
  }
}

/** Fills in the parts of the range that are mapped; the error to throw for holes between them, null for none. */
function partsOf(
  mm: AddressSpace,
  start: number,
  end: number,
  parts: (readonly [number, number])[],
): MemoryError | null {
  try {
    forEachPart(mm, start, end, (vma, from, to) => {
      if ((vma.flags & (VM_PFNMAP | VM_HUGETLB)) !== 0)
        throw new MemoryError("EINVAL", "a special mapping cannot be paged out");
      parts.push([from, to]);
    });
    return null;
  } catch (error) {
    if (error instanceof MemoryError) return error;
    throw error;
  }
}

function isolateMappedOnce(mm: AddressSpace, start: number, end: number): number[] {
  const { pageTable, machine } = mm;
  const isolated: number[] = [];
  if (pageTable.leaf(start) === 0 && !openHugePage(mm, start)) return isolated;
  for (let page = start; page < end; page++) {
    const word = pageTable.read(page);
    const frame = word >>> PTE_FRAME_SHIFT;
    if ((word & PTE_PRESENT) === 0 || frame === 0 || machine.zones.kindOf(frame) !== ZONE_SYSTEM) continue;
    // One part of a compound page that is shared, or held by somebody, ends the walk of this block.
    if (machine.frames.isCompound(frame)) {
      if (machine.frames.mapcount(frame) !== 1 || !machine.hugePages.splitHugePage(machine, frame)) break;
    }
    if (machine.frames.mapcount(frame) !== 1 || !machine.lru.isolate(frame)) continue;
    machine.frames.get(frame);
    isolated.push(frame);
  }
  return isolated;
}

/** Splits the compound page that a huge entry maps, if nobody else maps or holds it; false when there is nothing to page out. */
function openHugePage({ pageTable, machine }: AddressSpace, page: number): boolean {
  const head = pageTable.huge(page) >>> PTE_FRAME_SHIFT;
  return head !== 0 && machine.frames.mapcount(head) === 1 && machine.hugePages.splitHugePage(machine, head);
}

/** Frees one isolated page, or puts it back on the LRU. */
async function reclaimPage(machine: Machine, frame: number): Promise<void> {
  const { lru, frames } = machine;
  if (frames.tryLock(frame)) {
    const freed = frames.isAnonymous(frame) ? await swapOut(machine, frame) : await evictFromCache(machine, frame);
    letGo(machine, frame, freed);
  } else lru.putback(frame);
}

/** The end of an attempt: the locked page is freed, or is everybody's again. */
export function letGo(machine: Machine, frame: number, freed: boolean): void {
  const { frames, lru, pageLocks } = machine;
  pageLocks.unlock(frame);
  // Who gave the page up while it was locked could not take it out of the cache.
  if ((frames.flags(frame) & PG_SWAPCACHE) !== 0) machine.swap?.releaseUnmapped(frame);
  if (freed) machine.put(frame);
  else lru.putback(frame);
}

/** Unmaps a locked page of an object and takes it out of the object's cache. */
export async function evictFromCache(machine: Machine, frame: number): Promise<boolean> {
  const { frames } = machine;
  const mapping = frames.words[(frame << FRAME_SHIFT) + MAPPING];
  const cache = machine.pageCache(mapping >>> MAPPING_KIND_SHIFT);
  unmapFilePage(machine, frame);
  if (cache === undefined || frames.mapcount(frame) > 0 || frames.refcount(frame) !== UNUSED) return false;
  return cache.evict(frame);
}

function unmapFilePage(machine: Machine, frame: number): void {
  const { frames } = machine;
  const index = frames.words[(frame << FRAME_SHIFT) + INDEX];
  for (const vma of vmasOf(machine, frame)) {
    if (frames.mapcount(frame) === 0) return;
    const page = vma.pageOfIndex(index);
    if (page < 0) continue;
    vma.mm.notifiers.notify("clear", page, page + 1, null);
    if (!mapsFrame(vma.mm.pageTable.read(page), frame)) continue;
    const word = vma.mm.pageTable.exchange(page, 0);
    if ((word & PTE_DIRTY) !== 0) frames.setFlags(frame, PG_DIRTY);
    removeRmap(machine, frame);
    machine.put(frame);
  }
}

/** Unmaps a locked page and writes it to swap; true when our own reference is the only one left. */
async function swapOut(machine: Machine, frame: number): Promise<boolean> {
  const { swap, frames, zones } = machine;
  if (swap === null || !unmapForSwap(machine, swap, frame)) return false;
  if ((frames.flags(frame) & PG_DIRTY) !== 0) {
    if (frames.refcount(frame) !== UNUSED) return false;
    frames.clearFlags(frame, PG_DIRTY);
    try {
      await swap.write(frames.private(frame), zones.bytes(frame), 1);
    } catch {
      // The page stays in the cache, as it was, and is written the next time.
      frames.setFlags(frame, PG_DIRTY);
      return false;
    }
  }
  return leaveSwapCache(machine, swap, frame);
}

/**
 * Gives a locked page a slot and puts swap entries in the place of its mappings; false when it stays. If it is dirty, its
 * slot (`private`) does not hold its bytes yet.
 */
export function unmapForSwap(machine: Machine, swap: Swap, frame: number): boolean {
  const { frames } = machine;
  if (frames.maybeDmaPinned(frame)) return false;
  if ((frames.flags(frame) & PG_SWAPCACHE) === 0) {
    const slot = swap.allocate();
    if (slot === 0) return false;
    swap.add(slot, frame);
    frames.setFlags(frame, PG_DIRTY);
    // What comes back may be made writable at once.
    frames.clearFlags(frame, PG_FILE_COPY);
  }
  unmapToSwap(machine, swap, frame, frames.private(frame));
  return frames.mapcount(frame) === 0;
}

/** The bytes of a locked page are in its slot: it leaves the cache, unless somebody has come to use it. */
export function leaveSwapCache({ frames }: Machine, swap: Swap, frame: number): boolean {
  if (frames.refcount(frame) !== UNUSED) return false;
  swap.remove(frame);
  return true;
}

/** Puts swap entries in the place of all mappings, as far as they let themselves be replaced. */
function unmapToSwap(machine: Machine, swap: Swap, frame: number, slot: number): void {
  const { frames } = machine;
  const index = frames.words[(frame << FRAME_SHIFT) + INDEX];
  for (const vma of vmasOf(machine, frame)) {
    if (frames.mapcount(frame) === 0) return;
    const page = vma.pageOfIndex(index);
    if (page < 0) continue;
    const { pageTable, notifiers, resident } = vma.mm;
    notifiers.notify("clear", page, page + 1, null);
    if (!mapsFrame(pageTable.read(page), frame)) continue;
    const word = pageTable.exchange(page, 0);
    if ((word & PTE_EXCLUSIVE) !== 0 && !mayShareAnonRmap(machine, frame)) {
      pageTable.exchange(page, word);
      return;
    }
    if ((word & PTE_DIRTY) !== 0) frames.setFlags(frame, PG_DIRTY);
    swap.duplicate(slot);
    pageTable.exchange(page, swapEntry(slot, word & (PTE_EXCLUSIVE | PTE_TRACKING)));
    resident.uncharge(1);
    removeRmap(machine, frame);
    machine.put(frame);
  }
}
