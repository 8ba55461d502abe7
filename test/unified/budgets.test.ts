// Budgets: never exceeded, refused with both numbers, and used well: nothing moves that need not.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import type { Footprint } from "../../src/unified/footprint.js";
import { DispatchError } from "../../src/unified/dispatch-error.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import type { Stats } from "../../src/unified/stats.js";
import { memoryError, PAGE } from "../builders.js";
import { openMemory, type MemorySetup, type OpenedMemory } from "./opened-memory.js";
import { sameBytes } from "../bytes.js";

/** Bytes are pages times the page size; what moved since `before`. */
function movedSince(before: Stats, after: Stats): { up: number; down: number; dropped: number } {
  const sum = (moved: Record<string, { bytes: number }>): number =>
    Object.values(moved).reduce((bytes, each) => bytes + each.bytes, 0);
  return {
    up: (sum(after.migrations.toDevice) - sum(before.migrations.toDevice)) / PAGE,
    down: (sum(after.migrations.toHost) - sum(before.migrations.toHost)) / PAGE,
    dropped: after.droppedClean.pages - before.droppedClean.pages,
  };
}

const touchEach: Record<string, Footprint> = { x: { each: 1 } };
const reader: HostKernel = { writes: [], run() {} };
const writer: HostKernel = {
  writes: ["x"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]]++;
  },
};

async function withArrays(
  t: TestContext,
  setup: MemorySetup,
  ...pages: number[]
): Promise<{ opened: OpenedMemory; arrays: PagedArray<"u8">[]; read: Dispatch; write: Dispatch }> {
  const opened = await openMemory(t, setup);
  const { memory } = opened;
  const arrays: PagedArray<"u8">[] = [];
  for (const [i, count] of pages.entries()) {
    const array = memory.createArray("u8", count * PAGE, { label: `array of ${count}` });
    await array.fill(i + 1);
    arrays.push(array);
  }
  const dispatches = async (host: HostKernel): Promise<Dispatch> => {
    const kernel = await memory.createKernel({ label: "touch", host, footprint: touchEach });
    return (x) => kernel.dispatch({ invocations: x.length, arrays: { x } });
  };
  return { opened, arrays, read: await dispatches(reader), write: await dispatches(writer) };
}
type Dispatch = (x: PagedArray<"u8">) => Promise<unknown>;

test("device memory in use never exceeds the budget, seen by a kernel at every step", async (t) => {
  for (const latency of [0, 1]) {
    const opened = await openMemory(t, { devicePages: 7, link: { latency } });
    const { memory } = opened;
    const x = memory.createArray("f32", 20 * 1024 + 5);
    const y = memory.createArray("f64", 20 * 1024 + 5);
    const table = memory.createArray("u8", 2 * PAGE);
    let most = 0;
    const kernel = await memory.createKernel({
      host: {
        writes: ["y"],
        run() {
          const { usedBytes, budgetBytes } = memory.stats.device;
          assert.ok(usedBytes <= budgetBytes, `${usedBytes} of ${budgetBytes} bytes are in use`);
          most = Math.max(most, usedBytes);
        },
      },
      footprint: { x: { each: 1, before: 2 }, y: { each: 1 }, table: "whole" },
    });
    await kernel.dispatch({ invocations: 20 * 1024, arrays: { x, y, table } });
    assert.ok(most > 4 * PAGE);
    opened.check();
  }
});

test("a second pass over what is resident moves nothing", async (t) => {
  const { opened, arrays, write } = await withArrays(t, { devicePages: 8 }, 6);
  const [x] = arrays;
  assert.ok(x !== undefined);
  await write(x);
  const before = opened.memory.stats;
  await write(x);
  const after = opened.memory.stats;
  assert.deepEqual(after.migrations, before.migrations);
  assert.deepEqual(after.droppedClean, before.droppedClean);
  assert.equal(after.evictions, before.evictions);
  assert.ok((await x.read()).every((byte) => byte === 3));
  opened.check();
});

test("nor does it where an array could not be brought together, because another lies between its halves", async (t) => {
  const { opened, arrays } = await withArrays(t, { devicePages: 4 }, 1, 2, 1, 2);
  const [left, a, right, b] = arrays;
  assert.ok(left !== undefined && a !== undefined && right !== undefined && b !== undefined);
  for (const array of [left, a, right]) await array.prefetch("device");
  const kernel = await opened.memory.createKernel({ host: reader, footprint: { a: { each: 1 }, b: { each: 1 } } });
  const pass = (): Promise<unknown> => kernel.dispatch({ invocations: a.length, arrays: { a, b } });
  await pass();
  assert.equal(opened.onDevice(b), 2, "the second array lies on both sides of the first");
  const before = opened.memory.stats;
  await pass();
  await pass();
  assert.deepEqual(movedSince(before, opened.memory.stats), { up: 0, down: 0, dropped: 0 });
  assert.equal(opened.memory.stats.evictions, before.evictions);
  opened.check();
});

test("a load that has to be split around what is in use moves each page once", async (t) => {
  const { opened, arrays } = await withArrays(t, { devicePages: 6 }, 2, 1, 3, 4);
  const [oldest, a, newest, b] = arrays;
  assert.ok(oldest !== undefined && a !== undefined && newest !== undefined && b !== undefined);
  for (const array of [oldest, a, newest]) await array.prefetch("device");
  const kernel = await opened.memory.createKernel({ host: reader, footprint: { a: "whole", b: { each: 1 } } });
  const before = opened.memory.stats;
  await kernel.dispatch({ invocations: b.length, arrays: { a, b }, mode: "resident" });
  assert.deepEqual(movedSince(before, opened.memory.stats), { up: 4, down: 0, dropped: 4 });
  opened.check();
});

test("pages that a kernel only read leave the device without a copy; pages that it wrote are copied back", async (t) => {
  const { opened, arrays, read, write } = await withArrays(t, { devicePages: 4 }, 10);
  const [x] = arrays;
  assert.ok(x !== undefined);
  let before = opened.memory.stats;
  await read(x);
  assert.deepEqual(movedSince(before, opened.memory.stats), { up: 10, down: 0, dropped: 6 });
  before = opened.memory.stats;
  assert.ok((await x.read()).every((byte) => byte === 1));
  assert.deepEqual(movedSince(before, opened.memory.stats), { up: 0, down: 0, dropped: 4 });
  before = opened.memory.stats;
  await write(x);
  assert.deepEqual(movedSince(before, opened.memory.stats), { up: 10, down: 6, dropped: 0 });
  before = opened.memory.stats;
  assert.ok((await x.read()).every((byte) => byte === 2));
  assert.deepEqual(movedSince(before, opened.memory.stats), { up: 0, down: 4, dropped: 0 });
  opened.check();
});

test("only the arrays that a kernel declares as written are copied back", async (t) => {
  const { opened, arrays } = await withArrays(t, { devicePages: 16 }, 5, 3);
  const [x, y] = arrays;
  assert.ok(x !== undefined && y !== undefined);
  const kernel = await opened.memory.createKernel({
    host: {
      writes: ["y"],
      run({ arrays: views }) {
        (views["y"] as Uint8Array).fill(8);
      },
    },
    footprint: { x: { each: 1 }, y: { each: 1 } },
  });
  await kernel.dispatch({ invocations: 3 * PAGE, arrays: { x, y } });
  const before = opened.memory.stats;
  await x.prefetch("host");
  await y.prefetch("host");
  assert.deepEqual(movedSince(before, opened.memory.stats), { up: 0, down: 3, dropped: 3 });
  assert.ok((await y.read()).every((byte) => byte === 8));
  opened.check();
});

test("untouched pages are cleared on the device, not copied there", async (t) => {
  const opened = await openMemory(t);
  const x = opened.memory.createArray("u8", 6 * PAGE);
  await x.fill(1, { start: 2 * PAGE, length: PAGE });
  await x.read();
  const before = opened.memory.stats;
  await x.prefetch("device");
  assert.equal(opened.onDevice(x), 6);
  assert.deepEqual(movedSince(before, opened.memory.stats), { up: 1, down: 0, dropped: 0 });
  const kernel = await opened.memory.createKernel({
    host: {
      writes: [],
      run({ arrays }) {
        assert.ok(sameBytes(arrays["x"] as Uint8Array, new Uint8Array(6 * PAGE).fill(1, 2 * PAGE, 3 * PAGE)));
      },
    },
    footprint: { x: "whole" },
  });
  await kernel.dispatch({ invocations: 1, arrays: { x } });
  opened.check();
});

test("the pages used longest ago leave the device first", async (t) => {
  const { opened, arrays, read } = await withArrays(t, { devicePages: 6 }, 2, 2, 2, 2);
  const [a, b, c, d] = arrays;
  assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined);
  for (const array of [a, b, c, a]) await read(array);
  await read(d);
  assert.deepEqual(
    [a, b, c, d].map((array) => opened.onDevice(array)),
    [2, 0, 2, 2],
  );
  await b.prefetch("device");
  assert.deepEqual(
    [a, b, c, d].map((array) => opened.onDevice(array)),
    [2, 2, 0, 2],
  );
  opened.check();
});

test("a prefetch takes as much as the device has, from the start of its range", async (t) => {
  const { opened, arrays } = await withArrays(t, { devicePages: 4 }, 9);
  const [x] = arrays;
  assert.ok(x !== undefined);
  await x.prefetch("device", { start: 2 * PAGE });
  assert.deepEqual(
    opened.framesOf(x).map((frame) => opened.isOnDevice(frame)),
    [false, false, true, true, true, true, false, false, false],
  );
  opened.check();
});

test("host frames retained for device pages give way to new pages, and are counted", async (t) => {
  const { opened, arrays, read } = await withArrays(t, { devicePages: 6, hostPages: 8 }, 6);
  const [x] = arrays;
  assert.ok(x !== undefined);
  await read(x);
  assert.equal(opened.memory.stats.host.retainedBytes, 6 * PAGE);
  assert.equal(opened.memory.stats.host.usedBytes, 6 * PAGE);
  const y = opened.memory.createArray("u8", 5 * PAGE);
  await y.fill(2);
  const { host } = opened.memory.stats;
  assert.equal(host.usedBytes, 8 * PAGE);
  assert.equal(host.retainedBytes, 3 * PAGE);
  assert.equal(host.reclaimedPages, 3);
  opened.check();
  const before = opened.memory.stats;
  y.destroy();
  assert.ok((await x.read()).every((byte) => byte === 1));
  assert.deepEqual(movedSince(before, opened.memory.stats), { up: 0, down: 3, dropped: 3 });
  opened.check();
});

test("an exhausted host budget is refused with both numbers, and nothing is lost", async (t) => {
  const { opened, arrays } = await withArrays(t, { devicePages: 4, hostPages: 6 }, 5);
  const [x] = arrays;
  assert.ok(x !== undefined);
  const y = opened.memory.createArray("u8", 3 * PAGE);
  const full = /24576 of 24576 bytes/;
  await assert.rejects(y.fill(9), memoryError("ENOMEM", full));
  await assert.rejects(y.pin("write"), memoryError("ENOMEM", full));
  await assert.rejects(y.write(new Uint8Array(3 * PAGE)), memoryError("ENOMEM", full));
  assert.ok((await x.read()).every((byte) => byte === 1));
  assert.equal(y.pins.size, 0);
  opened.check();
  await y.fill(4, { length: 1 });
  x.destroy();
  await y.fill(9);
  assert.ok((await y.read()).every((byte) => byte === 9));
  opened.check();
});

test("a page that has to come home to a full host is refused with both numbers, and stays where it is", async (t) => {
  const { opened, arrays, write } = await withArrays(t, { devicePages: 4, hostPages: 6 }, 4);
  const [x] = arrays;
  assert.ok(x !== undefined);
  await write(x);
  const y = opened.memory.createArray("u8", 5 * PAGE);
  await y.fill(7);
  await x.read({ length: 1 });
  const full = memoryError("ENOMEM", /24576 of 24576 bytes/);
  for (const act of [
    () => x.read(),
    () => x.pin("read"),
    () => x.pin("write"),
    () => x.write(new Uint8Array(4 * PAGE)),
  ]) {
    await assert.rejects(act(), full);
    opened.check();
  }
  await x.prefetch("host");
  assert.equal(opened.onDevice(x), 3, "a prefetch moves what it can");
  y.destroy();
  const bytes = await x.read({ start: PAGE });
  assert.ok(bytes.every((byte) => byte === 2));
  opened.check();
});

test("a dispatch for which the host has no room is refused with both numbers, and goes once there is", async (t) => {
  const { opened, arrays, write } = await withArrays(t, { devicePages: 4, hostPages: 8 }, 4);
  const [x] = arrays;
  assert.ok(x !== undefined);
  await write(x);
  const y = opened.memory.createArray("u8", 8 * PAGE);
  await y.fill(7);
  await assert.rejects(write(y), (error: unknown) => {
    assert.ok(!(error instanceof DispatchError), "nothing had run");
    // Where the next step is loaded meanwhile, a step is half as large.
    return memoryError(
      "ENOMEM",
      /host budget of 32768 bytes has no room for (16384|8192) bytes that have to leave the device/,
    )(error);
  });
  opened.check();
  assert.equal(opened.onDevice(x), 4);
  const z = opened.memory.createArray("u8", 2 * PAGE);
  await z.prefetch("host");
  await write(x);
  opened.check();
  y.destroy();
  assert.ok((await x.read()).every((byte) => byte === 3));
  opened.check();
});

test("memory that is destroyed on the device is there for others at once", async (t) => {
  const { opened, arrays, write } = await withArrays(t, { devicePages: 4, hostPages: 5 }, 4);
  const [x] = arrays;
  assert.ok(x !== undefined);
  await write(x);
  x.destroy();
  const y = opened.memory.createArray("u8", 4 * PAGE);
  await y.fill(1);
  await write(y);
  assert.ok((await y.read()).every((byte) => byte === 2));
  assert.equal(opened.memory.stats.migrations.toHost.eviction.pages, 0);
  opened.check();
});

test("the counters of pages, bytes, evictions and faults are those of what happened", async (t) => {
  const { opened, arrays, write } = await withArrays(t, { devicePages: 4 }, 8);
  const [x] = arrays;
  assert.ok(x !== undefined);
  await write(x);
  const { migrations, evictions, droppedClean, device } = opened.memory.stats;
  assert.deepEqual(migrations.toDevice.kernel, { pages: 8, bytes: 8 * PAGE });
  assert.deepEqual(migrations.toHost.eviction, { pages: 4, bytes: 4 * PAGE });
  assert.deepEqual(migrations.toHost.access, { pages: 0, bytes: 0 });
  assert.equal(droppedClean.pages, 0);
  assert.ok(evictions >= 1);
  assert.equal(device.usedBytes, 4 * PAGE);
  await x.read({ start: 5 * PAGE, length: 10 });
  assert.deepEqual(opened.memory.stats.migrations.toHost.access, { pages: 1, bytes: PAGE });
  await x.prefetch("host");
  assert.deepEqual(opened.memory.stats.migrations.toHost.prefetch, { pages: 3, bytes: 3 * PAGE });
});
