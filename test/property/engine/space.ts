/**
 * An address space and the truth about it: what each page must hold, what each mapping allows, which pins are held. It
 * hears what happens through a notifier, as a device would, so that pages go from the truth at the moment they go.
 */

import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isMigrationEntry,
  isSwapEntry,
  PTE_FRAME_SHIFT,
  PTE_PRESENT,
  PTE_WRITE,
} from "../../../src/mm/table/entry.js";
import { DMA_PIN } from "../../../src/mm/fault/gup.js";
import type { HomeRange } from "../../../src/mm/host/home-range.js";
import type { Invalidation, MmuInterval } from "../../../src/mm/space/notifier.js";
import { ADDRESS_SPACE_PAGES } from "../../../src/mm/table/page-table.js";
import { PROT_READ, PROT_WRITE, VM_ACCESS_FLAGS } from "../../../src/mm/space/vma.js";
import { valueOf } from "./page-contents.js";
import { Shadow } from "./shadow.js";
import type { Behind, SharedObject } from "./shared-object.js";
import { SoftDirtyTruth } from "./soft-dirty-truth.js";

/** A stretch of pages that was mapped at once; parts of it may be gone again. */
export interface Mapping {
  readonly space: Space;
  readonly start: number;
  readonly pages: number;
  readonly home: HomeRange | null;
}

export interface HeldPin {
  readonly space: Space;
  readonly page: number;
  readonly frame: number;
  readonly references: number;
  readonly write: boolean;
  /** The page was unmapped or given up since: the frame is the pin's alone. */
  orphaned: boolean;
  /** The page is shared, and the pin is not one that prevents it: who writes first gets another page. */
  shared: boolean;
  /** Of a page of an object: which one. */
  readonly behind: Behind | null;
  /** What an orphaned frame holds. */
  value: number;
}

export class Space implements MmuInterval {
  readonly start = 0;
  readonly end = ADDRESS_SPACE_PAGES;
  readonly mm: AddressSpace;
  readonly shadow: Shadow;
  readonly softDirty: SoftDirtyTruth;
  /** By page: PROT_READ, PROT_WRITE. */
  readonly #protections = new Map<number, number>();
  readonly pins = new Set<HeldPin>();
  /** Ranges that are being given up, at a moment not known yet. */
  readonly givingUp = new Set<{ readonly start: number; readonly end: number }>();
  /** The access rights of pages `[start, end)` changed. */
  readonly #onChange: (space: Space, start: number, end: number) => void;
  alive = true;

  constructor(mm: AddressSpace, onChange: (space: Space, start: number, end: number) => void) {
    this.mm = mm;
    this.#onChange = onChange;
    this.shadow = new Shadow((page) => this.isOwn(page));
    this.softDirty = new SoftDirtyTruth(mm);
    mm.notifiers.register(this);
  }

  invalidate({ event, start, end }: Readonly<Invalidation>): boolean {
    if (event === "unmap" || event === "release") this.#unmapped(start, end);
    else if (event === "clear") this.#maybeGivenUp(start, end);
    else if (event === "protection") this.softDirty.protecting(start, end);
    else if (event === "soft-dirty") this.softDirty.clearing(this.shadow.pages, (page) => this.#staysSoftDirty(page));
    return true;
  }

  mapped(start: number, pages: number, protection: number): void {
    this.shadow.map(start, start + pages);
    this.protect(start, start + pages, protection);
  }

  mappedObject(start: number, pages: number, object: SharedObject, first: number, shared: boolean): void {
    this.shadow.mapObject(start, start + pages, object, first, shared);
    this.protect(start, start + pages, PROT_READ | PROT_WRITE);
  }

  /** Somebody stores to the page through its entry. */
  stored(page: number, value: number): void {
    this.shadow.write(page, value);
    if (this.shadow.behind(page)?.shared !== true) this.softDirty.stored(page);
  }

  /** Takes over what a parent's pages hold and allow. */
  inherit(parent: Space): void {
    this.shadow.inherit(parent.shadow);
    this.softDirty.inherit(parent.softDirty);
    for (const [page, protection] of parent.#protections) this.#protections.set(page, protection);
  }

  /** A fork was tried: pages that are not pinned for DMA are shared, or have been. */
  forked(): void {
    for (const pin of this.pins) if (pin.references !== DMA_PIN) pin.shared = true;
  }

  protect(start: number, end: number, protection: number): void {
    for (let page = start; page < end; page++) this.#protections.set(page, protection);
    this.#onChange(this, start, end);
  }

  /** Does every page of the range allow the access? */
  allows(start: number, end: number, protection: number): boolean {
    for (let page = start; page < end; page++) {
      const allowed = this.#protections.get(page);
      if (allowed === undefined || (allowed & protection) !== protection) return false;
    }
    return true;
  }

  /** The first page of the range that is not mapped; `end` when all are. */
  firstHole(start: number, end: number): number {
    for (let page = start; page < end; page++) if (!this.shadow.has(page)) return page;
    return end;
  }

  /** Is anything of it left? */
  isLeft({ start, pages, home }: Mapping): boolean {
    return this.mm.vmas.some((vma) => vma.start < start + pages && start < vma.end && vma.home === home);
  }

  /** Does the page's entry name the frame: as its page, as one that is about to move, or by way of the swap cache? */
  names(page: number, frame: number): boolean {
    const word = this.mm.pageTable.read(page);
    const named = word >>> PTE_FRAME_SHIFT;
    if (isSwapEntry(word)) return this.mm.machine.swap?.cached(named) === frame;
    return named === frame && ((word & PTE_PRESENT) !== 0 || isMigrationEntry(word) || isDeviceExclusiveEntry(word));
  }

  /** Is there an anonymous page behind the entry, wherever it is? */
  isOwn(page: number): boolean {
    const word = this.mm.pageTable.read(page);
    if (isSwapEntry(word) || isDevicePrivateEntry(word) || isDeviceExclusiveEntry(word)) return true;
    const frame = word >>> PTE_FRAME_SHIFT;
    return frame !== 0 && this.mm.machine.frames.isAnonymous(frame);
  }

  /** A sentence for each page whose mapping is not as it should be. */
  *brokenMappings(): Generator<string> {
    let mapped = 0;
    for (const vma of this.mm.vmas) {
      mapped += vma.end - vma.start;
      for (let page = vma.start; page < vma.end; page++) {
        const expected = this.#protections.get(page);
        if (expected === undefined) yield `${this.name(page)} is mapped and should not be`;
        else if ((vma.flags & VM_ACCESS_FLAGS) !== expected) {
          yield `${this.name(page)} allows ${vma.flags & VM_ACCESS_FLAGS} and should allow ${expected}`;
        }
      }
    }
    if (mapped !== this.shadow.size) yield `${mapped} pages are mapped and ${this.shadow.size} should be`;
    for (const page of this.softDirty.lost(this.shadow.pages))
      yield `${this.name(page)} was stored to and is not soft-dirty`;
  }

  name(page: number): string {
    return `page ${page} of address space ${this.mm.id}`;
  }

  #unmapped(start: number, end: number): void {
    this.#orphan(start, end);
    this.softDirty.givenUp(start, end);
    this.shadow.unmap(start, end);
    for (const page of this.#protections.keys()) if (page >= start && page < end) this.#protections.delete(page);
    this.#onChange(this, start, end);
  }

  /**
   * Pages that are given up are announced like single pages that a migration takes. Several at once can only be the
   * former; of a single one it shows when it is looked at.
   */
  #maybeGivenUp(start: number, end: number): void {
    for (const range of this.givingUp) {
      const from = Math.max(start, range.start);
      const to = Math.min(end, range.end);
      if (from >= to) continue;
      this.#orphan(from, to);
      this.softDirty.givenUp(from, to);
      for (let page = from; page < to; page++) {
        if (end - start > 1) this.shadow.cleared(page);
        else this.shadow.maybeCleared(page);
      }
    }
  }

  /** Whoever pinned the page for DMA may write it at any time, so that clearing leaves its mark. */
  #staysSoftDirty(page: number): boolean {
    const word = this.mm.pageTable.read(page);
    if ((word & (PTE_PRESENT | PTE_WRITE)) !== (PTE_PRESENT | PTE_WRITE)) return false;
    for (const pin of this.pins) {
      if (pin.references === DMA_PIN && pin.page === page && pin.frame === word >>> PTE_FRAME_SHIFT) return true;
    }
    return false;
  }

  #orphan(start: number, end: number): void {
    for (const pin of this.pins) {
      if (pin.page < start || pin.page >= end) continue;
      pin.orphaned = true;
      pin.value = valueOf(this.mm.machine.zones.bytes(pin.frame));
    }
  }
}
