import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { loadWord, touch } from "../../../src/access/cpu.js";
import { snapshotRange } from "../../../src/mm/copy/snapshot.js";
import { munmap } from "../../../src/mm/space/mapping.js";
import { clearSoftDirtyRange } from "../../../src/mm/space/soft-dirty.js";
import { FAULT_DONE, FAULT_WRITE, faultIn } from "../../../src/mm/fault/fault.js";
import { frameAt, mapPages, PAGE, store } from "../../builders.js";
import { TestDevice } from "../../test-device.js";
import type { Work } from "./adding-thread.js";
import { checkShared, sharedSpace } from "./threads.js";

const PAGES = 64;
const THREADS = 2;
const RETRIES = 1000;
const REFUSALS = 1000;
const MOST_ROUNDS = 200_000;

test("threads that add to pages lose nothing while the pager moves the pages, clears their marks, takes snapshots and maps others", async (t) => {
  const space = await sharedSpace(PAGES);
  const { machine, mm, ports, page } = space;
  for (let i = 0; i < PAGES; i++) await store(mm, page + i, 0);
  const device = new TestDevice(machine, "private", PAGES);
  const told = new Int32Array(new SharedArrayBuffer(4 * (1 + THREADS * PAGES)));
  const opened = Array.from({ length: THREADS }, (_, i) => ports.open(`thread ${i + 1}`));
  const ended = opened.map((port, index) => {
    const workerData: Work = { view: port.view(), page, pages: PAGES, index, told };
    const worker = new Worker(new URL("./adding-thread.js", import.meta.url), { workerData });
    return new Promise<number>((resolve, reject) => worker.once("exit", resolve).once("error", reject));
  });
  const sum = (of: "retries" | "pins"): number => opened.reduce((total, { counters }) => total + counters[of], 0);
  const snapshots: { page: number; at: number; word: number }[] = [];
  let [rounds, moved, refused] = [0, 0, 0];
  const failed = Promise.race(ended).then((code) => assert.fail(`a thread ended early, with ${code}`));
  const goOn = async (): Promise<void> => {
    for (; rounds < MOST_ROUNDS && (sum("retries") < RETRIES || refused < REFUSALS); rounds++) {
      for (const there of await device.migrateToDevice(mm, page, PAGES)) {
        if (there) moved++;
        else refused++;
      }
      await device.migrateToHost(mm, page, PAGES);
      if (rounds % 64 === 0) {
        const at = (rounds / 64) % PAGES;
        const copy = (await snapshotRange(mm, (page + at) * PAGE, PAGE)) / PAGE;
        snapshots.push({ page: copy, at, word: await loadWord(mm, copy * PAGE) });
      }
      if (rounds % 64 === 32) await dropSnapshots();
      for (const port of opened) port.collect();
      // What is shared with a snapshot the threads leave to the pager.
      for (const { at } of snapshots) await makeWritable(page + at);
      if (rounds % 16 === 8) {
        await clearSoftDirtyRange(mm, page, page + PAGES);
        for (let i = 0; i < PAGES; i++) await makeWritable(page + i);
      }
      if (rounds % 256 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const makeWritable = async (at: number): Promise<void> => {
    if (touch(mm, at, true) < 0) assert.equal(await faultIn(mm, at, FAULT_WRITE), FAULT_DONE);
  };
  const dropSnapshots = async (): Promise<void> => {
    for (const { page: copy, at, word } of snapshots.splice(0)) {
      assert.equal(await loadWord(mm, copy * PAGE), word, `the snapshot of page ${at} has changed`);
      await munmap(mm, copy * PAGE, PAGE);
    }
    const other = await mapPages(mm, 1);
    await store(mm, other, 9);
    await munmap(mm, other * PAGE, PAGE);
  };
  await Promise.race([goOn(), failed]);
  Atomics.store(told, 0, 1);
  failed.catch(() => {});
  assert.deepEqual(
    await Promise.all(ended),
    Array.from({ length: THREADS }, () => 0),
  );
  for (const port of opened) port.collect();
  await dropSnapshots();
  t.diagnostic(
    `${rounds} rounds: ${moved} migrations, ${refused} refused; ${sum("pins")} pins, ${sum("retries")} retried`,
  );
  assert.ok(sum("retries") >= RETRIES && refused >= REFUSALS && moved > 0, "they hardly met");
  for (let i = 0; i < PAGES; i++) {
    const added = Array.from({ length: THREADS }, (_, index) => told[1 + index * PAGES + i]);
    for (let index = 0; index < THREADS; index++) {
      assert.equal(await loadWord(mm, (page + i) * PAGE + 4 * (1 + index)), added[index], `page ${i}, thread ${index}`);
    }
    assert.equal(await loadWord(mm, (page + i) * PAGE), added[0] + added[1], `page ${i}, both`);
    assert.ok(frameAt(mm, page + i) < device.zone.first);
  }
  checkShared(space);
  for (const port of opened) assert.deepEqual([...port.runs()], []);
});
