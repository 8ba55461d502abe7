// One array in a storage buffer of three.js and back: its buffers are its own, so elements are copied, on the GPU.
//
// node three.js

import { gpu, noCanvas } from "./gpu.js";
import { createUnifiedMemory, KiB } from "pageferry";
import { webgpuDevice } from "pageferry/webgpu";
import { Fn, instanceIndex, storage } from "three/tsl";
import { StorageBufferAttribute, WebGPURenderer } from "three/webgpu";

const device = await (await gpu.requestAdapter()).requestDevice();
const renderer = new WebGPURenderer({ device, canvas: noCanvas });
await renderer.init();
const memory = await createUnifiedMemory({ device: await webgpuDevice({ device, budget: 512 * KiB }) });

const heights = memory.createArray("f32", 1024 * 1024, { label: "heights" });
await heights.write(Float32Array.from({ length: heights.length }, (_, i) => i % 1000));

// A window of the array, as three.js has it: for a compute node here, for vertices in a scene.
const length = 10_000;
const attribute = new StorageBufferAttribute(length, 1);
renderer.backend.createStorageAttribute(attribute);
const { buffer } = renderer.backend.get(attribute);
const start = 500_000;
await heights.copyTo(buffer, { start, length });

const window = storage(attribute, "float", length);
const halve = Fn(() => {
  const height = window.element(instanceIndex);
  height.assign(height.mul(0.5));
})();
await renderer.computeAsync(halve.compute(length));

await heights.copyFrom(buffer, { start, length });
const around = [
  await heights.read({ start: start - 2, length: 4 }),
  await heights.read({ start: start + length - 2, length: 4 }),
];
console.log(around.map((part) => part.join(" ")).join(", "));
await memory.destroy();
renderer.dispose();
device.destroy();
process.exit();
