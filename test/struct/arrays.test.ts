// Arrays of vectors and structures: everything is counted in elements, everything is viewed as flat numbers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { strideOf } from "../../src/device/element.js";
import { struct, type StructValue } from "../../src/struct/index.js";
import { memoryError, PAGE } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { openMemory } from "../unified/opened-memory.js";
import { cell, particle, weigh } from "./particle-kernels.js";

test("starts and lengths are elements in every operation, and views have all their numbers", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("vec4f", PAGE / 16 + 100, { label: "v" });
  assert.equal(array.length, 356);
  assert.equal(array.byteLength, 356 * 16);
  assert.equal(array.pages, 2);
  await array.fill([1, 2, 3, 4]);
  await array.fill(7, { start: 10, length: 2 });
  await array.write(new Float32Array([5, 6, 7, 8, 9, 10, 11, 12]), { start: 300 });
  const expected = Float32Array.from({ length: 356 * 4 }, (_, i) => (i % 4) + 1);
  expected.fill(7, 40, 48);
  expected.set([5, 6, 7, 8, 9, 10, 11, 12], 1200);
  await array.prefetch("device", { start: 256, length: 1 });
  assert.equal(opened.onDevice(array), 1);
  const whole: Float32Array<ArrayBuffer> = await array.read();
  assert.deepEqual(whole, expected);
  assert.deepEqual(await array.read({ start: 300, length: 2 }), expected.subarray(1200, 1208));
  const into = new Float32Array(12);
  assert.equal(await array.read(into, { start: 299 }), into);
  assert.deepEqual(into, expected.subarray(1196, 1208));
  const pin = await array.pin("write", { start: 9, length: 3 });
  const view: Float32Array = pin.view;
  assert.deepEqual([pin.start, pin.length, view.length], [9, 3, 12]);
  assert.deepEqual(
    pin.runs.map(({ start, view: { length } }) => [start, length]),
    [[9, 12]],
  );
  view[0] = -1;
  pin.release();
  assert.equal((await array.read({ start: 9, length: 1 }))[0], -1);
  await array.clearDirty();
  await array.fill(0, { start: 255, length: 1 });
  assert.deepEqual(await array.dirtyRanges(), [{ start: 0, length: 256 }]);
  const chunks: number[] = [];
  for await (const { byteLength } of array.stream({ start: 6, chunkLength: 100 })) chunks.push(byteLength);
  assert.deepEqual(chunks, [1600, 1600, 1600, 800]);
  opened.check();
});

test("a pin over pages that lie apart gives runs of whole elements", async (t) => {
  const environment = new TestEnvironment();
  let pages = 0;
  environment.mayUseHome = () => pages++ % 2 === 0;
  const opened = await openMemory(t, { environment });
  const array = opened.memory.createArray(particle, (2 * PAGE) / 16);
  await array.fill(particle.of({ position: [1, 2, 3], mass: 4 }));
  const pin = await array.pin("read", { start: 3, length: 300 });
  const runs = pin.runs;
  assert.equal(runs.length, 2);
  assert.equal(
    runs.reduce((sum, { view }) => sum + view.length, 0),
    1200,
  );
  for (const { start, view } of runs) {
    assert.deepEqual(particle.at(view, 0), { position: [1, 2, 3], mass: 4 });
    assert.ok(start === 3 || start === PAGE / 16);
  }
  pin.release();
  opened.check();
});

test("structures are written and filled by their values, and read back through members", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray(cell, 1000);
  const value: StructValue<typeof cell.members> = { place: [0.5, -2], count: 4_000_000_000, flag: -7 };
  await array.fill(cell.of(value));
  await array.write(cell.of({ ...value, flag: 1 }, { ...value, flag: 2 }), { start: 998 });
  const read: Uint8Array<ArrayBuffer> = await array.read();
  const { place, count, flag } = cell.views(read);
  assert.deepEqual([count[0], flag[0], place[0], place[1]], [4_000_000_000, -7, 0.5, -2]);
  assert.deepEqual([flag[998 * cell.step], flag[999 * cell.step]], [1, 2]);
  assert.deepEqual(cell.at(read, 999), { place: [0.5, -2], count: 4_000_000_000, flag: 2 });
  await array.fill(0, { length: 999 });
  assert.deepEqual(cell.at(await array.read(), 998), { place: [0, 0], count: 0, flag: 0 });
});

for (const [where, shared] of Object.entries({ "in this thread": false, "in a worker": true })) {
  test(`kernels ${where} get the same views, streamed through less device memory than the arrays take`, async (t) => {
    const opened = await openMemory(t, { devicePages: 6, shared });
    const { memory } = opened;
    const length = 20 * (PAGE / 16) + 7;
    const particles = memory.createArray(particle, length);
    const cells = memory.createArray(cell, length);
    await particles.fill(particle.of({ position: [1, 2, 3], mass: 4 }));
    const kernel = await memory.createKernel({
      footprint: { particles: { each: 1 }, cells: { each: 1 } },
      host: shared ? { module: new URL("./particle-kernels.js", import.meta.url), export: "weigh" } : weigh,
    });
    const report = await kernel.dispatch({ invocations: length, arrays: { particles, cells } });
    assert.equal(report.mode, "streamed");
    const read = await cells.read();
    for (const i of [0, 255, 256, length - 1]) {
      assert.deepEqual(cell.at(read, i), { place: [0, 12], count: i, flag: 0 });
    }
    opened.check();
  });
}

test("bytes of a source that cut elements arrive whole; a source that ends within one leaves those before", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray(cell, 10, { label: "cells" });
  const bytes = Uint8Array.from({ length: 40 }, (_, i) => i + 1);
  async function* cut(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 7) yield bytes.slice(at, at + 7);
  }
  await assert.rejects(
    array.write(cut()),
    memoryError("EINVAL", /ended after 40 bytes, within an element: 8 of the 16 bytes of struct \{ place: vec2f, /),
  );
  assert.deepEqual(
    (await array.read()).subarray(0, 40),
    Uint8Array.from({ length: 40 }, (_, i) => (i < 32 ? i + 1 : 0)),
  );
});

test("snapshots and mapped blobs have elements of structures too", async (t) => {
  const { memory } = await openMemory(t);
  const values = Array.from({ length: 600 }, (_, i) => ({ position: [i, 1, 2], mass: -i }));
  const array = await memory.mapBlob(new Blob([new Uint8Array(16), particle.of(...values)]), {
    type: particle,
    offset: 16,
  });
  assert.equal(array.length, 600);
  const snapshot = array.snapshot();
  await array.fill(0);
  assert.deepEqual(particle.at(await snapshot.read({ start: 599 }), 0), { position: [599, 1, 2], mass: -599 });
});

test("what is no whole number of elements, or no value of the type, is refused and changes nothing", async (t) => {
  const { memory } = await openMemory(t);
  const vectors = memory.createArray("vec4f", 8, { label: "vectors" });
  const cells = memory.createArray(cell, 8, { label: "cells" });
  await vectors.fill(1);
  const refused: [promise: () => Promise<unknown>, message: RegExp][] = [
    [
      () => vectors.write(new Float32Array(6)),
      /24 bytes for array "vectors" are no whole number of elements: vec4f has 16/,
    ],
    [() => vectors.write(new Uint32Array(4) as never), /array "vectors" takes vec4f elements, bytes/],
    [() => vectors.read(new Float32Array(5)), /20 bytes for array "vectors" are no whole/],
    [() => vectors.read(new Float32Array(36)), /elements 0 to 9 are not within the 8/],
    [() => vectors.read(new Uint32Array(4) as never), /typed array of vec4f elements only/],
    [() => vectors.fill([1, 2, 3]), /vec4f is filled with a number, or all of one element, not 3 of them/],
    [() => vectors.fill("0000" as never), /not 0000/],
    [() => vectors.fill(undefined as never), /not undefined/],
    [() => vectors.fill({} as never), /not undefined of them/],
    [() => cells.fill(1), /struct \{ place.*\} is filled with an element that its of\(\) made, or 0, not 1/],
    [() => cells.fill(new Float32Array(4)), /not 4 of them/],
    [() => cells.write(cell.of().subarray(0), { start: 9 }), /elements 9 to 9/],
  ];
  for (const [promise, message] of refused) await assert.rejects(promise, memoryError("EINVAL", message));
  assert.deepEqual(await vectors.read(), new Float32Array(32).fill(1));
  assert.deepEqual(await cells.read(), new Uint8Array(8 * strideOf(cell)));
});

test("a vector of three may be filled without its padding; the rest of WGSL's types by all their numbers", async (t) => {
  const { memory } = await openMemory(t);
  const points = memory.createArray("vec3u", 3);
  await points.fill([1, 2, 3]);
  assert.deepEqual([...(await points.read({ start: 2 }))], [1, 2, 3, 0]);
  await points.fill([1, 2, 3, 9], { start: 1 });
  assert.deepEqual([...(await points.read({ start: 2 }))], [1, 2, 3, 9]);
  const turns = memory.createArray("mat2x3f", 2);
  await turns.fill([1, 2, 3, 0, 4, 5, 6, 0]);
  assert.deepEqual([...(await turns.read({ start: 1 }))], [1, 2, 3, 0, 4, 5, 6, 0]);
});

test("a structure whose stride is no power of two is refused with the next one; as a member it is fine", async (t) => {
  const { memory } = await openMemory(t);
  const moving = struct({ position: "vec3f", velocity: "vec3f", mass: "f32", age: "f32", kind: "u32" });
  const message = /struct \{ position: vec3f, .* \} has a stride of 48 bytes, which is no power of two: the next is 64/;
  assert.throws(() => memory.createArray(moving, 1), memoryError("EINVAL", message));
  await assert.rejects(
    memory.mapBlob(new Blob([new Uint8Array(96)]), { type: moving }),
    memoryError("EINVAL", message),
  );
  const padded = struct({ moving, spare: "vec4f" });
  assert.equal(memory.createArray(padded, 3).byteLength, 192);
  assert.throws(
    () => memory.createArray({ position: "vec3f" } as never, 1),
    memoryError("EINVAL", /an object is no element type, unless struct\(\)/),
  );
});
