// What was written since the last clear: by the processor, by kernels on any device and in any mode, and through pins; no
// more than that, and nothing forgotten wherever the pages go in between.

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError, PAGE } from "../builders.js";
import { type MemorySetup, openMemory } from "./opened-memory.js";

const PAGES = 8;
const PER_PAGE = PAGE / 8;
const LENGTH = PAGES * PER_PAGE - 3;

const SETUPS: Record<string, MemorySetup> = {
  "a private device": {},
  "a private device that copies while it computes": { link: { latency: 1 } },
  "a private device of two pages": { devicePages: 2 },
  "a coherent device": { kind: "coherent" },
  "a coherent device of two pages that copies while it computes": {
    kind: "coherent",
    devicePages: 2,
    link: { latency: 1 },
  },
};

const addOne: HostKernel = {
  writes: ["x"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]]++;
  },
};
const readOnly: HostKernel = { writes: [], run() {} };

async function createScene(t: TestContext, setup: MemorySetup = {}) {
  const opened = await openMemory(t, setup);
  const x = opened.memory.createArray("f64", LENGTH, { label: "x" });
  const kernels = {
    write: await opened.memory.createKernel({ host: addOne, footprint: { x: { each: 1 } } }),
    read: await opened.memory.createKernel({ host: readOnly, footprint: { x: { each: 1 } } }),
  };
  const dispatch = (which: keyof typeof kernels, invocations = LENGTH, mode: "auto" | "streamed" = "auto") =>
    kernels[which].dispatch({ invocations, arrays: { x }, mode });
  return { opened, x, dispatch };
}

/** First page and end of each dirty range. */
async function dirtyPages(x: PagedArray): Promise<number[][]> {
  const ranges = await x.dirtyRanges();
  return ranges.map(({ start, length }) => {
    assert.equal(start % PER_PAGE, 0, "a range begins with a page");
    const end = start + length;
    assert.ok(end === LENGTH || end % PER_PAGE === 0, "and ends with one, or with the array");
    return [start / PER_PAGE, Math.ceil(end / PER_PAGE)];
  });
}

for (const [name, setup] of Object.entries(SETUPS)) {
  describe(`with ${name}, the dirty ranges of an array`, () => {
    test("are what was written, merged, in order; what was only read or moved is not among them", async (t) => {
      const { opened, x, dispatch } = await createScene(t, setup);
      assert.deepEqual(await x.dirtyRanges(), []);
      await x.read();
      await dispatch("read");
      await x.prefetch("device");
      assert.deepEqual(await x.dirtyRanges(), [], "nothing was written yet");
      await x.fill(1, { start: 6 * PER_PAGE, length: 1 });
      await x.write(Float64Array.of(1, 2), { start: 2 * PER_PAGE - 1 });
      assert.deepEqual(await dirtyPages(x), [
        [1, 3],
        [6, 7],
      ]);
      await x.fill(1, { start: LENGTH - 1 });
      assert.deepEqual((await x.dirtyRanges()).at(-1), { start: 6 * PER_PAGE, length: LENGTH - 6 * PER_PAGE });
      await x.clearDirty();
      assert.deepEqual(await x.dirtyRanges(), []);
      await x.prefetch("device");
      await dispatch("read", LENGTH, "streamed");
      await x.prefetch("host");
      await x.read();
      assert.deepEqual(await x.dirtyRanges(), []);
      opened.check();
    });

    test("are forgotten in call order, and what comes afterwards is not", async (t) => {
      const { opened, x, dispatch } = await createScene(t, setup);
      void x.fill(1);
      void x.clearDirty();
      void dispatch("write", PER_PAGE + 1);
      const first = dirtyPages(x);
      void x.clearDirty();
      void x.fill(2, { start: 7 * PER_PAGE, length: 1 });
      assert.deepEqual(await first, [[0, 2]]);
      assert.deepEqual(await dirtyPages(x), [[7, 8]]);
      opened.check();
    });

    for (const mode of ["auto", "streamed"] as const) {
      test(`have what a kernel wrote (${mode}), wherever its pages go afterwards`, async (t) => {
        const { opened, x, dispatch } = await createScene(t, setup);
        const other = opened.memory.createArray("u8", 2 * PAGE);
        const away: (() => Promise<unknown>)[] = [
          async () => {},
          () => x.prefetch("host"),
          () => x.read(),
          () => other.prefetch("device"),
          () => dispatch("read"),
        ];
        for (const prefetched of [false, true]) {
          for (const go of away) {
            await x.fill(1);
            if (prefetched) await x.prefetch("device");
            await x.clearDirty();
            assert.deepEqual(await x.dirtyRanges(), []);
            await dispatch("write", 3 * PER_PAGE + 1, mode);
            await go();
            assert.deepEqual(await dirtyPages(x), [[0, 4]]);
            opened.check();
          }
        }
      });
    }

    test("have what the processor wrote, also where a page was made on the device and never written there", async (t) => {
      const { opened, x, dispatch } = await createScene(t, setup);
      await x.prefetch("device");
      await dispatch("read");
      await x.read();
      await x.fill(3, { start: PER_PAGE, length: 1 });
      const pin = await x.pin("write", { start: 3 * PER_PAGE, length: 1 });
      pin.release();
      assert.deepEqual(await dirtyPages(x), [
        [1, 2],
        [3, 4],
      ]);
      opened.check();
    });

    test("of a snapshot are those at its place; clearing the array's does not change them", async (t) => {
      const { opened, x, dispatch } = await createScene(t, setup);
      await x.fill(1);
      await x.clearDirty();
      await dispatch("write", PER_PAGE);
      const copy = x.snapshot();
      void x.clearDirty();
      void dispatch("write", 2 * PER_PAGE);
      assert.deepEqual(await dirtyPages(copy), [[0, 1]]);
      assert.deepEqual(await dirtyPages(x), [[0, 2]]);
      await copy.prefetch("device");
      await copy.read();
      const pin = await copy.pin("read");
      pin.release();
      assert.deepEqual(await dirtyPages(copy), [[0, 1]]);
      opened.check();
    });
  });
}

test("what is pinned for writing stays dirty as long as the pin is held; what is pinned for reading does not", async (t) => {
  const { opened, x } = await createScene(t);
  await x.fill(1);
  const reading = await x.pin("read", { start: 0, length: 1 });
  const writing = await x.pin("write", { start: 4 * PER_PAGE, length: 1 });
  await x.clearDirty();
  assert.deepEqual(await dirtyPages(x), [[4, 5]]);
  await x.clearDirty();
  assert.deepEqual(await dirtyPages(x), [[4, 5]]);
  writing.view[0] = 7;
  writing.release();
  assert.deepEqual(await dirtyPages(x), [[4, 5]], "what was stored since the clear is not forgotten with the pin");
  await x.clearDirty();
  assert.deepEqual(await dirtyPages(x), []);
  reading.release();
  opened.check();
});

test("what a pin stores after the call of a clear counts, though the pin is gone when the clear's turn comes", async (t) => {
  const { opened, x } = await createScene(t);
  await x.fill(1);
  const pin = await x.pin("write", { start: 2 * PER_PAGE, length: 1 });
  for (const busy of [true, false]) {
    const second = await x.pin("write", { start: 5 * PER_PAGE, length: 1 });
    if (busy) void x.read();
    const clearing = x.clearDirty();
    second.view[0] = 9;
    second.release();
    await clearing;
    assert.deepEqual(await dirtyPages(x), [
      [2, 3],
      [5, 6],
    ]);
  }
  pin.release();
  await x.clearDirty();
  assert.deepEqual(await dirtyPages(x), []);
  opened.check();
});

test("a clear or a look that is aborted, or of an array that is destroyed, is refused and forgets nothing", async (t) => {
  const { opened, x } = await createScene(t);
  await x.fill(1);
  const reason = new Error("enough");
  await assert.rejects(x.clearDirty({ signal: AbortSignal.abort(reason) }), (error) => error === reason);
  await assert.rejects(x.dirtyRanges({ signal: AbortSignal.abort(reason) }), (error) => error === reason);
  assert.deepEqual(await dirtyPages(x), [[0, PAGES]]);
  x.destroy();
  const gone = memoryError("EINVAL", /array "x" is destroyed/);
  await assert.rejects(x.clearDirty(), gone);
  await assert.rejects(x.dirtyRanges(), gone);
  await opened.memory.createArray("u8", 1).read();
  opened.check();
});

test("clearing moves no page: what is on the device stays there, and the next kernel copies nothing", async (t) => {
  const { opened, x, dispatch } = await createScene(t);
  await x.fill(1);
  await dispatch("write");
  const { migrations, faults } = opened.memory.stats;
  const frames = opened.framesOf(x);
  await x.clearDirty();
  await dispatch("write");
  assert.deepEqual(opened.framesOf(x), frames);
  assert.deepEqual(opened.memory.stats.migrations, migrations);
  assert.deepEqual(opened.memory.stats.faults, faults);
  assert.deepEqual(await dirtyPages(x), [[0, PAGES]]);
  opened.check();
});
