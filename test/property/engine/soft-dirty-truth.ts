/**
 * The truth about soft-dirty: pages that the CPU, or a device in host memory, stored to since the bits were cleared. Each
 * of them is reported as soft-dirty, wherever it moves, until it is given up.
 *
 * Linux does not see some stores, and neither do we. Clearing does not write-protect a page that is private to a device or
 * about to move, nor is a page that was made on a device marked: stores to it, there or where it is writable later, stay
 * unseen. A device page that loses its write permission, by `mprotect` or a fork, forgets that it was written.
 */

import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import {
  isDevicePrivateEntry,
  isMigrationEntry,
  PTE_MAKE_DIRTY,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
} from "../../../src/mm/table/entry.js";

export class SoftDirtyTruth {
  readonly #mm: AddressSpace;
  readonly #written = new Set<number>();
  /** Pages that may be stored to without anybody noticing. */
  readonly #unseen = new Set<number>();

  constructor(mm: AddressSpace) {
    this.#mm = mm;
  }

  get size(): number {
    return this.#written.size;
  }

  stored(page: number): void {
    if (!this.#unseen.has(page) && (this.#word(page) & PTE_PRESENT) !== 0) this.#written.add(page);
  }

  /** The bits are about to be cleared; pages for which `keeps` holds stay as they are, writable. */
  clearing(pages: Iterable<number>, keeps: (page: number) => boolean): void {
    for (const page of this.#written) if (!keeps(page)) this.#written.delete(page);
    for (const page of pages) {
      const word = this.#word(page);
      if ((word & PTE_PRESENT) === 0 && isUnprotected(word)) this.#unseen.add(page);
      else if ((word & PTE_PRESENT) !== 0 && !keeps(page)) this.#unseen.delete(page);
    }
  }

  /** Pages `[start, end)` are about to lose permissions. */
  protecting(start: number, end: number): void {
    for (const page of this.#written) {
      const word = this.#word(page);
      if (page >= start && page < end && isDevicePrivateEntry(word) && (word & PTE_WRITE) !== 0)
        this.#written.delete(page);
    }
  }

  givenUp(start: number, end: number): void {
    for (const page of this.#written) if (page >= start && page < end) this.#written.delete(page);
  }

  inherit(parent: SoftDirtyTruth): void {
    for (const page of parent.#written) this.#written.add(page);
    for (const page of parent.#unseen) this.#unseen.add(page);
  }

  /** Looks at the pages of the address space; the written ones that are not reported. */
  *lost(pages: Iterable<number>): Generator<number> {
    for (const page of pages) {
      const word = this.#word(page);
      if ((word & PTE_SOFT_DIRTY) !== 0) continue;
      if (this.#written.has(page)) yield page;
      if (isUnprotected(word)) this.#unseen.add(page);
    }
  }

  #word(page: number): number {
    return this.#mm.pageTable.read(page);
  }
}

/** May the page be stored to without a fault, now or when it becomes present again, although nothing marked it yet? */
function isUnprotected(word: number): boolean {
  if ((word & PTE_WRITE) === 0) return false;
  if ((word & PTE_PRESENT) !== 0) return (word & PTE_MAKE_DIRTY) === 0;
  return isDevicePrivateEntry(word) || isMigrationEntry(word);
}
