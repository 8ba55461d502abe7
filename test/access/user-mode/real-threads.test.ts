/** Threads of the system in user mode, beside a pager that moves the same pages to a device and back. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { loadWord } from "../../../src/access/cpu.js";
import { clearSoftDirtyRange } from "../../../src/mm/space/soft-dirty.js";
import { FAULT_DONE, FAULT_WRITE, faultIn } from "../../../src/mm/fault/fault.js";
import { PAGE } from "../../builders.js";
import { TestDevice } from "../../test-device.js";
import { checkShared, sharedSpace } from "./threads.js";
import { STOP, STORES, type UserWork } from "./user-work.js";

const PAGES = 4;
const THREADS = 2;
/** References that threads have to have given back because the pager had changed the entry, and moves refused for a pin. */
const RETRIES = 3;
const REFUSALS = 1000;
/** A word of a page that is filled with ones. */
const FILLED = 0x01010101;

test("two threads store to pages that the pager moves back and forth: no store is lost", async (t) => {
  const space = await sharedSpace(PAGES);
  const { machine, mm, ports, page } = space;
  const device = new TestDevice(machine, "private", PAGES);
  const words = new SharedArrayBuffer(4 * (STORES + THREADS * PAGES));
  const said = new Int32Array(words);
  for (let i = 0; i < PAGES; i++) assert.equal(await faultIn(mm, page + i, FAULT_WRITE), FAULT_DONE);

  const threads = Array.from({ length: THREADS }, (_, own) => {
    const port = ports.open(`thread ${own}`);
    const work: UserWork = { view: port.view(), page, pages: PAGES, own, words };
    const worker = new Worker(new URL("./user-worker.js", import.meta.url), { workerData: work });
    return { port, worker, ended: once(worker, "exit") };
  });
  let refused = 0;
  let moves = 0;
  try {
    for (; ; moves++) {
      const moved = await device.migrateToDevice(mm, page, PAGES);
      refused += moved.filter((each) => !each).length;
      await device.migrateToHost(mm, page, PAGES);
      if (moves % 16 === 0) await clearSoftDirtyRange(mm, page, page + PAGES);
      for (let i = 0; i < PAGES; i++) assert.equal(await faultIn(mm, page + i, FAULT_WRITE), FAULT_DONE);
      machine.collectLastPuts();
      const retries = threads.reduce((sum, { port }) => sum + port.counters.retries, 0);
      if (retries >= RETRIES && refused >= REFUSALS) break;
      // The threads' events are the event loop's.
      if (moves % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    Atomics.store(said, STOP, 1);
  }
  for (const { ended } of threads) assert.deepEqual(await ended, [0]);

  machine.collectLastPuts();
  for (let own = 0; own < THREADS; own++) {
    const now = await stored(own);
    for (let i = 0; i < PAGES; i++) {
      const expected = Math.imul(i + 1, FILLED) + said[STORES + own * PAGES + i];
      assert.equal(now[i], expected | 0, `stores of thread ${own} to page ${i}`);
    }
  }
  checkShared(space);
  for (const { port } of threads) assert.deepEqual([...port.runs()], []);
  const [pins, retries] = [sum((each) => each.pins), sum((each) => each.retries)];
  t.diagnostic(`${moves} moves, ${refused} pages refused; ${pins} pages pinned, ${retries} retries`);
  assert.ok(pins > 0);

  function sum(of: (counters: { pins: number; retries: number }) => number): number {
    return threads.reduce((total, { port }) => total + of(port.counters), 0);
  }

  async function stored(own: number): Promise<number[]> {
    const found: number[] = [];
    for (let i = 0; i < PAGES; i++) found.push((await loadWord(mm, (page + i) * PAGE + 4 * own)) | 0);
    return found;
  }
});
