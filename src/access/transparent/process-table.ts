/**
 * The process's page table, as one more secondary MMU of an address space: which pages of arrays threads reach through windows, and how.
 * It hears of changes as a device's table does, before they happen, and enters what the engine's entries allow.
 *
 * Invariants: an owned or guarded page is the mapping's own, its entry is present, and its frame's bytes are the window's until it
 * is taken back; an owned page's entry is writable, dirty and soft-dirty. A shown page's frame has its bytes. When `invalidate` or
 * `takeBack` returns, no thread reaches the pages.
 *
 * Counterpart: `arch/x86/kvm/mmu` (a second table over one process's pages), `mm/mmu_notifier.c`.
 */

import { assert, InvariantError } from "../../mm/errors.js";
import type { Zone } from "../../mm/frames/zone.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import type { Invalidation, MmuInterval } from "../../mm/space/notifier.js";
import { setBitsOfWord } from "../../mm/shared-word.js";
import * as pageTableEntry from "../../mm/table/entry.js";
import { ADDRESS_SPACE_PAGES, TABLE_MASK } from "../../mm/table/page-table.js";
import type { ProcessPages, ProcessWindow } from "./process-pages.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const PTE_EXCLUSIVE = pageTableEntry.PTE_EXCLUSIVE;
const PTE_FRAME_SHIFT = pageTableEntry.PTE_FRAME_SHIFT;
const PTE_MAKE_DIRTY = pageTableEntry.PTE_MAKE_DIRTY;
const PTE_NO_ACCESS = pageTableEntry.PTE_NO_ACCESS;
const PTE_PRESENT = pageTableEntry.PTE_PRESENT;
const PTE_SOFT_DIRTY = pageTableEntry.PTE_SOFT_DIRTY;
const PTE_WRITE = pageTableEntry.PTE_WRITE;
const PTE_YOUNG = pageTableEntry.PTE_YOUNG;

export const ABSENT = 0;
export const SHOWN = 1;
export const OWN = 2;
export const GUARDED = 3;

/**
 * What an entry needs for a store to its page; and for the page to be owned although nobody stores to it now: it was written since its
 * marks were cleared, and moves without a copy.
 */
const STORABLE = PTE_PRESENT | PTE_WRITE | PTE_EXCLUSIVE;
const WRITTEN = STORABLE | PTE_SOFT_DIRTY;

/** The pages of one array, and the window that threads see them through. */
export interface ViewedPages {
  readonly window: ProcessWindow;
  /** Number of the first page in the address space. */
  readonly first: number;
  readonly pages: number;
  readonly states: Uint8Array;
  /** The frame of each page that is not absent. */
  readonly frames: Int32Array;
  /** Pages that are not absent. */
  present: number;
}

export class ProcessTable implements MmuInterval {
  readonly start = 0;
  readonly end = ADDRESS_SPACE_PAGES;
  readonly pages: ProcessPages;
  /** Called with what a call of the system throws within a notifier, where nobody could catch it. Does not return. */
  readonly #fail: (error: unknown) => never;
  readonly #mm: AddressSpace;
  readonly #pageSize: number;
  /** In the order of their first pages. */
  readonly #views: ViewedPages[] = [];
  readonly #bases = new Map<Zone, number>();

  constructor(mm: AddressSpace, pages: ProcessPages, fail: (error: unknown) => never) {
    this.#mm = mm;
    this.#pageSize = mm.machine.pageSize;
    this.pages = pages;
    this.#fail = fail;
    mm.notifiers.register(this);
    mm.process = this;
  }

  /** A window over pages `[first, first + pages)`, which are one array's. */
  open(first: number, pages: number): ViewedPages {
    const window = this.pages.createWindow(pages * this.#pageSize);
    const view: ViewedPages = {
      window,
      first,
      pages,
      states: new Uint8Array(pages),
      frames: new Int32Array(pages),
      present: 0,
    };
    const place = this.#views.findIndex((other) => other.first > first);
    this.#views.splice(place < 0 ? this.#views.length : place, 0, view);
    return view;
  }

  /** Takes back what is there; from now on nothing of the window is any page's. */
  close(view: ViewedPages): void {
    this.#takeBack(view, 0, view.pages, false);
    this.#views.splice(this.#views.indexOf(view), 1);
    this.pages.closeWindow(view.window);
  }

  destroy(): void {
    for (const view of this.#views.slice()) this.close(view);
    this.#mm.notifiers.unregister(this);
    this.#mm.process = null;
  }

  get views(): readonly ViewedPages[] {
    return this.#views;
  }

  /** Whose window an address is in. */
  find(address: number): ViewedPages | undefined {
    return this.#views.find(({ window }) => window.address <= address && address < window.address + window.bytes);
  }

  invalidate({ event, start, end }: Readonly<Invalidation>): boolean {
    try {
      this.#forEach(start, end, event === "soft-dirty");
    } catch (error) {
      this.#fail(error);
    }
    return true;
  }

  /** The bytes of pages `[start, end)` are in their frames from now on, and nobody else reaches them, until the next fault. */
  takeBack(start: number, end: number): void {
    this.#forEach(start, end, false);
  }

  /** Is the access possible already? */
  allows(view: ViewedPages, index: number, write: boolean): boolean {
    const state = view.states[index];
    return write ? state === OWN : state !== ABSENT;
  }

  /** Does the page's entry allow the access? */
  isReady(page: number, write: boolean): boolean {
    const word = this.#mm.pageTable.read(page);
    const needed = write ? STORABLE : PTE_PRESENT;
    return (word & (needed | PTE_NO_ACCESS)) === needed;
  }

  /**
   * Lets threads reach the page, for a store if that is what is asked, and with it those of the `most` pages from it on that are ready too and
   * not there yet. The entries of pages that can be stored to are marked as stored to, as the processor would. How many; the
   * first is ready.
   */
  enter(view: ViewedPages, index: number, write: boolean, most: number): number {
    if (view.states[index] !== ABSENT) {
      this.#upgrade(view, index);
      return 1;
    }
    const end = Math.min(view.pages, index + most);
    let next = index;
    while (next < end && view.states[next] === ABSENT) {
      const count = this.#enterRun(view, next, end, write && next === index);
      if (count === 0) break;
      next += count;
    }
    return next - index;
  }

  /** Pages from `from` on whose frames lie side by side, and which become the same: one call of the system. */
  #enterRun(view: ViewedPages, from: number, end: number, write: boolean): number {
    const first = this.#admit(view, from, write);
    if (first < 0) return 0;
    const state = view.states[from];
    const address = this.addressOf(first);
    let count = 1;
    for (; from + count < end && view.states[from + count] === ABSENT; count++) {
      const frame = this.#admit(view, from + count, false);
      if (frame < 0) break;
      if (view.states[from + count] === state && this.#follows(first, frame, count)) continue;
      view.states[from + count] = ABSENT;
      break;
    }
    const at = this.#addressIn(view, from);
    if (state === OWN) this.pages.install(at, address, count * this.#pageSize);
    else this.pages.show(at, address, count * this.#pageSize);
    view.present += count;
    return count;
  }

  /** What the page will be, by its entry, which is marked; its frame, -1 when it is not ready. */
  #admit(view: ViewedPages, index: number, write: boolean): number {
    const { pageTable } = this.#mm;
    const page = view.first + index;
    const word = pageTable.read(page);
    if ((word & (PTE_PRESENT | PTE_NO_ACCESS)) !== PTE_PRESENT) return -1;
    const needed = write ? STORABLE : WRITTEN;
    const own = (word & needed) === needed;
    if (write && !own) return -1;
    this.#mark(page, own ? PTE_YOUNG | PTE_MAKE_DIRTY : PTE_YOUNG);
    view.states[index] = own ? OWN : SHOWN;
    return (view.frames[index] = word >>> PTE_FRAME_SHIFT);
  }

  /** A store to a page that is there for loads. */
  #upgrade(view: ViewedPages, index: number): void {
    const at = this.#addressIn(view, index);
    this.#mark(view.first + index, PTE_YOUNG | PTE_MAKE_DIRTY);
    if (view.states[index] === GUARDED) this.pages.unguard(at, this.#pageSize);
    else this.pages.adopt(at, this.addressOf(view.frames[index]), this.#pageSize);
    view.states[index] = OWN;
  }

  #mark(page: number, bits: number): void {
    const { pageTable } = this.#mm;
    const leaf = pageTable.leaf(page);
    // The text is made where it is needed alone: this is the way of every page that is entered.
    if (leaf === 0) throw new InvariantError(`page ${page} is to be seen by the process, and is part of a huge one`);
    setBitsOfWord(pageTable.chunkOf(leaf), pageTable.baseOf(leaf) + (page & TABLE_MASK), bits);
  }

  #forEach(start: number, end: number, guard: boolean): void {
    for (const view of this.#views) {
      if (view.first >= end) return;
      if (view.present === 0 || view.first + view.pages <= start) continue;
      this.#takeBack(view, Math.max(0, start - view.first), Math.min(view.pages, end - view.first), guard);
    }
  }

  #takeBack(view: ViewedPages, from: number, end: number, guard: boolean): void {
    const { states } = view;
    for (let index = from; index < end;) {
      const state = states[index];
      let count = 1;
      while (index + count < end && states[index + count] === state && this.#continues(view, index, count)) count++;
      if (state !== ABSENT) this.#takeRun(view, index, count, state, guard);
      index += count;
    }
  }

  /** Is the page `count` after another to be taken with it? Absent ones are passed over at once. */
  #continues({ states, frames }: ViewedPages, index: number, count: number): boolean {
    return (
      states[index] === ABSENT || states[index] === SHOWN || this.#follows(frames[index], frames[index + count], count)
    );
  }

  #takeRun(view: ViewedPages, index: number, count: number, state: number, guard: boolean): void {
    const at = this.#addressIn(view, index);
    const bytes = count * this.#pageSize;
    if (guard && state !== SHOWN) {
      if (state === OWN) this.pages.guard(at, bytes);
      view.states.fill(GUARDED, index, index + count);
      return;
    }
    if (guard) return;
    view.states.fill(ABSENT, index, index + count);
    view.present -= count;
    if (state === SHOWN) this.pages.drop(at, bytes);
    else this.pages.takeBack(this.addressOf(view.frames[index]), at, bytes);
  }

  /** Drops the copies that are shown: the frames have the bytes. */
  dropShown(): void {
    for (const view of this.#views) {
      for (let index = 0; index < view.pages && view.present > 0; index++) {
        if (view.states[index] === SHOWN) this.#takeRun(view, index, 1, SHOWN, false);
      }
    }
  }

  #addressIn({ window }: ViewedPages, index: number): number {
    return window.address + index * this.#pageSize;
  }

  /** Is `frame` the one `count` after `first`, in the same region? */
  #follows(first: number, frame: number, count: number): boolean {
    const { zones } = this.#mm.machine;
    return frame === first + count && zones.of(frame) === zones.of(first);
  }

  /** Where a frame's bytes are, while no window owns them. */
  addressOf(frame: number): number {
    const zone = this.#mm.machine.zones.of(frame);
    let base = this.#bases.get(zone);
    if (base === undefined) {
      assert(zone.bytes !== null, `page frame ${frame} is out of the CPU's reach`);
      base = this.pages.addressOf(zone.bytes);
      this.#bases.set(zone, base);
    }
    return base + (frame - zone.first) * this.#pageSize;
  }
}
