/**
 * A memory over a GPUDevice that the hand-written programs beside it use, too: same adapter, same device, same queue. Rows of
 * WebGPU are timed on the wall, from the call until the GPU is done.
 */

import { createUnifiedMemory, type UnifiedMemory } from "../../src/index.js";
import { allocateRegion, WASM_PAGE } from "../../src/mm/shared-memory.js";
import { webgpuDevice } from "../../src/device/webgpu/index.js";
import { gpu, skip } from "../../test/webgpu/gpu.js";
import { expect, NotMeasured } from "../scenario.js";

export const PAGE_SIZE = 65_536;

/** A device with the adapter's own limits for buffers; throws `NotMeasured` where there is none. */
export async function requestGpu(): Promise<GPUDevice> {
  if (gpu === null) throw new NotMeasured(String(skip));
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new NotMeasured("WebGPU has no adapter any more");
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage },
  });
  device.addEventListener("uncapturederror", ({ error }) => expect(false, `WebGPU complains: ${error.message}`));
  return device;
}

/** `budget` bytes of GPU memory for pages, whole pages of which are used. */
export async function openMemory(device: GPUDevice, budget: number): Promise<UnifiedMemory> {
  return createUnifiedMemory({ device: await webgpuDevice({ device, budget }), pageSize: PAGE_SIZE });
}

/** Host memory of the kind that pages are in, for the programs beside: all of it touched, zeros. */
export function hostMemory(bytes: number): Uint8Array<ArrayBuffer> {
  const region = allocateRegion(Math.ceil(bytes / WASM_PAGE) * WASM_PAGE, false) as Uint8Array<ArrayBuffer>;
  return region.subarray(0, bytes).fill(0);
}
