// Whole arrays to and from GPUBuffers of the program's: in place on the device, from the host without a migration, in call order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryError, PAGE } from "../builders.js";
import { openMemory, REMOTE } from "../unified/opened-memory.js";
import { skip } from "./gpu.js";
import { bufferOf, bytesIn, bytesOf, COPIED, counting, openGpuMemory } from "./gpu-memory.js";
import { ownDevice } from "./opened-device.js";

const WORDS = PAGE / 4;
const MAP_READ_AND_COPY_DST = 0x1 | 0x8;

for (const shared of [false, true]) {
  const whose = shared ? "shared with threads" : "of one thread";

  test(`an array larger than the device is copied whole, and nothing moves, ${whose}`, { skip }, async (t) => {
    const { memory, gpu } = await openGpuMemory(t, { frames: 8, runFrames: 3, shared });
    const array = memory.createArray("u32", 40 * WORDS);
    const words = counting(array.length);
    await array.write(words);
    await array.prefetch("device", { start: 5 * WORDS, length: 8 * WORDS });
    const before = memory.stats;
    const target = bufferOf(t, gpu, array.byteLength);
    await array.copyTo(target);
    assert.deepEqual(await bytesOf(gpu, target), bytesIn(words));
    assert.deepEqual(memory.stats.migrations, before.migrations);
    assert.equal(memory.stats.device.usedBytes, 8 * PAGE);
  });

  test(`an array larger than the device is filled from a buffer, ${whose}`, { skip }, async (t) => {
    const opened = await openGpuMemory(t, { frames: 8, runFrames: 3, shared });
    const { memory, gpu } = opened;
    const array = memory.createArray("u32", 40 * WORDS);
    await array.fill(7);
    const words = counting(array.length, 5);
    await array.copyFrom(bufferOf(t, gpu, bytesIn(words)));
    opened.check();
    assert.equal(memory.stats.device.usedBytes, 8 * PAGE, "the last pages stay on the device");
    assert.deepEqual(await array.read(), words);
  });
}

// In a shared memory other threads may pin such pages, so there they are brought.
test("pages that are overwritten whole are not brought to the device before", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t, { frames: 8, shared: false });
  const array = memory.createArray("u32", 40 * WORDS);
  await array.fill(7);
  const words = counting(10 * WORDS);
  const source = bufferOf(t, gpu, bytesIn(words));
  await array.copyFrom(source, { start: 2 * WORDS, length: 4 * WORDS });
  assert.equal(memory.stats.migrations.toDevice.kernel.bytes, 0);
  await array.copyFrom(source, { start: 10 * WORDS + 64, length: 3 * WORDS });
  assert.equal(memory.stats.migrations.toDevice.kernel.bytes, 2 * PAGE, "only the first and the last page");
  const expected = new Uint32Array(array.length).fill(7);
  expected.set(words.subarray(0, 4 * WORDS), 2 * WORDS);
  expected.set(words.subarray(0, 3 * WORDS), 10 * WORDS + 64);
  assert.deepEqual(await array.read(), expected);
  assert.deepEqual(await array.dirtyRanges(), [{ start: 0, length: array.length }]);
});

test("the end of an array that ends within a page is overwritten whole", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t, { shared: false });
  const array = memory.createArray("u32", 2 * WORDS + 100);
  await array.fill(7);
  const words = counting(array.length);
  await array.copyFrom(bufferOf(t, gpu, bytesIn(words)));
  assert.equal(memory.stats.migrations.toDevice.kernel.bytes, 0);
  assert.deepEqual(await array.read(), words);
});

test("what a copy writes counts as written, and what it does not touch does not", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t);
  const array = memory.createArray("u32", 10 * WORDS);
  await array.write(counting(array.length));
  await array.clearDirty();
  await array.copyFrom(bufferOf(t, gpu, 2 * PAGE), { start: 3 * WORDS, length: 2 * WORDS });
  await array.copyTo(bufferOf(t, gpu, array.byteLength));
  assert.deepEqual(await array.dirtyRanges(), [{ start: 3 * WORDS, length: 2 * WORDS }]);
});

test("parts go to and come from where the offsets say; the rest on both sides stays", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t);
  const array = memory.createArray("u32", 6 * WORDS);
  const words = counting(array.length, 1);
  await array.write(words);
  await array.prefetch("device", { start: 2 * WORDS, length: 2 * WORDS });
  const buffer = bufferOf(t, gpu, new Uint8Array(4 * PAGE).fill(9));
  await array.copyTo(buffer, { start: 100, length: 3 * WORDS, targetOffset: 20 });
  const bytes = new Uint8Array(4 * PAGE).fill(9);
  bytes.set(bytesIn(words.subarray(100, 100 + 3 * WORDS)), 20);
  assert.deepEqual(await bytesOf(gpu, buffer), bytes);
  await array.copyFrom(buffer, { start: 3 * WORDS + 1, length: WORDS, sourceOffset: 20 });
  words.set(words.slice(100, 100 + WORDS), 3 * WORDS + 1);
  assert.deepEqual(await array.read(), words);
});

test("copies take their turn among operations that nobody has waited for", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t, { frames: 4 });
  const array = memory.createArray("u32", 9 * WORDS);
  const [first, second] = [bufferOf(t, gpu, array.byteLength), bufferOf(t, gpu, array.byteLength)];
  const ones = bufferOf(t, gpu, new Uint8Array(array.byteLength).fill(1));
  const all = [
    array.fill(1),
    array.copyTo(first),
    array.fill(2),
    array.copyTo(second),
    array.copyFrom(ones),
    array.write(Uint32Array.of(5), { start: 3 }),
  ];
  await Promise.all(all);
  assert.deepEqual(new Set(new Uint32Array((await bytesOf(gpu, first)).buffer)), new Set([1]));
  assert.deepEqual(new Set(new Uint32Array((await bytesOf(gpu, second)).buffer)), new Set([2]));
  const expected = new Uint32Array(array.length).fill(0x01010101);
  expected[3] = 5;
  assert.deepEqual(await array.read(), expected);
});

test("an array that was never written is copied as zeros", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t);
  const target = bufferOf(t, gpu, new Uint8Array(3 * PAGE).fill(9));
  await memory.createArray("u8", 3 * PAGE).copyTo(target);
  assert.deepEqual(await bytesOf(gpu, target), new Uint8Array(3 * PAGE));
});

test(
  "a snapshot keeps what it has when its array is overwritten by a copy, and is copied itself",
  { skip },
  async (t) => {
    const opened = await openGpuMemory(t, { frames: 8 });
    const { memory, gpu } = opened;
    const array = memory.createArray("u32", 12 * WORDS);
    const words = counting(array.length);
    await array.write(words);
    await array.prefetch("device", { start: 0, length: 5 * WORDS });
    const snapshot = array.snapshot();
    await array.copyFrom(bufferOf(t, gpu, 10 * PAGE), { start: 32, length: 10 * WORDS });
    opened.check();
    const target = bufferOf(t, gpu, array.byteLength);
    await snapshot.copyTo(target);
    assert.deepEqual(await bytesOf(gpu, target), bytesIn(words));
    await assert.rejects(snapshot.copyFrom(target), memoryError("EPERM", /snapshot/));
    assert.deepEqual(await snapshot.read(), words);
    assert.deepEqual(await array.read(), words.fill(0, 32, 32 + 10 * WORDS));
  },
);

test("pages that a pin holds in host memory are copied from there, and not overwritten", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t);
  const array = memory.createArray("u32", 4 * WORDS, { label: "held" });
  using pin = await array.pin("write", { start: WORDS, length: 10 });
  pin.view.fill(3);
  const buffer = bufferOf(t, gpu, array.byteLength);
  await array.copyTo(buffer);
  const expected = new Uint32Array(array.length).fill(3, WORDS, WORDS + 10);
  assert.deepEqual(await bytesOf(gpu, buffer), bytesIn(expected));
  await assert.rejects(
    array.copyFrom(buffer),
    memoryError(
      "EBUSY",
      /copyFrom needs elements 0 to 4096 of array "held", on a page that a write pin of 1024 to 1034/,
    ),
  );
});

test("a copy that cannot be is refused with the value and its bound, and changes nothing", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t);
  const array = memory.createArray("u8", 2 * PAGE, { label: "bytes" });
  await array.fill(7);
  const buffer = bufferOf(t, gpu, PAGE);
  const storage = bufferOf(t, gpu, PAGE, 0x80);
  const length = PAGE;
  await assert.rejects(array.copyTo(buffer), memoryError("EINVAL", /bytes 0 to 8192 of a buffer that has 4096/));
  await assert.rejects(
    array.copyFrom(buffer, { length, sourceOffset: 4 }),
    memoryError("EINVAL", /bytes 4 to 4100 of a buffer that has 4096/),
  );
  await assert.rejects(
    array.copyTo(buffer, { length, targetOffset: 6 }),
    memoryError("EINVAL", /targetOffset of 6 is not .* a multiple of 4/),
  );
  await assert.rejects(
    array.copyFrom(buffer, { length: 4, sourceOffset: -4 }),
    memoryError("EINVAL", /sourceOffset of -4/),
  );
  await assert.rejects(
    array.copyTo(buffer, { start: 2, length: 4 }),
    memoryError("EINVAL", /elements 2 to 6 of array "bytes" are bytes 2 to 6: copyTo needs multiples of 4/),
  );
  await assert.rejects(array.copyTo(buffer, { length: 6 }), memoryError("EINVAL", /bytes 0 to 6/));
  await assert.rejects(
    array.copyTo(storage, { length }),
    memoryError("EINVAL", /buffer of 4096 bytes has usage 128, without GPUBufferUsage.COPY_DST/),
  );
  await assert.rejects(array.copyFrom(storage, { length }), memoryError("EINVAL", /without GPUBufferUsage.COPY_SRC/));
  // oxlint-disable-next-line no-explicit-any
  const wrong = { length, sourceOffset: 0 } as any;
  await assert.rejects(array.copyTo(buffer, wrong), memoryError("EINVAL", /sourceOffset/));
  for (const nothing of [undefined, null, 5, {}, new Uint8Array(8)])
    // oxlint-disable-next-line no-explicit-any
    await assert.rejects(array.copyTo(nothing as any, { length }), memoryError("EINVAL", /not a GPUBuffer/));
  assert.ok((await array.read()).every((byte) => byte === 7));
});

test("a buffer that the device cannot use is refused with what WebGPU says of it", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t);
  const array = memory.createArray("u32", WORDS);
  await array.fill(7);
  const other = await ownDevice();
  t.after(() => other.destroy());
  const foreign = bufferOf(t, other, PAGE);
  await assert.rejects(array.copyTo(foreign), memoryError("EINVAL", /cannot be the target of a copy by webgpu.*: \S/));
  await assert.rejects(
    array.copyFrom(foreign),
    memoryError("EINVAL", /cannot be the source of a copy by webgpu.*: \S/),
  );
  const destroyed = bufferOf(t, gpu, PAGE);
  destroyed.destroy();
  await assert.rejects(array.copyFrom(destroyed), memoryError("EINVAL", /destroyed/));
  const mapped = gpu.createBuffer({ size: PAGE, usage: MAP_READ_AND_COPY_DST, mappedAtCreation: true });
  await assert.rejects(array.copyTo(mapped), memoryError("EINVAL", /mapped/));
  mapped.destroy();
  using pin = await array.bind("read");
  await assert.rejects(array.copyTo(pin.binding.buffer), memoryError("EINVAL", /a buffer with pages of webgpu/));
  assert.deepEqual(new Set(await bytesOf(gpu, pin.binding.buffer, pin.binding.offset, PAGE)), new Set([7, 0]));
});

test("a copy that is aborted rejects with the reason, and the array goes on", { skip }, async (t) => {
  const opened = await openGpuMemory(t, { frames: 64 });
  const { memory, gpu } = opened;
  // Several steps.
  const array = memory.createArray("u32", 6 * 1024 * WORDS);
  await array.fill(7);
  const buffer = bufferOf(t, gpu, array.byteLength);
  for (const copy of [
    (signal: AbortSignal) => array.copyTo(buffer, { signal }),
    (signal: AbortSignal) => array.copyFrom(buffer, { signal }),
  ]) {
    const reason = new Error("enough");
    await assert.rejects(copy(AbortSignal.abort(reason)), (error) => error === reason);
    const controller = new AbortController();
    const copied = copy(controller.signal);
    setTimeout(() => controller.abort(reason), 5);
    await assert.rejects(copied, (error) => error === reason);
    opened.check();
  }
  const word = Uint32Array.of(1);
  await array.write(word);
  assert.deepEqual(await array.read({ length: 1 }), word);
});

test(
  "what an aborted copy has not come to is as it was, and all that it gave up counts as written",
  { skip },
  async (t) => {
    const { memory, gpu } = await openGpuMemory(t, { frames: 8 });
    const array = memory.createArray("u32", 64 * WORDS);
    await array.fill(7);
    await array.clearDirty();
    const controller = new AbortController();
    const copied = array.copyFrom(bufferOf(t, gpu, array.byteLength, COPIED), { signal: controller.signal });
    const { queue } = gpu;
    const submit = queue.submit.bind(queue);
    let submitted = 0;
    queue.submit = (commands) => {
      submit(commands);
      if (++submitted === 2) controller.abort();
    };
    const done = await copied.then(
      () => true,
      () => false,
    );
    // Other tests use the device as well.
    queue.submit = submit;
    assert.ok(!done, "the copy was over before it could be aborted");
    const words = await array.read();
    const dirty = await array.dirtyRanges();
    for (let page = 0; page < 64; page++) {
      const isDirty = dirty.some(({ start, length }) => start <= page * WORDS && page * WORDS < start + length);
      const part = new Set(words.subarray(page * WORDS, (page + 1) * WORDS));
      assert.deepEqual(part, new Set([isDirty ? 0 : 7]), `page ${page}`);
    }
  },
);

test("without a GPU, and for a thread without the device, there are no copies to buffers of it", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("u32", 4, { label: "there" });
  // oxlint-disable-next-line no-explicit-any
  const buffer = {} as any;
  const message = REMOTE
    ? /"there" has no GPUBuffers here: the device is in another thread/
    : /for devices of WebGPU: mirror \(private, software\) has no GPUBuffers/;
  await assert.rejects(array.copyTo(buffer), memoryError("ENOTSUP", message));
  await assert.rejects(array.copyFrom(buffer), memoryError("ENOTSUP", message));
  await assert.rejects(array.bind("read"), memoryError("ENOTSUP", message));
});
