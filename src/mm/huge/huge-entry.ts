/**
 * Huge entries: one word of a middle table that maps an aligned block of 512 pages, present always: a compound page, or the
 * zero page 512 times. A part of a block can be treated apart only when the entry has been split into 512, which never
 * fails, since a table was kept aside for it.
 *
 * Counterpart: `__split_huge_pmd_locked`, `zap_huge_pmd`, `change_huge_pmd`, `clear_soft_dirty_pmd` (`mm/huge_memory.c`).
 */

import type { AddressSpace } from "../space/address-space.js";
import {
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_NO_ACCESS,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "../table/entry.js";
import { FRAME_SHIFT, MAPCOUNT, PG_DIRTY, REFCOUNT } from "../frames/frames.js";
import { addToWord } from "../shared-word.js";
import { BLOCK_FRAMES, TABLE_MASK, TABLE_WORDS } from "../table/table-shape.js";
import { isAccessible, makeEntry, maybeWritable, type Vma } from "../space/vma.js";

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
  if (word === 0) return;
  const frame = word >>> PTE_FRAME_SHIFT;
  if (frame !== 0) becomePartMappings(vma, word, frame);
  const entry = partEntry(vma, word, frame);
  const step = frame === 0 ? 0 : 1 << PTE_FRAME_SHIFT;
  pageTable.replaceHugeByLeaf(page, (entries, base) => {
    for (let i = 0; i < TABLE_WORDS; i++) entries[base + i] = entry + i * step;
  });
}

/** The compound page is mapped by 512 entries instead of one, each with a reference. */
function becomePartMappings(vma: Vma, word: number, head: number): void {
  const { frames } = vma.mm.machine;
  if ((word & PTE_DIRTY) !== 0) frames.setFlags(head, PG_DIRTY);
  addToWord(frames.words, (head << FRAME_SHIFT) + REFCOUNT, BLOCK_FRAMES - 1);
  frames.addCompoundMapcount(head, -1);
  for (let part = head; part < head + BLOCK_FRAMES; part++) frames.words[(part << FRAME_SHIFT) + MAPCOUNT]++;
}

/** The entry of the first page; the zero page's entries forget what the huge entry knew but userfault write protection. */
function partEntry(vma: Vma, word: number, frame: number): number {
  if (frame === 0) return makeEntry(vma, 0) | (word & PTE_UFFD_WP);
  let entry =
    (makeEntry(vma, frame) & ~PTE_YOUNG) | (word & (PTE_YOUNG | PTE_SOFT_DIRTY | PTE_UFFD_WP | PTE_EXCLUSIVE));
  if ((word & PTE_DIRTY) !== 0) entry |= PTE_MAKE_DIRTY;
  return (word & PTE_WRITE) === 0 ? entry : maybeWritable(vma, entry);
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
