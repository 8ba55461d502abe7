// Threads add to elements of pages that they pin, while the pager sends the same pages to the device and back. No addition is
// lost, and enough of them met a migration: the run goes on until the counts below are reached.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { createUnifiedMemory, mirrorDevice } from "../../../src/index.js";
import { PAGE } from "../../builders.js";
import type { StressWork } from "./stress-worker.js";

const ON_A_PAGE = PAGE / 4;
const PAGES = 16;
const WORKERS = 2;
/** Pins that met a migration and tried again, and migrations of a page that a pin refused, at least. */
const RETRIES = 1000;
const REFUSED = 1000;

test("no update is lost while threads pin pages that the pager moves back and forth", async (t) => {
  const memory = await createUnifiedMemory({
    shared: true,
    pageSize: PAGE,
    device: mirrorDevice({ budget: PAGES * PAGE }),
  });
  t.after(() => memory.destroy());
  const array = memory.createArray("u32", PAGES * ON_A_PAGE, { label: "counters" });
  await array.fill(0);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const results: Promise<Uint32Array>[] = [];
  for (let element = 0; element < WORKERS; element++) {
    const port = await memory.port({ label: `worker ${element}` });
    const work: StressWork = {
      port,
      handle: array.handle,
      stop,
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
  let retries = 0;
  let pins = 0;
  let migrated = 0;
  while (!failed && (refused < REFUSED || retries < RETRIES)) {
    const before = memory.stats.migrations.toDevice.prefetch.pages;
    await array.prefetch("device");
    const moved = memory.stats.migrations.toDevice.prefetch.pages - before;
    migrated += moved;
    const onDevice = memory.stats.device.usedBytes / PAGE;
    refused += PAGES - Math.max(moved, onDevice);
    await array.prefetch("host");
    retries = memory.stats.threads.reduce((total, thread) => total + thread.retries, 0);
    pins = memory.stats.threads.reduce((total, thread) => total + thread.pins, 0);
    await new Promise((resolve) => setImmediate(resolve));
  }
  Atomics.store(stop, 0, 1);
  const added = await Promise.all(results);
  t.diagnostic(`${pins} pins, ${retries} retried; ${migrated} pages migrated, ${refused} refused`);
  const values = await array.read();
  for (const [element, counts] of added.entries()) {
    const found = Uint32Array.from({ length: PAGES }, (_, page) => values[page * ON_A_PAGE + element]);
    assert.deepEqual(found, counts, `seed ${seed}: element ${element} of each page`);
  }
});
