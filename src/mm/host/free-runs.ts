/**
 * Host frames that nobody has reserved: runs, sorted by frame number. Neighbours of the same region are merged, so that a
 * run is contiguous bytes too.
 *
 * Counterpart: the free lists of `mm/page_alloc.c`.
 */

import type { Zone, Zones } from "../frames/zone.js";

interface FreeRun {
  first: number;
  pages: number;
}

export class FreeRuns {
  readonly #runs: FreeRun[] = [];
  readonly #zones: Zones;
  /** Pages that one region can hold at most: a longer run spans several. */
  readonly #regionPages: number;

  constructor(zones: Zones, regionPages: number) {
    this.#zones = zones;
    this.#regionPages = regionPages;
  }

  /** Takes a run of frames, within one region unless no region could hold it; 0 when there is none. */
  take(pages: number): number {
    const index = this.#find(pages);
    if (index < 0) return 0;
    const { first } = this.#runs[index];
    for (let left = pages; left > 0;) {
      const run = this.#runs[index];
      const taken = Math.min(left, run.pages);
      this.#cut(index, run.first, taken);
      left -= taken;
    }
    return first;
  }

  /** Takes a run within one region whose first frame is a multiple of its length, a power of two; 0 when there is none. */
  takeAligned(pages: number): number {
    for (const [index, run] of this.#runs.entries()) {
      const first = Math.ceil(run.first / pages) * pages;
      if (first + pages > run.first + run.pages) continue;
      this.#cut(index, first, pages);
      return first;
    }
    return 0;
  }

  /** Gives back frames of one region. */
  give(first: number, pages: number): void {
    const index = this.#runs.findIndex((run) => run.first > first);
    const place = index < 0 ? this.#runs.length : index;
    const before = this.#runs[place - 1];
    const after = this.#runs[place];
    const region = this.#zones.of(first);
    const joinsBefore = before !== undefined && before.first + before.pages === first && this.#lies(before, region);
    const joinsAfter = after !== undefined && first + pages === after.first && this.#lies(after, region);
    if (joinsBefore && joinsAfter) {
      before.pages += pages + after.pages;
      this.#runs.splice(place, 1);
    } else if (joinsBefore) before.pages += pages;
    else if (joinsAfter) {
      after.first = first;
      after.pages += pages;
    } else this.#runs.splice(place, 0, { first, pages });
  }

  /** Takes frames out of a run, which may leave a part on either side. */
  #cut(index: number, first: number, pages: number): void {
    const run = this.#runs[index];
    const parts = [
      { first: run.first, pages: first - run.first },
      { first: first + pages, pages: run.first + run.pages - (first + pages) },
    ];
    this.#runs.splice(index, 1, ...parts.filter((part) => part.pages > 0));
  }

  /** Index of the first run that is long enough, by itself or, for what no region could hold, with those that follow it. */
  #find(pages: number): number {
    const spans = pages > this.#regionPages;
    return this.#runs.findIndex((run, index) => {
      let length = run.pages;
      let next = this.#runs[index + 1];
      for (let i = index + 1; spans && length < pages && next?.first === run.first + length; next = this.#runs[++i]) {
        length += next.pages;
      }
      return length >= pages;
    });
  }

  #lies(run: FreeRun, region: Zone): boolean {
    return this.#zones.of(run.first) === region;
  }
}
