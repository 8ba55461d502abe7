// Arrays larger than the host budget: with swap they hold what they would without, on every device, whatever fails.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import { strideOf, viewOf } from "../../src/device/element.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError, PAGE, TestSwapStore } from "../builders.js";
import { abortAtEveryWait } from "./aborts-at-every-wait.js";
import { openMemory, type OpenedMemory } from "./opened-memory.js";
import { plainly, startsOf, workloads } from "./workloads.js";

const DEVICES = [
  { name: "a private device", kind: "private" },
  { name: "a private device behind a slow link", kind: "private", link: { latency: 1 } },
  { name: "a coherent device", kind: "coherent" },
] as const;

const addOne: HostKernel = {
  writes: ["x"],
  run({ arrays }) {
    const x = arrays["x"] as Uint8Array;
    for (let i = 0; i < x.length; i++) x[i] = x[i] + 1;
  },
};

function pattern(pages: number, salt = 0): Uint8Array {
  const bytes = new Uint8Array(pages * PAGE);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 7 + (i >>> 12) * 31 + salt) & 0xff;
  return bytes;
}

for (const { name, ...device } of DEVICES) {
  test(`an array of four times the host budget is written, read and computed on, with ${name}`, async (t) => {
    const opened = await openMemory(t, { ...device, devicePages: 8, hostPages: 16, swap: new TestSwapStore(200) });
    const { memory } = opened;
    const array = memory.createArray("u8", 64 * PAGE);
    const expected = pattern(64);
    await array.write(expected);
    opened.check();
    assert.ok(memory.stats.host.usedBytes <= 16 * PAGE);
    assert.deepEqual(await array.read(), expected);
    opened.check();
    const kernel = await memory.createKernel({ host: addOne, footprint: { x: { each: PAGE } } });
    for (let pass = 1; pass <= 2; pass++) {
      const { mode } = await kernel.dispatch({ invocations: 64, arrays: { x: array } });
      assert.equal(mode, "streamed");
      opened.check();
      for (let i = 0; i < expected.length; i++) expected[i] = expected[i] + 1;
      assert.deepEqual(await array.read(), expected);
    }
    await array.prefetch("host");
    await array.prefetch("device");
    opened.check();
    assert.deepEqual(await array.read(), expected);
    assert.ok((memory.stats.swap?.writtenBytes ?? 0) >= 48 * PAGE);
    assert.ok((memory.stats.swap?.readBytes ?? 0) >= 48 * PAGE);
  });

  test(`kernels compute over swapped arrays what plain loops do, with ${name}`, async (t) => {
    for (const workload of workloads(PAGE)) {
      const opened = await openMemory(t, { ...device, devicePages: 16, hostPages: 6, swap: new TestSwapStore(400) });
      const starts = startsOf(workload);
      const arrays: Record<string, PagedArray> = {};
      for (const [key, { type, length }] of Object.entries(workload.arrays)) {
        arrays[key] = opened.memory.createArray(type, length);
        await arrays[key].write(starts[key]);
      }
      plainly(workload, starts);
      const { kernel: host, footprint, invocations, uniforms } = workload;
      const kernel = await opened.memory.createKernel({ host, footprint });
      await kernel.dispatch({ invocations, arrays, uniforms });
      for (const [key, array] of Object.entries(arrays)) {
        assert.deepEqual(await array.read(), starts[key], `${key} of ${workload.name}`);
      }
      opened.check();
    }
  });
}

async function swapped(t: Parameters<typeof openMemory>[0], hostPages = 8, pages = 32) {
  const swap = new TestSwapStore(200);
  const opened = await openMemory(t, { devicePages: 4, hostPages, swap });
  const array = opened.memory.createArray("u8", pages * PAGE, { label: "swapped" });
  const bytes = pattern(pages);
  await array.write(bytes);
  return { opened, swap, array, bytes };
}

/** No byte is lost: what the array holds, read part by part. */
async function holds(opened: OpenedMemory, array: PagedArray<"u8">, bytes: Uint8Array): Promise<void> {
  opened.check(array);
  assert.deepEqual(await array.read(), bytes);
}

test("a pin holds as many pages as the budget has, and is refused beyond that with both numbers", async (t) => {
  const { opened, array, bytes } = await swapped(t);
  const pin = await array.pin("write", { start: 3 * PAGE, length: 8 * PAGE });
  opened.check(array);
  for (const { start, view } of pin.runs) assert.deepEqual(view, bytes.subarray(start, start + view.length));
  await assert.rejects(array.read({ length: PAGE }), memoryError("ENOMEM", /32768 of 32768 bytes.* bytes of swap/));
  for (const { start, view } of pin.runs) {
    view.fill(9);
    bytes.fill(9, start, start + view.length);
  }
  pin.release();
  await holds(opened, array, bytes);
  await assert.rejects(array.pin("read", { length: 9 * PAGE }), memoryError("ENOMEM", /32768 of 32768 bytes/));
  assert.equal(array.pins.size, 0);
  await holds(opened, array, bytes);
});

test("neighbouring pages are side by side in host memory, so that a pin of them is one view", async (t) => {
  const { array, bytes } = await swapped(t);
  const pin = await array.pin("read", { start: 8 * PAGE, length: 4 * PAGE });
  assert.deepEqual(pin.view, bytes.subarray(8 * PAGE, 12 * PAGE));
  pin.release();
});

test("a page that came back from swap to be read is not kept from a device", async (t) => {
  const { opened, array, bytes } = await swapped(t);
  await array.read({ length: 4 * PAGE });
  await array.prefetch("device", { length: 4 * PAGE });
  assert.equal(opened.framesOf(array).filter((frame, i) => i < 4 && opened.isOnDevice(frame)).length, 4);
  await holds(opened, array, bytes);
});

test("a read that swap cannot serve rejects with its error; nothing is lost, and the next read gets it all", async (t) => {
  const { opened, swap, array, bytes } = await swapped(t);
  swap.failsReads = true;
  for (const act of [
    () => array.read(),
    () => array.pin("read", { length: 6 * PAGE }),
    () => array.prefetch("device"),
    () => array.write(new Uint8Array(10)),
  ]) {
    await assert.rejects(act(), /slot \d+ cannot be read/);
    opened.check(array);
  }
  swap.failsReads = false;
  await holds(opened, array, bytes);
});

test("a write that swap cannot take rejects with its error; nothing is lost", async (t) => {
  const { opened, swap, array, bytes } = await swapped(t, 8, 12);
  const kernel = await opened.memory.createKernel({ host: addOne, footprint: { x: { each: PAGE } } });
  await array.write(bytes);
  swap.failsWrites = true;
  const other = opened.memory.createArray("u8", 8 * PAGE);
  await assert.rejects(other.fill(1), /slot \d+ cannot be written/);
  opened.check();
  await assert.rejects(kernel.dispatch({ invocations: 8, arrays: { x: other } }), /slot \d+ cannot be written/);
  opened.check();
  swap.failsWrites = false;
  await holds(opened, array, bytes);
});

test("an abort while swap is at work ends the operation, and a later one finds everything", async (t) => {
  const { opened, swap, array, bytes } = await swapped(t);
  const acts: ((signal: AbortSignal) => Promise<unknown>)[] = [
    (signal) => array.read({ signal }),
    (signal) => array.pin("write", { length: 8 * PAGE, signal }),
    (signal) => array.prefetch("device", { signal }),
    (signal) => array.prefetch("host", { signal }),
  ];
  await abortAtEveryWait(swap, acts, () => opened.check(array));
  await holds(opened, array, bytes);
});

test("a memory that is destroyed while swap is at work ends, and leaves nothing", async (t) => {
  const { opened, swap, array } = await swapped(t);
  let closed = 0;
  Object.assign(swap, { close: () => Promise.resolve(void closed++) });
  const reading = assert.rejects(array.read(), memoryError("EINVAL", /destroyed/));
  swap.pause = () => new Promise((resolve) => setTimeout(resolve, 1));
  await opened.memory.destroy();
  await reading;
  assert.equal(closed, 1);
});

test("a snapshot of a swapped array keeps what it held, while the array goes on", async (t) => {
  const { opened, array, bytes } = await swapped(t, 8, 20);
  const snapshot = array.snapshot();
  const kernel = await opened.memory.createKernel({ host: addOne, footprint: { x: { each: PAGE } } });
  await kernel.dispatch({ invocations: 20, arrays: { x: array } });
  opened.check();
  assert.deepEqual(await snapshot.read(), bytes);
  assert.deepEqual(
    await array.read(),
    bytes.map((byte) => byte + 1),
  );
  snapshot.destroy();
  await array.read();
  opened.check();
});

test("elements of every size survive swap", async (t) => {
  const opened = await openMemory(t, { hostPages: 4, swap: new TestSwapStore(100) });
  for (const type of ["u8", "i16", "f32", "f64", "u64"] as const) {
    const array = opened.memory.createArray(type, (10 * PAGE) / strideOf(type));
    const view = viewOf(type, pattern(10, strideOf(type)).buffer as ArrayBuffer, 0, array.length);
    await array.write(view);
    assert.deepEqual(new Uint8Array((await array.read()).buffer), pattern(10, strideOf(type)));
    array.destroy();
  }
});
