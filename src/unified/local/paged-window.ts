/**
 * How many units a paged dispatch tries at once, and what is done for those that miss pages. Pure functions of counts.
 *
 * Units that find their pages run at once, those that do not wait: so over a large window of units each page is brought in
 * once for all that use it. Where the pages that units need together exceed the device, the window gets smaller, down to one
 * unit.
 */

/** Units that are tried first: few enough that it costs little when none of them finds a page. */
export const FIRST_UNITS = 1 << 12;
/** Of the frames: the part that has to be left for pages that are missing, or fewer units are tried. */
const LEAST_ROOM = 1 / 8;
/** Rounds in which no unit ran, though pages were brought in, until fewer are tried. */
const MOST_FRUITLESS = 4;
/** Windows that are finished, after one was made smaller, until one is made larger again. */
const PATIENCE = 4;

/** What a round has found. */
export interface Found {
  /** Units that have not run. */
  readonly pending: number;
  /** Pages on the device that units used, and pages that they missed. */
  readonly here: number;
  readonly missing: number;
  readonly frames: number;
  /** None of the units ran: so all that was used is needed by those that wait. */
  readonly isExact: boolean;
  /** Rounds since a unit ran for which pages were brought in. */
  readonly fruitless: number;
}

export type Decision =
  /** Bring in so many of the pages that are missing, the first ones, and go on with the units that wait. */
  | { readonly kind: "bring"; readonly pages: number }
  /** Run those that wait once more, to see what they need. */
  | { readonly kind: "look" }
  /** Go on with so many of them only. */
  | { readonly kind: "shrink"; readonly units: number }
  /** Even one alone seems to need too much. */
  | { readonly kind: "alone" };

export function decide({ pending, here, missing, frames, isExact, fruitless }: Found): Decision {
  if (here + missing <= frames) return { kind: "bring", pages: missing };
  if (!isExact) return { kind: "look" };
  if (pending === 1) return { kind: "alone" };
  const room = frames - here;
  if (room >= Math.max(1, frames * LEAST_ROOM) && fruitless < MOST_FRUITLESS) return { kind: "bring", pages: room };
  const fitting = Math.floor((pending * frames * 0.75) / (here + missing));
  return { kind: "shrink", units: Math.min(Math.max(fitting, 1), pending - 1) };
}

/** Units of the next window, after those of one have run. */
export class WindowSize {
  readonly #most: number;
  #units: number;
  #patience = 0;

  constructor(most: number) {
    this.#most = most;
    this.#units = Math.min(FIRST_UNITS, most);
  }

  get units(): number {
    return this.#units;
  }

  /** Nothing can be missing: there is no reason to try few. */
  widen(): void {
    this.#units = this.#most;
  }

  shrink(units: number): void {
    this.#units = units;
    this.#patience = PATIENCE;
  }

  /**
   * All units of a window have run, which at some time needed `pages` of the device's frames at once; 0 where all that they
   * used was there from the beginning, which says nothing against more of them.
   */
  finish(pages: number, frames: number): void {
    if (this.#patience > 0) this.#patience--;
    else if (pages * 2 <= frames) this.#units = Math.min(this.#units * 2, this.#most);
  }
}
