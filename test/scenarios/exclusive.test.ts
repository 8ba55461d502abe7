// A device has pages for itself, for atomic operations.

import assert from "node:assert/strict";
import { EPERM } from "../../src/cli/conform/errno.js";
import { PROT_READ } from "../../src/mm/space/vma-flags.js";
import { done } from "./region.js";
import { PAGES, scenario } from "./scenario.js";

scenario("exclusive", "a device has pages for itself until the CPU takes them back", async ({ process }) => {
  const region = await process.map(PAGES);
  await region.fill(5);
  assert.deepEqual(await region.exclusive(), done(PAGES));
  assert.deepEqual(new Set(region.seenBy()), new Set(["nothing"]));
  await region.deviceHolds(5);
  await region.increment();
  assert.equal(region.reachedBy(0), 0);
  await region.holds(6);
  assert.deepEqual(new Set(region.seenBy()), new Set(["system, write"]));
});

scenario("exclusive_mprotect", "a device loses the permission to write with the mapping", async ({ process }) => {
  const region = await process.map(PAGES);
  await region.fill(5);
  assert.deepEqual(await region.exclusive(), done(PAGES));
  await region.protect(PROT_READ);
  assert.deepEqual(await region.deviceWrite(70), { rc: -EPERM });
  await region.holds(5);
});

scenario(
  "exclusive_cow",
  "a fork takes the pages back from the device, and both processes have their own",
  async ({ process }) => {
    const region = await process.map(PAGES);
    await region.fill(5);
    assert.deepEqual(await region.exclusive(), done(PAGES));
    const child = await process.fork();
    assert.equal(region.reachedBy(0), 0);
    await region.increment();
    await region.in(child).holds(5);
    await region.in(child).increment();
    await region.in(child).holds(6);
    await region.holds(6);
  },
);
