// Threads add to elements of pages that they pin, while the pager sends the same pages to the device and back. No addition is
// lost, and enough of them met a migration: the run goes on until the counts below are reached.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { createUnifiedMemory, mirrorDevice } from "../../../src/index.js";
import { PAGE } from "../../builders.js";
import type { StressWork } from "./stress-worker.js";
import { setting } from "../../setting.js";

const ON_A_PAGE = PAGE / 4;
const PAGES = 16;
const WORKERS = 2;
/**
 * At least: pins that met a migration and had to be tried again, of these such whose entry changed between the two looks at it,
 * and migrations of a page that a pin refused.
 */
const RETRIED = 1000;
const GIVEN_BACK = 10;
const REFUSED = 1000;
/** Rounds of migrations after which the counts will not be reached any more. */
const MOST_ROUNDS = 1_000_000;

test("no update is lost while threads pin pages that the pager moves back and forth", async (t) => {
  const memory = await createUnifiedMemory({
    shared: true,
    pageSize: PAGE,
    device: mirrorDevice({ budget: PAGES * PAGE }),
  });
  t.after(() => memory.destroy());
  const array = memory.createArray("u32", PAGES * ON_A_PAGE, { label: "counters" });
  await array.fill(0);
  const shared = new Int32Array(new SharedArrayBuffer(4 * (1 + WORKERS)));
  const seed = Number(setting("SEED") ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const results: Promise<Uint32Array>[] = [];
  for (let element = 0; element < WORKERS; element++) {
    const port = await memory.port({ label: `worker ${element}` });
    const work: StressWork = {
      port,
      handle: array.handle,
      shared,
      element,
      elementsOfPage: ON_A_PAGE,
      seed: seed + element,
    };
    const worker = new Worker(new URL("./stress-worker.js", import.meta.url), {
      workerData: work,
      transferList: [port as never],
    });
    t.after(() => worker.terminate());
    results.push(
      new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      }),
    );
  }
  // A worker that fails ends the run.
  let failed = false;
  for (const result of results) result.catch(() => (failed = true));
  let refused = 0;
  let retried = 0;
  let givenBack = 0;
  let pins = 0;
  let migrated = 0;
  let rounds = 0;
  while (!failed && (refused < REFUSED || retried < RETRIED || givenBack < GIVEN_BACK)) {
    assert.ok(
      ++rounds < MOST_ROUNDS,
      `${retried} pins retried, ${givenBack} given back, ${refused} migrations refused`,
    );
    const before = memory.stats.migrations.toDevice.prefetch.pages;
    await array.prefetch("device");
    const moved = memory.stats.migrations.toDevice.prefetch.pages - before;
    migrated += moved;
    const onDevice = memory.stats.device.usedBytes / PAGE;
    refused += PAGES - Math.max(moved, onDevice);
    await array.prefetch("host");
    retried = shared.subarray(1).reduce((total, count) => total + count, 0);
    givenBack = memory.stats.threads.reduce((total, thread) => total + thread.retries, 0);
    pins = memory.stats.threads.reduce((total, thread) => total + thread.pins, 0);
    await new Promise((resolve) => setImmediate(resolve));
  }
  Atomics.store(shared, 0, 1);
  const added = await Promise.all(results);
  t.diagnostic(
    `${pins} pins, ${retried} retried, ${givenBack} of them given back; ${migrated} pages migrated, ${refused} refused`,
  );
  const values = await array.read();
  for (const [element, counts] of added.entries()) {
    const found = Uint32Array.from({ length: PAGES }, (_, page) => values[page * ON_A_PAGE + element]);
    assert.deepEqual(found, counts, `seed ${seed}: element ${element} of each page`);
  }
});
