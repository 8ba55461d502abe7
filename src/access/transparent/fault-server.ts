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
import { migrateBatchToHost } from "../../device/migrate-to-host.js";
import { FAULT_DONE, FAULT_WRITE, handleFault } from "../../mm/fault/fault.js";
import { MemoryError } from "../../mm/errors.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { isDevicePrivateEntry } from "../../mm/table/entry.js";
import { VM_WRITE } from "../../mm/space/vma.js";
import { bringHome, faultHost } from "../host-access.js";
import { Readahead } from "../readahead.js";
import type { ProcessTable, ViewedPages } from "./process-table.js";

/** What the server needs of who runs the engine. */
export interface FaultSurroundings {
  readonly mm: AddressSpace;
  /** The device, which may become another one. */
  readonly attached: () => AttachedDevice;
  /** Does what may wait for pages with no operation in between; when it is its turn, and it waits for nothing, at once. */
  readonly alone: (work: () => Promise<void> | undefined) => Promise<void> | undefined;
  /** Does nobody do such work? */
  readonly isAlone: () => boolean;
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

  /** Nothing is under way, for a fault or for anybody: all that was told of is answered. */
  get isIdle(): boolean {
    return this.#surroundings.isAlone();
  }

  /** A thread waits for an access at an address of a window. */
  answer(address: number, write: boolean): void {
    const view = this.#table.find(address);
    // The array was destroyed since.
    if (view === undefined) return;
    const index = Math.floor((address - view.window.address) / this.#pageSize);
    const fail = (error: unknown): never => this.#surroundings.fail(view, index, write, error);
    try {
      if (this.#table.allows(view, index, write)) return this.#wake(view, index);
      if (!this.#isPrivate(view, index) && this.#prepare(view, index, write)) return this.#enter(view, index, write);
      const pending = this.#pendingOf(view);
      if (pending.has(index)) return;
      const bringing = this.#surroundings.alone(() => this.#bring(view, index, write));
      if (bringing === undefined) return;
      pending.add(index);
      bringing.finally(() => pending.delete(index)).catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  /** The window is closed. */
  forget(view: ViewedPages): void {
    this.#readaheads.delete(view);
    this.#pending.delete(view);
  }

  /** Brings a page whose fault cannot be answered as it is, with those around it; at once, where nothing has to be waited for. */
  #bring(view: ViewedPages, index: number, write: boolean): Promise<void> | undefined {
    // Its turn may have come late: the window may be closed by now, or the page there.
    if (!this.#isOpen(view) || this.#table.allows(view, index, write)) return this.#bringInTurns(view, index, write);
    const { mm, attached } = this.#surroundings;
    const page = view.first + index;
    if (this.#isPrivate(view, index)) {
      const moving = migrateBatchToHost(attached(), mm, page, page + this.#batchAt(view, index), "access");
      if (moving instanceof Promise) return moving.then(() => this.#bringInTurns(view, index, write));
    }
    if (!this.#prepare(view, index, write)) return this.#bringInTurns(view, index, write);
    this.#enter(view, index, write);
    return undefined;
  }

  async #bringInTurns(view: ViewedPages, index: number, write: boolean): Promise<void> {
    const { mm, attached } = this.#surroundings;
    const page = view.first + index;
    const end = page + this.#batchAt(view, index);
    while (this.#isOpen(view) && !this.#table.allows(view, index, write)) {
      if (this.#prepare(view, index, write)) return this.#enter(view, index, write);
      await bringHome(attached(), mm, page, end);
      await mm.machine.paging.readIn(mm, page, end);
      if (this.#prepare(view, index, write)) return this.#enter(view, index, write);
      await faultHost(mm, page, this.#flags(page, write));
    }
    if (this.#isOpen(view)) this.#wake(view, index);
  }

  /** Pages that are worth bringing where one is missed. */
  #batchAt(view: ViewedPages, index: number): number {
    const { paging } = this.#surroundings.mm.machine;
    return paging.pagesAtOnce(this.#mostAt(view, index));
  }

  #mostAt(view: ViewedPages, index: number): number {
    return Math.min(this.#readaheadOf(view).pagesAt(index), view.pages - index);
  }

  #isPrivate(view: ViewedPages, index: number): boolean {
    return isDevicePrivateEntry(this.#surroundings.mm.pageTable.read(view.first + index));
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

  #enter(view: ViewedPages, index: number, write: boolean): void {
    const most = this.#mostAt(view, index);
    for (let next = 1; next < most; next++) if (!this.#prepareHole(view.first + index + next)) break;
    const count = this.#table.enter(view, index, write, most);
    if (count === 0) throw new MemoryError("EIO", "its entry does not allow it");
    const readahead = this.#readaheadOf(view);
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
