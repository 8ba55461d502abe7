// Slips of callers, and meetings of operations that look harmless: each is refused by name or has its plain meaning.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createUnifiedMemory, DispatchError, type MemoryError, MiB, mirrorDevice } from "../../src/index.js";
import { memoryError, PAGE } from "../builders.js";
import { openMemory } from "./opened-memory.js";

test("a controller in the place of its signal is refused, and holds nobody up", async (t) => {
  const opened = await openMemory(t);
  const { memory } = opened;
  const x = memory.createArray("u8", PAGE);
  await x.fill(1);
  const signal = new AbortController() as unknown as AbortSignal;
  await assert.rejects(x.read({ signal }), memoryError("EINVAL", /signal is AbortController, not an AbortSignal/));
  assert.equal((await x.read())[0], 1);
  opened.check();
});

test("a prefetch of pinned pages sends nothing away from the device", async (t) => {
  const opened = await openMemory(t, { devicePages: 4 });
  const x = opened.memory.createArray("u8", 4 * PAGE);
  const y = opened.memory.createArray("u8", 4 * PAGE);
  await x.fill(1);
  await y.fill(2);
  await y.prefetch("device");
  const pin = await x.pin("read", { start: 0, length: 4 * PAGE });
  await x.prefetch("device");
  assert.equal(opened.onDevice(y), 4);
  assert.equal(opened.onDevice(x), 0);
  pin.release();
  opened.check();
});

test("writing from a view of the array's own pages, and reading into one, does not overtake itself", async (t) => {
  const opened = await openMemory(t, { pageSize: 4096, devicePages: 8 });
  const { memory } = opened;
  const n = 1024 * 1200;
  const x = memory.createArray("u32", n);
  const numbers = Uint32Array.from({ length: n }, (_, i) => i);
  await x.write(numbers);
  const pin = await x.pin("write");
  await x.write(pin.view.subarray(0, n - 1), { start: 1 });
  assert.deepEqual(
    await x.read(),
    Uint32Array.from(numbers, (i) => Math.max(0, i - 1)),
  );
  await x.write(numbers);
  await x.read(pin.view.subarray(1), { start: 0 });
  assert.deepEqual(
    await x.read(),
    Uint32Array.from(numbers, (i) => Math.max(0, i - 1)),
  );
  pin.release();
  opened.check();
});

test("a source that is detached before the write's turn is an error, and nothing is written", async (t) => {
  const { memory } = await openMemory(t);
  const x = memory.createArray("u8", PAGE);
  const filling = x.fill(3);
  const source = new Uint8Array(PAGE).fill(9);
  const writing = x.write(source);
  structuredClone(0, { transfer: [source.buffer] });
  await filling;
  await assert.rejects(writing, memoryError("EINVAL", /detached/));
  assert.ok((await x.read()).every((byte) => byte === 3));
});

test("an array that a kernel reads under two names counts once against device memory", async (t) => {
  const { memory } = await openMemory(t, { devicePages: 3 });
  const x = memory.createArray("u8", 2 * PAGE);
  const sum = memory.createArray("u32", 1);
  await x.fill(1);
  const kernel = await memory.createKernel({
    footprint: { a: "whole", b: "whole", sum: { each: 1 } },
    host: {
      writes: ["sum"],
      run({ arrays }) {
        arrays["sum"][0] = arrays["a"].length + arrays["b"].length;
      },
    },
  });
  const report = await kernel.dispatch({ invocations: 1, arrays: { a: x, b: x, sum } });
  assert.equal(report.mode, "resident");
  assert.equal((await sum.read())[0], 4 * PAGE);
});

test("an abort that comes with the last step leaves a dispatch that is done as it is", async (t) => {
  const { memory } = await openMemory(t);
  const x = memory.createArray("u8", PAGE);
  const controller = new AbortController();
  const kernel = await memory.createKernel({
    footprint: { x: { each: 1 } },
    host: { writes: ["x"], run: () => controller.abort() },
  });
  const report = await kernel.dispatch({ invocations: PAGE, arrays: { x }, signal: controller.signal });
  assert.equal(report.invocations, PAGE);
});

test("the error of a dispatch has a name of its own", async (t) => {
  const { memory } = await openMemory(t);
  const x = memory.createArray("u8", PAGE);
  const kernel = await memory.createKernel({
    footprint: { x: { each: 1 } },
    host: {
      writes: ["x"],
      run() {
        throw new RangeError("beyond");
      },
    },
  });
  await assert.rejects(kernel.dispatch({ invocations: 1, arrays: { x } }), (error: MemoryError) => {
    assert.ok(error instanceof DispatchError);
    assert.equal(error.name, "DispatchError");
    return true;
  });
});

test("an option that does not exist is refused by name wherever options are taken, and nothing is done", async (t) => {
  const { memory } = await openMemory(t);
  const x = memory.createArray("u8", 4);
  await x.fill(1);
  const blob = new Blob([new Uint8Array(8)]);
  const host = { writes: ["x"], run: () => {} };
  const kernel = await memory.createKernel({ footprint: { x: { each: 1 } }, host });
  const slip = { strat: 2 } as object;
  const refused: [what: string, call: () => unknown][] = [
    ["createUnifiedMemory", () => createUnifiedMemory(slip)],
    ["mirrorDevice", () => mirrorDevice(slip)],
    ["createArray", () => memory.createArray("u8", 1, slip)],
    ["mapBlob", () => memory.mapBlob(blob, { type: "u8", ...slip })],
    ["mapFile", () => memory.mapFile("none", { type: "u8", ...slip })],
    ["createKernel", () => memory.createKernel({ footprint: { x: { each: 1 } }, host, ...slip })],
    ["dispatch", () => kernel.dispatch({ invocations: 1, arrays: { x }, ...slip })],
    ["fill", () => x.fill(9, slip)],
    ["write", () => x.write(new Uint8Array(1), slip)],
    ["read", () => x.read(slip)],
    ["read", () => x.read(new Uint8Array(1), slip)],
    ["pin", () => x.pin("write", slip)],
    ["tryPin", () => x.tryPin("write", slip)],
    ["prefetch", () => x.prefetch("device", slip)],
    ["snapshot", () => x.snapshot(slip)],
    ["dirtyRanges", () => x.dirtyRanges(slip)],
    ["clearDirty", () => x.clearDirty(slip)],
  ];
  for (const [what, call] of refused) {
    await t.test(what, () =>
      assert.rejects(
        async () => call(),
        memoryError("EINVAL", new RegExp(`${what} has no option "strat": it has \\w`)),
      ),
    );
  }
  assert.deepEqual([...(await x.read())], [1, 1, 1, 1]);
  assert.equal(x.pins.size, 0);
});

test("what is no object of options, no signal or no function is refused by name, and nothing is done", async (t) => {
  const { memory } = await openMemory(t);
  const x = memory.createArray("u8", 4);
  await x.fill(1);
  let ran = 0;
  const kernel = await memory.createKernel({
    footprint: { x: { each: 1 } },
    host: { writes: ["x"], run: () => void ran++ },
  });
  const refused: [call: () => unknown, message: RegExp][] = [
    [() => createUnifiedMemory(null as never), /createUnifiedMemory takes an object of options, not null/],
    [() => createUnifiedMemory("swap" as never), /createUnifiedMemory takes an object of options, not swap/],
    [() => createUnifiedMemory({ device: null as never }), /a device is a driver with the method open, not null/],
    [() => createUnifiedMemory({ device: MiB as never }), /a device is a driver with the method open, not number/],
    [() => createUnifiedMemory({ signal: {} as never }), /signal is Object, not an AbortSignal/],
    [() => createUnifiedMemory({ hostBudget: 1e9, swapFile: 2n as never }), /swapFile is .*, not 2/],
    [() => createUnifiedMemory({ hostBudget: 1e9, swapStore: { slots: 5 } as never }), /swapStore .* has no read/],
    [() => memory.mapBlob(new Blob(["x"]), null as never), /mapBlob takes an object of options, not null/],
    [() => memory.mapFile("none", undefined as never), /mapFile takes an object of options, not undefined/],
    [() => memory.createKernel(undefined as never), /createKernel takes an object of options, not undefined/],
    [() => kernel.dispatch(null as never), /dispatch takes an object of options, not null/],
    [() => kernel.dispatch({ invocations: 1, arrays: null as never }), /takes arrays by name, not null/],
    [() => kernel.dispatch({ invocations: 4, arrays: { x }, onProgress: 5 as never }), /onProgress is no function/],
    [() => x.fill(9, 3 as never), /fill takes an object of options, not 3/],
    [() => x.fill(9, { start: 1n as never }), /elements 1 to 1 \+ .* are not within the 4/],
    [() => x.read({ length: 2n as never }), /elements 0 to 0 \+ 2 are not within the 4/],
  ];
  for (const [call, message] of refused) {
    await t.test(String(message), () => assert.rejects(async () => call(), memoryError("EINVAL", message)));
  }
  assert.deepEqual([...(await x.read())], [1, 1, 1, 1]);
  assert.equal(ran, 0);
});
