/**
 * Where device frames are: slots of a page in a few large buffers, the *pools*, each as large as one that a kernel can use
 * may be. Slot 0 of each is the *trap page*, which belongs to no page: stores of kernels that must not happen go there.
 *
 * Invariant: frame f is in slot `f % runFrames + 1` of pool `floor(f / runFrames)`; the trap pages are outside of the budget.
 */

import { MemoryError } from "../../mm/errors.js";
import type { GpuBuffers } from "./gpu-buffers.js";
import type { EffectiveLimits } from "./limits.js";
import { BUFFER_COPY_DST, BUFFER_COPY_SRC, BUFFER_STORAGE } from "./usage.js";

/** Below this many bytes a pool is not made smaller because the device has no room for a larger one. */
const LEAST_POOL_BYTES = 16 * 1024 * 1024;

export interface Pool {
  readonly buffer: GPUBuffer;
  readonly frames: number;
  /** The GPU has written to it, a kernel or a copy: from then on `writeBuffer` is slow. */
  written: boolean;
}

export class Pools {
  readonly pageSize: number;
  /** Frames of a pool; the last may have fewer. */
  readonly runFrames: number;
  readonly frames: number;
  readonly pools: readonly Pool[];
  /** Told of frames before what they hold changes. */
  onChange: (frame: number, count: number) => void = () => {};
  /** The first trap page reads as what is on no page: words of ones. */
  #trapIsFilled = false;

  private constructor(pageSize: number, runFrames: number, frames: number, pools: readonly Pool[]) {
    this.pageSize = pageSize;
    this.runFrames = runFrames;
    this.frames = frames;
    this.pools = pools;
  }

  /**
   * Throws EINVAL for pages that WebGPU cannot address, ENOMEM for a budget that the device has no room for. A device
   * that has no buffer as large as its limits say gets smaller ones.
   */
  static async open(buffers: GpuBuffers, limits: EffectiveLimits, budget: number, pageSize: number): Promise<Pools> {
    const alignment = buffers.device.limits.minStorageBufferOffsetAlignment;
    if (pageSize % alignment !== 0)
      throw new MemoryError(
        "EINVAL",
        `pages of ${pageSize} bytes do not begin at multiples of the ${alignment} bytes that WebGPU asks for`,
      );
    const most = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
    if (most < 2 * pageSize) {
      throw new MemoryError(
        "EINVAL",
        `buffers of ${most} bytes (maxBufferSize, maxStorageBufferBindingSize) have no room for a page of ${pageSize} bytes and one beside it`,
      );
    }
    const frames = Math.floor(budget / pageSize);
    let runFrames = Math.min(Math.floor(most / pageSize) - 1, frames);
    for (;;) {
      try {
        return new Pools(pageSize, runFrames, frames, await createPools(buffers, frames, runFrames, pageSize));
      } catch (error) {
        if (!(error instanceof MemoryError && error.code === "ENOMEM")) throw error;
        runFrames = Math.ceil(runFrames / 2);
        if (runFrames * pageSize >= LEAST_POOL_BYTES) continue;
        const why = error.message.slice(error.code.length + 2);
        throw new MemoryError("ENOMEM", `the device budget of ${budget} bytes does not fit: ${why}`, { cause: error });
      }
    }
  }

  poolOf(frame: number): Pool {
    return this.pools[Math.floor(frame / this.runFrames)];
  }

  /** The byte of its pool at which a frame begins. */
  offsetOf(frame: number): number {
    return ((frame % this.runFrames) + 1) * this.pageSize;
  }

  /** Frames from `frame` on that are in its pool. */
  restOfPool(frame: number): number {
    return this.runFrames - (frame % this.runFrames);
  }

  /** Frames of one pool are about to be written: on the GPU, or by `writeBuffer`. */
  willChange(frame: number, count: number, onGpu: boolean): void {
    if (onGpu) this.poolOf(frame).written = true;
    this.onChange(frame, count);
  }

  /** The same where nobody knows which frames the GPU writes. */
  allWillChange(): void {
    for (const pool of this.pools) pool.written = true;
    this.onChange(0, this.frames);
  }

  /** Before kernels that read what is on no page. */
  fillTrap({ queue }: GPUDevice): void {
    if (this.#trapIsFilled) return;
    queue.writeBuffer(this.pools[0].buffer, 0, new Uint8Array(this.pageSize).fill(0xff));
    this.#trapIsFilled = true;
  }

  /** A kernel has stored to it. */
  spoilTrap(): void {
    this.#trapIsFilled = false;
  }

  /** Beside the budget. */
  get trapBytes(): number {
    return this.pools.length * this.pageSize;
  }
}

async function createPools(
  buffers: GpuBuffers,
  frames: number,
  runFrames: number,
  pageSize: number,
): Promise<readonly Pool[]> {
  const pools: Pool[] = [];
  try {
    for (let first = 0; first < frames; first += runFrames) {
      const count = Math.min(runFrames, frames - first);
      const usage = BUFFER_STORAGE | BUFFER_COPY_SRC | BUFFER_COPY_DST;
      const buffer = await buffers.create("device memory", (count + 1) * pageSize, usage);
      pools.push({ buffer, frames: count, written: false });
    }
    return pools;
  } catch (error) {
    for (const { buffer } of pools) buffers.destroy(buffer);
    throw error;
  }
}
