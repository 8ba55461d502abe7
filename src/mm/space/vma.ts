/**
 * A virtual memory area: pages `[start, end)` of an address space with one set of flags; and the anon_vma, the root from
 * which all mappings of an anonymous page are found.
 *
 * Invariants: a VMA is in `vmas` of exactly the anon_vmas of its chain; an anon_vma's number is never used again, so a
 * page that outlives its mappings finds none of a stranger.
 *
 * Counterpart: `struct vm_area_struct`, `struct anon_vma`, `struct anon_vma_chain`, `include/linux/mm.h` (flags).
 */

import type { AddressSpace } from "./address-space.js";
import * as pageTableEntry from "../table/entry.js";
import type { HomeRange } from "../host/home-range.js";
import type { PageCache } from "../file/page-cache.js";
import { insertByOffset } from "./vma-order.js";
import * as vmaFlags from "./vma-flags.js";

export * from "./vma-flags.js";

// A module's own constants become part of its code; imported and exported ones are looked up at every use.
const PTE_FRAME_SHIFT = pageTableEntry.PTE_FRAME_SHIFT;
const PTE_NO_ACCESS = pageTableEntry.PTE_NO_ACCESS;
const PTE_PRESENT = pageTableEntry.PTE_PRESENT;
const PTE_WRITE = pageTableEntry.PTE_WRITE;
const PTE_YOUNG = pageTableEntry.PTE_YOUNG;
const VM_WRITE = vmaFlags.VM_WRITE;
const VM_SHARED = vmaFlags.VM_SHARED;
const VM_PFNMAP = vmaFlags.VM_PFNMAP;
const VM_IO = vmaFlags.VM_IO;
const VM_SOFTDIRTY = vmaFlags.VM_SOFTDIRTY;
const VM_MIXEDMAP = vmaFlags.VM_MIXEDMAP;
const VM_ACCESS_FLAGS = vmaFlags.VM_ACCESS_FLAGS;

export class AnonVma {
  /** All VMAs, of any address space, that may map pages of this root: by offset, then in the order of linking. */
  readonly vmas: Vma[] = [];
  /** The root that this one was forked from; itself for a first one. */
  readonly parent: AnonVma;
  /** Roots forked from this one, and 1 of a first one for itself. */
  children: number;
  /** VMAs whose own root this is: whose new pages belong to it. */
  activeVmas = 0;

  constructor(
    readonly id: number,
    parent: AnonVma | null,
  ) {
    this.parent = parent ?? this;
    this.children = parent === null ? 1 : 0;
    if (parent !== null) parent.children++;
  }
}

export class Vma {
  anonVma: AnonVma | null = null;
  /** The roots through which pages of this VMA may be found; longer than one only after a fork. */
  chain: AnonVma[] = [];

  constructor(
    readonly mm: AddressSpace,
    public start: number,
    public end: number,
    public flags: number,
    /** Page offset of `start` in what is mapped; of anonymous memory the page number where it first lay. */
    public offset: number,
    /** Where the host pages of this VMA live when nothing is in the way. */
    readonly home: HomeRange | null,
    /** What is mapped, null for anonymous memory. */
    readonly file: PageCache | null = null,
  ) {
    file?.link(this);
  }

  /** Is it private memory without a file or a device behind it? */
  get anonymous(): boolean {
    return this.file === null && (this.flags & (VM_SHARED | VM_IO | VM_PFNMAP | VM_MIXEDMAP)) === 0;
  }

  /** The page offset that the VMA maps at `page`. */
  indexOf(page: number): number {
    return this.offset + (page - this.start);
  }

  /** The page number at which the VMA maps page offset `index`, -1 when it does not. */
  pageOfIndex(index: number): number {
    const page = this.start + (index - this.offset);
    return page >= this.start && page < this.end ? page : -1;
  }

  linkAnonVma(anonVma: AnonVma): void {
    this.chain.push(anonVma);
    insertByOffset(anonVma.vmas, this);
  }

  /** Moves the ends. Like any change of a VMA, it puts the VMA behind the others of the same offset in its roots. */
  resize(start: number, end: number): void {
    this.offset += start - this.start;
    this.start = start;
    this.end = end;
    for (const anonVma of this.chain) reinsert(anonVma.vmas, this);
    if (this.file !== null) reinsert(this.file.vmas, this);
  }

  /** Makes a root, which is linked, the one that new pages of this VMA belong to. */
  ownAnonVma(anonVma: AnonVma): void {
    this.anonVma = anonVma;
    anonVma.activeVmas++;
  }

  /** Joins every root that `other` is linked to, as a split or a merge does. */
  cloneAnonVma(other: Vma): void {
    for (const anonVma of other.chain) this.linkAnonVma(anonVma);
    if (other.anonVma !== null) this.ownAnonVma(other.anonVma);
  }

  /** The VMA is gone: its roots and what it mapped know it no more. */
  unlink(): void {
    this.unlinkAnonVmas();
    this.file?.unlink(this);
  }

  unlinkAnonVmas(): void {
    if (this.anonVma !== null) this.anonVma.activeVmas--;
    this.anonVma = null;
    for (const anonVma of this.chain) {
      anonVma.vmas.splice(anonVma.vmas.indexOf(this), 1);
      if (anonVma.vmas.length > 0) continue;
      anonVma.parent.children--;
      this.mm.machine.forgetAnonVma(anonVma);
    }
    this.chain = [];
  }
}

function reinsert(vmas: Vma[], vma: Vma): void {
  vmas.splice(vmas.indexOf(vma), 1);
  insertByOffset(vmas, vma);
}

/** May the mapping be accessed at all? (`vma_is_accessible`) */
export function isAccessible(vma: Vma): boolean {
  return (vma.flags & VM_ACCESS_FLAGS) !== 0;
}

const WRITES_UNNOTICED = VM_SHARED | VM_WRITE | VM_SOFTDIRTY;

/**
 * A present entry of `frame` with what follows from the VMA alone (`mk_pte`): readable unless it forbids all access;
 * writable only in a shared mapping whose writes nobody wants to notice, because all of it counts as soft-dirty.
 */
export function makeEntry(vma: Vma, frame: number): number {
  const access = isAccessible(vma) ? 0 : PTE_NO_ACCESS;
  const write = (vma.flags & WRITES_UNNOTICED) === WRITES_UNNOTICED ? PTE_WRITE : 0;
  return (frame << PTE_FRAME_SHIFT) | PTE_PRESENT | PTE_YOUNG | access | write;
}

/** Makes an entry writable if the VMA allows it (`maybe_mkwrite`). */
export function maybeWritable(vma: Vma, word: number): number {
  return (vma.flags & VM_WRITE) === 0 ? word : word | PTE_WRITE;
}
