/** The search for one bug by random programs over huge pages, in the way of `hunt.ts`: node hunt-huge.js PROGRAMS */

import { programs } from "../huge/actions.js";
import { run } from "../huge/program.js";
import { search } from "./search.js";

const MOST_ACTIONS = 60;

await search(programs(MOST_ACTIONS), run, Number(process.argv[2]));
