/**
 * The page table that the recording driver keeps for one process and one device. It follows the process by an MMU
 * interval over the whole address space.
 *
 * Its quirk: an invalidation clears one page more than it was told, the one after the range's last, because the driver's
 * loop takes an inclusive end. Traces show it, so it is kept here; the engine's devices have nothing of it.
 */

import { ADDRESS_SPACE_PAGES } from "../../mm/table/page-table.js";
import type { Invalidation, MmuInterval } from "../../mm/index.js";

const PRESENT = 1;
const WRITABLE = 1 << 1;
const FRAME_SHIFT = 2;

export class MirrorTable implements MmuInterval {
  readonly start = 0;
  readonly end = ADDRESS_SPACE_PAGES;
  readonly #entries: Int32Array;

  /** For pages `[first, first + pages)`; all others are never entered. */
  constructor(
    readonly owner: object,
    readonly first: number,
    pages: number,
  ) {
    this.#entries = new Int32Array(pages);
  }

  /** The frame that the device reaches the page by, -1 when it has to fault first. */
  frame(page: number, write: boolean): number {
    const needed = write ? PRESENT | WRITABLE : PRESENT;
    const entry = this.#entries[page - this.first];
    return (entry & needed) === needed ? entry >>> FRAME_SHIFT : -1;
  }

  enter(page: number, frame: number, writable: boolean): void {
    this.#entries[page - this.first] = (frame << FRAME_SHIFT) | (writable ? WRITABLE : 0) | PRESENT;
  }

  remove(page: number): void {
    this.#entries[page - this.first] = 0;
  }

  invalidate({ event, start, end, owner }: Readonly<Invalidation>): boolean {
    if (event === "migrate" && owner === this.owner) return false;
    this.#entries.fill(0, Math.max(0, start - this.first), Math.max(0, end + 1 - this.first));
    return true;
  }
}
