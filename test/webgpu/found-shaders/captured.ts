/** Shaders that a package writes as it runs, as it gives them to the GPUDevice. */

import { gpu } from "../gpu.js";
import { packages } from "./packages.js";

const nothing = (): number => 0;

type CreateShaderModule = (this: GPUDevice, descriptor: GPUShaderModuleDescriptor) => GPUShaderModule;

/** The texts of the compute shaders that `work` makes modules of, where a package finds what it needs of a page. */
export async function capturedShaders(work: () => Promise<void>): Promise<string[]> {
  const texts: string[] = [];
  const { prototype } = (packages("webgpu") as { globals: { GPUDevice: { prototype: GPUDevice } } }).globals.GPUDevice;
  const create: CreateShaderModule = Reflect.get(prototype, "createShaderModule");
  prototype.createShaderModule = function createCaptured(descriptor): GPUShaderModule {
    texts.push(descriptor.code);
    return create.call(this, descriptor);
  };
  try {
    await inPage(work);
  } finally {
    prototype.createShaderModule = create;
  }
  return texts.filter((text) => text.includes("@compute"));
}

/** With WebGPU's constants, and with `navigator.gpu`. Of the rest of a page computing needs nothing. */
async function inPage(work: () => Promise<void>): Promise<void> {
  const scope = globalThis as Record<string, unknown>;
  const before = { self: scope["self"], navigator: Object.getOwnPropertyDescriptor(globalThis, "navigator") };
  Object.assign(scope, (packages("webgpu") as { globals: object }).globals);
  scope["self"] = Object.assign(Object.create(globalThis) as object, {
    requestAnimationFrame: nothing,
    cancelAnimationFrame: nothing,
  });
  Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "" }, configurable: true });
  try {
    await work();
  } finally {
    scope["self"] = before.self;
    if (before.navigator === undefined) Reflect.deleteProperty(globalThis, "navigator");
    else Object.defineProperty(globalThis, "navigator", before.navigator);
  }
}
