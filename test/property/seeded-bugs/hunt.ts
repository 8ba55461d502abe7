/**
 * The search for one bug, as a program of its own, since a bug may be in any module: random programs of a fixed seed over
 * the engine beside it, until one fails; with kinds of actions, only of these and of `map` and `store`. Exit code 3 and the
 * complaint when one does, 0 when none does.
 *
 * node hunt.js PROGRAMS [KIND...]
 */

import fc from "fast-check";
import { kinds, programs } from "../engine/actions.js";
import { run } from "../engine/program.js";

const FOUND = 3;
const FIRST_SEED = 4;
const PROGRAMS_A_SEED = 25;
const MOST_ACTIONS = 100;
const FEWEST_ACTIONS = 30;

const most = Number(process.argv[2]);
const named = process.argv.slice(3);
const focus = kinds.filter((kind) => named.includes(kind));
if (focus.length < named.length) throw new Error(`no such kinds of actions: ${named.join(", ")}`);
for (let done = 0, seed = FIRST_SEED; done < most; done += PROGRAMS_A_SEED, seed++) {
  const samples = fc.sample(programs(MOST_ACTIONS, FEWEST_ACTIONS, focus), { seed, numRuns: PROGRAMS_A_SEED });
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
