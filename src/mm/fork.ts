/**
 * Fork: a child address space that shares all pages with its parent until one of them writes. Both entries become
 * read-only and lose the exclusive mark; a page that is pinned for DMA is copied at once, so that the pin goes on seeing
 * the parent's writes.
 *
 * Invariant: the parent's own pages and bytes are as before, also when the fork fails.
 *
 * Counterpart: `dup_mmap`, `copy_page_range` (`kernel/fork.c`, `mm/memory.c`).
 */

import type { AddressSpace } from "./address-space.js";
import { forkAnonVma } from "./anon-vma.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isMigrationEntry,
  isSwapEntry,
  isZeroPageEntry,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "./entry.js";
import { MemoryError } from "./errors.js";
import { restoreExclusiveEntry } from "./exclusive-entry.js";
import { PG_LOCKED } from "./frames.js";
import { exitAddressSpace } from "./mapping.js";
import { blockOf } from "./huge-entry.js";
import { copyHugeEntry } from "./huge-fork.js";
import { assertNotInCallback } from "./notifier.js";
import { TABLE_MASK, TABLE_WORDS } from "./page-table.js";
import { addNewAnonRmap, duplicateRmap } from "./rmap.js";
import { makeEntry, maybeWritable, Vma } from "./vma.js";

/** Nothing to wait for. */
const COPIED = -1;

/** Forks an address space. Waits for locked pages that a device has exclusively. ENOMEM leaves the parent as it was. */
export async function forkAddressSpace(parent: AddressSpace): Promise<AddressSpace> {
  assertNotInCallback();
  for (;;) {
    let locked = COPIED;
    await parent.mmapLock.write();
    try {
      if (parent.exiting) throw new MemoryError("EINVAL", `address space ${parent.id} has exited`);
      locked = restoreExclusiveEntries(parent);
      if (locked === COPIED) return await duplicate(parent);
    } finally {
      parent.mmapLock.writeUnlock();
    }
    await parent.machine.pageLocks.wait(locked);
  }
}

async function duplicate(parent: AddressSpace): Promise<AddressSpace> {
  const child = parent.machine.createAddressSpace();
  for (const vma of parent.vmas) {
    const copy = new Vma(child, vma.start, vma.end, vma.flags, vma.offset, null, vma.file);
    const copied = forkAnonVma(copy, vma);
    if (copied) child.vmas.push(copy);
    if (copied && (vma.anonVma === null || copyPages(vma, copy))) continue;
    if (!copied) copy.unlink();
    await exitAddressSpace(child);
    throw new MemoryError("ENOMEM", `no memory to fork address space ${parent.id}`);
  }
  return child;
}

/** Every exclusive entry becomes present again, and is copied as such; the frame of one whose page is locked, else COPIED. */
function restoreExclusiveEntries(parent: AddressSpace): number {
  for (const vma of parent.vmas) {
    if (vma.anonVma === null) continue;
    parent.notifiers.notify("protection", vma.start, vma.end, null);
    for (let page = vma.start; page < vma.end; page = nextMapped(parent, page + 1, vma.end)) {
      const word = parent.pageTable.read(page);
      if (!isDeviceExclusiveEntry(word)) continue;
      const frame = word >>> PTE_FRAME_SHIFT;
      if ((parent.machine.frames.flags(frame) & PG_LOCKED) !== 0) return frame;
      restoreExclusiveEntry(vma, page, word);
    }
  }
  return COPIED;
}

/** `page`, or the next that lies in a leaf table which exists. */
function nextMapped(mm: AddressSpace, page: number, end: number): number {
  while (page < end && mm.pageTable.leaf(page) === 0) page = (page & ~TABLE_MASK) + TABLE_WORDS;
  return page;
}

/** Copies the entries of one VMA; false when memory ran out. */
function copyPages(from: Vma, to: Vma): boolean {
  const parent = from.mm;
  for (let page = from.start; page < from.end;) {
    const blockEnd = Math.min(from.end, blockOf(page) + TABLE_WORDS);
    if (parent.pageTable.leaf(page) === 0 && parent.pageTable.huge(page) !== 0 && !copyHugeEntry(from, to, page))
      return false;
    if (parent.pageTable.leaf(page) === 0) page = blockEnd;
    for (; page < blockEnd; page++) {
      const word = parent.pageTable.read(page);
      if (word !== 0 && !copyEntry(from, to, page, word)) return false;
    }
  }
  return true;
}

function copyEntry(from: Vma, to: Vma, page: number, word: number): boolean {
  const child = to.mm;
  const { machine } = child;
  if (child.pageTable.ensureLeaf(page) === 0) return false;
  // Userfault write protection goes with the child only where the child is registered, which nobody is.
  if (isZeroPageEntry(word)) {
    child.pageTable.exchange(page, word & ~(PTE_YOUNG | PTE_UFFD_WP));
    return true;
  }
  const frame = word >>> PTE_FRAME_SHIFT;
  if (isSwapEntry(word)) {
    machine.swap?.duplicate(frame);
    from.mm.pageTable.exchange(page, word & ~PTE_EXCLUSIVE);
    child.pageTable.exchange(page, word & ~(PTE_EXCLUSIVE | PTE_UFFD_WP));
    return true;
  }
  const present = (word & PTE_PRESENT) !== 0;
  if (present && (word & PTE_EXCLUSIVE) !== 0 && machine.frames.maybeDmaPinned(frame))
    return copyPinnedPage(to, page, frame);
  if (machine.frames.isAnonymous(frame) && !child.resident.tryCharge(1)) return false;
  let shared = word & ~(PTE_WRITE | PTE_EXCLUSIVE);
  // A writable private entry is made anew as a readable one, and so forgets that it was soft-dirty.
  if (isDevicePrivateEntry(word) && (word & PTE_WRITE) !== 0) shared &= ~PTE_SOFT_DIRTY;
  if (shared !== word) from.mm.pageTable.exchange(page, shared);
  if (!isMigrationEntry(word)) duplicateRmap(machine, frame);
  child.pageTable.exchange(page, shared & ~(PTE_UFFD_WP | (present ? PTE_YOUNG : 0)));
  return true;
}

function copyPinnedPage(to: Vma, page: number, source: number): boolean {
  const { machine, pageTable } = to.mm;
  const frame = machine.host.allocate(0, false);
  if (frame === 0) return false;
  if (!to.mm.tryCharge()) {
    machine.put(frame);
    return false;
  }
  machine.zones.copy(frame, source);
  machine.counters.copiedPinned++;
  addNewAnonRmap(machine, frame, to, page);
  pageTable.exchange(page, maybeWritable(to, makeEntry(to, frame) | PTE_MAKE_DIRTY) | PTE_EXCLUSIVE);
  machine.lru.add(frame);
  return true;
}
