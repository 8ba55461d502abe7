/**
 * The search for one bug as in `hunt.ts`, by the random programs over arrays and kernels. Exit code 3 and the complaint
 * when one fails, 0 when none does.
 *
 * node hunt-arrays.js PROGRAMS
 */

import fc from "fast-check";
import { programs, run } from "../unified/program.js";

const FOUND = 3;
const FIRST_SEED = 4;
const PROGRAMS_A_SEED = 25;
const MOST_ACTIONS = 60;

const most = Number(process.argv[2]);
for (let done = 0, seed = FIRST_SEED; done < most; done += PROGRAMS_A_SEED, seed++) {
  const samples = fc.sample(programs(MOST_ACTIONS), { seed, numRuns: PROGRAMS_A_SEED });
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
