/**
 * Copies from host memory to frames. Two ways: `writeBuffer` straight into a pool, the fastest where nothing but it has ever
 * written to the pool; and a mapped staging buffer that the GPU copies from, for all other pools, and for shared memory, which
 * Dawn cannot be given.
 *
 * An upload is done when it is in the device's queue, in front of whatever uses the frames: nobody waits for the GPU.
 */

import type { CopyList } from "../copy-list.js";
import type { DeviceHost } from "../driver.js";
import type { DeviceGone } from "./device-gone.js";
import type { Pools } from "./pools.js";
import type { StagingRing } from "./staging-ring.js";

/** Fewer bytes are written straight into any pool: mapping a staging buffer again would take longer. */
const LEAST_STAGED_BYTES = 64 * 1024;

export class Uploads {
  readonly #queue: GPUQueue;
  readonly #device: GPUDevice;
  readonly #gone: DeviceGone;
  readonly #host: DeviceHost;
  readonly #pools: Pools;
  readonly #ring: StagingRing;
  /** Where small copies of shared memory pass through. */
  readonly #unshared: Uint8Array<ArrayBuffer> | null;

  constructor(device: GPUDevice, gone: DeviceGone, host: DeviceHost, pools: Pools, ring: StagingRing) {
    this.#device = device;
    this.#queue = device.queue;
    this.#gone = gone;
    this.#host = host;
    this.#pools = pools;
    this.#ring = ring;
    this.#unshared = host.shared ? new Uint8Array(Math.max(LEAST_STAGED_BYTES, host.pageSize)) : null;
  }

  async run(copies: CopyList): Promise<void> {
    this.#gone.assertUsable();
    if (copies.pages * this.#host.pageSize > LEAST_STAGED_BYTES && !this.#takesWrites(copies))
      await this.#stage(copies);
    else for (let i = 0; i < copies.length; i++) this.#write(copies.host[i], copies.device[i], copies.count[i]);
  }

  /** Are all pools that the list fills such as `writeBuffer` is quick on? */
  #takesWrites(copies: CopyList): boolean {
    if (this.#unshared !== null) return false;
    for (let i = 0; i < copies.length; i++) {
      const end = copies.device[i] + copies.count[i];
      for (let frame = copies.device[i]; frame < end; frame += this.#pools.restOfPool(frame))
        if (this.#pools.poolOf(frame).written) return false;
    }
    return true;
  }

  #write(host: number, device: number, count: number): void {
    const { pageSize } = this.#host;
    const unshared = this.#unshared;
    const most = unshared === null ? count : unshared.byteLength / pageSize;
    for (let done = 0; done < count;) {
      const frame = device + done;
      const pages = Math.min(count - done, this.#pools.restOfPool(frame), Math.max(1, Math.floor(most)));
      let bytes = this.#host.bytes(host + done, pages) as Uint8Array<ArrayBuffer>;
      if (unshared !== null) {
        unshared.set(bytes);
        bytes = unshared.subarray(0, bytes.byteLength);
      }
      this.#pools.willChange(frame, pages, false);
      this.#queue.writeBuffer(this.#pools.poolOf(frame).buffer, this.#pools.offsetOf(frame), bytes);
      done += pages;
    }
  }

  /** Through as many staging buffers as it fills. */
  async #stage(copies: CopyList): Promise<void> {
    const { pageSize } = this.#host;
    let staging: GPUBuffer | null = null;
    let bytes = new Uint8Array(0);
    let encoder: GPUCommandEncoder | null = null;
    let used = 0;
    const send = (): void => {
      if (staging === null || encoder === null) return;
      staging.unmap();
      this.#queue.submit([encoder.finish()]);
      this.#ring.give(staging);
      staging = null;
    };
    for (let i = 0; i < copies.length; i++) {
      for (let done = 0; done < copies.count[i];) {
        if (staging === null) {
          staging = this.#ring.tryTake() ?? (await this.#ring.take());
          bytes = new Uint8Array(staging.getMappedRange());
          encoder = this.#device.createCommandEncoder();
          used = 0;
        }
        const frame = copies.device[i] + done;
        const pages = Math.min(copies.count[i] - done, this.#ring.pages - used, this.#pools.restOfPool(frame));
        bytes.set(this.#host.bytes(copies.host[i] + done, pages), used * pageSize);
        this.#pools.willChange(frame, pages, true);
        encoder?.copyBufferToBuffer(
          staging,
          used * pageSize,
          this.#pools.poolOf(frame).buffer,
          this.#pools.offsetOf(frame),
          pages * pageSize,
        );
        used += pages;
        done += pages;
        if (used === this.#ring.pages) send();
      }
    }
    send();
  }
}
