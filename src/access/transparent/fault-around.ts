/**
 * How many pages come with the one that was touched. A fault where the batch before it ended is one of a sequence: the next batch
 * is twice as long, up to 2 MiB; any other begins again with one page.
 *
 * Counterpart: `mm/readahead.c`.
 */

const MOST_BYTES = 2 * 1024 * 1024;

export class FaultAround {
  readonly #most: number;
  /** Where the last batch ended, and how long it was. */
  #next = -1;
  #length = 1;

  constructor(pageSize: number) {
    this.#most = Math.max(1, MOST_BYTES / pageSize);
  }

  /** Pages from `index` on that are worth bringing at once. */
  pagesAt(index: number): number {
    return index === this.#next ? Math.min(this.#most, this.#length * 2) : 1;
  }

  /** So many pages from `index` on were brought. */
  brought(index: number, count: number): void {
    this.#length = index === this.#next ? Math.min(this.#most, this.#length * 2) : 1;
    this.#next = index + count;
  }
}
