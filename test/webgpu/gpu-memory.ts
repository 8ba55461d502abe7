/** A memory over the GPU for tests of what programs do there by themselves, and the little that such a program consists of. */

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { webgpuDevice, type WebgpuLimits } from "../../src/device/webgpu/index.js";
import { PAGE } from "../builders.js";
import { type MemorySetup, type OpenedMemory, openUntended } from "../unified/opened-memory.js";
import { assertNothingUncaught, sharedDevice } from "./opened-device.js";

const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const STORAGE = 0x80;
const MAP_READ = 0x1;

/** For a buffer of the program's. */
export const COPIED = COPY_SRC | COPY_DST;

export interface GpuMemorySetup extends Omit<MemorySetup, "driver" | "kind" | "link" | "devicePages"> {
  /** Pages of the device; default 16. */
  frames?: number;
  /** Of these, in one buffer; default all. */
  runFrames?: number;
}

export interface GpuMemory extends OpenedMemory {
  readonly gpu: GPUDevice;
}

/** Pages have 4 KiB. When the test ends the memory is destroyed, and nothing may be left, or have gone wrong unnoticed. */
export async function openGpuMemory(t: TestContext, setup: GpuMemorySetup = {}): Promise<GpuMemory> {
  const { frames = 16, runFrames, ...rest } = setup;
  const gpu = await sharedDevice();
  const limits: WebgpuLimits = runFrames === undefined ? {} : { maxStorageBufferBindingSize: (runFrames + 1) * PAGE };
  const driver = await webgpuDevice({ device: gpu, budget: frames * PAGE, limits });
  const opened = Object.assign(await openUntended({ ...rest, driver }), { gpu });
  t.after(async () => {
    await opened.destroyed();
    await assertNothingUncaught(gpu);
  });
  return opened;
}

/** A buffer with these bytes, destroyed when the test ends. */
export function bufferOf(t: TestContext, gpu: GPUDevice, bytes: Uint8Array | number, usage = COPIED): GPUBuffer {
  const size = typeof bytes === "number" ? bytes : bytes.byteLength;
  const buffer = gpu.createBuffer({ size, usage });
  t.after(() => buffer.destroy());
  if (typeof bytes !== "number") gpu.queue.writeBuffer(buffer, 0, bytes);
  return buffer;
}

/** The bytes of a buffer. */
export async function bytesOf(gpu: GPUDevice, buffer: GPUBuffer, offset = 0, size = buffer.size): Promise<Uint8Array> {
  const staging = gpu.createBuffer({ size, usage: COPY_DST | MAP_READ });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
  gpu.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_READ);
  const bytes = new Uint8Array(staging.getMappedRange()).slice();
  staging.destroy();
  return bytes;
}

/** Adds a number to each of the 32-bit words of a binding, in place. */
export function addTo(gpu: GPUDevice, resource: GPUBufferBinding, summand: number): void {
  const size = resource.size ?? assert.fail();
  const code = `@group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < arrayLength(&x)) { x[id.x] += ${summand}u; }
    }`;
  run(gpu, code, [resource], Math.ceil(size / 256));
}

/** The sum of the 32-bit words of a binding, by the GPU. */
export async function sumOf(t: TestContext, gpu: GPUDevice, resource: GPUBufferBinding): Promise<number> {
  const result = bufferOf(t, gpu, 4, COPY_SRC | STORAGE);
  const code = `@group(0) @binding(0) var<storage, read> x: array<u32>;
    @group(0) @binding(1) var<storage, read_write> sum: array<atomic<u32>>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < arrayLength(&x)) { atomicAdd(&sum[0], x[id.x]); }
    }`;
  run(gpu, code, [resource, { buffer: result }], Math.ceil((resource.size ?? assert.fail()) / 256));
  return new Uint32Array((await bytesOf(gpu, result)).buffer)[0] ?? assert.fail();
}

function run(gpu: GPUDevice, code: string, resources: readonly GPUBufferBinding[], workgroups: number): void {
  const module = gpu.createShaderModule({ code });
  const pipeline = gpu.createComputePipeline({ layout: "auto", compute: { module } });
  const entries = resources.map((resource, binding) => ({ binding, resource }));
  const bindGroup = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(workgroups);
  pass.end();
  gpu.queue.submit([encoder.finish()]);
}

/** Words that tell where they are. */
export function counting(length: number, first = 0): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length }, (_, i) => first + i);
}

export function bytesIn(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
