// Whose GPUDevice it is, what becomes of it, and what everybody hears when it is lost.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceLostError } from "../../src/device/device-lost-error.js";
import { webgpuDevice } from "../../src/device/webgpu/index.js";
import { WebgpuDevice } from "../../src/device/webgpu/webgpu-device.js";
import { createUnifiedMemory } from "../../src/index.js";
import { memoryError } from "../builders.js";
import { gpu, skip } from "./gpu.js";
import { clearsOf, copiesOf, openDevice, ownDevice, sharedDevice } from "./opened-device.js";

const MiB = 1024 * 1024;

test("the program's own device lives on when memories over it are destroyed", { skip }, async () => {
  const device = await ownDevice();
  for (let round = 0; round < 3; round++) {
    const driver = await webgpuDevice({ device, budget: MiB });
    const memory = await createUnifiedMemory({ device: driver });
    const x = memory.createArray("u32", 100_000);
    await x.fill(round);
    await x.prefetch("device");
    assert.equal((await x.read())[99_999], round);
    await memory.destroy();
    const isLost = await Promise.race([device.lost.then(() => true), Promise.resolve(false)]);
    assert.equal(isLost, false);
  }
  device.destroy();
});

test(
  "a device that is asked for goes with its memory, and another comes when it is opened again",
  { skip },
  async () => {
    const driver = await webgpuDevice({ gpu: gpu ?? assert.fail(), budget: MiB, powerPreference: "low-power" });
    assert.match(driver.name, /^webgpu \(.+\)$/);
    for (let round = 0; round < 2; round++) {
      const memory = await createUnifiedMemory({ device: driver });
      await assert.rejects(createUnifiedMemory({ device: driver }), memoryError("EBUSY", /is open already/));
      const x = memory.createArray("u32", 100_000);
      await x.prefetch("device");
      assert.equal((await x.read())[1], 0);
      await memory.destroy();
    }
  },
);

test(
  "a pool of the adapter's whole binding size can be had: limits are the adapter's, not the default",
  { skip },
  async (t) => {
    const driver = await webgpuDevice({ gpu: gpu ?? assert.fail(), budget: 200 * MiB });
    const memory = await createUnifiedMemory({ device: driver });
    t.after(() => memory.destroy());
    assert.equal(memory.stats.device.budgetBytes, 200 * MiB);
  },
);

const BAD: readonly [what: string, options: () => object | Promise<object>, code: string, message: RegExp][] = [
  ["no budget", () => ({}), "EINVAL", /device budget of undefined bytes is not a whole number above 0/],
  ["half a byte", () => ({ budget: 0.5 }), "EINVAL", /device budget of 0.5 bytes/],
  ["an option that does not exist", () => ({ budget: MiB, limit: {} }), "EINVAL", /webgpuDevice has no option "limit"/],
  [
    "a limit that does not exist",
    () => ({ budget: MiB, limits: { maxBuffers: 1 } }),
    "EINVAL",
    /no option "maxBuffers"/,
  ],
  ["a limit of nothing", () => ({ budget: MiB, limits: { maxBufferSize: 0 } }), "EINVAL", /maxBufferSize of 0 is not/],
  [
    "a limit above the device's",
    async () => ({ budget: MiB, device: await sharedDevice(), limits: { maxBufferSize: 2 ** 50 } }),
    "EINVAL",
    /maxBufferSize of 1125899906842624 is more than the \d+ of the device/,
  ],
  ["something else for a device", () => ({ budget: MiB, device: {} }), "EINVAL", /no GPUDevice/],
  [
    "a device, and where one comes from",
    async () => ({ budget: MiB, device: await sharedDevice(), gpu }),
    "EINVAL",
    /not both/,
  ],
  [
    "WebGPU without an adapter",
    () => ({ budget: MiB, gpu: { requestAdapter: async () => null } }),
    "ENODEV",
    /no adapter here/,
  ],
];

for (const [what, options, code, message] of BAD) {
  test(`${what} is refused`, { skip }, async () => {
    await assert.rejects(
      webgpuDevice((await options()) as Parameters<typeof webgpuDevice>[0]),
      memoryError(code, message),
    );
  });
}

test(
  "a budget that the GPU has no room for is refused when a memory opens it, and nothing is left",
  { skip },
  async (t) => {
    const device = await ownDevice();
    t.after(() => device.destroy());
    let created = 0;
    let destroyed = 0;
    const createBuffer = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      created++;
      // As a GPU of 64 MiB would.
      const buffer = createBuffer({
        ...descriptor,
        size: created * descriptor.size > 64 * MiB ? 2 ** 40 : descriptor.size,
      });
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        destroyed++;
        return destroy();
      };
      return buffer;
    };
    const driver = await webgpuDevice({ device, budget: 256 * MiB, limits: { maxStorageBufferBindingSize: 16 * MiB } });
    await assert.rejects(
      createUnifiedMemory({ device: driver }),
      memoryError(
        "ENOMEM",
        /the device budget of 268435456 bytes does not fit: the GPU has no room for 16777216 bytes of device memory/,
      ),
    );
    assert.ok(created > 1);
    assert.equal(destroyed, created);
  },
);

test(
  "without WebGPU for Node, the error says what to install",
  { skip: !("process" in globalThis) && "a page has WebGPU of its own" },
  async () => {
    // Where the tests run from, the package is not installed: they have one of their own.
    await assert.rejects(webgpuDevice({ budget: MiB }), memoryError("ENODEV", /npm install webgpu/));
  },
);

test(
  "when the device is lost, what is pending rejects with a named error, and so does whatever is asked later",
  { skip },
  async (t) => {
    const own = await ownDevice();
    const { device } = await openDevice(t, { device: own, frames: 64, hostFrames: 64 });
    const kernel = await device.createKernel({
      label: "k",
      wgsl: {
        text: "@group(0) @binding(0) var<storage, read_write> x: array<u32>; @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { for (var i = 0u; i < 100u; i++) { x[id.x] += i; } }",
        entryPoint: "main",
        constants: {},
        footprint: { x: "whole" },
        bindings: [],
      },
    });
    const all = copiesOf(...Array.from({ length: 64 }, (_, i): [number, number] => [i, i]));
    await device.upload(all);
    const length = 64 * 1024;
    const frames = Int32Array.from({ length: 64 }, (_, i) => i);
    const step = {
      first: 0,
      count: length,
      invocations: length,
      shape: [length, 1, 1] as const,
      slices: [{ name: "x", type: "u32" as const, first: 0, length, total: length, offset: 0, frames, written: true }],
      uniforms: {},
      bindings: {},
    };
    await kernel.execute(step);
    const pending = [device.download(all), kernel.execute(step), device.download(copiesOf([0, 0]))];
    own.destroy();
    for (const settled of await Promise.allSettled(pending)) {
      assert.equal(settled.status, "rejected");
      assert.ok(settled.reason instanceof DeviceLostError, String(settled.reason));
      assert.deepEqual([settled.reason.code, settled.reason.reason], ["ENODEV", "destroyed"]);
    }
    assert.equal((await device.lost).reason, "destroyed");
    for (const later of [
      () => device.upload(all),
      () => device.download(all),
      () => device.clear(clearsOf(0)),
      () => kernel.execute(step),
      () => device.createKernel({ label: "l" }),
    ])
      await assert.rejects(later(), DeviceLostError);
    device.discard(0);
    await device.close();
    assert.equal(device.buffers.created, device.buffers.destroyed);
    await assert.rejects(openDevice(t, { device: own }), DeviceLostError);
  },
);

test(
  "a closed device rejects what is pending and what comes later, is not lost, and closing it again does nothing",
  { skip },
  async (t) => {
    const { device } = await openDevice(t);
    const downloading = device.download(copiesOf([0, 0]));
    await device.close();
    await device.close();
    const closed = memoryError("ENODEV", /webgpu \(.+\) is closed/);
    await assert.rejects(downloading, closed);
    await assert.rejects(device.upload(copiesOf([0, 0])), closed);
    await assert.rejects(device.clear(clearsOf(0)), closed);
    const isLost = await Promise.race([device.lost.then(() => true), Promise.resolve(false)]);
    assert.equal(isLost, false);
    assert.ok(device instanceof WebgpuDevice);
  },
);
