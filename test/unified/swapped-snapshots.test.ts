// Snapshots where host memory is short and there is swap: what does not fit goes there, of the array and of its snapshots,
// and comes back for whichever of them it is needed; a snapshot of an array over a file shares what was written only.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import { MemorySwapStore } from "../../src/mm/swap/swap-store.js";
import { type MemorySetup, openMemory } from "./opened-memory.js";

const PAGES = 24;
const PER_PAGE = 1024;
const LENGTH = PAGES * PER_PAGE - 5;

const addOne: HostKernel = {
  writes: ["x"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]]++;
  },
};

const SETUPS: Record<string, MemorySetup> = {
  "a private device": { devicePages: 6 },
  "a private device that copies while it computes": { devicePages: 5, link: { latency: 1 } },
  "a coherent device": { kind: "coherent", devicePages: 6 },
};

for (const [name, setup] of Object.entries(SETUPS)) {
  test(`with ${name}, an array and its snapshots may be larger than host and device memory together`, async (t) => {
    const opened = await openMemory(t, {
      ...setup,
      hostPages: 14,
      swap: new MemorySwapStore(8 * PAGES),
      debug: true,
    });
    const { memory } = opened;
    const x = memory.createArray("i32", LENGTH, { label: "x" });
    const kernel = await memory.createKernel({ host: addOne, footprint: { x: { each: 1 } } });
    const plain = Int32Array.from({ length: LENGTH }, (_, i) => i);
    await x.write(plain);
    const pictures: { snapshot: typeof x; expected: Int32Array }[] = [];
    const dirty: { start: number; length: number }[][] = [];
    for (let round = 0; round < 3; round++) {
      pictures.push({ snapshot: x.snapshot(), expected: plain.slice() });
      void x.clearDirty();
      const part = [LENGTH, 7 * PER_PAGE + 1, LENGTH][round];
      await kernel.dispatch({ invocations: part, arrays: { x } });
      for (let i = 0; i < part; i++) plain[i]++;
      await x.fill(-round, { start: 20 * PER_PAGE, length: 3 });
      plain.fill(-round, 20 * PER_PAGE, 20 * PER_PAGE + 3);
      dirty.push(await x.dirtyRanges());
      opened.check();
    }
    assert.deepEqual(dirty, [
      [{ start: 0, length: LENGTH }],
      [
        { start: 0, length: 8 * PER_PAGE },
        { start: 20 * PER_PAGE, length: PER_PAGE },
      ],
      [{ start: 0, length: LENGTH }],
    ]);
    for (const { snapshot, expected } of pictures) assert.deepEqual(await snapshot.read(), expected);
    const sum = memory.createArray("f64", 1);
    const difference = await memory.createKernel({
      host: {
        writes: ["sum"],
        run({ first, count, arrays, base }) {
          for (let i = first; i < first + count; i++) {
            const by = (arrays["x"][i - base["x"]] as number) - (arrays["s"][i - base["s"]] as number);
            arrays["sum"][0] = (arrays["sum"][0] as number) + by;
          }
        },
      },
      footprint: { x: { each: 1 }, s: { each: 1 }, sum: "whole" },
    });
    await difference.dispatch({ invocations: LENGTH, arrays: { x, s: pictures[1].snapshot, sum } });
    const by = plain.reduce((total, value, i) => total + value - pictures[1].expected[i], 0);
    assert.equal((await sum.read())[0], by);
    opened.check();
    x.destroy();
    pictures[0].snapshot.destroy();
    assert.deepEqual(await pictures[2].snapshot.read(), pictures[2].expected);
    opened.check();
  });
}

test("pages that are pinned are copied for a snapshot although host memory is full: others go to swap for it", async (t) => {
  const opened = await openMemory(t, { hostPages: 8, swap: new MemorySwapStore(64) });
  const x = opened.memory.createArray("i32", 4 * PER_PAGE);
  await x.fill(7);
  const other = opened.memory.createArray("i32", 6 * PER_PAGE);
  await other.fill(5);
  const pin = await x.pin("write", { start: 0, length: 3 * PER_PAGE });
  await other.fill(6);
  const { usedBytes, budgetBytes } = opened.memory.stats.host;
  assert.equal(usedBytes, budgetBytes);
  const copy = x.snapshot();
  await copy.dirtyRanges();
  assert.equal(opened.memory.stats.copies.pinned, 3);
  pin.runs[0]?.view.fill(8);
  assert.deepEqual(await copy.read(), new Int32Array(4 * PER_PAGE).fill(7));
  assert.deepEqual(await other.read(), new Int32Array(6 * PER_PAGE).fill(6));
  opened.check(x);
  pin.release();
});

for (const [name, setup] of Object.entries(SETUPS)) {
  test(`with ${name}, an array over a file and its snapshot read the file, each with what was written before`, async (t) => {
    for (const first of ["array", "snapshot"]) {
      const opened = await openMemory(t, { ...setup, hostPages: 40, debug: true });
      const { memory } = opened;
      const file = Int32Array.from({ length: 8 * PER_PAGE }, (_, i) => i);
      const x = await memory.mapBlob(new Blob([file]), { type: "i32", label: "x" });
      const kernel = await memory.createKernel({ host: addOne, footprint: { x: { each: 1 } } });
      assert.deepEqual(await x.read({ start: 3 * PER_PAGE, length: 2 }), file.slice(3 * PER_PAGE, 3 * PER_PAGE + 2));
      await x.fill(-1, { start: 5 * PER_PAGE, length: 1 });
      const before = x.snapshot();
      await kernel.dispatch({ invocations: 4 * PER_PAGE, arrays: { x } });
      assert.deepEqual(await x.dirtyRanges(), [
        { start: 0, length: 4 * PER_PAGE },
        { start: 5 * PER_PAGE, length: PER_PAGE },
      ]);
      const expected = file.slice();
      expected[5 * PER_PAGE] = -1;
      const now = expected.map((value, i) => (i < 4 * PER_PAGE ? value + 1 : value));
      const after = x.snapshot();
      await x.fill(9, { start: 4 * PER_PAGE, length: PER_PAGE });
      opened.check();
      if (first === "array") x.destroy();
      else before.destroy();
      if (first === "array") assert.deepEqual(await before.read(), expected);
      else assert.deepEqual(await x.read(), now.slice().fill(9, 4 * PER_PAGE, 5 * PER_PAGE));
      assert.deepEqual(await after.read(), now);
      await after.prefetch("device", { length: PER_PAGE });
      assert.deepEqual(await after.read(), now);
      opened.check();
    }
  });
}
