/**
 * The system calls that change mappings: map, unmap, protect, advise. Addresses and lengths are bytes and multiples of
 * the page size. Each takes the mmap lock for writing (`dontNeed` for reading, as in Linux) and is otherwise synchronous.
 *
 * Errors: EINVAL for bounds that are not page-aligned, ENOMEM for a range beyond the address space, or with parts that
 * are not mapped; like Linux, `protect` and `advise` have then acted on the mapped parts.
 *
 * Counterpart: `mm/mmap.c`, `mm/mprotect.c`, `mm/madvise.c`.
 */

import type { AddressSpace } from "./address-space.js";
import { MemoryError } from "../errors.js";
import type { HomeRange } from "../host/home-range.js";
import { blockOf } from "../huge/huge-entry.js";
import { TRANSPARENT_HUGE_PAGES } from "../huge/transparent.js";
import { forEachPart, pagesOf, rangeOf, unmapped } from "./mapping-range.js";
import { assertNotInCallback } from "./notifier.js";
import type { PageCache } from "../file/page-cache.js";
import { ADDRESS_SPACE_PAGES, TABLE_WORDS } from "../table/page-table.js";
import { changeProtection } from "./protect.js";
import {
  PROT_READ,
  PROT_WRITE,
  VM_ACCESS_FLAGS,
  VM_HUGEPAGE,
  VM_NOHUGEPAGE,
  VM_SHARED,
  VM_SOFTDIRTY,
  VM_SPECIAL,
  Vma,
} from "./vma.js";
import { mergeVma, splitVma } from "./vma-merge.js";
import { zapRange } from "./zap.js";

export interface MapOptions {
  /** Bytes; a multiple of the page size. */
  length: number;
  /** Address in bytes; what is mapped there is unmapped first (`MAP_FIXED`). Default: a free place. */
  address?: number;
  /** PROT_READ, PROT_WRITE, PROT_EXEC or 0. Default: read and write. */
  protection?: number;
  /** Reserved host frames for the pages; as many as the mapping has. */
  home?: HomeRange;
  /** Further VM_ flags, such as VM_PFNMAP of a device's registers: such a mapping has no pages of ours. Not VM_HUGEPAGE. */
  flags?: number;
  /** A file or shared memory object to map, and the offset in it, in bytes. Default: anonymous memory. */
  file?: PageCache;
  offset?: number;
  /** Whether others who map the object see what is written here (`MAP_SHARED`). Default false. */
  shared?: boolean;
}

/**
 * Maps anonymous private memory, or a file or shared memory object, and returns the address. EINVAL also for shared memory
 * without an object, and for an offset that is not page-aligned or beyond the object.
 */
export async function mmap(mm: AddressSpace, options: MapOptions): Promise<number> {
  const { length, protection = PROT_READ | PROT_WRITE, home = null, file = null, shared = false } = options;
  const flags = protection | (options.flags ?? 0) | (shared ? VM_SHARED : 0);
  const pages = pagesOf(mm, length, "length");
  if (pages === 0) throw new MemoryError("EINVAL", "a mapping of length 0 has no pages");
  if (home !== null && home.pages !== pages) {
    throw new MemoryError("EINVAL", `a home range of ${home.pages} pages does not fit a mapping of ${pages}`);
  }
  checkProtection(protection);
  if ((flags & VM_HUGEPAGE) !== 0)
    throw new MemoryError("EINVAL", "VM_HUGEPAGE is no flag to map with: ask for huge pages by madvise");
  checkObject(mm, options, pages);
  if (options.address !== undefined) rangeOf(mm, options.address, length);
  return writing(mm, () => {
    if (home !== null && home.page >= 0) {
      throw new MemoryError("EINVAL", `a home range that is mapped at page ${home.page} cannot be mapped again`);
    }
    const start = options.address === undefined ? findGap(mm, pages) : pagesOf(mm, options.address, "address");
    const end = start + pages;
    unmapPages(mm, start, end);
    if (home !== null) home.page = start;
    const offset = file === null ? start : (options.offset ?? 0) / mm.machine.pageSize;
    const merged = mergeVma(mm, { start, end, flags, offset, anonVma: null, home, file }, null);
    if (merged !== null) merged.flags |= VM_SOFTDIRTY;
    else mm.vmas.splice(mm.indexAbove(start), 0, new Vma(mm, start, end, flags | VM_SOFTDIRTY, offset, home, file));
    return start * mm.machine.pageSize;
  });
}

export async function munmap(mm: AddressSpace, address: number, length: number): Promise<void> {
  const { start, end } = rangeOf(mm, address, length);
  await writing(mm, () => unmapPages(mm, start, end));
}

export async function mprotect(mm: AddressSpace, address: number, length: number, protection: number): Promise<void> {
  const { start, end } = rangeOf(mm, address, length);
  checkProtection(protection);
  await writing(mm, () => {
    let page = start;
    while (page < end) {
      const vma = mm.vmaAt(page);
      if (vma === undefined) throw unmapped(mm, page);
      const partEnd = Math.min(vma.end, end);
      const flags = (vma.flags & ~VM_ACCESS_FLAGS) | protection;
      if (flags !== vma.flags) {
        const changed = changeFlags(mm, vma, page, partEnd, flags);
        changeProtection(changed, page, partEnd);
      }
      page = partEnd;
    }
  });
}

export type Advice = "hugepage" | "nohugepage";

/** Asks for or against huge pages; only a flag, but one that keeps VMAs apart. */
export async function madvise(mm: AddressSpace, address: number, length: number, advice: Advice): Promise<void> {
  const { start, end } = rangeOf(mm, address, length);
  const set = advice === "hugepage" ? VM_HUGEPAGE : VM_NOHUGEPAGE;
  if (advice === "hugepage") mm.machine.hugePages = TRANSPARENT_HUGE_PAGES;
  await writing(mm, () => {
    forEachPart(mm, start, end, (vma, from, to) => {
      const flags = (vma.flags & ~(VM_HUGEPAGE | VM_NOHUGEPAGE)) | set;
      if (flags !== vma.flags) changeFlags(mm, vma, from, to, flags);
    });
  });
}

/** Gives the pages of a range up; the next access finds zeros (`MADV_DONTNEED`). */
export async function dontNeed(mm: AddressSpace, address: number, length: number): Promise<void> {
  const { start, end } = rangeOf(mm, address, length);
  assertNotInCallback();
  await mm.mmapLock.read();
  try {
    forEachPart(mm, start, end, (vma, from, to) => {
      if ((vma.flags & VM_SPECIAL) !== 0)
        throw new MemoryError("EINVAL", "a special mapping cannot be given up page by page");
      mm.notifiers.notify("clear", from, to, null);
      zapRange(mm, from, to);
    });
  } finally {
    mm.mmapLock.readUnlock();
  }
}

/** The process is gone: its mappings, page tables and notifiers with it (`exit_mmap`). */
export async function exitAddressSpace(mm: AddressSpace): Promise<void> {
  await writing(mm, () => {
    mm.exiting = true;
    mm.notifiers.notify("release", 0, ADDRESS_SPACE_PAGES, null);
    while (mm.vmas.length > 0) {
      const vma = mm.vmas[mm.vmas.length - 1];
      zapRange(mm, vma.start, vma.end);
      mm.vmas.pop();
      vma.unlink();
    }
    mm.pageTable.destroy();
    mm.machine.addressSpaces.delete(mm);
  });
}

export async function writing<T>(mm: AddressSpace, change: () => T): Promise<T> {
  assertNotInCallback();
  await mm.mmapLock.write();
  try {
    if (mm.exiting) throw new MemoryError("EINVAL", `address space ${mm.id} has exited`);
    return change();
  } finally {
    mm.mmapLock.writeUnlock();
  }
}

/** Gives pages `[start, end)` of one VMA new flags, by merging with a neighbour or else by splitting. */
export function changeFlags(mm: AddressSpace, vma: Vma, start: number, end: number, flags: number): Vma {
  const offset = vma.offset + (start - vma.start);
  const merged = mergeVma(mm, { start, end, flags, offset, anonVma: vma.anonVma, home: vma.home, file: vma.file }, vma);
  if (merged !== null) {
    // Soft-dirty, the one flag in which the two may differ, is from now on that of the part that changed, as in Linux.
    merged.flags = flags;
    return merged;
  }
  const changed = start > vma.start ? splitVma(vma, start) : vma;
  if (end < changed.end) splitVma(changed, end);
  changed.flags = flags;
  return changed;
}

export function unmapPages(mm: AddressSpace, start: number, end: number): void {
  const first = mm.vmaAt(start);
  if (first !== undefined && first.start < start) splitVma(first, start);
  const last = mm.vmaAt(end - 1);
  if (last !== undefined && last.end > end) splitVma(last, end);
  const from = mm.indexAbove(start);
  const to = mm.indexAbove(end);
  if (from === to) return;
  mm.notifiers.notify("unmap", start, end, null);
  for (const vma of mm.vmas.slice(from, to)) zapRange(mm, vma.start, vma.end);
  for (const vma of mm.vmas.splice(from, to - from)) vma.unlink();
  freeTables(mm, start, end);
}

/** Takes the leaf tables of blocks in which nothing is mapped any more away (`free_pgtables`). */
export function freeTables(mm: AddressSpace, start: number, end: number): void {
  for (let first = blockOf(start); first < end; first += TABLE_WORDS) {
    const vma = mm.vmas[mm.indexAbove(first)];
    if (vma === undefined || vma.start >= first + TABLE_WORDS) mm.pageTable.detachLeaf(first);
  }
}

/** The lowest free place at a block's start, with a block of distance, so that mappings never merge by accident. */
export function findGap(mm: AddressSpace, pages: number): number {
  let start = TABLE_WORDS;
  for (const vma of mm.vmas) {
    if (vma.start - start >= pages + TABLE_WORDS) break;
    start = Math.max(start, (Math.ceil(vma.end / TABLE_WORDS) + 1) * TABLE_WORDS);
  }
  if (start + pages > ADDRESS_SPACE_PAGES) {
    throw new MemoryError(
      "ENOMEM",
      `no free place for ${pages} pages in an address space of ${ADDRESS_SPACE_PAGES} pages`,
    );
  }
  return start;
}

function checkObject(mm: AddressSpace, { file, offset = 0, shared = false, home }: MapOptions, pages: number): void {
  if (file === undefined) {
    if (shared) throw new MemoryError("EINVAL", "a shared mapping needs an object to share");
    return;
  }
  if (home !== undefined && shared) throw new MemoryError("EINVAL", "shared pages of an object have no home range");
  const first = pagesOf(mm, offset, "offset");
  if (first + pages > file.length) {
    throw new MemoryError(
      "EINVAL",
      `pages ${first} to ${first + pages} are not within the ${file.length} of the object`,
    );
  }
}

function checkProtection(protection: number): void {
  if ((protection & ~VM_ACCESS_FLAGS) !== 0 || !Number.isInteger(protection)) {
    throw new MemoryError("EINVAL", `protection ${protection} is not made of PROT_READ, PROT_WRITE and PROT_EXEC`);
  }
}
