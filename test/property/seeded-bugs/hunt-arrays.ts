/**
 * The search for one bug as in `hunt.ts`, by the random programs over arrays and kernels; with kinds of actions, only of these and
 * of `create`, `write` and `read`.
 *
 * node hunt-arrays.js PROGRAMS [KIND...]
 */

import { kinds, programs, run } from "../unified/program.js";
import { focusOf } from "./focus.js";
import { search } from "./search.js";

const MOST_ACTIONS = 60;

const [, , most, ...named] = process.argv;
await search(programs(MOST_ACTIONS, focusOf(kinds, named)), (program) => run(program), Number(most));
