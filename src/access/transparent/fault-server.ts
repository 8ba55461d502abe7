/**
 * Answers faults of the process: what the engine's entries allow is entered at once; what has to come from the device, from swap or
 * from a file is brought first.
 *
 * Invariants: every fault ends in an entry, which wakes who waits for it, in a wake, or in the end of the process. What is done is
 * decided by what the entries say then, so a fault may be told of any number of times. Nothing waits between the last look at an
 * entry and its entering.
 *
 * Counterpart: `arch/x86/mm/fault.c`; the program's side of `fs/userfaultfd.c`.
 */

import type { AttachedDevice } from "../../device/attached-device.js";
import { FAULT_DONE, FAULT_WRITE, handleFault } from "../../mm/fault/fault.js";
import { MemoryError } from "../../mm/errors.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { VM_WRITE } from "../../mm/space/vma.js";
import { bringHome, faultHost } from "../host-access.js";
import { Readahead } from "../readahead.js";
import type { ProcessTable, ViewedPages } from "./process-table.js";

/** What the server needs of who runs the engine. */
export interface FaultSurroundings {
  readonly mm: AddressSpace;
  /** The device, which may become another one. */
  readonly attached: () => AttachedDevice;
  /** Runs what waits for pages with no operation in between. */
  readonly alone: (work: () => Promise<void>) => Promise<void>;
  /** An access cannot be answered: ends the process. `page` counts from the view's first. */
  readonly fail: (view: ViewedPages, page: number, write: boolean, error: unknown) => never;
}

export class FaultServer {
  /** Faults that were answered, and pages that came with them. */
  served = 0;
  entered = 0;
  readonly #table: ProcessTable;
  readonly #surroundings: FaultSurroundings;
  readonly #pageSize: number;
  readonly #readaheads = new Map<ViewedPages, Readahead>();
  /** Pages that are being brought. */
  readonly #pending = new Map<ViewedPages, Set<number>>();

  constructor(table: ProcessTable, surroundings: FaultSurroundings) {
    this.#table = table;
    this.#surroundings = surroundings;
    this.#pageSize = surroundings.mm.machine.pageSize;
  }

  /** A thread waits for an access at an address of a window. */
  answer(address: number, write: boolean): void {
    const view = this.#table.find(address);
    // The array was destroyed since.
    if (view === undefined) return;
    const index = Math.floor((address - view.window.address) / this.#pageSize);
    try {
      if (this.#table.allows(view, index, write)) return this.#wake(view, index);
      const readahead = this.#readaheadOf(view);
      if (this.#prepare(view, index, write)) return this.#enter(view, index, write, readahead);
      if (this.#pendingOf(view).has(index)) return;
    } catch (error) {
      return this.#surroundings.fail(view, index, write, error);
    }
    this.#bring(view, index, write).catch((error: unknown) => this.#surroundings.fail(view, index, write, error));
  }

  /** The window is closed. */
  forget(view: ViewedPages): void {
    this.#readaheads.delete(view);
    this.#pending.delete(view);
  }

  /** Brings a page whose fault cannot be answered at once, with those around it. */
  async #bring(view: ViewedPages, index: number, write: boolean): Promise<void> {
    const { mm, attached, alone } = this.#surroundings;
    const { paging } = mm.machine;
    const pending = this.#pendingOf(view);
    const readahead = this.#readaheadOf(view);
    pending.add(index);
    try {
      const page = view.first + index;
      await alone(async () => {
        const batch = paging.pagesAtOnce(Math.min(readahead.pagesAt(index), view.pages - index));
        while (this.#isOpen(view) && !this.#table.allows(view, index, write)) {
          if (this.#prepare(view, index, write)) return this.#enter(view, index, write, readahead);
          await bringHome(attached(), mm, page, page + batch);
          await paging.readIn(mm, page, page + batch);
          if (this.#prepare(view, index, write)) return this.#enter(view, index, write, readahead);
          await faultHost(mm, page, this.#flags(page, write));
        }
        if (this.#isOpen(view)) this.#wake(view, index);
      });
    } finally {
      pending.delete(index);
    }
  }

  #isOpen(view: ViewedPages): boolean {
    return this.#table.views.includes(view);
  }

  /** Is the page's entry such that the access can be, after a fault of the engine's that needs no wait? */
  #prepare(view: ViewedPages, index: number, write: boolean): boolean {
    const { mm } = this.#surroundings;
    const page = view.first + index;
    if (this.#table.isReady(page, write)) return true;
    if (!mm.mmapLock.tryRead()) return false;
    try {
      return handleFault(mm, page, this.#flags(page, write)) === FAULT_DONE && this.#table.isReady(page, write);
    } finally {
      mm.mmapLock.readUnlock();
    }
  }

  /** A page without contents gets memory at once, whatever the access: a page of zeros would only be copied for the next one. */
  #flags(page: number, write: boolean): number {
    if (write) return FAULT_WRITE;
    const { mm } = this.#surroundings;
    if (mm.pageTable.read(page) !== 0) return 0;
    const vma = mm.vmaAt(page);
    return vma !== undefined && vma.file === null && (vma.flags & VM_WRITE) !== 0 ? FAULT_WRITE : 0;
  }

  #enter(view: ViewedPages, index: number, write: boolean, readahead: Readahead): void {
    const most = Math.min(readahead.pagesAt(index), view.pages - index);
    for (let next = 1; next < most; next++) if (!this.#prepareHole(view.first + index + next)) break;
    const count = this.#table.enter(view, index, write, most);
    if (count === 0) throw new MemoryError("EIO", "its entry does not allow it");
    readahead.brought(index, count);
    readahead.next();
    this.served++;
    this.entered += count;
  }

  /** A page that a sequence of accesses comes to next, and that has no contents, gets memory with those before it. */
  #prepareHole(page: number): boolean {
    const { mm } = this.#surroundings;
    if (mm.pageTable.read(page) !== 0) return this.#table.isReady(page, false);
    if (this.#flags(page, false) !== FAULT_WRITE || mm.machine.paging.isNeeded || !mm.mmapLock.tryRead()) return false;
    try {
      return handleFault(mm, page, FAULT_WRITE) === FAULT_DONE;
    } finally {
      mm.mmapLock.readUnlock();
    }
  }

  #wake(view: ViewedPages, index: number): void {
    this.#table.pages.wake(view.window.address + index * this.#pageSize, this.#pageSize);
    this.served++;
  }

  #readaheadOf(view: ViewedPages): Readahead {
    let readahead = this.#readaheads.get(view);
    if (readahead === undefined) this.#readaheads.set(view, (readahead = new Readahead(this.#pageSize)));
    return readahead;
  }

  #pendingOf(view: ViewedPages): Set<number> {
    let pending = this.#pending.get(view);
    if (pending === undefined) this.#pending.set(view, (pending = new Set()));
    return pending;
  }
}
