/**
 * An address space: VMAs in order, the page table under them, the mmap lock, the notifiers, and the count of resident
 * pages, which is also the charge that can fail. Counterpart: `struct mm_struct`.
 */

import { Charge } from "../host/charge.js";
import type { Machine } from "../machine.js";
import { MmapLock } from "./mmap-lock.js";
import { MmuNotifiers } from "./notifier.js";
import { PageTable } from "../table/page-table.js";
import type { UserfaultHandler } from "../fault/userfault.js";
import type { Vma } from "./vma.js";

/** The table by which threads of the process itself reach pages, at addresses of their own. */
export interface ProcessAccess {
  /** The bytes of pages `[start, end)` are in their frames from now on, and no thread reaches them, until the next fault. */
  takeBack(start: number, end: number): void;
}

export class AddressSpace {
  readonly pageTable: PageTable;
  readonly mmapLock: MmapLock;
  readonly notifiers = new MmuNotifiers();
  /** Sorted by start, without overlap. */
  readonly vmas: Vma[] = [];
  /** Resident anonymous pages, in host and device memory alike, as Linux counts and charges them. */
  readonly resident = new Charge(Infinity);
  /** The program's own handler of faults, where VMAs are registered for it. */
  userfault: UserfaultHandler | null = null;
  /** Where threads reach pages beside the engine: who uses the bytes of a page that stays mapped takes it back first. */
  process: ProcessAccess | null = null;
  /** The address space is being torn down: nothing may be inserted (`check_stable_address_space`). */
  exiting = false;

  constructor(
    readonly machine: Machine,
    readonly id: number,
  ) {
    this.pageTable = new PageTable(machine.tables);
    this.mmapLock = new MmapLock(machine.environment);
  }

  /** Index of the first VMA that ends above `page`; `vmas.length` when there is none. */
  indexAbove(page: number): number {
    let low = 0;
    let high = this.vmas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.vmas[middle].end > page) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The VMA that covers the page (`vma_lookup`). */
  vmaAt(page: number): Vma | undefined {
    const vma = this.vmas[this.indexAbove(page)];
    return vma !== undefined && vma.start <= page ? vma : undefined;
  }

  /** May so many more pages be charged to this address space? (`mem_cgroup_charge`) */
  tryCharge(pages = 1): boolean {
    return this.machine.environment.mayAllocate("charge") && this.resident.tryCharge(pages);
  }
}
