// A GPUDevice that is destroyed under a memory: what only the GPU had is said and refused, all else goes on, also on the next one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceLostError } from "../../src/device/device-lost-error.js";
import { webgpuDevice } from "../../src/device/webgpu/index.js";
import { memoryError, PAGE } from "../builders.js";
import { openUntended } from "../unified/opened-memory.js";
import { skip } from "./gpu.js";
import { bufferOf, bytesIn, bytesOf, counting } from "./gpu-memory.js";
import { assertNothingUncaught, ownDevice } from "./opened-device.js";

const WORDS = PAGE / 4;

const wgsl = `
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x] + 1; }
`;

const isLost = (error: unknown): boolean => {
  assert.ok(error instanceof DeviceLostError, String(error));
  assert.equal(error.reason, "destroyed");
  return true;
};

test("a GPU that is lost takes what was nowhere else; kernels go on with the next one", { skip }, async (t) => {
  const gpu = await ownDevice();
  const driver = await webgpuDevice({ device: gpu, budget: 16 * PAGE });
  // With other threads, copies overwrite nothing unseen: what is lost is filled first.
  const opened = await openUntended({ driver, shared: false });
  t.after(() => opened.destroyed());
  const { memory } = opened;
  const length = 4 * WORDS;
  const x = memory.createArray("u32", length, { label: "x" });
  const y = memory.createArray("u32", length, { label: "y" });
  const words = counting(length);
  const sums = words.map((word) => word + 1);
  await x.write(words);
  const kernel = await memory.createKernel({ wgsl, footprint: { x: { each: 1 }, y: { each: 1 } } });
  await kernel.dispatch({ invocations: length, arrays: { x, y } });
  const pin = await y.bind("write", { length: WORDS });
  gpu.destroy();
  const { reason, ranges } = await memory.deviceLost;
  assert.equal(reason, "destroyed");
  assert.deepEqual(
    ranges.map(({ array, start, length: count }) => [array, start, count]),
    [[y, 0, length]],
  );
  assert.equal(pin.released, true);
  assert.throws(() => pin.binding, memoryError("EINVAL", /released/));
  opened.check();
  assert.deepEqual(await x.read(), words);
  await assert.rejects(y.read(), memoryError("EIO", /elements 0 to 4096 of array "y"/));
  await assert.rejects(kernel.dispatch({ invocations: 1, arrays: { x, y } }), isLost);
  await assert.rejects(x.bind("read"), isLost);
  await assert.rejects(x.copyTo({} as GPUBuffer), isLost);

  const next = await ownDevice();
  await memory.replaceDevice(await webgpuDevice({ device: next, budget: 2 * PAGE }));
  const whole = memoryError("EIO", /elements 0 to 4096 of array "y" were only on a device that is lost/);
  await assert.rejects(kernel.dispatch({ invocations: length, arrays: { x, y } }), whole);
  await assert.rejects(y.bind("read", { length: WORDS }), whole);
  const target = bufferOf(t, next, 4 * PAGE);
  await assert.rejects(y.copyTo(target), whole);
  await y.copyFrom(bufferOf(t, next, bytesIn(words)));
  assert.deepEqual(await y.read(), words, "overwritten whole");
  const report = await kernel.dispatch({ invocations: length, arrays: { x, y } });
  assert.equal(report.mode, "streamed");
  await y.copyTo(target);
  assert.deepEqual(await bytesOf(next, target), bytesIn(sums));
  opened.check();
  await assertNothingUncaught(next);
});

for (const turns of [0, 1, 3, 10, 30]) {
  test(
    `a GPU that is lost while kernels run, after ${turns} turns: each array is right, or lost and said so`,
    { skip },
    async (t) => {
      const gpu = await ownDevice();
      const opened = await openUntended({ driver: await webgpuDevice({ device: gpu, budget: 6 * PAGE }) });
      t.after(() => opened.destroyed());
      const { memory } = opened;
      const length = 16 * WORDS;
      const x = memory.createArray("u32", length, { label: "x" });
      const y = memory.createArray("u32", length, { label: "y" });
      const words = counting(length);
      await x.write(words);
      const kernel = await memory.createKernel({ wgsl, footprint: { x: { each: 1 }, y: { each: 1 } } });
      const running = kernel.dispatch({ invocations: length, arrays: { x, y } });
      running.catch(() => {});
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
      gpu.destroy();
      await running.catch(isLost);
      const { ranges } = await memory.deviceLost;
      opened.check();
      assert.ok(ranges.every(({ array }) => array === y));
      assert.deepEqual(await x.read(), words);
      for (let page = 0; page < 16; page++) {
        const range = { start: page * WORDS, length: WORDS };
        if (ranges.some(({ start, length: count }) => start <= range.start && range.start < start + count)) {
          await assert.rejects(y.read(range), memoryError("EIO", /array "y"/));
          continue;
        }
        const now = await y.read(range);
        assert.ok(now.every((word) => word === 0) || now.every((word, i) => word === words[range.start + i] + 1));
      }
      await memory.replaceDevice(await webgpuDevice({ device: await ownDevice(), budget: 6 * PAGE }));
      await y.fill(0);
      await kernel.dispatch({ invocations: length, arrays: { x, y } });
      assert.deepEqual(
        await y.read(),
        words.map((word) => word + 1),
      );
    },
  );
}
