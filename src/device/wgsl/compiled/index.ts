/** Kernels that are compiled, as they run. The compiler is not needed for it, nor loaded. */

export type { CompiledKernel } from "./compiled-kernel.js";
export { createStepKernel } from "./instantiate.js";
export { createPagedKernel, type PagedKernel, type UnitRun } from "./paged-kernel.js";
export type { PagedMemory } from "./unit-pages.js";
