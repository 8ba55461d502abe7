// The choice of device frames against a naive oracle: every run, its most recent use, the first of the smallest.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FREE, HELD, leastRecentlyUsedRun } from "../../src/unified/local/window-policy.js";
import { between, withSeeds } from "./random-operands.js";

function naiveRun(uses: Float64Array, count: number, runFrames: number): number {
  let best = -1;
  let bestUse = HELD;
  for (let first = 0; first + count <= uses.length; first++) {
    if (Math.floor(first / runFrames) !== Math.floor((first + count - 1) / runFrames)) continue;
    const use = Math.max(...uses.subarray(first, first + count));
    if (use < bestUse) {
      best = first;
      bestUse = use;
    }
  }
  return best;
}

test("the chosen run is the one that a search of every run chooses", async (t) => {
  await withSeeds(t, 3000, (random) => {
    const uses = Float64Array.from({ length: between(random, 1, 40) }, () => {
      const kind = random();
      return kind < 0.25 ? FREE : kind < 0.4 ? HELD : between(random, 0, 12);
    });
    const count = between(random, 1, 12);
    const what = `${count} of [${uses.join(", ")}]`;
    assert.equal(leastRecentlyUsedRun(uses, count), naiveRun(uses, count, uses.length), what);
    const runFrames = between(random, 1, 12);
    assert.equal(
      leastRecentlyUsedRun(uses, count, runFrames),
      naiveRun(uses, count, runFrames),
      `${what}, in buffers of ${runFrames}`,
    );
  });
});

test("free frames go before any that were used, and the oldest use before a newer one", () => {
  assert.equal(leastRecentlyUsedRun(Float64Array.of(5, 3, FREE, FREE, 1), 2), 2);
  assert.equal(leastRecentlyUsedRun(Float64Array.of(5, 3, 4, 9, 1), 2), 1);
  assert.equal(leastRecentlyUsedRun(Float64Array.of(0, 0, 0), 2), 0);
});

test("a run never has a frame that a step holds", () => {
  assert.equal(leastRecentlyUsedRun(Float64Array.of(1, HELD, 1, 9, 9, HELD), 2), 2);
  assert.equal(leastRecentlyUsedRun(Float64Array.of(FREE, HELD, FREE, HELD), 2), -1);
});

test("a run never goes from one buffer of the device into the next", () => {
  assert.equal(leastRecentlyUsedRun(Float64Array.of(9, FREE, FREE, 8), 2, 2), 2);
  assert.equal(leastRecentlyUsedRun(Float64Array.of(FREE, FREE, FREE, FREE), 3, 2), -1);
});

test("there is no run longer than the device", () => {
  assert.equal(leastRecentlyUsedRun(Float64Array.of(FREE, FREE), 3), -1);
  assert.equal(leastRecentlyUsedRun(new Float64Array(0), 1), -1);
});
