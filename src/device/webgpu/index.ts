/** WebGPU, in browsers and in Node. */
export type { WebgpuLimits } from "./limits.js";
export { webgpuDevice, type WebgpuOptions } from "./webgpu-driver.js";
