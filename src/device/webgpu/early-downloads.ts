/**
 * Copies of frames that are going to be downloaded, made by the step that wrote them: they are in staging memory, mapped, when
 * they are asked for, and nobody waits behind the kernels that have been queued since.
 *
 * Invariant: a frame is listed only while nothing has been written to it since its copy was queued.
 */

import { MemoryError } from "../../mm/errors.js";
import { CopyList } from "../copy-list.js";
import type { KernelSlice } from "../driver.js";
import type { DeviceGone } from "./device-gone.js";
import type { Pools } from "./pools.js";
import type { StagingRing } from "./staging-ring.js";
import { MAP_READ } from "./usage.js";

/** Frames in one staging buffer. */
interface Part {
  readonly staging: GPUBuffer;
  readonly frames: readonly number[];
  mapped: Promise<void>;
  /** Frames that are still listed, or being copied out. */
  left: number;
}

/** Copies that are in a command encoder: one of both is called, when that has been submitted, or will not be. */
export interface EarlyBatch {
  submitted(): void;
  dropped(): void;
}

/** Where the copy of a frame is: in pages of the staging buffer. */
interface EarlyCopy {
  readonly part: Part;
  readonly index: number;
}

/** Copies of frames that lie side by side, on their way to host frames that do. */
export interface EarlyRun extends EarlyCopy {
  readonly host: number;
  count: number;
}

export class EarlyDownloads {
  readonly #gone: DeviceGone;
  readonly #pools: Pools;
  readonly #ring: StagingRing;
  readonly #byFrame = new Map<number, EarlyCopy>();

  constructor(gone: DeviceGone, pools: Pools, ring: StagingRing) {
    this.#gone = gone;
    this.#pools = pools;
    this.#ring = ring;
    pools.onChange = (frame, count) => this.#forget(frame, count);
  }

  /** Has `copy` too few staging buffers for what such slices leave, and can there be more? */
  lacksRoom(slices: readonly KernelSlice[]): boolean {
    return !this.#ring.isFull && this.#ring.made < this.#wanted(slices);
  }

  async makeRoom(slices: readonly KernelSlice[]): Promise<void> {
    try {
      while (this.lacksRoom(slices)) await this.#ring.add();
    } catch (error) {
      // Without room for early copies there are none.
      if (!(error instanceof MemoryError && error.code === "ENOMEM")) throw error;
    }
  }

  /** Adds copies of what a step leaves, as far as there are staging buffers. */
  copy(encoder: GPUCommandEncoder, slices: readonly KernelSlice[]): EarlyBatch {
    const parts: Part[] = [];
    for (const slice of slices) {
      if (!isLeaving(slice)) continue;
      for (let done = 0; done < slice.frames.length;) {
        const staging = this.#ring.tryTake();
        if (staging === null) break;
        const frames = [...slice.frames.subarray(done, done + this.#ring.pages)];
        this.#encode(encoder, frames, staging);
        parts.push({ staging, frames, mapped: Promise.resolve(), left: frames.length });
        done += frames.length;
      }
    }
    return {
      submitted: () => {
        for (const part of parts) this.#list(part);
      },
      dropped: () => {
        for (const { staging } of parts) this.#ring.give(staging);
      },
    };
  }

  get isEmpty(): boolean {
    return this.#byFrame.size === 0;
  }

  /** Takes what of a list has been copied; the rest is to be fetched. */
  takeFrom(copies: CopyList): { readonly runs: readonly EarlyRun[]; readonly rest: CopyList } {
    const rest = new CopyList(copies.pages);
    const runs: EarlyRun[] = [];
    for (let i = 0; i < copies.length; i++) {
      let run: EarlyRun | null = null;
      for (let page = 0; page < copies.count[i]; page++) {
        const copy = this.#take(copies.device[i] + page);
        if (copy === null) rest.push(copies.host[i] + page, copies.device[i] + page);
        else if (run?.part === copy.part && run.index + run.count === copy.index) run.count++;
        else runs.push((run = { ...copy, host: copies.host[i] + page, count: 1 }));
        if (copy === null) run = null;
      }
    }
    return { runs, rest };
  }

  /** Waits for the copies of a run, and writes them `into` their host frames. */
  async read({ part, index, count }: EarlyRun, into: Uint8Array): Promise<void> {
    await part.mapped;
    into.set(new Uint8Array(part.staging.getMappedRange(index * this.#pools.pageSize, into.byteLength)));
    this.#giveBack(part, count);
  }

  /** What has been copied is not what the frames hold. */
  #forget(frame: number, count: number): void {
    if (this.#byFrame.size === 0) return;
    for (let each = frame; each < frame + count; each++) {
      const copy = this.#take(each);
      if (copy !== null) this.#giveBack(copy.part, 1);
    }
  }

  /** The copy of a frame, no longer listed; null where there is none. */
  #take(frame: number): EarlyCopy | null {
    const copy = this.#byFrame.get(frame) ?? null;
    if (copy !== null) this.#byFrame.delete(frame);
    return copy;
  }

  /** So many frames of a part are not read any more. */
  #giveBack(part: Part, frames: number): void {
    part.left -= frames;
    if (part.left > 0) return;
    part.mapped.then(
      () => {
        part.staging.unmap();
        this.#ring.give(part.staging);
      },
      () => {
        // The device is gone.
      },
    );
  }

  /** Staging buffers: one step's are copied out, one's are filled, one's are waiting for it. */
  #wanted(slices: readonly KernelSlice[]): number {
    let buffers = 0;
    for (const slice of slices) if (isLeaving(slice)) buffers += Math.ceil(slice.frames.length / this.#ring.pages);
    return 3 * buffers;
  }

  #encode(encoder: GPUCommandEncoder, frames: readonly number[], staging: GPUBuffer): void {
    const { pageSize } = this.#pools;
    for (let i = 0; i < frames.length;) {
      const frame = frames[i];
      const most = Math.min(frames.length - i, this.#pools.restOfPool(frame));
      let count = 1;
      while (count < most && frames[i + count] === frame + count) count++;
      const { buffer } = this.#pools.poolOf(frame);
      encoder.copyBufferToBuffer(buffer, this.#pools.offsetOf(frame), staging, i * pageSize, count * pageSize);
      i += count;
    }
  }

  #list(part: Part): void {
    part.mapped = this.#gone.until(part.staging.mapAsync(MAP_READ, 0, part.frames.length * this.#pools.pageSize));
    // It is awaited when somebody reads it.
    part.mapped.catch(() => {});
    for (const [index, frame] of part.frames.entries()) {
      this.#forget(frame, 1);
      this.#byFrame.set(frame, { part, index });
    }
  }
}

function isLeaving({ leaving, written }: KernelSlice): boolean {
  return leaving === true && written;
}
