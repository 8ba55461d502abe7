/**
 * The search for one bug, as a program of its own, since a bug may be in any module: random programs of a fixed seed over
 * the engine beside it, until one fails. Exit code 3 and the complaint when one does, 0 when none does.
 *
 * node hunt.js PROGRAMS
 */

import fc from "fast-check";
import { type Program, programs, run } from "../engine/program.js";

export const FOUND = 3;
const SEED = 2;
const MOST_ACTIONS = 100;
const FEWEST_ACTIONS = 30;

const samples: Program[] = fc.sample(programs(MOST_ACTIONS, FEWEST_ACTIONS), {
  seed: SEED,
  numRuns: Number(process.argv[2]),
});
for (const [i, program] of samples.entries()) {
  try {
    await run(program);
  } catch (error) {
    process.stdout.write(`program ${i} of seed ${SEED}: ${String(error).replace(/\s+/g, " ").slice(0, 300)}\n`);
    process.exit(FOUND);
  }
}
