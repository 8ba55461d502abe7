/**
 * Faults that a program handles itself: pages of a range that are missing, or that were protected against writes one by
 * one. The fault waits, without the mmap lock, until the program's handler has settled, and tries again; the handler fills
 * the page, or takes its protection away.
 *
 * Invariant: an entry is marked as write-protected only where the VMA is registered for that, and then cannot be written.
 *
 * Counterpart: `fs/userfaultfd.c`, `mm/userfaultfd.c` (`mcopy_atomic`, `mwriteprotect_range`).
 */

import type { AddressSpace } from "../space/address-space.js";
import { prepareAnonVma } from "../space/anon-vma.js";
import {
  isMigrationEntry,
  PTE_EXCLUSIVE,
  PTE_MAKE_DIRTY,
  PTE_PRESENT,
  PTE_UFFD_WP,
  PTE_WRITE,
} from "../table/entry.js";
import { MemoryError } from "../errors.js";
import { homeFrameOf } from "../host/home-range.js";
import { blockOf, splitHugeEntry } from "../huge/huge-entry.js";
import { changeFlags, writing } from "../space/mapping.js";
import { rangeOf } from "../space/mapping-range.js";
import { assertNotInCallback } from "../space/notifier.js";
import { TABLE_WORDS } from "../table/page-table.js";
import { addNewAnonRmap } from "../frames/rmap.js";
import { makeEntry, maybeWritable, VM_UFFD_FLAGS, VM_UFFD_MISSING, VM_UFFD_WP, type Vma } from "../space/vma.js";

/** An access that waits for the program. */
export interface Userfault {
  readonly mm: AddressSpace;
  /** Page number of the access. */
  readonly page: number;
  readonly write: boolean;
  readonly kind: "missing" | "write-protected";
}

/** Settles when the access may be tried again; a rejection makes it fail. */
export type UserfaultHandler = (fault: Userfault) => Promise<void>;

export interface UserfaultModes {
  /** Faults on pages that are not there. */
  readonly missing?: boolean;
  /** Writes to pages that `writeProtect` protected. */
  readonly writeProtected?: boolean;
}

/**
 * Registers a range of private anonymous memory, bytes and page-aligned, for one mode or both (UFFDIO_REGISTER). An address
 * space has one handler.
 *
 * Errors: EINVAL for no mode, unaligned bounds, mappings that are not private anonymous memory; EBUSY for another handler
 * than the one that is registered; ENOMEM for holes. Nothing is registered then.
 */
export async function registerUserfault(
  mm: AddressSpace,
  address: number,
  length: number,
  modes: UserfaultModes,
  handler: UserfaultHandler,
): Promise<void> {
  const { start, end } = rangeOf(mm, address, length);
  const asked = (modes.missing === true ? VM_UFFD_MISSING : 0) | (modes.writeProtected === true ? VM_UFFD_WP : 0);
  if (asked === 0) throw new MemoryError("EINVAL", "a userfault range needs a mode: missing or writeProtected");
  await writing(mm, () => {
    if (mm.userfault !== null && mm.userfault !== handler)
      throw new MemoryError("EBUSY", `address space ${mm.id} has another userfault handler`);
    checkAnonymous(mm, start, end);
    mm.userfault = handler;
    forEachVma(mm, start, end, (vma, from, to) => {
      const flags = (vma.flags & ~VM_UFFD_FLAGS) | asked;
      if (flags !== vma.flags) changeFlags(mm, vma, from, to, flags);
    });
  });
}

/** Ends the registration of a range; its pages lose their protection. Errors: EINVAL for unaligned bounds, ENOMEM for holes. */
export async function unregisterUserfault(mm: AddressSpace, address: number, length: number): Promise<void> {
  const { start, end } = rangeOf(mm, address, length);
  await writing(mm, () => {
    checkAnonymous(mm, start, end);
    forEachVma(mm, start, end, (vma, from, to) => {
      if ((vma.flags & VM_UFFD_FLAGS) === 0) return;
      if ((vma.flags & VM_UFFD_WP) !== 0) protectPages(vma, from, to, false);
      changeFlags(mm, vma, from, to, vma.flags & ~VM_UFFD_FLAGS);
    });
    if (mm.vmas.every((vma) => (vma.flags & VM_UFFD_FLAGS) === 0)) mm.userfault = null;
  });
}

/**
 * Protects the pages of a registered range that have contents against writes, or no longer (UFFDIO_WRITEPROTECT). A page
 * whose protection ends becomes writable by a fault.
 *
 * Errors: EINVAL for unaligned bounds, ENOENT for a range that is not registered for it: nothing has changed then.
 */
export async function writeProtect(
  mm: AddressSpace,
  address: number,
  length: number,
  isProtected: boolean,
): Promise<void> {
  const { start, end } = rangeOf(mm, address, length);
  await reading(mm, () => {
    checkRegistered(mm, start, end, VM_UFFD_WP);
    forEachVma(mm, start, end, (vma, from, to) => protectPages(vma, from, to, isProtected));
  });
}

/**
 * Fills pages that are missing with bytes, a whole number of pages (UFFDIO_COPY); null for one page of zeros that takes no
 * memory (UFFDIO_ZEROPAGE).
 *
 * Errors: EINVAL for bounds that are not page-aligned, ENOENT for a range that is not registered, EEXIST for a page that is
 * there already, ENOMEM: pages before it have been filled.
 */
export async function fillMissing(mm: AddressSpace, address: number, bytes: Uint8Array | null): Promise<void> {
  const { pageSize } = mm.machine;
  const { start, end } = rangeOf(mm, address, bytes?.byteLength ?? pageSize);
  await reading(mm, () => {
    checkRegistered(mm, start, end, VM_UFFD_FLAGS);
    for (let page = start; page < end; page++) {
      const from = (page - start) * pageSize;
      fillPage(vmaOf(mm, page), page, bytes?.subarray(from, from + pageSize) ?? null);
    }
  });
}

function fillPage(vma: Vma, page: number, bytes: Uint8Array | null): void {
  const { mm } = vma;
  const { machine, pageTable } = mm;
  if (pageTable.read(page) !== 0) throw new MemoryError("EEXIST", `page ${page} is there already`);
  const none = new MemoryError("ENOMEM", `no memory for page ${page} of a userfault`);
  if (pageTable.ensureLeaf(page) === 0) throw none;
  if (bytes === null) {
    pageTable.exchange(page, makeEntry(vma, 0));
    return;
  }
  const frame = prepareAnonVma(vma) ? machine.host.allocate(homeFrameOf(vma.home, page), false) : 0;
  if (frame === 0) throw none;
  if (!mm.tryCharge()) {
    machine.put(frame);
    throw none;
  }
  machine.zones.bytes(frame).set(bytes);
  addNewAnonRmap(machine, frame, vma, page);
  pageTable.exchange(page, maybeWritable(vma, makeEntry(vma, frame) | PTE_MAKE_DIRTY) | PTE_EXCLUSIVE);
  machine.lru.add(frame);
}

/** Marks or unmarks the entries of pages `[start, end)`; a part of a huge page by itself. */
function protectPages(vma: Vma, start: number, end: number, isProtected: boolean): void {
  const { pageTable, notifiers } = vma.mm;
  let notified = false;
  for (let page = start; page < end;) {
    const blockEnd = Math.min(end, blockOf(page) + TABLE_WORDS);
    const huge = pageTable.huge(page);
    if (!notified && (huge !== 0 || pageTable.leaf(page) !== 0)) {
      notifiers.notify("protection", page, end, null);
      notified = true;
    }
    if (huge !== 0 && blockEnd - page === TABLE_WORDS) pageTable.replaceHuge(page, marked(huge, isProtected));
    else if (huge !== 0) splitHugeEntry(vma, page);
    if (pageTable.leaf(page) === 0) page = blockEnd;
    for (; page < blockEnd; page++) {
      if (pageTable.read(page) !== 0) pageTable.exchange(page, marked(pageTable.exchange(page, 0), isProtected));
    }
  }
}

/** An entry of any kind with or without the mark. One that is marked cannot be written; a migration entry stays its owner's. */
function marked(word: number, isProtected: boolean): number {
  if (!isProtected) return word & ~PTE_UFFD_WP;
  const owned = isMigrationEntry(word) && (word & PTE_WRITE) !== 0 ? PTE_EXCLUSIVE : 0;
  return (word & ~PTE_WRITE) | PTE_UFFD_WP | owned;
}

/** What the program has to see to before the access can go on; null when that is not its business. */
export function userfaultOf(vma: Vma, word: number, write: boolean): Userfault["kind"] | null {
  if ((vma.flags & VM_UFFD_FLAGS) === 0) return null;
  if (word === 0) return (vma.flags & VM_UFFD_MISSING) === 0 ? null : "missing";
  const needed = PTE_PRESENT | PTE_UFFD_WP;
  return write && (vma.flags & VM_UFFD_WP) !== 0 && (word & needed) === needed ? "write-protected" : null;
}

function checkAnonymous(mm: AddressSpace, start: number, end: number): void {
  for (let page = start; page < end;) {
    const vma = mm.vmaAt(page);
    if (vma === undefined) throw new MemoryError("ENOMEM", `page ${page} is not mapped`);
    if (!vma.anonymous) throw new MemoryError("EINVAL", `page ${page} is not private anonymous memory`);
    page = vma.end;
  }
}

function checkRegistered(mm: AddressSpace, start: number, end: number, flags: number): void {
  for (let page = start; page < end; page = vmaOf(mm, page).end) {
    if (((mm.vmaAt(page)?.flags ?? 0) & flags) === 0)
      throw new MemoryError("ENOENT", `page ${page} is not registered for that kind of userfault`);
  }
}

function vmaOf(mm: AddressSpace, page: number): Vma {
  const vma = mm.vmaAt(page);
  if (vma === undefined) throw new MemoryError("ENOENT", `page ${page} is not mapped`);
  return vma;
}

/** Calls `act` for the part of each VMA in a range without holes; VMAs may be split and merged on the way. */
function forEachVma(
  mm: AddressSpace,
  start: number,
  end: number,
  act: (vma: Vma, from: number, to: number) => void,
): void {
  for (let page = start; page < end;) {
    const vma = vmaOf(mm, page);
    const to = Math.min(vma.end, end);
    act(vma, page, to);
    page = to;
  }
}

async function reading(mm: AddressSpace, act: () => void): Promise<void> {
  assertNotInCallback();
  await mm.mmapLock.read();
  try {
    act();
  } finally {
    mm.mmapLock.readUnlock();
  }
}
