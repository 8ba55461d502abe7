// An incremental checkpoint, taken while kernels go on: what is copied is what was written, and what is restored is the
// array as it was at the checkpoint's place.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { PAGE } from "../builders.js";
import { type MemorySetup, openMemory } from "./opened-memory.js";
import { between, withSeeds } from "./random-operands.js";

const PAGES = 12;
const LENGTH = PAGES * 1024 - 9;

const SETUPS: readonly MemorySetup[] = [
  {},
  { devicePages: 2, link: { latency: 1 } },
  { kind: "coherent", devicePages: 5 },
  { hostPages: 3 * PAGES + 4, devicePages: 6 },
];

const addOne: HostKernel = {
  writes: ["x"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]]++;
  },
};

async function checkpoint(x: PagedArray<"i32">, saved: Int32Array): Promise<number> {
  const snapshot = x.snapshot();
  void x.clearDirty();
  let pages = 0;
  for (const { start, length } of await snapshot.dirtyRanges()) {
    await snapshot.read(saved.subarray(start, start + length), { start });
    pages += Math.ceil((length * 4) / PAGE);
  }
  snapshot.destroy();
  return pages;
}

test("a checkpoint copies what was written since the last, and restores the array as it was", async (t) => {
  for (const setup of SETUPS) {
    await withSeeds(t, 3, async (random) => {
      const opened = await openMemory(t, { ...setup, debug: true });
      const { memory } = opened;
      const x = memory.createArray("i32", LENGTH, { label: "x" });
      const kernel = await memory.createKernel({ host: addOne, footprint: { x: { each: 1 } } });
      const plain = new Int32Array(LENGTH);
      const saved = new Int32Array(LENGTH);
      for (let round = 0; round < 12; round++) {
        const invocations = between(random, 0, 3 * 1024);
        void kernel.dispatch({ invocations, arrays: { x } });
        for (let i = 0; i < invocations; i++) plain[i]++;
        const at = between(random, 0, LENGTH - 1);
        void x.write(Int32Array.of(round), { start: at });
        plain[at] = round;
        const expected = plain.slice();
        const written = new Set([Math.floor(at / 1024)]);
        for (let i = 0; i < invocations; i += 1024) written.add(i / 1024);
        const copying = checkpoint(x, saved);
        // Goes on while the checkpoint is copied, and belongs to the next.
        void kernel.dispatch({ invocations: LENGTH, arrays: { x }, mode: "streamed" });
        void x.fill(-round, { start: 5000, length: 50 });
        assert.equal(await copying, round === 0 ? written.size : PAGES);
        assert.deepEqual(saved, expected);
        for (let i = 0; i < LENGTH; i++) plain[i]++;
        plain.fill(-round, 5000, 5050);
      }
      await checkpoint(x, saved);
      const restored = memory.createArray("i32", LENGTH);
      await restored.write(saved);
      assert.deepEqual(await restored.read(), await x.read());
      assert.deepEqual(saved, plain);
      opened.check();
    });
  }
});
