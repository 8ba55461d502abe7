// Opening and closing a device.

import assert from "node:assert/strict";
import { PAGES, scenario } from "./scenario.js";
import { done } from "./region.js";

scenario("open_close", "a device that is closed keeps nothing of a process, and can be opened again", async (stage) => {
  const { process } = stage;
  const region = await process.map(PAGES);
  await region.fill(1);
  assert.deepEqual(await region.toDevice(), done(PAGES));
  process.close(0);
  assert.deepEqual(new Set(region.seenBy(1)), new Set(["system, write"]));
  await region.holds(1);
  process.open(0);
  assert.equal(region.reachedBy(0), 0);
  assert.deepEqual(await region.deviceRead(), done(PAGES, 1));
  await region.deviceHolds(1);
});
