/**
 * Buffers that both JavaScript and the GPU can reach, for copies: a few of one size, made when they are first needed and used
 * again. For uploads they wait mapped; for downloads they wait unmapped, and their taker maps them.
 */

import type { DeviceGone } from "./device-gone.js";
import type { GpuBuffers } from "./gpu-buffers.js";
import { BUFFER_COPY_DST, BUFFER_COPY_SRC, BUFFER_MAP_READ, BUFFER_MAP_WRITE, MAP_WRITE } from "./usage.js";

/** Large enough that the calls do not count, small enough to stay in a processor's cache. */
const STAGING_BYTES = 2 * 1024 * 1024;
/** Enough for two steps of a kernel that are on their way, and one that is being copied. */
const MOST_BUFFERS = 6;

export class StagingRing {
  /** Pages that one buffer has room for. */
  readonly pages: number;
  readonly #buffers: GpuBuffers;
  readonly #gone: DeviceGone;
  readonly #direction: "upload" | "download";
  readonly #bytes: number;
  readonly #free: GPUBuffer[] = [];
  readonly #waiting: (() => void)[] = [];
  #made = 0;

  constructor(
    buffers: GpuBuffers,
    gone: DeviceGone,
    direction: "upload" | "download",
    pageSize: number,
    frames: number,
  ) {
    this.#buffers = buffers;
    this.#gone = gone;
    this.#direction = direction;
    this.pages = Math.max(1, Math.min(Math.floor(STAGING_BYTES / pageSize), frames));
    this.#bytes = this.pages * pageSize;
  }

  /** Buffers that there are. */
  get made(): number {
    return this.#made;
  }

  /** Are there as many buffers as there can be? */
  get isFull(): boolean {
    return this.#made >= MOST_BUFFERS;
  }

  /** A buffer that is free now; null when all are in use. */
  tryTake(): GPUBuffer | null {
    return this.#free.pop() ?? null;
  }

  /** A buffer, when there is one: whoever waits must not have one, or must have handed it to the GPU. */
  async take(): Promise<GPUBuffer> {
    for (;;) {
      const free = this.tryTake();
      if (free !== null) return free;
      if (!this.isFull) return this.#make();
      await this.#gone.until(new Promise<void>((resolve) => this.#waiting.push(resolve)));
    }
  }

  /** One more buffer that is free. */
  async add(): Promise<void> {
    if (!this.isFull) this.#put(await this.#make());
  }

  /** The GPU or JavaScript is done with it; a buffer for uploads may still be copied from. */
  give(buffer: GPUBuffer): void {
    if (this.#direction === "download") {
      this.#put(buffer);
      return;
    }
    buffer.mapAsync(MAP_WRITE).then(
      () => this.#put(buffer),
      () => {
        // The device is gone, and who waits for a buffer hears of it.
      },
    );
  }

  #put(buffer: GPUBuffer): void {
    this.#free.push(buffer);
    this.#waiting.shift()?.();
  }

  async #make(): Promise<GPUBuffer> {
    this.#made++;
    const isUpload = this.#direction === "upload";
    const usage = isUpload ? BUFFER_MAP_WRITE | BUFFER_COPY_SRC : BUFFER_MAP_READ | BUFFER_COPY_DST;
    try {
      return await this.#buffers.create(`staging memory (${this.#direction})`, this.#bytes, usage, isUpload);
    } catch (error) {
      this.#made--;
      this.#waiting.shift()?.();
      throw error;
    }
  }
}
