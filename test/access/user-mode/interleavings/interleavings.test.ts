import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { explore, type Scenario } from "./explorer.js";
import { scenarios } from "./scenarios.js";

const { migrated, returned, unmapped, clearedAll, clearedRange, snapshot, pagedOut, forgotten } = scenarios;

/** Each with the fewest states that it must have, and ends that must occur. */
const expected: readonly (readonly [Scenario, states: number, ends: readonly string[]])[] = [
  [migrated, 10_000, ["moved, missed, missed", "moved, stored, read", "refused, stored, read"]],
  [returned, 500, ["moved, missed", "moved, stored", "refused, stored"]],
  [unmapped, 1000, ["freed, missed, missed", "freed, stored, read", "still held, stored, read"]],
  [clearedAll, 3000, ["clear, missed, read", "clear, stored, read", "marked, stored, read"]],
  [clearedRange, 100, ["clear, missed", "clear, stored", "marked, stored"]],
  [snapshot, 2000, ["copied, stored, read", "shared, stored, read", "shared, missed, missed"]],
  [pagedOut, 100, ["in swap, missed", "in swap, stored", "kept, stored"]],
  [forgotten, 2000, ["forgotten, missed, missed", "forgotten, read, read", "kept, read, read"]],
];

suite("every interleaving of threads and the pager over one page keeps it whole", () => {
  for (const [scenario, fewest, ends] of expected) {
    test(scenario.name, async (t) => {
      const found = await explore(scenario);
      t.diagnostic(`${found.runs} interleavings, ${found.states} states, ${found.ends} ends`);
      t.diagnostic(`${found.retried} ends with a reference taken and given back`);
      for (const [end, count] of found.outcomes) t.diagnostic(`${count} times: ${end}`);
      assert.ok(found.states >= fewest, `only ${found.states} states`);
      assert.ok(found.retried > 0, "no reference was given back");
      for (const end of ends) assert.ok(found.outcomes.has(end), `it never ended: ${end}`);
    });
  }
});
