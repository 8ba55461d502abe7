/** Paged dispatches on the mirror, in the pager's thread and in the worker that runs its kernels. */

import type { PagedDispatch, PagedRound, PagedRun, PagedUnits } from "../driver.js";
import type { UnitRun } from "../wgsl/compiled/index.js";

/** Units of one round: so many take some milliseconds, after which a dispatch can be aborted. */
const MOST_UNITS = 1 << 18;

abstract class MirrorPagedRun implements PagedRun {
  readonly units: number;
  readonly mostUnits = MOST_UNITS;

  constructor({ shape }: PagedDispatch) {
    this.units = shape[0] * shape[1] * shape[2];
  }

  abstract map(page: number, frame: number, writable: boolean): void;
  abstract round(units: PagedUnits): Promise<PagedRound>;
  abstract close(): void;
}

/** One whose units run in this thread. */
export class LocalPagedRun extends MirrorPagedRun {
  readonly #run: UnitRun;

  constructor(dispatch: PagedDispatch, run: UnitRun) {
    super(dispatch);
    this.#run = run;
  }

  map(page: number, frame: number, writable: boolean): void {
    this.#run.map(page, frame, writable);
  }

  async round(units: PagedUnits): Promise<PagedRound> {
    return this.#run.round(units);
  }

  close(): void {}
}

/** Changes of a run's page table: three numbers each, of which the last is 1 for a page that may be written. */
export type PageChanges = readonly number[];

/** One whose units run in a worker. */
export class PostedPagedRun extends MirrorPagedRun {
  readonly #post: (changes: PageChanges, units: PagedUnits) => Promise<PagedRound>;
  readonly #close: () => void;
  #changes: number[] = [];

  constructor(
    dispatch: PagedDispatch,
    post: (changes: PageChanges, units: PagedUnits) => Promise<PagedRound>,
    close: () => void,
  ) {
    super(dispatch);
    this.#post = post;
    this.#close = close;
  }

  map(page: number, frame: number, writable: boolean): void {
    this.#changes.push(page, frame, writable ? 1 : 0);
  }

  round(units: PagedUnits): Promise<PagedRound> {
    const changes = this.#changes;
    this.#changes = [];
    return this.#post(changes, units);
  }

  close(): void {
    this.#close();
  }
}
