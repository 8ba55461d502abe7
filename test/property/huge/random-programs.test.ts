// Random programs over huge pages, in up to three processes: checked after every step against a flat truth and all invariants.

import assert from "node:assert/strict";
import { test } from "node:test";
import { search } from "../search.js";
import { kinds, programs } from "./actions.js";
import { type Run, run } from "./program.js";

test("random programs over huge pages lose no byte, break no invariant and leave nothing behind", async (t) => {
  const runs = await search({
    name: "huge pages",
    file: "property/huge/random-programs",
    programs: programs(60),
    run,
    steps: 1500,
    print: (line) => t.diagnostic(line),
  });
  const sum = (of: (each: Run) => number): number => runs.reduce((total, each) => total + of(each), 0);
  const reached = {
    hugeEntries: sum((each) => each.hugeEntries),
    parts: sum((each) => each.parts),
    moved: sum((each) => each.moved),
  };
  t.diagnostic(`${sum((each) => each.steps)} steps in ${runs.length} programs: ${JSON.stringify(reached)}`);
  for (const [what, times] of Object.entries(reached)) assert.ok(times > 0, `no program ever reached: ${what}`);
  for (const kind of kinds) assert.ok(sum((each) => each.taken.get(kind) ?? 0) > 0, `no program ever came to ${kind}`);
});
