// One array in a TypeGPU pipeline and in the CPU's hands: the pipeline works in place, on the pages that the array has on the GPU.
//
// node typegpu.js

import { gpu } from "./gpu.js";
import { createUnifiedMemory, KiB } from "pageferry";
import { webgpuDevice } from "pageferry/webgpu";
import tgpu from "typegpu";
import { arrayOf, builtin, f32 } from "typegpu/data";

const device = await (await gpu.requestAdapter()).requestDevice();
const root = tgpu.initFromDevice({ device });
const memory = await createUnifiedMemory({ device: await webgpuDevice({ device, budget: 512 * KiB }) });

// Eight times as much as the GPU may have. Only what is bound has to fit.
const values = memory.createArray("f32", 1024 * 1024, { label: "values" });
await values.write(Float32Array.from({ length: values.length }, (_, i) => i));

const layout = tgpu.bindGroupLayout({ values: { storage: (n) => arrayOf(f32, n), access: "mutable" } });
const square = tgpu.computeFn({ in: { id: builtin.globalInvocationId }, workgroupSize: [64] })`{
  layout.$.values[in.id.x] *= layout.$.values[in.id.x];
}`.$uses({ layout });
const pipeline = root.createComputePipeline({ compute: square });

const pin = await values.bind("write", { start: 65_536, length: 65_536 });
const bindGroup = device.createBindGroup({
  layout: root.unwrap(layout),
  entries: [{ binding: 0, resource: pin.binding }],
});
pipeline.with(layout, bindGroup).dispatchWorkgroups(pin.length / 64);
pin.release();

const around = [await values.read({ start: 65_534, length: 4 }), await values.read({ start: 131_070, length: 4 })];
console.log(around.map((part) => part.join(" ")).join(", "));
await memory.destroy();
root.destroy();
device.destroy();
process.exit();
