/** WebGPU, in browsers and in Node. */
export type { Gpu, GpuAdapter, GpuDevice } from "./gpu-types.js";
export type { WebgpuLimits } from "./limits.js";
export { type AdapterDescription, softwareName } from "./software-adapter.js";
export { webgpuDevice, type WebgpuOptions } from "./webgpu-driver.js";
