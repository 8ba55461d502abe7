/**
 * The search for a failing program: as many random programs as make up the wanted number of steps, from a seed that is
 * printed; a failing one is made as small as it gets, and reported with what replays it.
 *
 * PAGEFERRY_STEPS=N asks for more steps, PAGEFERRY_SEED=N for certain programs, with PAGEFERRY_PATH for one of them.
 */

import fc from "fast-check";
import { setting } from "../setting.js";

const PROGRAMS_A_BATCH = 20;

export interface Search<P, R extends { readonly steps: number }> {
  /** How the search is called in its report, and the test file that it is in. */
  readonly name: string;
  readonly file: string;
  readonly programs: fc.Arbitrary<P>;
  /** Runs a program; rejects when it fails. */
  readonly run: (program: P) => Promise<R>;
  /** Steps to make when nobody asks for more. */
  readonly steps: number;
  /** Programs that are drawn from one seed. Default: 20. */
  readonly batch?: number;
  readonly print: (line: string) => void;
}

/** Runs programs until they made the steps; what each run gave. Throws for the smallest failing program that was found. */
export async function search<P, R extends { readonly steps: number }>(searching: Search<P, R>): Promise<R[]> {
  const { name, file, programs, run, batch = PROGRAMS_A_BATCH, print } = searching;
  const steps = numberFrom("PAGEFERRY_STEPS") ?? searching.steps;
  const first = numberFrom("PAGEFERRY_SEED") ?? Date.now() % 1_000_000;
  print(`${name}: seed ${first}, at least ${steps} steps`);
  const runs: R[] = [];
  let made = 0;
  const path = setting("PAGEFERRY_PATH");
  for (let seed = first; made < steps; seed++) {
    const property = fc.asyncProperty(programs, async (program) => {
      const result = await run(program);
      runs.push(result);
      made += result.steps;
    });
    const details = await fc.check(property, {
      seed,
      numRuns: batch,
      ...(path === undefined ? {} : { path }),
    });
    if (!details.failed && path !== undefined) return runs;
    if (!details.failed) continue;
    const replay = `PAGEFERRY_SEED=${details.seed} PAGEFERRY_PATH=${details.counterexamplePath} npm test -- ${file}`;
    const cause = details.errorInstance;
    const smallest = JSON.stringify(details.counterexample?.[0]);
    throw new Error(
      `${String(cause)}\n  replay with ${replay}\n  after ${details.numShrinks} reductions: ${smallest}`,
      { cause },
    );
  }
  return runs;
}

function numberFrom(variable: string): number | undefined {
  const text = setting(variable);
  if (text === undefined || text === "") return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number)) throw new Error(`${variable}=${text} is not a whole number`);
  return number;
}
