/**
 * What a change of protection does to the entries of a range. An entry that may be written goes through a fault again,
 * unless it is certain that the fault would only set the bit. Counterpart: `change_pte_range`, `can_change_pte_writable`.
 */

import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isMigrationEntry,
  isZeroPageEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
} from "../table/entry.js";
import { protectHugeEntry, splitHugeEntry } from "../huge/huge-entry.js";
import { TABLE_MASK, TABLE_WORDS } from "../table/page-table.js";
import { exchangeWord, storeWord } from "../shared-word.js";
import { isAccessible, makeEntry, VM_SHARED, VM_SOFTDIRTY, VM_WRITE, type Vma } from "./vma.js";

/** Applies the flags that the VMA has now to its entries of pages `[start, end)`. */
export function changeProtection(vma: Vma, start: number, end: number): void {
  const { pageTable, notifiers } = vma.mm;
  let notified = false;
  for (let page = start; page < end;) {
    const blockEnd = Math.min(end, (page & ~TABLE_MASK) + TABLE_WORDS);
    const huge = pageTable.huge(page) !== 0;
    if (!notified && (huge || pageTable.leaf(page) !== 0)) {
      notifiers.notify("protection", page, end, null);
      notified = true;
    }
    if (huge && blockEnd - page === TABLE_WORDS) protectHugeEntry(vma, page);
    else if (huge) splitHugeEntry(vma, page);
    const leaf = pageTable.leaf(page);
    if (leaf !== 0) {
      const words = pageTable.chunkOf(leaf);
      const base = pageTable.baseOf(leaf);
      for (; page < blockEnd; page++) changeEntry(vma, words, base + (page & TABLE_MASK));
    }
    page = blockEnd;
  }
}

function changeEntry(vma: Vma, words: Int32Array, at: number): void {
  const word = words[at];
  if (word === 0) return;
  if ((word & PTE_PRESENT) !== 0) {
    let changed = exchangeWord(words, at, 0) & ~(PTE_WRITE | PTE_NO_ACCESS);
    if (!isAccessible(vma)) changed |= PTE_NO_ACCESS;
    changed |= makeEntry(vma, 0) & PTE_WRITE;
    if (mayWriteAtOnce(vma, changed)) changed |= PTE_WRITE;
    storeWord(words, at, changed);
  } else if (isMigrationEntry(word)) {
    // A writable migration entry becomes readable-exclusive: the page is still this mapping's own.
    const exclusive = vma.mm.machine.frames.isAnonymous(word >>> PTE_FRAME_SHIFT) ? PTE_EXCLUSIVE : 0;
    if ((word & PTE_WRITE) !== 0) words[at] = (word & ~PTE_WRITE) | exclusive;
  } else if ((word & PTE_WRITE) !== 0 && isDevicePrivateEntry(word)) {
    // As in Linux, what was writable loses its soft-dirty mark with the permission.
    words[at] = word & ~(PTE_WRITE | PTE_SOFT_DIRTY);
  } else if (isDeviceExclusiveEntry(word)) {
    words[at] = word & ~PTE_WRITE;
  }
}

function mayWriteAtOnce(vma: Vma, word: number): boolean {
  const tracked = (vma.flags & VM_SOFTDIRTY) === 0;
  return (
    (vma.flags & VM_WRITE) !== 0 &&
    (word & PTE_NO_ACCESS) === 0 &&
    (word & PTE_DIRTY) !== 0 &&
    (!tracked || (word & PTE_SOFT_DIRTY) !== 0) &&
    ((word & PTE_EXCLUSIVE) !== 0 || (vma.flags & VM_SHARED) !== 0) &&
    !isZeroPageEntry(word)
  );
}
