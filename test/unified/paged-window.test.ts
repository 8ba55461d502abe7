// What a paged dispatch does for units that wait: the decision alone, by counts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { decide, FIRST_UNITS, type Found, WindowSize } from "../../src/unified/local/paged-window.js";
import { between, withSeeds } from "./random-operands.js";

const found = (changes: Partial<Found>): Found => ({
  pending: 100,
  here: 10,
  missing: 10,
  frames: 64,
  isExact: true,
  fruitless: 0,
  ...changes,
});

test("what is missing is brought in when it fits beside what is used, however much has run", () => {
  for (const isExact of [true, false])
    assert.deepEqual(decide(found({ here: 60, missing: 4, isExact })), { kind: "bring", pages: 4 });
});

test("where it does not fit, what those who wait use is looked at before anything gives way for it", () => {
  assert.deepEqual(decide(found({ here: 60, missing: 5, isExact: false })), { kind: "look" });
});

test("as much as there is room for is brought in, so that each page serves all who wait", () => {
  assert.deepEqual(decide(found({ here: 20, missing: 1000 })), { kind: "bring", pages: 44 });
});

test("where there is hardly room, or it helped nobody again and again, fewer units are tried, and at last one alone", () => {
  assert.deepEqual(decide(found({ here: 60, missing: 60, pending: 100 })), { kind: "shrink", units: 40 });
  assert.equal(decide(found({ here: 20, missing: 1000, fruitless: 4 })).kind, "shrink");
  assert.deepEqual(decide(found({ here: 64, missing: 1, pending: 2 })), { kind: "shrink", units: 1 });
  assert.deepEqual(decide(found({ here: 64, missing: 1, pending: 1 })), { kind: "alone" });
});

test("whatever is found: something comes in that there is room for, or fewer units are tried, but never for ever", async (t) => {
  await withSeeds(t, 3000, (random) => {
    const frames = between(random, 1, 40);
    const asked = found({
      pending: between(random, 1, 5),
      here: between(random, 0, frames),
      missing: between(random, 1, 60),
      frames,
      isExact: random() < 0.8,
      fruitless: between(random, 0, 6),
    });
    const decision = decide(asked);
    if (decision.kind === "bring") {
      assert.ok(decision.pages >= 1 && decision.pages <= Math.min(asked.missing, frames - asked.here));
    } else if (decision.kind === "shrink") {
      assert.ok(decision.units >= 1 && decision.units < asked.pending);
    } else assert.equal(decision.kind === "look", !asked.isExact);
  });
});

test("windows grow as long as they need no more than half of the device, and wait a while after they had to shrink", () => {
  const size = new WindowSize(FIRST_UNITS * 4);
  assert.equal(size.units, FIRST_UNITS);
  size.finish(33, 64);
  assert.equal(size.units, FIRST_UNITS);
  for (const expected of [2, 4, 4]) {
    size.finish(32, 64);
    assert.equal(size.units, expected * FIRST_UNITS);
  }
  size.shrink(10);
  for (const expected of [10, 10, 10, 10, 20, 40]) {
    size.finish(1, 64);
    assert.equal(size.units, expected);
  }
  assert.equal(new WindowSize(3).units, 3);
  const wide = new WindowSize(FIRST_UNITS * 4);
  wide.widen();
  assert.equal(wide.units, FIRST_UNITS * 4);
});
