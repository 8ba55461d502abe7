/**
 * The search for one bug, as a program of its own, since a bug may be in any module: random programs over the engine beside it,
 * until one fails; with kinds of actions, only of these and of `map` and `store`.
 *
 * node hunt.js PROGRAMS [KIND...]
 */

import { kinds, programs } from "../engine/actions.js";
import { run } from "../engine/program.js";
import { focusOf } from "./focus.js";
import { search } from "./search.js";

const MOST_ACTIONS = 100;
const FEWEST_ACTIONS = 30;

const [, , most, ...named] = process.argv;
await search(programs(MOST_ACTIONS, FEWEST_ACTIONS, focusOf(kinds, named)), run, Number(most));
