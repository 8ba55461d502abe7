/**
 * Random programs over arrays and kernels, with devices of two pages or more and pages of 4 to 64 KiB: what arrays hold is
 * what plain typed arrays would, whatever the sizes, the order of copies, and the places of pages.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { search } from "../search.js";
import { type Events, type Program, programs, run } from "./program.js";

test("arrays hold what plain typed arrays would, whatever the device, its size and the size of pages", async (t) => {
  const runs = await search({
    name: "array programs",
    file: "property/unified/random-arrays",
    programs: programs(60),
    run: (program: Program) => run(program),
    steps: 3000,
    print: (line) => t.diagnostic(line),
  });
  const sum = (of: (each: (typeof runs)[number]) => number): number =>
    runs.reduce((total, each) => total + of(each), 0);
  const [asked, refused] = [sum((each) => each.homesAsked), sum((each) => each.homesRefused)];
  t.diagnostic(
    `${sum((each) => each.steps)} steps in ${runs.length} programs; ${refused} of ${asked} pages kept from home`,
  );
  assert.ok(refused >= asked / 5, `only ${refused} of ${asked} pages were kept from their home frames`);

  const events = Object.keys(runs[0].events) as (keyof Events)[];
  const totals = events.map((event) => ({ event, times: sum((each) => each.events[event]) }));
  t.diagnostic(totals.map(({ event, times }) => `${event} ${times}`).join(", "));
  for (const { event, times } of totals) assert.ok(times > 0, `no program ever reached: ${event}`);
});

test("the same holds with kernels in a worker, while the next step is on its way", async (t) => {
  const runs = await search({
    name: "array programs with kernels in a worker",
    file: "property/unified/random-arrays",
    programs: programs(60),
    run: (program: Program) => run(program, true),
    steps: 800,
    print: (line) => t.diagnostic(line),
  });
  const streamed = runs.reduce((total, each) => total + each.events.streamed, 0);
  t.diagnostic(`${streamed} of ${runs.length} programs streamed`);
  assert.ok(streamed > 0, "no program ever streamed");
});
