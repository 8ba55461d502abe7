/** The search for one bug by random programs over huge pages, in the way of `hunt.ts`: node hunt-huge.js PROGRAMS */

import fc from "fast-check";
import { programs } from "../huge/actions.js";
import { run } from "../huge/program.js";

const FOUND = 3;
const SEED = 4;
const MOST_ACTIONS = 60;

const samples = fc.sample(programs(MOST_ACTIONS), { seed: SEED, numRuns: Number(process.argv[2]) });
for (const [i, program] of samples.entries()) {
  try {
    await run(program);
  } catch (error) {
    const complaint = String(error).replace(/\s+/g, " ").slice(0, 300);
    process.stdout.write(`program ${i} of seed ${SEED}: ${complaint}\n`);
    process.exit(FOUND);
  }
}
