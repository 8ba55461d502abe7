/**
 * The GPUBuffers that a memory makes. WebGPU does not throw when there is no memory: each is made in error scopes, and what
 * they catch is ENOMEM with the bytes that were asked for. Each is destroyed again, at the latest with the memory.
 */

import { MemoryError } from "../../mm/errors.js";
import type { DeviceGone } from "./device-gone.js";
import { gpuMessage } from "./gpu-message.js";

export class GpuBuffers {
  readonly device: GPUDevice;
  /** Buffers so far; equal when the memory is closed. */
  created = 0;
  destroyed = 0;
  readonly #gone: DeviceGone;
  readonly #live = new Set<GPUBuffer>();

  constructor(device: GPUDevice, gone: DeviceGone) {
    this.device = device;
    this.#gone = gone;
  }

  /** Bytes of all buffers that there are. */
  get bytes(): number {
    let bytes = 0;
    for (const { size } of this.#live) bytes += size;
    return bytes;
  }

  /** A buffer of `size` bytes, a multiple of 4. Throws ENOMEM, naming it as `what`, when the device has no room. */
  async create(what: string, size: number, usage: GPUBufferUsageFlags, mappedAtCreation = false): Promise<GPUBuffer> {
    this.#gone.assertUsable();
    const { device } = this;
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    let buffer: GPUBuffer | null = null;
    let thrown: unknown = null;
    try {
      buffer = device.createBuffer({ label: `pageferry: ${what}`, size, usage, mappedAtCreation });
      this.created++;
      this.#live.add(buffer);
    } catch (error) {
      thrown = error;
    }
    const scopes = Promise.all([device.popErrorScope(), device.popErrorScope()]);
    try {
      const [outOfMemory, invalid] = await this.#gone.until(scopes);
      const cause = outOfMemory ?? invalid ?? thrown;
      if (buffer !== null && cause === null) return buffer;
      const why = gpuMessage(cause);
      throw new MemoryError("ENOMEM", `the GPU has no room for ${size} bytes of ${what}: ${why}`, { cause });
    } catch (error) {
      if (buffer !== null) this.destroy(buffer);
      throw error;
    }
  }

  /** A second time for the same buffer does nothing. */
  destroy(buffer: GPUBuffer): void {
    if (!this.#live.delete(buffer)) return;
    this.destroyed++;
    buffer.destroy();
  }

  destroyAll(): void {
    for (const buffer of this.#live) this.destroy(buffer);
  }
}
