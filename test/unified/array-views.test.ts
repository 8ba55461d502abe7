// The same bytes as elements of another type: one array's pages under two types.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { struct } from "../../src/struct/index.js";
import { memoryError, PAGE } from "../builders.js";
import { openMemory, type OpenedMemory } from "./opened-memory.js";

/** Three pages of numbers, the middle one on the device. */
async function numbers(opened: OpenedMemory): Promise<PagedArray<"f32">> {
  const array = opened.memory.createArray("f32", (3 * PAGE) / 4, { label: "numbers" });
  await array.write(Float32Array.from({ length: array.length }, (_, i) => i));
  await array.prefetch("device", { start: PAGE / 4, length: 1 });
  return array;
}

test("what is written through one is read through the other, wherever the pages are", async (t) => {
  const opened = await openMemory(t);
  const array = await numbers(opened);
  const points = array.as("vec4f");
  assert.deepEqual([points.label, points.length, points.pages], ["numbers as vec4f", array.length / 4, 3]);
  assert.equal(opened.onDevice(points), 1);
  assert.deepEqual([...(await points.read({ start: 300, length: 1 }))], [1200, 1201, 1202, 1203]);
  await points.fill([1, 2, 3, 4], { start: 256, length: 2 });
  assert.deepEqual([...(await array.read({ start: 1023, length: 4 }))], [1023, 1, 2, 3]);
  const words = points.as("u8", { label: "bytes" });
  assert.deepEqual([words.label, words.length], ["bytes", 3 * PAGE]);
  assert.deepEqual([...(await words.read({ start: PAGE, length: 4 }))], [0, 0, 0x80, 0x3f]);
  const read: Float32Array<ArrayBuffer> = await array.as(struct({ position: "vec3f", mass: "f32" })).read();
  assert.deepEqual(read, await array.read());
  assert.equal(opened.memory.stats.host.usedBytes + opened.memory.stats.device.usedBytes, 3 * PAGE);
  opened.check();
});

test("operations of both take effect in call order", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("u32", 100);
  const bytes = array.as("u8");
  void array.fill(0x01010101);
  void bytes.fill(2, { start: 1, length: 1 });
  const first = array.read({ length: 1 });
  void array.fill(0);
  const second = bytes.read({ length: 4 });
  assert.deepEqual([...(await first)], [0x01010201]);
  assert.deepEqual([...(await second)], [0, 0, 0, 0]);
});

test("kernels take either, and what a kernel writes through one is written to the other", async (t) => {
  const opened = await openMemory(t, { devicePages: 2 });
  const array = await numbers(opened);
  const kernel = await opened.memory.createKernel({
    label: "double",
    footprint: { points: { each: 1 } },
    host: {
      writes: ["points"],
      run({ first, count, arrays, base }) {
        const from = (first - base["points"]) * 4;
        for (let i = from; i < from + count * 4; i++) arrays["points"][i] *= 2;
      },
    },
  });
  await array.clearDirty();
  const points = array.as("vec4f");
  const report = await kernel.dispatch({ invocations: PAGE / 16 + 1, arrays: { points } });
  assert.equal(report.invocations, 257);
  assert.deepEqual(
    await array.read(),
    Float32Array.from({ length: array.length }, (_, i) => (i < 257 * 4 ? i * 2 : i)),
  );
  assert.deepEqual(await array.dirtyRanges(), [{ start: 0, length: (2 * PAGE) / 4 }]);
  assert.deepEqual(await points.dirtyRanges(), [{ start: 0, length: (2 * PAGE) / 16 }]);
  opened.check();
});

test("a kernel that writes one is refused the other; one that only reads gets both and holds the pages once", async (t) => {
  const opened = await openMemory(t, { devicePages: 4 });
  const array = await numbers(opened);
  const view = array.as("u32");
  const out = opened.memory.createArray("u32", 1);
  const kernelOf = (writes: string[]) =>
    opened.memory.createKernel({
      label: "k",
      footprint: { a: { each: 1 }, b: { each: 1 }, out: "whole" },
      host: {
        writes,
        run({ arrays }) {
          arrays["out"][0] = arrays["b"][1];
        },
      },
    });
  const arrays = { a: array, b: view, out };
  for (const written of ["a", "b"]) {
    await assert.rejects(
      (await kernelOf([written])).dispatch({ invocations: 1, arrays }),
      memoryError("EINVAL", /kernel "k" writes array "numbers( as u32)?", given as both "[ab]" and "[ab]"/),
    );
  }
  await (await kernelOf(["out"])).dispatch({ invocations: array.length, arrays, mode: "resident" });
  assert.deepEqual([...(await out.read())], [0x3f800000]);
  opened.check();
});

test("a pin through one keeps the pages from kernels over the other, and the message names it in its own elements", async (t) => {
  const opened = await openMemory(t);
  const array = await numbers(opened);
  const points = array.as("vec4f", { label: "points" });
  const kernel = await opened.memory.createKernel({
    label: "k",
    footprint: { x: { each: 1 } },
    host: { writes: ["x"], run() {} },
  });
  const pin = await points.pin("write", { start: 300, length: 20 });
  assert.equal(pin.view.length, 80);
  await assert.rejects(
    kernel.dispatch({ invocations: array.length, arrays: { x: array } }),
    memoryError(
      "EBUSY",
      /kernel "k" needs elements 0 to 3072 of array "numbers", on a page that a write pin of 300 to 320 of "points" holds/,
    ),
  );
  await kernel.dispatch({ invocations: PAGE / 4, arrays: { x: array } });
  await array.clearDirty();
  assert.deepEqual(await array.dirtyRanges(), [{ start: PAGE / 4, length: PAGE / 4 }]);
  opened.check(array);
  // A clear that waits for its turn counts what a pin of the other let go meanwhile.
  const busy = array.fill(1, { length: 1 });
  const cleared = array.clearDirty();
  pin.release();
  await Promise.all([busy, cleared]);
  assert.deepEqual(await points.dirtyRanges(), [{ start: PAGE / 16, length: PAGE / 16 }]);
  await kernel.dispatch({ invocations: array.length, arrays: { x: array } });
  opened.check();
});

test("copying an array onto itself through a pin of a view moves what was there", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("u8", 2 * PAGE);
  await array.write(Uint8Array.from({ length: 2 * PAGE }, (_, i) => i % 251));
  const words = array.as("u32");
  const pin = await words.pin("read", { length: PAGE / 4 });
  await array.write(new Uint8Array(pin.view.buffer, pin.view.byteOffset, PAGE), { start: 100 });
  pin.release();
  const expected = Uint8Array.from({ length: 2 * PAGE }, (_, i) => i % 251);
  expected.copyWithin(100, 0, PAGE);
  assert.deepEqual(await array.read(), expected);
});

test("a snapshot of a view is a snapshot of the bytes, with the view's type", async (t) => {
  const opened = await openMemory(t);
  const array = await numbers(opened);
  const snapshot = array.as("vec2f").snapshot();
  assert.deepEqual([snapshot.type, snapshot.length], ["vec2f", array.length / 2]);
  array.destroy();
  assert.deepEqual([...(await snapshot.read({ start: 700, length: 1 }))], [1400, 1401]);
  const frozen = snapshot.as("u32");
  await assert.rejects(frozen.fill(1), memoryError("EPERM", /is a snapshot/));
  opened.check();
});

test("a view ends with its array, also with operations under way; its own end leaves the array alone", async (t) => {
  const opened = await openMemory(t);
  const array = await numbers(opened);
  const first = array.as("u32");
  const second = array.as("u16");
  const third = second.as("u8");
  first.destroy();
  assert.ok(first.destroyed && !array.destroyed && !second.destroyed);
  await assert.rejects(first.read(), memoryError("EINVAL", /"numbers as u32" is destroyed/));
  second.destroy();
  assert.ok(!third.destroyed);
  assert.equal((await array.read()).length, array.length);
  const reading = third.read({ length: 4 });
  array.destroy();
  const late = third.read();
  assert.ok(third.destroyed);
  assert.deepEqual([...(await reading)], [0, 0, 0, 0]);
  await assert.rejects(late, memoryError("EINVAL", /"numbers as u16 as u8|is destroyed/));
  assert.throws(() => array.as("u32"), memoryError("EINVAL", /"numbers" is destroyed/));
  await opened.memory.createArray("u8", 1).read();
  assert.equal(opened.memory.stats.host.usedBytes, 0);
});

test("a view of an array that was never mapped says why", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f32", 10, { label: "x" });
  const view = array.as("u32");
  array.destroy();
  await assert.rejects(view.read(), memoryError("EINVAL", /is destroyed/));
});

test("bytes that are no whole number of elements, and types that are none, are refused", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("f32", 7, { label: "seven" });
  assert.throws(
    () => array.as("vec2f"),
    memoryError("EINVAL", /the 28 bytes of array "seven" are no whole number of elements: vec2f has 8/),
  );
  assert.throws(() => array.as("mat3x3f" as never), memoryError("EINVAL", /stride of 48 bytes/));
  assert.throws(() => array.as("f32", { lable: "x" } as never), memoryError("EINVAL", /as has no option "lable"/));
});
