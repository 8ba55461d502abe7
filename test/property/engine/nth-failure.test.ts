/**
 * One program that does a little of everything, run again and again: each time the next allocation or copy fails, until
 * a run comes through without a failure. Whatever fails, no byte is lost, nothing is left behind, and whoever asked hears
 * of it by an error with a code, or keeps the page where it was.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { DMA_PIN, SHORT_REFERENCE } from "../../../src/mm/fault/gup.js";
import { PROT_READ, PROT_WRITE } from "../../../src/mm/space/vma.js";
import { NthFailure } from "../../simulation/failure-plan.js";
import { letPromisesSettle, SimulatedEnvironment } from "../../simulation/simulated-environment.js";
import * as operations from "./operations/index.js";
import type { Target } from "./operations/index.js";
import { World } from "./world.js";

const PAGES = 5;
const COPIES = ["upload", "download", "clear"];
const READS = ["swap-read", "file-read"];
const ALLOCATIONS = ["frame", "table", "anon-vma", "charge", "device-frame"];

test("whichever allocation or copy fails, no byte is lost and nothing is left behind", async (t) => {
  const failed = await failOneByOne(moveEverywhere, [...COPIES, ...ALLOCATIONS]);
  t.diagnostic(`${failed} allocations and copies failed, one in each run`);
  assert.ok(failed > 100, `only ${failed} things could fail`);
});

test("the same while pages are paged out, shared and had by a device alone", async (t) => {
  const failed = await failOneByOne(pageOutAndShare, [...COPIES, ...ALLOCATIONS, ...READS, "swap-write"]);
  t.diagnostic(`${failed} allocations, copies, writes and reads failed, one in each run`);
  assert.ok(failed > 80, `only ${failed} things could fail`);
});

/** Runs a program as often as it takes; how many things could fail, which were of the given sites. */
async function failOneByOne(run: (world: World) => Promise<void>, expected: readonly string[]): Promise<number> {
  const sites = new Set<string>();
  for (let n = 1; ; n++) {
    const failure = new NthFailure(n);
    try {
      const errors = await runWith(run, failure);
      // Without memory a page may just stay where it is, as it does without swap; a copy or a read that fails is reported.
      const isReported = COPIES.includes(failure.site) || READS.includes(failure.site);
      if (isReported) assert.ok(errors.includes("EIO"), "nobody heard of it");
    } catch (cause) {
      throw new Error(`with failure ${n}, of ${failure.site}: ${String(cause)}`, { cause });
    }
    if (failure.failed === 0) {
      assert.deepEqual([...sites].toSorted(), expected.toSorted());
      return n - 1;
    }
    sites.add(failure.site);
  }
}

/** The codes of the errors that operations ended with. */
async function runWith(run: (world: World) => Promise<void>, failures: NthFailure): Promise<string[]> {
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
  await run(world);
  await world.tearDown((space) => operations.exit(world, space));
  return world.errors.map(({ code }) => code);
}

async function moveEverywhere(world: World): Promise<void> {
  world.createSpace();
  for (const [i, space] of world.spaces.entries()) {
    operations.map(world, space, PAGES, i === 0, null);
    operations.map(world, space, PAGES, i === 1, null);
  }
  await world.quiesce("last");
  for (const { space, start, pages } of world.mappings)
    await migrateAround(world, { space, start, end: start + pages });
  for (const { space, start } of world.mappings) await overlap(world, { space, start, end: start + PAGES });
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

/** One task, once promises have settled: where all has ended without a wait there is none that would let them. */
async function runOne({ environment }: World): Promise<void> {
  await letPromisesSettle();
  await environment.runOne();
}

/** The same at once, with pins, and while mappings change. */
async function overlap(world: World, target: Target): Promise<void> {
  const { space, start, end } = target;
  const [first, second] = world.devices;
  operations.toDevice(world, first, target);
  operations.deviceStore(world, second, target);
  operations.pin(world, target, true, SHORT_REFERENCE);
  operations.pin(world, { space, start: end - 1, end }, false, DMA_PIN);
  await runOne(world);
  world.check();
  operations.evict(world, first, 0, first.zone.frames);
  operations.protect(world, { space, start, end: start + 2 }, PROT_READ);
  operations.giveUp(world, { space, start: start + 2, end: start + 4 });
  operations.store(world, { space, start: start + 2, end });
  await runOne(world);
  world.check();
  operations.protect(world, target, PROT_READ | PROT_WRITE);
  operations.unmap(world, { space, start: end - 2, end: end - 1 });
  operations.toDevice(world, second, { space, start, end: start + 2 });
  await world.quiesce("last");
  for (const pin of space.pins) operations.release(world, pin, true);
  operations.load(world, { space, start, end: end - 2 });
  await world.quiesce("last");
}

/** Anonymous memory, a shared object and a private file: paged out, read back, forked, had by a device alone. */
async function pageOutAndShare(world: World): Promise<void> {
  const [parent] = world.spaces;
  if (parent === undefined) return;
  const object = world.createObject(2, false);
  const file = world.createObject(2, true);
  operations.map(world, parent, PAGES, true, null);
  operations.mapObject(world, parent, 2, { object, first: 0, shared: true, release: false }, null);
  operations.mapObject(world, parent, 2, { object: file, first: 0, shared: false, release: true }, null);
  await world.quiesce("last");
  const targets = world.mappings.map(({ space, start, pages }) => ({ space, start, end: start + pages }));
  for (const target of targets) await pageOutAndBack(world, target);
  if (targets.length === 0) return;
  operations.fork(world, parent);
  await world.quiesce("last");
  const child = world.spaces[1];
  for (const { start, end } of targets) {
    operations.pageOut(world, { space: parent, start, end });
    if (child !== undefined) operations.store(world, { space: child, start, end: start + 1 });
    await world.quiesce("last");
  }
  await shareMeanwhile(world, targets[0]);
}

async function pageOutAndBack(world: World, target: Target): Promise<void> {
  const { space, start, end } = target;
  const [first, second] = world.devices;
  const moves = [
    () => operations.store(world, { space, start, end: end - 1 }),
    () => operations.pageOut(world, target),
    () => operations.load(world, target),
    () => operations.store(world, { space, start, end: start + 1 }),
    () => operations.clearSoftDirty(world, space),
    () => operations.pageOut(world, target),
    () => operations.deviceStore(world, second, { space, start, end: start + 1 }),
    () => operations.toDevice(world, first, target),
    () => operations.accessExclusively(world, second, { space, start, end: start + 1 }),
    () => operations.load(world, target),
    () => operations.pageOut(world, target),
  ];
  for (const move of moves) {
    move();
    await world.quiesce("last");
  }
}

/** While pages are on their way out and back: accesses, a fork, a pin for long, and a device that is emptied. */
async function shareMeanwhile(world: World, target: Target): Promise<void> {
  const { space, start, end } = target;
  const [, second] = world.devices;
  operations.load(world, target);
  await world.quiesce("last");
  operations.toDevice(world, second, { space, start: end - 2, end });
  await world.quiesce("last");
  operations.pageOut(world, target);
  operations.store(world, { space, start, end: start + 2 });
  operations.pinForLong(world, { space, start: end - 1, end }, true);
  operations.emptyDevice(world, second);
  await runOne(world);
  world.check();
  operations.giveUp(world, { space, start: start + 1, end: start + 2 });
  operations.fork(world, space);
  await world.quiesce("last");
  operations.load(world, { space, start, end });
  await world.quiesce("last");
}
