/**
 * Kernels of the mirror: the host function over views of device memory. A slice whose frames are contiguous is one view;
 * any other is gathered into scratch memory first, and scattered back if the kernel writes it.
 */

import { MemoryError } from "../../mm/errors.js";
import type { DeviceHost, DeviceKernel, HostKernel, KernelSlice, KernelStep } from "../driver.js";
import { type ElementArray, strideOf, viewOf } from "../element.js";
import type { MirrorDevice } from "./mirror-device.js";

export class MirrorKernel implements DeviceKernel {
  scratchBytes = 0;
  readonly #device: MirrorDevice;
  readonly #host: DeviceHost;
  readonly #kernel: HostKernel;

  constructor(device: MirrorDevice, host: DeviceHost, kernel: HostKernel) {
    this.#device = device;
    this.#host = host;
    this.#kernel = kernel;
  }

  async execute({ first, count, slices, uniforms }: KernelStep): Promise<void> {
    const arrays: Record<string, ElementArray> = {};
    const base: Record<string, number> = {};
    const scattered: [KernelSlice, Uint8Array][] = [];
    let scratchBytes = 0;
    for (const slice of slices) {
      const contiguous = isContiguous(slice.frames);
      const bytes = contiguous ? this.#device.run(slice.frames[0], slice.frames.length) : this.#gather(slice);
      if (!contiguous) {
        scratchBytes += bytes.byteLength;
        if (slice.written) scattered.push([slice, bytes]);
      }
      arrays[slice.name] = viewOf(slice.type, bytes.buffer, bytes.byteOffset + slice.offset, slice.length);
      base[slice.name] = slice.first;
    }
    this.scratchBytes = Math.max(this.scratchBytes, scratchBytes);
    const result: unknown = this.#kernel.run({ first, count, arrays, base, uniforms });
    if (result instanceof Promise) {
      result.catch(() => {});
      throw new MemoryError("EINVAL", "a kernel must not await: what it writes later is nobody's");
    }
    for (const [slice, bytes] of scattered) this.#scatter(slice, bytes);
    await Promise.resolve();
  }

  #gather({ frames }: KernelSlice): Uint8Array {
    const { pageSize } = this.#host;
    const scratch = new Uint8Array(frames.length * pageSize);
    for (let i = 0; i < frames.length; i++) scratch.set(this.#page(frames[i]), i * pageSize);
    return scratch;
  }

  /** Only the slice's own elements go back: what else is on its pages may have changed meanwhile. */
  #scatter({ frames, offset, length, type }: KernelSlice, scratch: Uint8Array): void {
    const { pageSize } = this.#host;
    const end = offset + length * strideOf(type);
    for (let i = 0; i < frames.length; i++) {
      const from = Math.max(offset, i * pageSize);
      const to = Math.min(end, (i + 1) * pageSize);
      if (from < to) this.#page(frames[i]).set(scratch.subarray(from, to), from - i * pageSize);
    }
  }

  #page(frame: number): Uint8Array {
    return frame >= 0 ? this.#device.run(frame, 1) : this.#host.bytes(-1 - frame, 1);
  }
}

function isContiguous(frames: Int32Array): boolean {
  if (frames[0] < 0) return false;
  for (let i = 1; i < frames.length; i++) if (frames[i] !== frames[0] + i) return false;
  return true;
}
