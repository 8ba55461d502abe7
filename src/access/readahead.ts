/**
 * How many pages are brought where some are missed. A miss where what was brought before ended is one of a sequence: twice as many
 * pages come as came then, up to 2 MiB; at any other, those that were missed.
 *
 * Counterpart: `mm/readahead.c`.
 */

const MOST_BYTES = 2 * 1024 * 1024;

export class Readahead {
  readonly #most: number;
  /** Where runs ended that were brought before, and how many pages each had. */
  #ended = new Map<number, number>();
  #ending = new Map<number, number>();

  constructor(pageSize: number) {
    this.#most = Math.max(1, MOST_BYTES / pageSize);
  }

  /** Pages from `page` on that are worth bringing, of which the first `count` are missed. */
  pagesAt(page: number, count = 1): number {
    const before = this.#ended.get(page);
    return before === undefined ? count : Math.max(count, Math.min(2 * before, this.#most));
  }

  /** So many pages from `page` on were brought. */
  brought(page: number, count: number): void {
    this.#ending.set(page + count, count);
  }

  /** What is missed from now on follows what was brought until now. */
  next(): void {
    const before = this.#ended;
    this.#ended = this.#ending;
    before.clear();
    this.#ending = before;
  }
}
