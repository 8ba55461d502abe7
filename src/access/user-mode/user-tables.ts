/**
 * The walk through page tables by a thread in user mode. It keeps nothing from one walk to the next, since a leaf table may
 * take another place meanwhile. A table in a chunk that the thread does not know is not found.
 */

import { PTE_FRAME_SHIFT } from "../../mm/table/entry-bits.js";
import { CHUNK_SHIFT, TABLE_MASK, TABLE_SHIFT } from "../../mm/table/table-shape.js";

const TABLE_FLAG = 1 << PTE_FRAME_SHIFT;
const TABLE_NUMBER_SHIFT = PTE_FRAME_SHIFT + 1;
const CHUNK_MASK = (1 << CHUNK_SHIFT) - 1;

export class UserTables {
  readonly #root: number;
  readonly #chunks: Int32Array[] = [];

  constructor(root: number) {
    this.#root = root;
  }

  add(chunks: readonly SharedArrayBuffer[]): void {
    for (const chunk of chunks) this.#chunks.push(new Int32Array(chunk));
  }

  /** The leaf table that holds the page's entry; 0 when there is none, it is not known, or a huge entry stands there. */
  leaf(page: number): number {
    const middle = this.#next(this.#root, page >>> (2 * TABLE_SHIFT));
    const leaf = middle === 0 ? 0 : this.#next(middle, (page >>> TABLE_SHIFT) & TABLE_MASK);
    return leaf >>> CHUNK_SHIFT < this.#chunks.length ? leaf : 0;
  }

  /** The words that hold a leaf which was found, and where in them it begins. */
  chunkOf(leaf: number): Int32Array {
    return this.#chunks[leaf >>> CHUNK_SHIFT];
  }

  baseOf(leaf: number): number {
    return (leaf & CHUNK_MASK) << TABLE_SHIFT;
  }

  #next(table: number, index: number): number {
    const chunk = this.#chunks[table >>> CHUNK_SHIFT];
    if (chunk === undefined) return 0;
    const word = Atomics.load(chunk, ((table & CHUNK_MASK) << TABLE_SHIFT) + index);
    return (word & TABLE_FLAG) === 0 ? 0 : word >>> TABLE_NUMBER_SHIFT;
  }
}
