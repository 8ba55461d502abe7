// A device, and processes that share their pages after a fork.

import assert from "node:assert/strict";
import { done } from "./region.js";
import { PAGES, scenario } from "./scenario.js";

scenario(
  "anon_write_child",
  "a device writes for the child, and the parent's memory stays as it was",
  async ({ process }) => {
    const region = await process.map(PAGES);
    await region.fill(10);
    const child = await process.fork();
    const inChild = region.in(child);
    await inChild.holds(10);
    assert.deepEqual(await inChild.deviceWrite(90), done(PAGES, 1));
    await inChild.holds(90);
    await region.holds(10);
    await child.exit();
    await region.holds(10);
  },
);

scenario(
  "anon_write_child_shared",
  "a device writes shared memory for the child, and the parent sees it",
  async ({ process }) => {
    const region = await process.mapShared(PAGES);
    await region.fill(10);
    const child = await process.fork();
    const inChild = region.in(child);
    await inChild.holds(10);
    assert.deepEqual(await inChild.deviceWrite(90), done(PAGES, 1));
    await inChild.holds(90);
    await child.exit();
    await region.holds(90);
  },
);

scenario(
  "cow_in_device",
  "a parent that writes pages which it shares on a device gets its own, in the system",
  async ({ process, by }) => {
    const region = await process.map(PAGES);
    await region.fill(10);
    assert.deepEqual(await region.toDevice(), done(PAGES));
    const child = await process.fork();
    const inChild = region.in(child);
    const shared = by({ private: "own private, read", coherent: "own coherent, read" });
    assert.deepEqual(new Set([...region.seenBy(), ...inChild.seenBy()]), new Set([shared]));
    await region.fill(60);
    assert.deepEqual(new Set(region.seenBy()), new Set(["system, write"]));
    const left = by({ private: "system, read", coherent: "own coherent, read" });
    assert.deepEqual(new Set(inChild.seenBy()), new Set([left]));
    await inChild.holds(10);
    await child.exit();
    await region.holds(60);
  },
);
