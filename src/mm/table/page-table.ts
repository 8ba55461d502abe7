/**
 * Page tables: three levels of 512 words over 2^27 pages an address space. Tables of all address spaces live in one
 * pool; a table's number is its place there. A leaf table goes back to the pool with its address space only, so whoever
 * walks without a lock never reads a word of another address space, and sees by a second walk that a table has changed
 * its place within this one.
 *
 * A middle word names a leaf table or is a huge entry: a present entry of 512 pages at once, whose frame is aligned. With
 * each huge entry a leaf table is kept aside, so that it can always be split.
 *
 * Counterpart: `mm/pgalloc-track.h`, `mm/pagewalk.c`; root, middle and leaf are Linux's pud, pmd and pte tables.
 */

import * as pageTableEntry from "./entry.js";
import type { Environment } from "../environment.js";
import { assert, MemoryError } from "../errors.js";
import { allocateWords } from "../shared-memory.js";
import { exchangeWord, loadWord, storeWord } from "../shared-word.js";
import * as tableShape from "./table-shape.js";

export * from "./table-shape.js";

// A module's own constants become part of its code; imported and exported ones are looked up at every use.
const PTE_FRAME_SHIFT = pageTableEntry.PTE_FRAME_SHIFT;
const TABLE_SHIFT = tableShape.TABLE_SHIFT;
const TABLE_WORDS = tableShape.TABLE_WORDS;
const TABLE_MASK = tableShape.TABLE_MASK;
const CHUNK_SHIFT = tableShape.CHUNK_SHIFT;

const CHUNK_TABLES = 1 << CHUNK_SHIFT;
const MAX_TABLES = 1 << 23;

const TABLE_FLAG = 1 << PTE_FRAME_SHIFT;
const TABLE_NUMBER_SHIFT = PTE_FRAME_SHIFT + 1;

export class TablePool {
  /** Table t begins in `chunks[t >>> CHUNK_SHIFT]` at word `(t & 31) << TABLE_SHIFT`. Chunks never move. */
  readonly chunks: Int32Array[] = [];
  readonly #environment: Environment;
  readonly #shared: boolean;
  readonly #free: number[] = [];
  /** Table 0 is never handed out: 0 means "no table". */
  #next = 1;

  constructor(environment: Environment, shared = false) {
    this.#environment = environment;
    this.#shared = shared;
  }

  /** A table of 512 empty entries, 0 when none can be had. */
  allocate(): number {
    if (!this.#environment.mayAllocate("table")) return 0;
    const recycled = this.#free.pop();
    if (recycled !== undefined) return recycled;
    if (this.#next === MAX_TABLES) return 0;
    const table = this.#next++;
    if (table >>> CHUNK_SHIFT >= this.chunks.length) {
      this.chunks.push(allocateWords(CHUNK_TABLES * TABLE_WORDS, this.#shared));
    }
    return table;
  }

  free(table: number): void {
    const base = (table & (CHUNK_TABLES - 1)) << TABLE_SHIFT;
    this.chunks[table >>> CHUNK_SHIFT].fill(0, base, base + TABLE_WORDS);
    this.#free.push(table);
  }

  read(table: number, index: number): number {
    return this.chunks[table >>> CHUNK_SHIFT][((table & (CHUNK_TABLES - 1)) << TABLE_SHIFT) + index];
  }

  write(table: number, index: number, word: number): void {
    storeWord(this.chunks[table >>> CHUNK_SHIFT], ((table & (CHUNK_TABLES - 1)) << TABLE_SHIFT) + index, word);
  }

  get used(): number {
    return this.#next - 1 - this.#free.length;
  }

  get byteLength(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  }
}

/** The page table of one address space. */
export class PageTable {
  readonly pool: TablePool;
  /** 0 once the address space is gone: whoever still walks then finds nothing, not the table's next user. */
  #root: number;
  /** The leaf found last: leaves stay until the address space goes. */
  #foundBlock = -1;
  #foundLeaf = 0;
  /** Empty leaf tables: one for each huge entry, and those whose pages were unmapped. */
  readonly #spare: number[] = [];
  #hugeEntries = 0;

  constructor(pool: TablePool) {
    this.pool = pool;
    this.#root = pool.allocate();
    if (this.#root === 0) throw new MemoryError("ENOMEM", "no page table can be allocated for a new address space");
  }

  /** The leaf table that holds the page's entry, 0 when there is none or a huge entry stands there. */
  leaf(page: number): number {
    const block = page >>> TABLE_SHIFT;
    if (block === this.#foundBlock) return this.#foundLeaf;
    const middle = this.#next(this.#root, page >>> (2 * TABLE_SHIFT));
    if (middle === 0) return 0;
    const leaf = this.#next(middle, block & TABLE_MASK);
    if (leaf !== 0) {
      this.#foundBlock = block;
      this.#foundLeaf = leaf;
    }
    return leaf;
  }

  /** The same, made when missing; 0 when a table cannot be allocated. No huge entry stands there. */
  ensureLeaf(page: number): number {
    const found = this.leaf(page);
    if (found !== 0) return found;
    const middle = this.#ensureNext(this.#root, page >>> (2 * TABLE_SHIFT));
    if (middle === 0) return 0;
    assert(this.huge(page) === 0, `page ${page} is to get an entry where a huge entry stands`);
    const leaf = this.#takeSpare() || this.pool.allocate();
    if (leaf !== 0) this.#attach(middle, page, leaf);
    return leaf;
  }

  /** The huge entry that covers the page, 0 when there is none. */
  huge(page: number): number {
    const middle = this.#next(this.#root, page >>> (2 * TABLE_SHIFT));
    if (middle === 0) return 0;
    const word = this.pool.read(middle, (page >>> TABLE_SHIFT) & TABLE_MASK);
    return (word & TABLE_FLAG) === 0 ? word : 0;
  }

  /** Has anything near the page, within what one middle table covers, ever been mapped? */
  hasMiddle(page: number): boolean {
    return this.#next(this.#root, page >>> (2 * TABLE_SHIFT)) !== 0;
  }

  /** Puts a huge entry over the page's block, where there is nothing; false when a table cannot be allocated. */
  mapHuge(page: number, word: number): boolean {
    const middle = this.#ensureNext(this.#root, page >>> (2 * TABLE_SHIFT));
    if (middle === 0) return false;
    if (this.#spare.length === this.#hugeEntries) {
      const leaf = this.pool.allocate();
      if (leaf === 0) return false;
      this.#spare.push(leaf);
    }
    this.#hugeEntries++;
    this.pool.write(middle, (page >>> TABLE_SHIFT) & TABLE_MASK, word);
    return true;
  }

  /** Replaces the huge entry that covers the page by another, or by nothing. */
  replaceHuge(page: number, word: number): void {
    const middle = this.#next(this.#root, page >>> (2 * TABLE_SHIFT));
    if (word === 0) this.#hugeEntries--;
    this.pool.write(middle, (page >>> TABLE_SHIFT) & TABLE_MASK, word);
  }

  /** The same, by the leaf table that was kept aside for it, which `fill` fills before anybody finds it. */
  replaceHugeByLeaf(page: number, fill: (entries: Int32Array, base: number) => void): void {
    const middle = this.#next(this.#root, page >>> (2 * TABLE_SHIFT));
    this.#hugeEntries--;
    const leaf = this.#takeSpare();
    fill(this.chunkOf(leaf), this.baseOf(leaf));
    this.#attach(middle, page, leaf);
  }

  /** Takes the empty leaf table of the page's block away, so that nothing stands there (`free_pgtables`). */
  detachLeaf(page: number): void {
    const leaf = this.leaf(page);
    if (leaf === 0) return;
    const middle = this.#next(this.#root, page >>> (2 * TABLE_SHIFT));
    this.pool.write(middle, (page >>> TABLE_SHIFT) & TABLE_MASK, 0);
    this.#spare.push(leaf);
    this.#foundBlock = -1;
  }

  /** The words that hold a leaf, and where in them it begins: for loops over a leaf. */
  chunkOf(leaf: number): Int32Array {
    return this.pool.chunks[leaf >>> CHUNK_SHIFT];
  }

  baseOf(leaf: number): number {
    return (leaf & (CHUNK_TABLES - 1)) << TABLE_SHIFT;
  }

  /** The page's entry, 0 when there is none; of a page under a huge entry, the entry that it would have by itself. */
  read(page: number): number {
    const leaf = this.leaf(page);
    return leaf === 0 ? this.#readHuge(page) : loadWord(this.chunkOf(leaf), this.baseOf(leaf) + (page & TABLE_MASK));
  }

  #readHuge(page: number): number {
    const word = this.huge(page);
    return word >>> PTE_FRAME_SHIFT === 0 ? word : word + ((page & TABLE_MASK) << PTE_FRAME_SHIFT);
  }

  /** Replaces the page's entry, whose table exists, and returns what stood there. */
  exchange(page: number, word: number): number {
    const leaf = this.leaf(page);
    return exchangeWord(this.chunkOf(leaf), this.baseOf(leaf) + (page & TABLE_MASK), word);
  }

  /** Number of the root table, 0 once the address space is gone. */
  get root(): number {
    return this.#root;
  }

  /** Every table with its level (2 root, 1 middle, 0 leaf) and the first page that it covers; a table after those below it. */
  *tables(): Generator<{ readonly level: number; readonly first: number; readonly table: number }> {
    if (this.#root !== 0) yield* this.#tablesBelow(this.#root, 2, 0);
  }

  /** Frees all tables; the address space is gone. */
  destroy(): void {
    for (const { table } of this.tables()) this.pool.free(table);
    for (const table of this.#spare) this.pool.free(table);
    this.#spare.length = 0;
    this.#root = 0;
    this.#foundBlock = -1;
  }

  *#tablesBelow(
    table: number,
    level: number,
    first: number,
  ): Generator<{ readonly level: number; readonly first: number; readonly table: number }> {
    for (let index = 0; level > 0 && index < TABLE_WORDS; index++) {
      const below = this.#next(table, index);
      if (below !== 0) yield* this.#tablesBelow(below, level - 1, first + index * 2 ** (level * TABLE_SHIFT));
    }
    yield { level, first, table };
  }

  /** Empty leaf tables that stand nowhere. */
  get spare(): readonly number[] {
    return this.#spare;
  }

  /** How many of these are kept for huge entries. */
  get hugeEntries(): number {
    return this.#hugeEntries;
  }

  /** A leaf table that is not kept for a huge entry, 0 when there is none. */
  #takeSpare(): number {
    return this.#spare.length > this.#hugeEntries ? (this.#spare.pop() ?? 0) : 0;
  }

  #attach(middle: number, page: number, leaf: number): void {
    this.pool.write(middle, (page >>> TABLE_SHIFT) & TABLE_MASK, (leaf << TABLE_NUMBER_SHIFT) | TABLE_FLAG);
  }

  #next(table: number, index: number): number {
    const word = this.pool.read(table, index);
    return (word & TABLE_FLAG) === 0 ? 0 : word >>> TABLE_NUMBER_SHIFT;
  }

  #ensureNext(table: number, index: number): number {
    const found = this.#next(table, index);
    if (found !== 0) return found;
    const made = this.pool.allocate();
    if (made !== 0) this.pool.write(table, index, (made << TABLE_NUMBER_SHIFT) | TABLE_FLAG);
    return made;
  }
}
