/**
 * Clearing the soft-dirty bits: every page is write-protected, so that the next write to it is seen and marks it again.
 * A page that is pinned for DMA stays dirty: whoever pinned it may write at any time. Counterpart: `clear_refs_write`,
 * `clear_soft_dirty` in `fs/proc/task_mmu.c`.
 */

import type { AddressSpace } from "./address-space.js";
import { PTE_FRAME_SHIFT, PTE_PRESENT, PTE_SOFT_DIRTY, PTE_WRITE } from "./entry.js";
import { clearHugeSoftDirty } from "./huge-entry.js";
import { assertNotInCallback } from "./notifier.js";
import { ADDRESS_SPACE_PAGES, TABLE_MASK, TABLE_WORDS } from "./page-table.js";
import { VM_PFNMAP, VM_SHARED, VM_SOFTDIRTY, type Vma } from "./vma.js";

export async function clearSoftDirty(mm: AddressSpace): Promise<void> {
  assertNotInCallback();
  await mm.mmapLock.write();
  try {
    for (const vma of mm.vmas) vma.flags &= ~VM_SOFTDIRTY;
    mm.notifiers.notify("soft-dirty", 0, ADDRESS_SPACE_PAGES, null);
    for (const vma of mm.vmas) if ((vma.flags & VM_PFNMAP) === 0) clearVma(vma);
  } finally {
    mm.mmapLock.writeUnlock();
  }
}

function clearVma(vma: Vma): void {
  const { pageTable } = vma.mm;
  for (let page = vma.start; page < vma.end;) {
    const blockEnd = Math.min(vma.end, (page & ~TABLE_MASK) + TABLE_WORDS);
    if (pageTable.leaf(page) === 0) {
      if (pageTable.huge(page) !== 0) clearHugeSoftDirty(vma, page);
      page = blockEnd;
    }
    for (; page < blockEnd; page++) clearEntry(vma, page);
  }
}

function clearEntry(vma: Vma, page: number): void {
  const { pageTable, machine } = vma.mm;
  const word = pageTable.read(page);
  if (word === 0) return;
  if ((word & PTE_PRESENT) === 0) {
    pageTable.exchange(page, word & ~PTE_SOFT_DIRTY);
    return;
  }
  const shared = (vma.flags & VM_SHARED) !== 0;
  if (!shared && (word & PTE_WRITE) !== 0 && machine.frames.maybeDmaPinned(word >>> PTE_FRAME_SHIFT)) return;
  pageTable.exchange(page, pageTable.exchange(page, 0) & ~(PTE_WRITE | PTE_SOFT_DIRTY));
}
