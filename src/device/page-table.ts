/**
 * A device's own page table of one address space, kept right by the notifier: where an entry stands, the device reaches
 * the page through it; when the engine changes the page's place or permission, the entry is gone before it does so.
 *
 * A word is the frame with bit 30 for "valid" and bit 31 for "writable"; 0 is none. Tables of 512 entries are made as
 * they are needed.
 *
 * Counterpart: `dmirror_interval_invalidate`, `dmirror_do_update` in `lib/test_hmm.c`.
 */

import type { AddressSpace } from "../mm/space/address-space.js";
import type { Invalidation, MmuInterval } from "../mm/space/notifier.js";
import { ADDRESS_SPACE_PAGES, TABLE_MASK, TABLE_SHIFT, TABLE_WORDS } from "../mm/table/page-table.js";

const WRITABLE = 1 << 31;
const VALID = 1 << 30;
const FRAME_MASK = VALID - 1;

/** The device's view of an address space, which notifiers keep right. */
export class DevicePageTable implements MmuInterval {
  readonly start = 0;
  readonly end = ADDRESS_SPACE_PAGES;
  readonly mm: AddressSpace;
  /** Migrations of this owner leave its entries alone: they take out and enter what they move themselves. */
  readonly #owner: object;
  readonly #tables: (Int32Array | undefined)[] = [];

  constructor(mm: AddressSpace, owner: object) {
    this.mm = mm;
    this.#owner = owner;
    mm.notifiers.register(this);
  }

  /** Enters a page. The caller knows that no invalidation came between its look at the page and this call. */
  set(page: number, frame: number, writable: boolean): void {
    const block = page >>> TABLE_SHIFT;
    let table = this.#tables[block];
    if (table === undefined) {
      table = new Int32Array(TABLE_WORDS);
      this.#tables[block] = table;
    }
    table[page & TABLE_MASK] = frame | VALID | (writable ? WRITABLE : 0);
  }

  /** The frame through which the device reaches the page, -1 when it would have to fault. */
  lookup(page: number, write: boolean): number {
    const word = this.#tables[page >>> TABLE_SHIFT]?.[page & TABLE_MASK] ?? 0;
    if (word === 0 || (write && (word & WRITABLE) === 0)) return -1;
    return word & FRAME_MASK;
  }

  clear(start: number, end: number): void {
    const lastBlock = (end - 1) >>> TABLE_SHIFT;
    const known = Math.min(lastBlock, this.#tables.length - 1);
    for (let block = start >>> TABLE_SHIFT; block <= known; block++) {
      const first = block << TABLE_SHIFT;
      this.#tables[block]?.fill(0, Math.max(start - first, 0), Math.min(end - first, TABLE_WORDS));
    }
  }

  invalidate({ event, start, end, owner }: Readonly<Invalidation>): boolean {
    // Also after a migration of its own, what a fault saw before does not hold.
    if (event !== "migrate" || owner !== this.#owner) this.clear(start, end);
    return true;
  }

  close(): void {
    this.mm.notifiers.unregister(this);
  }

  get byteLength(): number {
    return this.#tables.reduce((sum, table) => sum + (table?.byteLength ?? 0), 0);
  }
}
