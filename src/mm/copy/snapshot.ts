/**
 * A snapshot of a range: a second mapping of its pages in the same address space, read-only and copy-on-write, as a fork
 * would have one in another. It maps the same page offsets elsewhere, as a remapped area does, so that the reverse map
 * finds every page of the range in both; faults, pins, migrations and eviction need to know nothing of it.
 *
 * Invariant: the range has the same bytes before and after, also when the snapshot fails; both can be unmapped in any order.
 *
 * Counterpart: none; in Linux a program forks and talks to its child.
 */

import type { AddressSpace } from "../space/address-space.js";
import { forkAnonVma } from "../space/anon-vma.js";
import { PTE_FRAME_SHIFT, PTE_PRESENT } from "../table/entry.js";
import { MemoryError } from "../errors.js";
import { COPIED, copyPages, restoreExclusiveEntries } from "./fork.js";
import { findGap } from "../space/mapping.js";
import { forEachPart, rangeOf } from "../space/mapping-range.js";
import { assertNotInCallback } from "../space/notifier.js";
import { VM_SHARED, VM_SPECIAL, VM_UFFD_FLAGS, VM_WRITE, Vma } from "../space/vma.js";
import { zapRange } from "../space/zap.js";

/**
 * Maps a snapshot of `[address, address + length)`, bytes, both multiples of the page size, and returns its address. Copies
 * no bytes, save of pages that are pinned for DMA. When nobody holds the mmap lock, and no page that a device has for
 * itself is locked, it is done before the call returns.
 *
 * Errors: EINVAL for bounds that are not page-aligned, special or shared mappings; ENOMEM for holes, and for want of
 * addresses, page tables or of memory for pinned pages: nothing is mapped then.
 */
export async function snapshotRange(mm: AddressSpace, address: number, length: number): Promise<number> {
  const { start, end } = rangeOf(mm, address, length);
  assertNotInCallback();
  for (let starved = false; ;) {
    let locked = COPIED;
    if (!mm.mmapLock.tryWrite()) await mm.mmapLock.write();
    try {
      if (mm.exiting) throw new MemoryError("EINVAL", `address space ${mm.id} has exited`);
      const parts = partsOf(mm, start, end);
      locked = restoreExclusiveEntries(mm, start, end);
      const copy = locked === COPIED ? mapCopies(mm, parts, findGap(mm, end - start) - start) : -1;
      if (copy >= 0) return copy * mm.machine.pageSize;
    } finally {
      mm.mmapLock.writeUnlock();
    }
    if (locked !== COPIED) await mm.machine.pageLocks.wait(locked);
    else if (starved || !(await makeRoomForPinned(mm, start, end)))
      throw new MemoryError("ENOMEM", `no memory for a snapshot of ${end - start} pages`);
    else starved = true;
  }
}

interface Part {
  readonly vma: Vma;
  readonly start: number;
  readonly end: number;
}

function partsOf(mm: AddressSpace, start: number, end: number): Part[] {
  const parts: Part[] = [];
  forEachPart(mm, start, end, (vma, from, to) => {
    if ((vma.flags & (VM_SPECIAL | VM_SHARED)) !== 0)
      throw new MemoryError("EINVAL", "a special or a shared mapping has no snapshot");
    parts.push({ vma, start: from, end: to });
  });
  return parts;
}

/** Pages out what has to give way to copies of pinned pages; false when that is not what there is no memory for. */
async function makeRoomForPinned({ machine, pageTable }: AddressSpace, start: number, end: number): Promise<boolean> {
  let pinned = 0;
  for (let page = start; page < end; page++) {
    const word = pageTable.read(page);
    if ((word & PTE_PRESENT) !== 0 && machine.frames.maybeDmaPinned(word >>> PTE_FRAME_SHIFT)) pinned++;
  }
  return machine.host.available < pinned && machine.paging.isPossible && (await machine.paging.makeRoom(pinned));
}

/** Maps each part `distance` pages further; the first page of the whole, -1 when memory ran out. */
function mapCopies(mm: AddressSpace, parts: readonly Part[], distance: number): number {
  const copies: Vma[] = [];
  for (const { vma, start, end } of parts) {
    const offset = vma.offset + (start - vma.start);
    const copy = new Vma(
      mm,
      start + distance,
      end + distance,
      vma.flags & ~(VM_WRITE | VM_UFFD_FLAGS),
      offset,
      null,
      vma.file,
    );
    if (!forkAnonVma(copy, vma)) copy.unlink();
    else {
      mm.vmas.splice(mm.indexAbove(copy.start), 0, copy);
      copies.push(copy);
      if (vma.anonVma === null || copyPages(vma, copy)) continue;
    }
    for (const made of copies) unmap(mm, made);
    return -1;
  }
  return copies[0].start;
}

function unmap(mm: AddressSpace, vma: Vma): void {
  zapRange(mm, vma.start, vma.end);
  mm.vmas.splice(mm.vmas.indexOf(vma), 1);
  vma.unlink();
}
