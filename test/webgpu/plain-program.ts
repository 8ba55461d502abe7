/** A shader as a program without this library runs it: whole buffers, one dispatch. */

import assert from "node:assert/strict";
import { describe } from "../../src/device/wgsl/describe.js";
import { type ElementType, strideOf, type View, viewOf } from "../../src/device/element.js";
import * as usage from "../../src/device/webgpu/usage.js";
import type { Shader } from "../corpus/index.js";

/** What the arrays hold afterwards. Fails when WebGPU refuses the shader. */
export async function runPlainly(
  device: GPUDevice,
  shader: Shader,
  starts: Readonly<Record<string, View<ElementType, ArrayBuffer>>>,
): Promise<Record<string, View>> {
  const { text, shape, constants = {} } = shader;
  const {
    arrays,
    workgroups,
    entryPoint,
    uniforms: variables,
  } = describe({ text, constants, entryPoint: shader.entryPoint ?? "main" });
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code: text });
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: { module, entryPoint, constants },
  });
  const buffers = createBuffers(device, shader, starts);
  const groups = new Map<number, GPUBindGroupEntry[]>();
  for (const { name, node } of [...arrays, ...variables]) {
    const declared = text.slice(node.start, node.end);
    const numberOf = (what: string): number => Number(new RegExp(`@${what}\\(\\s*(\\d+)\\s*\\)`).exec(declared)?.[1]);
    const entries = groups.get(numberOf("group")) ?? [];
    groups.set(numberOf("group"), entries);
    const buffer = buffers.get(name) ?? assert.fail(name);
    entries.push({ binding: numberOf("binding"), resource: { buffer, size: starts[name]?.byteLength ?? buffer.size } });
  }
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  for (const [group, entries] of groups) {
    pass.setBindGroup(group, device.createBindGroup({ layout: pipeline.getBindGroupLayout(group), entries }));
  }
  const [x, y, z] = workgroups.size.map((size, axis) => Math.ceil((shape[axis] ?? 1) / size));
  pass.dispatchWorkgroups(x ?? 1, y ?? 1, z ?? 1);
  pass.end();
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  assert.equal(error?.message, undefined);
  return takeResults(device, shader, buffers);
}

/** A buffer for each array, as it begins, and for each uniform. */
export function createBuffers(
  device: GPUDevice,
  { uniforms = {} }: Shader,
  starts: Readonly<Record<string, View<ElementType, ArrayBuffer>>>,
): Map<string, GPUBuffer> {
  const buffers = new Map<string, GPUBuffer>();
  const create = (name: string, bytes: ArrayBufferView<ArrayBuffer>, kind: number): void => {
    const size = Math.ceil(bytes.byteLength / 16) * 16;
    const buffer = device.createBuffer({ size, usage: kind | usage.BUFFER_COPY_DST | usage.BUFFER_COPY_SRC });
    device.queue.writeBuffer(buffer, 0, bytes);
    buffers.set(name, buffer);
  };
  for (const [name, bytes] of Object.entries(starts)) create(name, bytes, usage.BUFFER_STORAGE);
  for (const [name, bytes] of Object.entries(uniforms)) create(name, bytes, usage.BUFFER_UNIFORM);
  return buffers;
}

/** What the arrays hold; the buffers are destroyed. */
export async function takeResults(
  device: GPUDevice,
  { arrays }: Shader,
  buffers: ReadonlyMap<string, GPUBuffer>,
): Promise<Record<string, View>> {
  const results: Record<string, View> = {};
  for (const [name, { type, length }] of Object.entries(arrays)) {
    const bytes = await readBack(device, buffers.get(name) ?? assert.fail(name), length * strideOf(type));
    results[name] = viewOf(type, bytes, 0, length);
  }
  for (const buffer of buffers.values()) buffer.destroy();
  return results;
}

async function readBack(device: GPUDevice, buffer: GPUBuffer, size: number): Promise<ArrayBuffer> {
  const readback = device.createBuffer({ size, usage: usage.BUFFER_MAP_READ | usage.BUFFER_COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, readback, 0, size);
  device.queue.submit([encoder.finish()]);
  await readback.mapAsync(usage.MAP_READ);
  const bytes = readback.getMappedRange().slice(0);
  readback.destroy();
  return bytes;
}
