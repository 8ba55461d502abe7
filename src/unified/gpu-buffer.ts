/** `GPUBuffer` of the runtime; what that is, the types of the DOM or of `@webgpu/types` say. */
export type GpuBuffer = typeof globalThis extends { GPUBuffer: { prototype: infer P } } ? P : object;
