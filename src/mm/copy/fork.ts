/**
 * Fork: a child address space that shares all pages with its parent until one of them writes. Both entries become
 * read-only and lose the exclusive mark; a page that is pinned for DMA is copied at once, so that the pin goes on seeing
 * the parent's writes.
 *
 * Invariant: the parent's own pages and bytes are as before, also when the fork fails.
 *
 * Counterpart: `dup_mmap`, `copy_page_range` (`kernel/fork.c`, `mm/memory.c`).
 */

import type { AddressSpace } from "../space/address-space.js";
import { forkAnonVma } from "../space/anon-vma.js";
import * as pageTableEntry from "../table/entry.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isMigrationEntry,
  isPoisonMarker,
  isSwapEntry,
  isZeroPageEntry,
} from "../table/entry.js";
import { MemoryError } from "../errors.js";
import { restoreExclusiveEntry } from "../fault/exclusive-entry.js";
import { PG_DIRTY, PG_LOCKED } from "../frames/frames.js";
import { exitAddressSpace } from "../space/mapping.js";
import { splitHugeEntry } from "../huge/huge-entry.js";
import { copyHugeEntry } from "../huge/huge-fork.js";
import { assertNotInCallback } from "../space/notifier.js";
import * as pageTables from "../table/page-table.js";
import { addNewAnonRmap, duplicateRmap } from "../frames/rmap.js";
import { exchangeWord, storeWord } from "../shared-word.js";
import { makeEntry, maybeWritable, VM_UFFD_FLAGS, Vma } from "../space/vma.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const PTE_DIRTY = pageTableEntry.PTE_DIRTY;
const PTE_EXCLUSIVE = pageTableEntry.PTE_EXCLUSIVE;
const PTE_FRAME_SHIFT = pageTableEntry.PTE_FRAME_SHIFT;
const PTE_PRESENT = pageTableEntry.PTE_PRESENT;
const PTE_SOFT_DIRTY = pageTableEntry.PTE_SOFT_DIRTY;
const PTE_UFFD_WP = pageTableEntry.PTE_UFFD_WP;
const PTE_WRITE = pageTableEntry.PTE_WRITE;
const PTE_YOUNG = pageTableEntry.PTE_YOUNG;
const ADDRESS_SPACE_PAGES = pageTables.ADDRESS_SPACE_PAGES;
const TABLE_MASK = pageTables.TABLE_MASK;
const TABLE_WORDS = pageTables.TABLE_WORDS;

/** Nothing to wait for. */
export const COPIED = -1;

/** Forks an address space. Waits for locked pages that a device has exclusively. ENOMEM leaves the parent as it was. */
export async function forkAddressSpace(parent: AddressSpace): Promise<AddressSpace> {
  assertNotInCallback();
  for (;;) {
    let locked = COPIED;
    await parent.mmapLock.write();
    try {
      if (parent.exiting) throw new MemoryError("EINVAL", `address space ${parent.id} has exited`);
      locked = restoreExclusiveEntries(parent, 0, ADDRESS_SPACE_PAGES);
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
    const copy = new Vma(child, vma.start, vma.end, vma.flags & ~VM_UFFD_FLAGS, vma.offset, null, vma.file);
    const copied = forkAnonVma(copy, vma);
    if (copied) child.vmas.push(copy);
    if (copied && (vma.anonVma === null || copyPages(vma, copy))) continue;
    if (!copied) copy.unlink();
    await exitAddressSpace(child);
    throw new MemoryError("ENOMEM", `no memory to fork address space ${parent.id}`);
  }
  return child;
}

/**
 * Every exclusive entry of the VMAs that meet a range becomes present again, and is copied as such; the frame of one whose
 * page is locked, else COPIED.
 */
export function restoreExclusiveEntries(parent: AddressSpace, start: number, end: number): number {
  for (const vma of parent.vmas) {
    if (vma.anonVma === null || vma.end <= start || vma.start >= end) continue;
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

/**
 * Copies the entries of one VMA to those of another, of the same or another address space, that maps the same page offsets
 * or a part of them; false when memory ran out.
 */
export function copyPages(from: Vma, to: Vma): boolean {
  const { pageTable } = from.mm;
  const distance = to.start - to.offset - (from.start - from.offset);
  for (let copy = to.start; copy < to.end;) {
    const page = copy - distance;
    const count = Math.min(to.end - copy, TABLE_WORDS - (page & TABLE_MASK), TABLE_WORDS - (copy & TABLE_MASK));
    if (pageTable.leaf(page) === 0 && pageTable.huge(page) !== 0) {
      if (count < TABLE_WORDS) splitHugeEntry(from, page);
      else if (!copyHugeEntry(from, to, page, copy)) return false;
    }
    const leaf = pageTable.leaf(page);
    if (
      leaf !== 0 &&
      !copyEntries(from, to, copy, pageTable.chunkOf(leaf), pageTable.baseOf(leaf) + (page & TABLE_MASK), count)
    )
      return false;
    copy += count;
  }
  return true;
}

/** Copies `count` entries, from `at` on, to those of `copy` and the pages after it, within one leaf table. */
function copyEntries(from: Vma, to: Vma, copy: number, words: Int32Array, at: number, count: number): boolean {
  const { pageTable } = to.mm;
  let i = 0;
  while (i < count && words[at + i] === 0) i++;
  if (i === count) return true;
  const leaf = pageTable.ensureLeaf(copy);
  if (leaf === 0) return false;
  const copies = pageTable.chunkOf(leaf);
  const copyAt = pageTable.baseOf(leaf) + (copy & TABLE_MASK);
  for (; i < count; i++) {
    if (words[at + i] === 0) continue;
    // What becomes shared is taken out before the look at its pins, so that one without a lock is seen or fails.
    const owned = (words[at + i] & (PTE_WRITE | PTE_EXCLUSIVE)) !== 0;
    const word = owned ? exchangeWord(words, at + i, 0) : words[at + i];
    const copied = copyOf(from, to, copy + i, word);
    // Neither may write a page that both have. One that is pinned is copied instead: its entry stays as it is.
    const stays = copied === 0 || (copied & PTE_EXCLUSIVE) !== 0;
    if (owned) storeWord(words, at + i, stays ? word : sharedEntry(from, to, word));
    if (copied === 0) return false;
    storeWord(copies, copyAt + i, copied);
  }
  return true;
}

/** The entry of the copy, whose mapping is counted; 0 when memory ran out. */
function copyOf(from: Vma, to: Vma, copy: number, word: number): number {
  const child = to.mm;
  const { machine } = child;
  // Userfault write protection goes with the child only where the child is registered, which nobody is.
  if (isZeroPageEntry(word)) return word & ~(PTE_YOUNG | PTE_UFFD_WP);
  if (isPoisonMarker(word)) return word & ~PTE_UFFD_WP;
  const frame = word >>> PTE_FRAME_SHIFT;
  if (isSwapEntry(word)) {
    machine.swap?.duplicate(frame);
    return word & ~(PTE_EXCLUSIVE | PTE_UFFD_WP);
  }
  const present = (word & PTE_PRESENT) !== 0;
  if (present && (word & PTE_EXCLUSIVE) !== 0 && machine.frames.maybeDmaPinned(frame)) {
    // Like any new page that is filled the child's is soft-dirty; a snapshot says what the page was.
    const marks = PTE_DIRTY | PTE_SOFT_DIRTY;
    return copyPinnedPage(to, copy, frame, child === from.mm ? word & marks : marks);
  }
  if (machine.frames.isAnonymous(frame) && !child.resident.tryCharge(1)) return 0;
  if (!isMigrationEntry(word)) duplicateRmap(machine, frame);
  return sharedEntry(from, to, word) & ~(PTE_UFFD_WP | (present ? PTE_YOUNG : 0));
}

/** What becomes of an entry whose page is shared from now on. */
function sharedEntry(from: Vma, to: Vma, word: number): number {
  const shared = word & ~(PTE_WRITE | PTE_EXCLUSIVE);
  // Over a fork a writable private entry is made anew as a readable one, and so forgets that it was soft-dirty.
  const remade = to.mm !== from.mm && isDevicePrivateEntry(word) && (word & PTE_WRITE) !== 0;
  return remade ? shared & ~PTE_SOFT_DIRTY : shared;
}

/** Copies a page that is pinned: the entry of the copy, 0 when memory ran out. */
function copyPinnedPage(to: Vma, page: number, source: number, marks: number): number {
  const { machine } = to.mm;
  const frame = machine.host.allocate(0, false);
  if (frame === 0) return 0;
  if (!to.mm.tryCharge()) {
    machine.put(frame);
    return 0;
  }
  machine.zones.copy(frame, source);
  if ((marks & PTE_DIRTY) === 0) machine.frames.setFlags(frame, PG_DIRTY);
  machine.counters.copiedPinned++;
  addNewAnonRmap(machine, frame, to, page);
  machine.lru.add(frame);
  return maybeWritable(to, makeEntry(to, frame) | marks) | PTE_EXCLUSIVE;
}
