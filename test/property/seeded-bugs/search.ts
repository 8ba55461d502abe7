/** The search for one bug, as every program of this folder that hunts for one does it. */

import fc from "fast-check";

const FOUND = 3;
const FIRST_SEED = 4;
const CASES_A_SEED = 25;

/** Runs cases of fixed seeds until one fails, and ends the process: with exit code 3 and the complaint then, with 0 when none does. */
export async function search<T>(
  cases: fc.Arbitrary<T>,
  run: (one: T) => Promise<unknown>,
  most: number,
): Promise<never> {
  const property = fc.asyncProperty(cases, async (one) => {
    await run(one);
  });
  for (let done = 0, seed = FIRST_SEED; done < most; done += CASES_A_SEED, seed++) {
    const numRuns = Math.min(CASES_A_SEED, most - done);
    const { failed, errorInstance, counterexamplePath } = await fc.check(property, {
      seed,
      numRuns,
      endOnFailure: true,
    });
    if (!failed) continue;
    const complaint = String(errorInstance).replace(/\s+/g, " ").slice(0, 300);
    process.stdout.write(`case ${counterexamplePath} of seed ${seed}: ${complaint}\n`);
    process.exit(FOUND);
  }
  process.exit(0);
}
