/** Two sides of a comparison, measured in turn: what slows the machine for a while slows both. */

import { type Clock, processorTime } from "./clock.js";

export interface Sides {
  /** Milliseconds of each round. */
  readonly samples: readonly number[];
  readonly baseline: readonly number[];
}

/** Rounds that are not counted: the first work of both sides, and until the compiler is done with it. */
const WARM_UP = 4;

/**
 * Runs both sides `rounds` times after the warm-up; the one that goes first changes from round to round. `prepare` is
 * called before each round and not timed.
 */
export async function compare(
  rounds: number,
  subject: () => unknown,
  baseline: () => unknown,
  clock: Clock = processorTime,
  prepare: () => unknown = () => {},
): Promise<Sides> {
  const samples: number[] = [];
  const baselines: number[] = [];
  for (let round = -WARM_UP; round < rounds; round++) {
    let first = 0;
    let second = 0;
    await prepare();
    if (round % 2 === 0) {
      first = await timed(subject, clock);
      second = await timed(baseline, clock);
    } else {
      second = await timed(baseline, clock);
      first = await timed(subject, clock);
    }
    if (round < 0) continue;
    samples.push(first);
    baselines.push(second);
  }
  return { samples, baseline: baselines };
}

async function timed(work: () => unknown, clock: Clock): Promise<number> {
  const began = clock();
  await work();
  return clock() - began;
}
