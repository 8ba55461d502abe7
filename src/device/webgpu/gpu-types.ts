/** WebGPU's own types where a program has them, of the DOM or of `@webgpu/types`; any object where it has not. */

type TypeOf<Name extends string> = typeof globalThis extends { readonly [Each in Name]: { prototype: infer Type } }
  ? Type
  : object;

/** `GPU`, where a program has WebGPU's types. */
export type Gpu = TypeOf<"GPU">;
/** `GPUAdapter`, where a program has WebGPU's types. */
export type GpuAdapter = TypeOf<"GPUAdapter">;
/** `GPUDevice`, where a program has WebGPU's types. */
export type GpuDevice = TypeOf<"GPUDevice">;
