/**
 * Splitting a huge entry: 512 entries take its place, of the parts of a compound page or of the zero page. It never fails.
 *
 * Counterpart: `__split_huge_pmd_locked` (`mm/huge_memory.c`).
 */

import {
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "../table/entry.js";
import { FRAME_SHIFT, MAPCOUNT, PG_DIRTY, REFCOUNT } from "../frames/frames.js";
import { addToWord } from "../shared-word.js";
import { BLOCK_FRAMES, TABLE_WORDS } from "../table/table-shape.js";
import { makeEntry, maybeWritable, type Vma } from "../space/vma.js";

/** Splits `word`, the huge entry of the page's block, which the VMA holds; the block's notifiers have been told. */
export function splitEntry(vma: Vma, page: number, word: number): void {
  const frame = word >>> PTE_FRAME_SHIFT;
  if (frame !== 0) becomePartMappings(vma, word, frame);
  const entry = partEntry(vma, word, frame);
  const step = frame === 0 ? 0 : 1 << PTE_FRAME_SHIFT;
  vma.mm.pageTable.replaceHugeByLeaf(page, (entries, base) => {
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
