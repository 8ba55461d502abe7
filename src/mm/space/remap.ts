/**
 * Moves a mapping, or a part of one, to other addresses. Its entries go as they are, wherever the pages are: in memory, on
 * a device, in swap, on their way; no page changes its frame and no byte is copied. The VMA keeps its page offset, so the
 * reverse map goes on finding every page.
 *
 * A huge entry stays one where a whole block moves to the place of a block, else it is split.
 *
 * Invariant: an entry stands at one of the two places, and a VMA that the reverse map knows covers it.
 *
 * Counterpart: `mm/mremap.c` (`move_vma`, `move_page_tables`), `copy_vma`.
 */

import type { AddressSpace } from "./address-space.js";
import { PTE_SOFT_DIRTY } from "../table/entry.js";
import { assert, MemoryError } from "../errors.js";
import { splitHugeEntry } from "../huge/huge-entry.js";
import { findGap, freeTables, unmapPages, writing } from "./mapping.js";
import { rangeOf } from "./mapping-range.js";
import { TABLE_MASK, TABLE_WORDS } from "../table/page-table.js";
import { VM_SOFTDIRTY, VM_UFFD_FLAGS, Vma } from "./vma.js";
import { mergeVma } from "./vma-merge.js";

/**
 * Moves `[address, address + length)` to the address `to`, by default to a free place, and returns the new address. What is
 * mapped there is unmapped first. Addresses and length are bytes and multiples of the page size. All that moves counts as
 * soft-dirty. Counterpart: `mremap` with MREMAP_MAYMOVE, and MREMAP_FIXED if `to` is given, of equal lengths.
 *
 * Errors: EFAULT when the range does not lie in one VMA; EINVAL for bounds that are not page-aligned, places that overlap,
 * and mappings with home frames, which belong to their addresses; ENOMEM beyond the address space, and for want of page
 * tables: the mapping is then as before, but what was mapped at `to` is gone, as in Linux.
 */
export async function mremap(mm: AddressSpace, address: number, length: number, to?: number): Promise<number> {
  const { start, end } = rangeOf(mm, address, length);
  const fixed = to === undefined ? null : rangeOf(mm, to, length);
  if (fixed !== null && fixed.start < end && start < fixed.end) {
    throw new MemoryError("EINVAL", `pages ${start} to ${end} cannot be moved to pages ${fixed.start} to ${fixed.end}`);
  }
  return writing(mm, () => {
    checkMovable(mm, start, end);
    const target = fixed?.start ?? findGap(mm, end - start);
    unmapPages(mm, target, target + (end - start));
    if (!ensureTables(mm, start, end, target))
      throw new MemoryError("ENOMEM", `no page tables for moving ${end - start} pages`);
    coverTarget(mm, start, end, target);
    mm.notifiers.notify("unmap", start, end, null);
    moveEntries(mm, start, end, target);
    unmapPages(mm, start, end);
    return target * mm.machine.pageSize;
  });
}

function checkMovable(mm: AddressSpace, start: number, end: number): void {
  const vma = mm.vmaAt(start);
  if (vma === undefined || end > vma.end)
    throw new MemoryError("EFAULT", `pages ${start} to ${end} do not lie in one mapping`);
  if (vma.home !== null)
    throw new MemoryError("EINVAL", `pages ${start} to ${end} have home frames and cannot be moved`);
}

/** Makes the leaf tables that the entries move to; false, with none made, when one cannot be had. */
function ensureTables(mm: AddressSpace, start: number, end: number, target: number): boolean {
  const { pageTable } = mm;
  for (let page = start; page < end; page = nextTable(page, target - start)) {
    const mapped = pageTable.leaf(page) !== 0 || pageTable.huge(page) !== 0;
    if (!mapped || pageTable.ensureLeaf(target + (page - start)) !== 0) continue;
    freeTables(mm, target, target + (end - start));
    return false;
  }
  return true;
}

/** The first page after `page` that belongs to another leaf table, before or after the move. */
function nextTable(page: number, distance: number): number {
  const moved = page + distance;
  return Math.min((page & ~TABLE_MASK) + TABLE_WORDS, (moved & ~TABLE_MASK) + TABLE_WORDS - distance);
}

/** A VMA at the new place that is like the old one, or a neighbour there that takes it over. */
function coverTarget(mm: AddressSpace, start: number, end: number, target: number): void {
  const vma = mm.vmaAt(start) as Vma;
  const { anonVma, file } = vma;
  // A program that handles faults of the old place has not asked for those of the new one.
  const flags = vma.flags & ~VM_UFFD_FLAGS;
  // Anonymous memory that has no page yet begins anew, and may so become one with its new neighbours.
  const offset = vma.anonymous && anonVma === null ? target : vma.offset + (start - vma.start);
  const area = { start: target, end: target + (end - start), flags, offset, anonVma, home: null, file };
  const merged = mergeVma(mm, area, null);
  if (merged === null) {
    const moved = new Vma(mm, area.start, area.end, flags, offset, null, file);
    moved.cloneAnonVma(vma);
    mm.vmas.splice(mm.indexAbove(area.start), 0, moved);
    return;
  }
  merged.flags |= flags & VM_SOFTDIRTY;
}

function moveEntries(mm: AddressSpace, start: number, end: number, target: number): void {
  const { pageTable } = mm;
  for (let page = start; page < end;) {
    const next = Math.min(end, nextTable(page, target - start));
    if (pageTable.huge(page) !== 0) {
      if (next - page === TABLE_WORDS) moveHugeEntry(mm, page, target + (page - start));
      else splitHugeEntry(mm.vmaAt(page) as Vma, page);
    }
    if (pageTable.leaf(page) === 0) page = next;
    for (; page < next; page++) {
      const word = pageTable.exchange(page, 0);
      if (word !== 0) pageTable.exchange(target + (page - start), word | PTE_SOFT_DIRTY);
    }
  }
}

/** A huge entry goes from one block to another, whose leaf table becomes the one that is kept aside for it. */
function moveHugeEntry({ pageTable }: AddressSpace, page: number, target: number): void {
  const word = pageTable.huge(page);
  pageTable.replaceHuge(page, 0);
  pageTable.detachLeaf(target);
  assert(pageTable.mapHuge(target, word | PTE_SOFT_DIRTY), `the tables for page ${target} were not made`);
}
