/**
 * What a fork does to a huge entry: both address spaces map the compound page, read-only, until one of them writes. A page
 * that is pinned for DMA is copied, which is done page by page.
 *
 * Counterpart: `copy_huge_pmd` (`mm/huge_memory.c`).
 */

import { PTE_EXCLUSIVE, PTE_FRAME_SHIFT, PTE_UFFD_WP, PTE_WRITE, PTE_YOUNG } from "../table/entry.js";
import { splitHugeEntry } from "./huge-entry.js";
import { BLOCK_FRAMES } from "../table/table-shape.js";
import type { Vma } from "../space/vma.js";

/**
 * Copies the huge entry at `page` to one at `copy`, or splits it so that its pages can be copied one by one; false when
 * memory ran out.
 */
export function copyHugeEntry(from: Vma, to: Vma, page: number, copy: number): boolean {
  const parent = from.mm.pageTable;
  const child = to.mm;
  const { frames } = child.machine;
  const word = parent.huge(page);
  const head = word >>> PTE_FRAME_SHIFT;
  if (head !== 0 && (word & PTE_EXCLUSIVE) !== 0 && frames.maybeDmaPinned(head)) {
    splitHugeEntry(from, page);
    return true;
  }
  const shared = word & ~(PTE_WRITE | PTE_EXCLUSIVE);
  if (head !== 0 && !child.resident.tryCharge(BLOCK_FRAMES)) return false;
  if (!child.pageTable.mapHuge(copy, shared & ~(PTE_YOUNG | PTE_UFFD_WP))) {
    if (head !== 0) child.resident.uncharge(BLOCK_FRAMES);
    return false;
  }
  parent.replaceHuge(page, shared);
  if (head === 0) return true;
  frames.get(head);
  frames.addCompoundMapcount(head, 1);
  return true;
}
