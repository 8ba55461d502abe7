// Coherent devices: the CPU reaches pages where they are; only a pin moves them to host memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import { DMA_PIN } from "../../src/mm/fault/gup.js";
import { memoryError, PAGE } from "../builders.js";
import { openMemory } from "./opened-memory.js";

const increment: HostKernel = {
  writes: ["x"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]]++;
  },
};

test("the CPU reads, writes and fills pages of a coherent device in place", async (t) => {
  const opened = await openMemory(t, { kind: "coherent" });
  const x = opened.memory.createArray("u8", 5 * PAGE);
  await x.fill(1);
  await x.prefetch("device");
  const frames = opened.framesOf(x);
  assert.equal(opened.onDevice(x), 5);
  assert.ok((await x.read()).every((byte) => byte === 1));
  await x.write(new Uint8Array(PAGE).fill(2), { start: PAGE / 2 });
  await x.fill(3, { start: 4 * PAGE });
  assert.deepEqual(opened.framesOf(x), frames, "nothing moved");
  const kernel = await opened.memory.createKernel({ host: increment, footprint: { x: { each: 1 } } });
  await kernel.dispatch({ invocations: x.length, arrays: { x } });
  const expected = new Uint8Array(5 * PAGE)
    .fill(2)
    .fill(3, PAGE / 2, PAGE + PAGE / 2)
    .fill(4, 4 * PAGE);
  assert.deepEqual(await x.read(), expected);
  assert.deepEqual(opened.framesOf(x), frames);
  assert.equal(opened.memory.stats.migrations.toHost.access.pages, 0);
  opened.check();
});

test("pages that the CPU wrote on a coherent device are not taken for clean", async (t) => {
  const opened = await openMemory(t, { kind: "coherent", devicePages: 4 });
  const x = opened.memory.createArray("u8", 4 * PAGE);
  await x.fill(1);
  await x.prefetch("device");
  await x.fill(7, { start: PAGE, length: PAGE });
  await x.prefetch("host");
  assert.deepEqual(await x.read(), new Uint8Array(4 * PAGE).fill(1).fill(7, PAGE, 2 * PAGE));
  opened.check();
});

test("a pin moves pages of a coherent device to host memory, and holds them there", async (t) => {
  const opened = await openMemory(t, { kind: "coherent" });
  const x = opened.memory.createArray("u8", 4 * PAGE, { label: "x" });
  await x.fill(1);
  await x.prefetch("device");
  assert.equal(x.tryPin("read"), null, "which takes a copy, so not at once");
  const pin = await x.pin("write", { start: PAGE, length: PAGE + 1 });
  assert.deepEqual(
    opened.framesOf(x).map((frame) => opened.isOnDevice(frame)),
    [true, false, false, true],
  );
  pin.view.fill(5);
  opened.check(x);
  await x.prefetch("device");
  assert.equal(opened.onDevice(x), 2);
  assert.deepEqual(await x.read(), new Uint8Array(4 * PAGE).fill(1).fill(5, PAGE, 2 * PAGE + 1));
  const kernel = await opened.memory.createKernel({ host: increment, footprint: { x: { each: 1 } } });
  await assert.rejects(kernel.dispatch({ invocations: x.length, arrays: { x } }), memoryError("EBUSY", /array "x"/));
  pin.release();
  await kernel.dispatch({ invocations: x.length, arrays: { x } });
  assert.equal((await x.read())[PAGE], 6);
  opened.check();
});

test("pages that a pin moved off a coherent device count as moved", async (t) => {
  const opened = await openMemory(t, { kind: "coherent" });
  const x = opened.memory.createArray("u8", 3 * PAGE);
  await x.fill(1);
  await x.prefetch("device");
  (await x.pin("read")).release();
  assert.deepEqual(opened.memory.stats.migrations.toHost.access, { pages: 3, bytes: 3 * PAGE });
  assert.equal(opened.onDevice(x), 0);
});

test("a pin for which the host has no room is refused with both numbers; the pages stay on the device", async (t) => {
  const opened = await openMemory(t, { kind: "coherent", hostPages: 4 });
  const x = opened.memory.createArray("u8", 4 * PAGE);
  await x.fill(1);
  await x.prefetch("device");
  const y = opened.memory.createArray("u8", 3 * PAGE);
  await y.fill(2);
  await assert.rejects(x.pin("read"), memoryError("ENOMEM", /16384 of 16384 bytes are in use/));
  assert.equal(x.pins.size, 0);
  opened.check();
  assert.ok((await x.read()).every((byte) => byte === 1));
  const kernel = await opened.memory.createKernel({ host: increment, footprint: { x: { each: 1 } } });
  y.destroy();
  await kernel.dispatch({ invocations: x.length, arrays: { x } });
  assert.ok((await x.read()).every((byte) => byte === 2));
  opened.check();
});

test("coherent memory that goes to the device leaves nothing retained on the host", async (t) => {
  const opened = await openMemory(t, { kind: "coherent" });
  const x = opened.memory.createArray("u8", 4 * PAGE);
  await x.fill(1);
  await x.prefetch("device");
  const { host } = opened.memory.stats;
  assert.equal(host.retainedBytes, 0);
  assert.equal(host.usedBytes, 0);
});

test("a coherent device reads a page in place that a pin only reads, also among pages that it holds itself", async (t) => {
  const opened = await openMemory(t, { kind: "coherent" });
  const x = opened.memory.createArray("u8", 4 * PAGE);
  const sums = opened.memory.createArray("u32", 4);
  await x.fill(1);
  await x.fill(2, { start: 2 * PAGE, length: PAGE });
  const pin = await x.pin("read", { start: PAGE + 5, length: PAGE });
  const held = opened.framesOf(x).slice(1, 3);
  const sum: HostKernel = {
    writes: ["sums"],
    run({ first, count, arrays, base }) {
      for (let i = first; i < first + count; i++) {
        let total = 0;
        for (let j = 0; j < PAGE; j++) total += arrays["x"][i * PAGE - base["x"] + j] as number;
        arrays["sums"][i - base["sums"]] = total;
      }
    },
  };
  const kernel = await opened.memory.createKernel({ host: sum, footprint: { x: { each: PAGE }, sums: { each: 1 } } });
  for (const mode of ["resident", "streamed"] as const) {
    await sums.fill(0);
    await kernel.dispatch({ invocations: 4, arrays: { x, sums }, mode });
    assert.deepEqual([...(await sums.read())], [PAGE, PAGE, 2 * PAGE, PAGE], mode);
    assert.deepEqual(opened.framesOf(x).slice(1, 3), held, "the pinned pages stayed");
  }
  assert.equal(pin.view[PAGE - 1], 2);
  pin.release();
  await kernel.dispatch({ invocations: 4, arrays: { x, sums } });
  assert.equal(opened.onDevice(x), 4, "and go to the device once they are released");
  opened.check();
});

test("a coherent device refuses what conflicts: a pin for writing, or of an array that the kernel writes", async (t) => {
  const opened = await openMemory(t, { kind: "coherent" });
  const x = opened.memory.createArray("u8", 2 * PAGE, { label: "x" });
  const y = opened.memory.createArray("u8", 2 * PAGE, { label: "y" });
  await x.fill(1);
  const copy: HostKernel = {
    writes: ["y"],
    run({ arrays }) {
      arrays["y"].set(arrays["x"]);
    },
  };
  const kernel = await opened.memory.createKernel({ host: copy, footprint: { x: { each: 1 }, y: { each: 1 } } });
  const dispatch = () => kernel.dispatch({ invocations: 2 * PAGE, arrays: { x, y } });
  const writing = await x.pin("write");
  await assert.rejects(dispatch(), memoryError("EBUSY", /array "x", on a page that a write pin/));
  writing.release();
  const reading = await y.pin("read");
  await assert.rejects(dispatch(), memoryError("EBUSY", /array "y", on a page that a read pin/));
  reading.release();
  await dispatch();
  assert.deepEqual(await y.read(), new Uint8Array(2 * PAGE).fill(1));
  opened.check();
});

test("a pin released while a dispatch reads its pages in place changes nothing for that dispatch", async (t) => {
  for (const mode of ["resident", "streamed"] as const) {
    const opened = await openMemory(t, { kind: "coherent", link: { latency: 1 } });
    const table = opened.memory.createArray("u8", 2 * PAGE);
    const y = opened.memory.createArray("u8", 6 * PAGE);
    await table.fill(3);
    const add: HostKernel = {
      writes: ["y"],
      run({ first, count, arrays, base }) {
        for (let i = first; i < first + count; i++) arrays["y"][i - base["y"]] += arrays["table"][i % (2 * PAGE)];
      },
    };
    const kernel = await opened.memory.createKernel({ host: add, footprint: { table: "whole", y: { each: 1 } } });
    const pin = await table.pin("read");
    const dispatching = kernel.dispatch({ invocations: 6 * PAGE, arrays: { table, y }, mode });
    while (opened.machine.frames.refcount(opened.framesOf(table)[0] ?? 0) === DMA_PIN + 1) await Promise.resolve();
    pin.release();
    await dispatching;
    assert.ok((await y.read()).every((byte) => byte === 3));
    opened.check();
  }
});
