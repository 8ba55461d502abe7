// What every dispatch promises, of those that are paged: order, pins, aborts, progress, failures, snapshots, what was written,
// budgets of the host.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { MemoryError } from "../../src/mm/errors.js";
import { DispatchError } from "../../src/unified/dispatch-error.js";
import type { Kernel, Progress } from "../../src/unified/kernel.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError, PAGE } from "../builders.js";
import { MemorySwapStore } from "../../src/mm/swap/swap-store.js";
import { type MemorySetup, openMemory, type OpenedMemory } from "./opened-memory.js";

const PAGES = 12;
const ON_A_PAGE = PAGE / 4;
const LENGTH = PAGES * ON_A_PAGE;

/** Elements of y from where x says on are x's own number plus what is there. */
const ADD_AT = `
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = x[id.x];
  if (at < arrayLength(&y)) { y[at] += id.x + 1; }
}`;
const NOWHERE = 0xffff_ffff;

interface Scene {
  readonly opened: OpenedMemory;
  readonly x: PagedArray<"u32">;
  readonly y: PagedArray<"u32">;
  readonly kernel: Kernel;
  /** What x and y hold. */
  readonly index: Uint32Array<ArrayBuffer>;
  readonly sums: Uint32Array<ArrayBuffer>;
  readonly apply: (invocations?: number) => void;
}

/** Each element of x names one of y, back to front, unless it is of a page that names none. */
async function openScene(
  t: TestContext,
  setup: MemorySetup,
  named: (page: number) => boolean = () => true,
): Promise<Scene> {
  const opened = await openMemory(t, setup);
  const x = opened.memory.createArray("u32", LENGTH, { label: "X" });
  const y = opened.memory.createArray("u32", LENGTH, { label: "Y" });
  const index = Uint32Array.from({ length: LENGTH }, (_, i) =>
    named(Math.floor(i / ON_A_PAGE)) ? LENGTH - 1 - i : NOWHERE,
  );
  const sums = Uint32Array.from({ length: LENGTH }, (_, i) => i * 5);
  await x.write(index);
  await y.write(sums);
  const kernel = await opened.memory.createKernel({ label: "add at", wgsl: ADD_AT });
  const apply = (invocations = LENGTH): void => {
    for (let i = 0; i < invocations; i++) if (index[i] !== NOWHERE) sums[index[i]] += i + 1;
  };
  return { opened, x, y, kernel, index, sums, apply };
}

const small: MemorySetup = { devicePages: 4 };

test("dispatches take effect in call order, between writes and reads that are called around them", async (t) => {
  const { x, y, kernel, sums, apply, opened } = await openScene(t, small);
  const dispatch = (): Promise<unknown> => kernel.dispatch({ invocations: LENGTH, arrays: { x, y } });
  const before = y.read();
  const first = dispatch();
  const between = y.read();
  const write = y.fill(7, { start: 1000, length: 2000 });
  const second = dispatch();
  const after = y.read();
  assert.deepEqual(await before, sums);
  apply();
  await first;
  assert.deepEqual(await between, sums);
  sums.fill(7, 1000, 3000);
  await write;
  apply();
  await second;
  assert.deepEqual(await after, sums);
  opened.check();
});

test("a pin on any page of an array without a footprint refuses the dispatch by name, and nothing has run", async (t) => {
  const { x, y, kernel, sums, opened } = await openScene(t, small);
  for (const [array, mode] of [
    [x, "read"],
    [y, "read"],
    [y, "write"],
  ] as const) {
    const pin = await array.pin(mode, { start: 5 * ON_A_PAGE, length: 10 });
    await assert.rejects(
      kernel.dispatch({ invocations: 1, arrays: { x, y }, mode: "paged" }),
      memoryError("EBUSY", new RegExp(`array "${array.label}", on a page that a ${mode} pin of 5120 to 5130 holds`)),
    );
    assert.deepEqual(opened.contents(y), new Uint8Array(sums.buffer));
    pin.release();
  }
  opened.check();
});

test("a coherent device reads pages in place that pins only read, among those that it loads", async (t) => {
  const { x, y, kernel, sums, apply, opened } = await openScene(t, { ...small, kind: "coherent" });
  const pin = await x.pin("read", { start: 2 * ON_A_PAGE, length: 3 * ON_A_PAGE });
  const frames = opened.framesOf(x).slice(2, 5);
  await kernel.dispatch({ invocations: LENGTH, arrays: { x, y }, mode: "paged" });
  apply();
  assert.deepEqual(opened.framesOf(x).slice(2, 5), frames);
  assert.deepEqual(await y.read(), sums);
  opened.check(x);
  pin.release();
  opened.check();
});

test("an abort between two rounds ends the dispatch with its reason; what is only read is untouched", async (t) => {
  const { x, y, kernel, index, opened } = await openScene(t, small);
  const controller = new AbortController();
  const seen: Progress[] = [];
  const dispatch = kernel.dispatch({
    invocations: LENGTH,
    arrays: { x, y },
    signal: controller.signal,
    onProgress: (progress) => {
      seen.push(progress);
      if (seen.length === 2) controller.abort(new Error("enough"));
    },
  });
  await assert.rejects(dispatch, /^Error: enough$/);
  assert.equal(seen.length, 2);
  assert.ok(seen[0].completed < seen[1].completed && seen[1].completed < LENGTH);
  opened.check();
  assert.deepEqual(await x.read(), index);
});

test("progress ends with all invocations; a listener that throws ends the dispatch, which says how many have run", async (t) => {
  const { x, y, kernel, opened } = await openScene(t, small);
  const seen: Progress[] = [];
  const arrays = { x, y };
  await kernel.dispatch({ invocations: LENGTH, arrays, onProgress: (progress) => seen.push(progress) });
  assert.deepEqual(seen.at(-1), { completed: LENGTH, invocations: LENGTH });
  assert.ok(seen.length > 3);
  let completed = 0;
  const dispatch = kernel.dispatch({
    invocations: LENGTH,
    arrays,
    onProgress: (progress) => {
      ({ completed } = progress);
      throw new RangeError("no more");
    },
  });
  await assert.rejects(dispatch, (error) => {
    assert.ok(error instanceof DispatchError);
    assert.equal(error.completed, completed);
    assert.match(error.message, /stopped after \d+ of 12288 invocations: no more/);
    return true;
  });
  opened.check();
});

test("a copy that fails, whichever it is, loses nothing of what is only read, and the memory goes on", async (t) => {
  let failures = 0;
  for (let n = 1; ; n++) {
    let transfers = -1;
    const fails = (): boolean => transfers >= 0 && ++transfers === n;
    const { x, y, kernel, index, opened } = await openScene(t, { ...small, link: { fails } });
    transfers = 0;
    const error = await kernel.dispatch({ invocations: LENGTH, arrays: { x, y } }).then(
      () => null,
      (reason: unknown) => reason,
    );
    const asked = transfers;
    transfers = -1;
    opened.check();
    assert.deepEqual(opened.contents(x), new Uint8Array(index.buffer));
    if (error === null) {
      assert.ok(asked < n, `copy ${n} failed in silence`);
      break;
    }
    failures++;
    assert.ok(error instanceof MemoryError);
    assert.match(error.message, /(upload|download|clear) of \d+ pages failed on the link$/);
    await kernel.dispatch({ invocations: LENGTH, arrays: { x, y } });
    opened.check();
  }
  t.diagnostic(`${failures} copies`);
  assert.ok(failures > 20);
});

test("a snapshot keeps what an array held; only pages that are written are copied for it, also where both are given", async (t) => {
  const { x, y, kernel, sums, apply, opened } = await openScene(t, { devicePages: 6 }, (page) => page % 4 === 1);
  const snapshot = y.snapshot();
  const before = sums.slice();
  assert.deepEqual(await snapshot.read(), before);
  const copies = opened.machine.counters.copiedOnWrite;
  await kernel.dispatch({ invocations: LENGTH, arrays: { x, y }, mode: "paged" });
  apply();
  assert.equal(opened.machine.counters.copiedOnWrite - copies, 3);
  assert.deepEqual(await snapshot.read(), before);
  assert.deepEqual(await y.read(), sums);
  opened.check();

  // y and what it was before are on the device in the same frames until y is written.
  const both = await opened.memory.createKernel({
    wgsl: ADD_AT.replace("y[at] += id.x + 1;", "y[at] = y[at] + old[at] + 1;").replace(
      "@compute",
      "@group(0) @binding(2) var<storage, read> old: array<u32>;\n@compute",
    ),
  });
  const old = y.snapshot();
  await both.dispatch({ invocations: LENGTH, arrays: { x, y, old }, mode: "paged" });
  const earlier = sums.slice();
  sums.forEach((_, i) => {
    const from = LENGTH - 1 - i;
    if (Math.floor(from / ON_A_PAGE) % 4 === 1) sums[i] += earlier[i] + 1;
  });
  assert.deepEqual(await y.read(), sums);
  assert.deepEqual(await old.read(), earlier);
  opened.check();
});

test("the pages that count as written are those that were stored to", async (t) => {
  const { x, y, kernel, opened } = await openScene(t, small, (page) => page === 2 || page === 3);
  await x.clearDirty();
  await y.clearDirty();
  await kernel.dispatch({ invocations: LENGTH, arrays: { x, y }, mode: "paged" });
  assert.deepEqual(await x.dirtyRanges(), []);
  assert.deepEqual(await y.dirtyRanges(), [{ start: 8 * ON_A_PAGE, length: 2 * ON_A_PAGE }]);
  opened.check();
});

test("arrays may exceed host memory and device memory together, with swap", async (t) => {
  const swap = new MemorySwapStore(64);
  const { x, y, kernel, sums, apply, opened } = await openScene(t, { devicePages: 4, hostPages: 8, swap });
  await kernel.dispatch({ invocations: LENGTH, arrays: { x, y } });
  apply();
  assert.deepEqual(await y.read(), sums);
  opened.check();
});

test("host memory without room for what has to leave the device is said so, and what is only read is untouched", async (t) => {
  // Written pages on the device whose host memory others have taken meanwhile.
  const { x, y, kernel, index, opened } = await openScene(t, { devicePages: 4, hostPages: 2 * PAGES });
  await kernel.dispatch({ invocations: LENGTH, arrays: { x, y }, mode: "paged" });
  const more = opened.memory.createArray("u32", ON_A_PAGE * PAGES, { label: "more" });
  let filled = 0;
  const full = memoryError("ENOMEM", /host/);
  await assert.rejects(async () => {
    for (; filled < PAGES; filled++) await more.fill(9, { start: filled * ON_A_PAGE, length: ON_A_PAGE });
  }, full);
  assert.ok(filled >= 1);
  await assert.rejects(kernel.dispatch({ invocations: LENGTH, arrays: { x, y }, mode: "paged" }), full);
  opened.check();
  assert.deepEqual(opened.contents(x), new Uint8Array(index.buffer));
  more.destroy();
  await kernel.dispatch({ invocations: LENGTH, arrays: { x, y }, mode: "paged" });
  assert.deepEqual(await x.read(), index);
  opened.check();
});

test("a dispatch of no invocations, or of an empty reach, moves nothing", async (t) => {
  const { x, y, kernel, opened } = await openScene(t, small);
  const report = await kernel.dispatch({ invocations: 0, arrays: { x, y }, mode: "paged" });
  assert.deepEqual([report.steps, report.footprintBytes, report.moved.toDevice], [0, 0, 0]);
  opened.check();
});

test("a function cannot be paged, and is told so", async (t) => {
  const { memory } = await openMemory(t, small);
  const kernel = await memory.createKernel({
    label: "plain",
    host: { writes: [], run() {} },
    footprint: { x: "whole" },
  });
  await assert.rejects(
    kernel.dispatch({ invocations: 1, arrays: { x: memory.createArray("u32", 4) }, mode: "paged" }),
    memoryError("ENOTSUP", /kernel "plain" cannot be paged/),
  );
});
