/**
 * One program that does a little of everything, run again and again: each time the next allocation or copy fails, until
 * a run comes through without a failure. Whatever fails, no byte is lost, nothing is left behind, and whoever asked hears
 * of it by an error with a code, or keeps the page where it was.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { DMA_PIN, SHORT_REFERENCE } from "../../../src/mm/gup.js";
import { PROT_READ, PROT_WRITE } from "../../../src/mm/vma.js";
import { NthFailure } from "../../simulation/failure-plan.js";
import { SimulatedEnvironment } from "../../simulation/simulated-environment.js";
import * as operations from "./operations/index.js";
import type { Target } from "./operations/index.js";
import { World } from "./world.js";

const PAGES = 5;
const FEWEST_FAILURES = 100;
const COPIES = ["upload", "download", "clear"];
const SITES = [...COPIES, "frame", "table", "anon-vma", "charge", "device-frame"];

test("whichever allocation or copy fails, no byte is lost and nothing is left behind", async (t) => {
  const sites = new Set<string>();
  for (let n = 1; ; n++) {
    const failure = new NthFailure(n);
    try {
      const errors = await runWith(failure);
      // A page without memory may just stay where it is; a copy that fails is always reported.
      if (COPIES.includes(failure.site)) assert.ok(errors.includes("EIO"), "nobody heard of it");
    } catch (cause) {
      throw new Error(`with failure ${n}, of ${failure.site}: ${String(cause)}`, { cause });
    }
    if (failure.failed > 0) {
      sites.add(failure.site);
      continue;
    }
    t.diagnostic(`${n - 1} allocations and copies failed, one in each run`);
    assert.ok(n - 1 > FEWEST_FAILURES, `only ${n - 1} things could fail`);
    assert.deepEqual([...sites].toSorted(), SITES.toSorted());
    return;
  }
});

/** The codes of the errors that operations ended with. */
async function runWith(failures: NthFailure): Promise<string[]> {
  const environment = new SimulatedEnvironment({ seed: 7, failures, awayFromHome: 0.3 });
  const world = await World.create(
    {
      devices: [
        { kind: "private", frames: 8, link: "late" },
        { kind: "coherent", frames: 5, link: "early" },
      ],
      hostPages: Infinity,
      swap: { slots: 2 * PAGES, link: "late" },
    },
    environment,
  );
  world.createSpace();
  world.createSpace();
  for (const [i, space] of world.spaces.entries()) {
    operations.map(world, space, PAGES, i === 0, null);
    operations.map(world, space, PAGES, i === 1, null);
  }
  await world.quiesce("last");
  for (const { space, start, pages } of world.mappings)
    await migrateAround(world, { space, start, end: start + pages });
  for (const { space, start } of world.mappings) await overlap(world, { space, start, end: start + PAGES });
  await world.tearDown((space) => operations.exit(world, space));
  return world.errors.map(({ code }) => code);
}

/** Host, private device, host by fault, coherent device, host by eviction: each kind of move once. */
async function migrateAround(world: World, target: Target): Promise<void> {
  const { space, start, end } = target;
  const [first, second] = world.devices;
  const moves = [
    () => operations.store(world, { space, start, end: end - 1 }),
    () => operations.toDevice(world, first, target),
    () => operations.deviceStore(world, first, { space, start, end: start + 2 }),
    () => operations.load(world, target),
    () => operations.toDevice(world, second, target),
    () => operations.deviceLoad(world, first, target),
    () => operations.store(world, { space, start: start + 1, end: start + 3 }),
    () => operations.evict(world, second, 0, second.zone.frames),
    () => operations.toDevice(world, first, target),
    () => operations.toHost(world, first, target),
  ];
  for (const move of moves) {
    move();
    await world.quiesce("last");
  }
}

/** The same at once, with pins, and while mappings change. */
async function overlap(world: World, target: Target): Promise<void> {
  const { space, start, end } = target;
  const [first, second] = world.devices;
  operations.toDevice(world, first, target);
  operations.deviceStore(world, second, target);
  operations.pin(world, target, true, SHORT_REFERENCE);
  operations.pin(world, { space, start: end - 1, end }, false, DMA_PIN);
  await world.environment.runOne();
  world.check();
  operations.evict(world, first, 0, first.zone.frames);
  operations.protect(world, { space, start, end: start + 2 }, PROT_READ);
  operations.giveUp(world, { space, start: start + 2, end: start + 4 });
  operations.store(world, { space, start: start + 2, end });
  await world.environment.runOne();
  world.check();
  operations.protect(world, target, PROT_READ | PROT_WRITE);
  operations.unmap(world, { space, start: end - 2, end: end - 1 });
  operations.toDevice(world, second, { space, start, end: start + 2 });
  await world.quiesce("last");
  for (const pin of space.pins) operations.release(world, pin, true);
  operations.load(world, { space, start, end: end - 2 });
  await world.quiesce("last");
}
