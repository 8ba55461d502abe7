/** Kernels in WGSL: what is known of them for any device, and their compiler for the software device. Loaded when the first one is made. */

export { elementNameOf, isElementOf, uniformBytes } from "./bindings.js";
export { compile } from "./compile.js";
export { createPagedKernel, createStepKernel } from "./compiled/index.js";
export { type ArrayUse, describe, type KernelDescription } from "./describe.js";
export type { StorageUse } from "./value.js";
