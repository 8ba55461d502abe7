/**
 * How a page that a device has for itself comes back to the CPU: by a fault, or because its process forks. Counterpart:
 * `restore_exclusive_pte`.
 */

import {
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "../table/entry.js";
import { FRAME_SHIFT, MAPCOUNT } from "../frames/frames.js";
import { makeEntry, maybeWritable, type Vma } from "../space/vma.js";

/** Puts a present entry in the place of an exclusive one, whose reference it takes over. The notifiers have been told. */
export function restoreExclusiveEntry(vma: Vma, page: number, word: number): void {
  const { machine, pageTable } = vma.mm;
  const frame = word >>> PTE_FRAME_SHIFT;
  let restored = (makeEntry(vma, frame) & ~PTE_YOUNG) | (word & (PTE_SOFT_DIRTY | PTE_EXCLUSIVE));
  if ((word & PTE_UFFD_WP) !== 0) restored |= PTE_UFFD_WP;
  else if ((word & PTE_WRITE) !== 0) restored = maybeWritable(vma, restored | PTE_MAKE_DIRTY);
  machine.frames.words[(frame << FRAME_SHIFT) + MAPCOUNT]++;
  pageTable.exchange(page, restored);
}
