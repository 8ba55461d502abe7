/** Scratch memory of kernels' steps: one buffer for each slice that needs one, used again step after step, and only ever made larger. */

import type { GpuBuffers } from "./gpu-buffers.js";
import { BUFFER_COPY_DST, BUFFER_COPY_SRC, BUFFER_STORAGE } from "./usage.js";

export class Scratch {
  readonly #buffers: GpuBuffers;
  readonly #made: (GPUBuffer | null)[] = [];

  constructor(buffers: GpuBuffers) {
    this.#buffers = buffers;
  }

  /** The n-th buffer, of at least `bytes`; null when it has to be made first. */
  peek(n: number, bytes: number): GPUBuffer | null {
    const buffer = this.#made[n] ?? null;
    return buffer !== null && buffer.size >= bytes ? buffer : null;
  }

  async take(n: number, bytes: number): Promise<GPUBuffer> {
    const known = this.peek(n, bytes);
    if (known !== null) return known;
    const old = this.#made[n] ?? null;
    this.#made[n] = null;
    // What is in the queue keeps what it uses.
    if (old !== null) this.#buffers.destroy(old);
    const buffer = await this.#buffers.create(
      "scratch memory",
      bytes,
      BUFFER_STORAGE | BUFFER_COPY_SRC | BUFFER_COPY_DST,
    );
    this.#made[n] = buffer;
    return buffer;
  }
}
