/**
 * Huge entries: one word of a middle table that maps an aligned block of 512 pages, present always: a compound page, or the
 * zero page 512 times. A part of a block can be treated apart only when the entry has been split into 512, which never
 * fails, since a table was kept aside for it.
 *
 * Counterpart: `__split_huge_pmd_locked`, `zap_huge_pmd`, `change_huge_pmd`, `clear_soft_dirty_pmd` (`mm/huge_memory.c`).
 */

import type { AddressSpace } from "../space/address-space.js";
import { PTE_FRAME_SHIFT, PTE_NO_ACCESS, PTE_SOFT_DIRTY, PTE_WRITE } from "../table/entry.js";
import { BLOCK_FRAMES, TABLE_MASK, TABLE_WORDS } from "../table/table-shape.js";
import { isAccessible, type Vma } from "../space/vma.js";

/** The first page of the block that the page is in. */
export function blockOf(page: number): number {
  return page & ~TABLE_MASK;
}

/** Splits the huge entry, if there is one, of the page's block, which the VMA holds. The block's notifiers are told in any case. */
export function splitHugeEntry(vma: Vma, page: number): void {
  const { notifiers, pageTable } = vma.mm;
  const first = blockOf(page);
  notifiers.notify("clear", first, first + TABLE_WORDS, null);
  const word = pageTable.huge(page);
  if (word !== 0) vma.mm.machine.hugePages.splitEntry(vma, page, word);
}

/** Takes a huge entry out of the page table; the notifiers have been told. */
export function zapHugeEntry(mm: AddressSpace, page: number): void {
  const { machine, pageTable, resident } = mm;
  const head = pageTable.huge(page) >>> PTE_FRAME_SHIFT;
  pageTable.replaceHuge(page, 0);
  if (head === 0) return;
  resident.uncharge(BLOCK_FRAMES);
  machine.frames.addCompoundMapcount(head, -1);
  machine.put(head);
}

/** Applies the VMA's protection to a huge entry. Unlike an entry of one page it never becomes writable without a fault. */
export function protectHugeEntry(vma: Vma, page: number): void {
  const { pageTable } = vma.mm;
  const word = pageTable.huge(page) & ~(PTE_WRITE | PTE_NO_ACCESS);
  pageTable.replaceHuge(page, isAccessible(vma) ? word : word | PTE_NO_ACCESS);
}

/** Write-protects a huge entry and clears its soft-dirty bit; also of a page that is pinned for DMA, as in Linux. */
export function clearHugeSoftDirty(vma: Vma, page: number): void {
  const { pageTable } = vma.mm;
  pageTable.replaceHuge(page, pageTable.huge(page) & ~(PTE_WRITE | PTE_SOFT_DIRTY));
}
