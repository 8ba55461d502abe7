/** WebGPU, in browsers and in Node. */
export type { Gpu, GpuAdapter, GpuDevice } from "./gpu-types.js";
export type { WebgpuLimits } from "./limits.js";
export { softwareName } from "./software-adapter.js";
export { webgpuDevice, type WebgpuOptions } from "./webgpu-driver.js";
