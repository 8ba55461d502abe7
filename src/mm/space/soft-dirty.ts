/**
 * Clearing the soft-dirty bits: every page is write-protected, so that the next write to it is seen and marks it again.
 * A page that is pinned for DMA stays dirty: whoever pinned it may write at any time. Counterpart: `clear_refs_write`,
 * `clear_soft_dirty` in `fs/proc/task_mmu.c`.
 */

import type { AddressSpace } from "./address-space.js";
import {
  isMigrationEntry,
  mapsFrame,
  PTE_DIRTY,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
} from "../table/entry.js";
import { FRAME_SHIFT, INDEX, PG_DIRTY } from "../frames/frames.js";
import { clearHugeSoftDirty, splitHugeEntry } from "../huge/huge-entry.js";
import type { Machine } from "../machine.js";
import { vmasOf } from "../frames/rmap.js";
import { assertNotInCallback } from "./notifier.js";
import { ADDRESS_SPACE_PAGES, TABLE_MASK, TABLE_WORDS } from "../table/page-table.js";
import { exchangeWord, setBitsOfWord, storeWord } from "../shared-word.js";
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

/**
 * The same for pages `[start, end)` only, whoever has them pinned: the caller marks again what a pin may still write. Pages
 * private to a device lose the permission to write as well, so that whoever writes them there asks for it and marks them; and
 * the page, no more the entry, is dirty, since a migration that makes an entry dirty again makes it soft-dirty too.
 * A VMA of which a part is cleared counts page by page from then on.
 */
export async function clearSoftDirtyRange(mm: AddressSpace, start: number, end: number): Promise<void> {
  assertNotInCallback();
  if (!mm.mmapLock.tryWrite()) await mm.mmapLock.write();
  try {
    mm.notifiers.notify("soft-dirty", start, end, null);
    for (const vma of mm.vmas) if (vma.start < end && start < vma.end) vma.flags &= ~VM_SOFTDIRTY;
    forEachWord(mm, start, end, (words, at) => clearWord(mm, words, at));
  } finally {
    mm.mmapLock.writeUnlock();
  }
}

function clearWord({ machine }: AddressSpace, words: Int32Array, at: number): void {
  const word = exchangeWord(words, at, 0);
  const present = (word & PTE_PRESENT) !== 0;
  const aged = present || isMigrationEntry(word) ? PTE_DIRTY : 0;
  if (present && (word & PTE_DIRTY) !== 0)
    machine.frames.setFlags(machine.frames.head(word >>> PTE_FRAME_SHIFT), PG_DIRTY);
  storeWord(words, at, word & ~(PTE_WRITE | PTE_SOFT_DIRTY | aged));
}

/** Marks pages of `[start, end)` that have contents as written. */
export function markSoftDirty(mm: AddressSpace, start: number, end: number): void {
  forEachWord(mm, start, end, (words, at) => setBitsOfWord(words, at, PTE_SOFT_DIRTY));
}

/** Marks a page as written wherever it is mapped: a thread that has let it go found no entry to mark at that moment. */
export function markPageWritten(machine: Machine, frame: number): void {
  machine.frames.setFlags(frame, PG_DIRTY);
  const index = machine.frames.words[(frame << FRAME_SHIFT) + INDEX];
  for (const vma of vmasOf(machine, frame)) {
    const page = vma.pageOfIndex(index);
    const { pageTable } = vma.mm;
    const leaf = page < 0 ? 0 : pageTable.leaf(page);
    if (leaf === 0 || !mapsFrame(pageTable.read(page), frame)) continue;
    setBitsOfWord(pageTable.chunkOf(leaf), pageTable.baseOf(leaf) + (page & TABLE_MASK), PTE_MAKE_DIRTY);
  }
}

/** Calls `found` for each run of pages of `[start, end)` that are marked, in order. */
export function forEachSoftDirtyRun(
  mm: AddressSpace,
  start: number,
  end: number,
  found: (first: number, end: number) => void,
): void {
  const { pageTable } = mm;
  // Marks of threads that found no entry to mark.
  mm.machine.collectLastPuts();
  let first = -1;
  for (let page = start; page < end;) {
    const blockEnd = Math.min(end, (page & ~TABLE_MASK) + TABLE_WORDS);
    const mapped = pageTable.leaf(page) !== 0 || pageTable.huge(page) !== 0;
    for (; page < blockEnd; page++) {
      const dirty = mapped && (pageTable.read(page) & PTE_SOFT_DIRTY) !== 0;
      if (dirty === first >= 0) continue;
      if (!dirty) found(first, page);
      first = dirty ? page : -1;
    }
  }
  if (first >= 0) found(first, end);
}

/** Calls `act` with the place of each entry that is not empty. Huge entries are split: the range counts page by page. */
function forEachWord(mm: AddressSpace, start: number, end: number, act: (words: Int32Array, at: number) => void): void {
  const { pageTable } = mm;
  for (let page = start; page < end;) {
    const blockEnd = Math.min(end, (page & ~TABLE_MASK) + TABLE_WORDS);
    const vma = pageTable.leaf(page) === 0 && pageTable.huge(page) !== 0 ? mm.vmaAt(page) : undefined;
    if (vma !== undefined) splitHugeEntry(vma, page);
    const leaf = pageTable.leaf(page);
    if (leaf !== 0) {
      const words = pageTable.chunkOf(leaf);
      const from = pageTable.baseOf(leaf) + (page & TABLE_MASK);
      for (let at = from; at < from + blockEnd - page; at++) if (words[at] !== 0) act(words, at);
    }
    page = blockEnd;
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
  // Out first, then the look at the pins, so that one without a lock is seen or fails.
  const taken = pageTable.exchange(page, 0);
  const mayBePinned = (vma.flags & VM_SHARED) === 0 && (taken & PTE_WRITE) !== 0;
  const stays = mayBePinned && machine.frames.maybeDmaPinned(taken >>> PTE_FRAME_SHIFT);
  pageTable.exchange(page, stays ? taken : taken & ~(PTE_WRITE | PTE_SOFT_DIRTY));
}
