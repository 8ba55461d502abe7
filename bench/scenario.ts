/**
 * A scenario measures one or several rows that share a machine. It runs in a process of its own, so that nothing is left
 * of one when the next begins: no memory, no garbage, no types that the compiler has seen.
 */

import type { Figure } from "./figure.js";

export interface Scale {
  /** Sizes that show that results are right, and too small for figures that mean anything. */
  readonly smoke: boolean;
}

export interface Scenario {
  readonly name: string;
  run(scale: Scale): Promise<readonly Figure[]>;
}

/** The work was done wrong: no figure counts then. */
export class WrongResult extends Error {
  override readonly name = "WrongResult";
}

/** There is no such machine here: rows of it are missing, and the table says why. */
export class NotMeasured extends Error {
  override readonly name = "NotMeasured";
}

export function expect(right: boolean, wrong: string): asserts right {
  if (!right) throw new WrongResult(wrong);
}
