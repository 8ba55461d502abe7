// The adapter that all other tests of WebGPU use computes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gpu, skip } from "./gpu.js";

test("a shader runs, and what it wrote can be read", { skip }, async (t) => {
  const adapter = (await gpu?.requestAdapter()) ?? assert.fail();
  t.diagnostic(`adapter: ${adapter.info.description || adapter.info.device} (${adapter.info.vendor})`);
  const device = await adapter.requestDevice();
  t.after(() => device.destroy());
  const storage = device.createBuffer({ size: 256, usage: 0x80 | 0x4 });
  const readback = device.createBuffer({ size: 256, usage: 0x1 | 0x8 });
  const code = `@group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] = id.x * 3; }`;
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }) },
  });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: storage } }],
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(storage, 0, readback, 0, 256);
  device.queue.submit([encoder.finish()]);
  await readback.mapAsync(0x1);
  assert.deepEqual(
    new Uint32Array(readback.getMappedRange()),
    Uint32Array.from({ length: 64 }, (_, i) => i * 3),
  );
});
