/**
 * Pages that are brought to the device beside those that units have missed. A miss where what was brought before ended is one of a
 * sequence: as many again come with it, and twice as many with the next, up to 2 MiB. A miss anywhere else comes alone.
 *
 * Counterpart: `mm/readahead.c`.
 */

const MOST_BYTES = 2 * 1024 * 1024;

export class PagedReadahead {
  readonly #most: number;
  /** Where runs ended that were brought last, and how many pages each had. */
  #ended: ReadonlyMap<number, number> = new Map();
  #ending = new Map<number, number>();

  constructor(pageSize: number) {
    this.#most = Math.max(1, MOST_BYTES / pageSize);
  }

  /** How many pages to bring beside a run of `count` that were missed from `page` on; `room` is all that may be. */
  beside(page: number, count: number, room: number): number {
    const before = this.#ended.get(page);
    if (before === undefined) return 0;
    return Math.max(0, Math.min(room, 2 * before - count, this.#most - count));
  }

  /** So many pages from `page` on were brought. */
  brought(page: number, count: number): void {
    this.#ending.set(page + count, count);
  }

  /** What is brought from now on follows what was brought until now. */
  next(): void {
    this.#ended = this.#ending;
    this.#ending = new Map();
  }
}
