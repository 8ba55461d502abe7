/**
 * The search for one bug, as a program of its own, since a bug may be in any module: random programs of a fixed seed over
 * the engine beside it, until one fails. Exit code 3 and the complaint when one does, 0 when none does.
 *
 * node hunt.js PROGRAMS
 */

import fc from "fast-check";
import { programs } from "../engine/actions.js";
import { run } from "../engine/program.js";

const FOUND = 3;
const FIRST_SEED = 4;
const PROGRAMS_A_SEED = 25;
const MOST_ACTIONS = 100;
const FEWEST_ACTIONS = 30;

const most = Number(process.argv[2]);
for (let done = 0, seed = FIRST_SEED; done < most; done += PROGRAMS_A_SEED, seed++) {
  const samples = fc.sample(programs(MOST_ACTIONS, FEWEST_ACTIONS), { seed, numRuns: PROGRAMS_A_SEED });
  for (const [i, program] of samples.entries()) {
    try {
      await run(program);
    } catch (error) {
      const complaint = String(error).replace(/\s+/g, " ").slice(0, 300);
      process.stdout.write(`program ${i} of seed ${seed}: ${complaint}\n`);
      process.exit(FOUND);
    }
  }
}
