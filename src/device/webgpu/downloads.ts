/**
 * Copies from frames to host memory, through staging buffers: the next is on its way while the last one is copied out. What the
 * step that wrote it has copied to staging memory already is taken from there.
 */

import type { CopyList } from "../copy-list.js";
import type { DeviceHost } from "../driver.js";
import type { DeviceGone } from "./device-gone.js";
import type { EarlyDownloads } from "./early-downloads.js";
import type { Pools } from "./pools.js";
import type { StagingRing } from "./staging-ring.js";
import { MAP_READ } from "./usage.js";

/** Pages of a copy list from run `run`, page `page` of it, on, in a staging buffer. */
interface Part {
  readonly staging: GPUBuffer;
  readonly mapped: Promise<void>;
  readonly run: number;
  readonly page: number;
  readonly pages: number;
}

export class Downloads {
  readonly #device: GPUDevice;
  readonly #gone: DeviceGone;
  readonly #host: DeviceHost;
  readonly #pools: Pools;
  readonly #ring: StagingRing;
  readonly #early: EarlyDownloads;

  constructor(
    device: GPUDevice,
    gone: DeviceGone,
    host: DeviceHost,
    pools: Pools,
    ring: StagingRing,
    early: EarlyDownloads,
  ) {
    this.#device = device;
    this.#gone = gone;
    this.#host = host;
    this.#pools = pools;
    this.#ring = ring;
    this.#early = early;
  }

  async run(copies: CopyList): Promise<void> {
    this.#gone.assertUsable();
    if (this.#early.isEmpty) return this.#fetch(copies);
    const { runs, rest } = this.#early.takeFrom(copies);
    const fetched = rest.length > 0 ? this.#fetch(rest) : Promise.resolve();
    // It is awaited when what is there already has been copied out.
    fetched.catch(() => {});
    for (const run of runs) await this.#early.read(run, this.#host.bytes(run.host, run.count));
    await fetched;
  }

  async #fetch(copies: CopyList): Promise<void> {
    const onTheWay: Part[] = [];
    try {
      for (let run = 0, page = 0; run < copies.length;) {
        // Whoever waits for another's buffer has none itself.
        const staging =
          this.#ring.tryTake() ?? (onTheWay.length > 0 && this.#ring.isFull ? null : await this.#ring.take());
        if (staging === null) {
          await this.#receive(copies, onTheWay[0]);
          onTheWay.shift();
          continue;
        }
        const part = this.#send(copies, staging, run, page);
        onTheWay.push(part);
        for (page += part.pages; run < copies.length && page >= copies.count[run]; run++) page -= copies.count[run];
      }
      while (onTheWay.length > 0) {
        await this.#receive(copies, onTheWay[0]);
        onTheWay.shift();
      }
    } catch (error) {
      for (const { staging, mapped } of onTheWay) mapped.then(() => this.#giveBack(staging)).catch(() => {});
      throw error;
    }
  }

  /** Asks for as many pages as the buffer has room for, from page `page` of run `run` on. */
  #send(copies: CopyList, staging: GPUBuffer, run: number, page: number): Part {
    const { pageSize } = this.#host;
    const encoder = this.#device.createCommandEncoder();
    let pages = 0;
    for (let i = run, from = page; i < copies.length && pages < this.#ring.pages;) {
      const frame = copies.device[i] + from;
      const count = Math.min(copies.count[i] - from, this.#ring.pages - pages, this.#pools.restOfPool(frame));
      const { buffer } = this.#pools.poolOf(frame);
      encoder.copyBufferToBuffer(buffer, this.#pools.offsetOf(frame), staging, pages * pageSize, count * pageSize);
      pages += count;
      from += count;
      if (from < copies.count[i]) continue;
      i++;
      from = 0;
    }
    this.#device.queue.submit([encoder.finish()]);
    const mapped = this.#gone.until(staging.mapAsync(MAP_READ, 0, pages * pageSize));
    // It is awaited in its turn.
    mapped.catch(() => {});
    return { staging, mapped, run, page, pages };
  }

  async #receive(copies: CopyList, { staging, mapped, run, page, pages }: Part): Promise<void> {
    await mapped;
    const { pageSize } = this.#host;
    const bytes = new Uint8Array(staging.getMappedRange(0, pages * pageSize));
    for (let i = run, from = page, done = 0; done < pages; i++, from = 0) {
      const count = Math.min(copies.count[i] - from, pages - done);
      this.#host.bytes(copies.host[i] + from, count).set(bytes.subarray(done * pageSize, (done + count) * pageSize));
      done += count;
    }
    this.#giveBack(staging);
  }

  #giveBack(staging: GPUBuffer): void {
    staging.unmap();
    this.#ring.give(staging);
  }
}
