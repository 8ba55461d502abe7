/** Random programs of overlapping operations, checked after every step against a flat truth and all invariants. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { search } from "../search.js";
import { kinds, type Program, programs } from "./actions.js";
import { type Events, run } from "./program.js";
import { addTallies, type Tallies } from "./tally.js";

/** Of all operations, at least this share met another one that was under way. */
const SMALLEST_SHARE_MET = 0.25;

test("random programs over two devices lose no byte, break no invariant and leave nothing behind", async (t) => {
  const runs = await search({
    name: "engine programs",
    file: "property/engine/random-programs",
    programs: programs(100),
    run: (program: Program) => run(program),
    steps: 12_000,
    print: (line) => t.diagnostic(line),
  });
  const sum = (of: (each: (typeof runs)[number]) => number): number =>
    runs.reduce((total, each) => total + of(each), 0);

  const [asked, refused] = [sum((each) => each.homesAsked), sum((each) => each.homesRefused)];
  t.diagnostic(
    `${sum((each) => each.steps)} steps in ${runs.length} programs; ${refused} of ${asked} pages kept from home`,
  );
  assert.ok(refused >= asked / 5, `only ${refused} of ${asked} pages were kept from their home frames`);

  const tallies: Tallies = new Map();
  for (const each of runs) addTallies(tallies, each.tallies);
  const counts = [...tallies].map(([kind, { taken, met }]) => `${kind} ${taken} (${met})`);
  t.diagnostic(`operations, and how many of them met another: ${counts.join(", ")}`);
  for (const kind of kinds) {
    if (kind === "settle") continue;
    assert.ok((tallies.get(kind)?.taken ?? 0) > 0, `no program ever came to ${kind}`);
    assert.ok((tallies.get(kind)?.met ?? 0) > 0, `no ${kind} ever met another operation`);
  }
  const [taken, met] = [...tallies.values()].reduce(([all, some], each) => [all + each.taken, some + each.met], [0, 0]);
  assert.ok(met > taken * SMALLEST_SHARE_MET, `of ${taken} operations only ${met} met another`);

  const events = Object.keys(runs[0].events) as (keyof Events)[];
  const totals = events.map((event) => ({ event, times: sum((each) => each.events[event]) }));
  t.diagnostic(totals.map(({ event, times }) => `${event} ${times}`).join(", "));
  for (const { event, times } of totals) assert.ok(times > 0, `no program ever reached: ${event}`);
});
