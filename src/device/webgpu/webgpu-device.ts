/**
 * An open WebGPU device: frames in pools, copies between them and the host, kernels. One queue orders everything: what is
 * called later finds what was called earlier done.
 */

import { MemoryError } from "../../mm/errors.js";
import type { CopyList } from "../copy-list.js";
import type { DeviceLostError } from "../device-lost-error.js";
import type { Device, DeviceHost, DeviceKernel, DeviceKernelDescriptor } from "../driver.js";
import { loadPart } from "../load-part.js";
import { DeviceGone } from "./device-gone.js";
import { Downloads } from "./downloads.js";
import { EarlyDownloads } from "./early-downloads.js";
import { GpuBuffers } from "./gpu-buffers.js";
import { WebgpuInterop } from "./interop.js";
import type { EffectiveLimits } from "./limits.js";
import { Pools } from "./pools.js";
import { Scratch } from "./scratch.js";
import { StagingRing } from "./staging-ring.js";
import { Uploads } from "./uploads.js";
import type { KernelContext } from "./webgpu-kernel.js";

/** What a discarded frame is filled with under `debug`. */
const POISON = 0xdb;

export interface WebgpuShape {
  readonly name: string;
  readonly budget: number;
  readonly limits: EffectiveLimits;
  readonly isSoftware: boolean;
  /** Called once, when everything is given back. */
  readonly onClose: () => void;
}

export class WebgpuDevice implements Device {
  readonly bytes = null;
  readonly lookahead = 2;
  readonly isSoftware: boolean;
  readonly lost: Promise<DeviceLostError>;
  readonly buffers: GpuBuffers;
  readonly pools: Pools;
  readonly interop: WebgpuInterop;
  readonly #device: GPUDevice;
  readonly #gone: DeviceGone;
  readonly #shape: WebgpuShape;
  readonly #uploads: Uploads;
  readonly #downloads: Downloads;
  readonly #kernels: KernelContext;
  readonly #poison: Uint8Array<ArrayBuffer> | null;
  #closed = false;

  private constructor(
    device: GPUDevice,
    host: DeviceHost,
    shape: WebgpuShape,
    gone: DeviceGone,
    buffers: GpuBuffers,
    pools: Pools,
  ) {
    this.#device = device;
    this.#shape = shape;
    this.isSoftware = shape.isSoftware;
    this.#gone = gone;
    this.lost = gone.lost;
    this.buffers = buffers;
    this.pools = pools;
    this.interop = new WebgpuInterop({ name: shape.name, device, gone, pools });
    const ring = (direction: "upload" | "download"): StagingRing =>
      new StagingRing(buffers, gone, direction, host.pageSize, pools.frames);
    const early = new EarlyDownloads(gone, pools, ring("download"));
    this.#uploads = new Uploads(device, gone, host, pools, ring("upload"));
    this.#downloads = new Downloads(device, gone, host, pools, ring("download"), early);
    const { maxComputeWorkgroupsPerDimension: mostWorkgroups } = shape.limits;
    this.#kernels = { device, gone, buffers, pools, early, scratch: new Scratch(buffers), mostWorkgroups };
    this.#poison = host.debug ? new Uint8Array(host.pageSize).fill(POISON) : null;
  }

  /** Throws ENOMEM for a budget that the device has no room for; no buffer is left then. */
  static async open(device: GPUDevice, host: DeviceHost, shape: WebgpuShape): Promise<WebgpuDevice> {
    const gone = new DeviceGone(shape.name, device);
    const buffers = new GpuBuffers(device, gone);
    const pools = await Pools.open(buffers, shape.limits, shape.budget, host.pageSize);
    return new WebgpuDevice(device, host, shape, gone, buffers, pools);
  }

  get frames(): number {
    return this.pools.frames;
  }

  get runFrames(): number {
    return this.pools.runFrames;
  }

  run(): null {
    return null;
  }

  upload(copies: CopyList): Promise<void> {
    return this.#uploads.run(copies);
  }

  download(copies: CopyList): Promise<void> {
    return this.#downloads.run(copies);
  }

  async clear(frames: CopyList): Promise<void> {
    this.#gone.assertUsable();
    const { pools } = this;
    const encoder = this.#device.createCommandEncoder();
    for (let i = 0; i < frames.length; i++) {
      const end = frames.device[i] + frames.count[i];
      for (let frame = frames.device[i]; frame < end;) {
        const count = Math.min(end - frame, pools.restOfPool(frame));
        pools.willChange(frame, count, true);
        encoder.clearBuffer(pools.poolOf(frame).buffer, pools.offsetOf(frame), count * pools.pageSize);
        frame += count;
      }
    }
    this.#device.queue.submit([encoder.finish()]);
  }

  discard(frame: number): void {
    this.pools.willChange(frame, 1, false);
    if (this.#poison === null || this.#gone.error !== null) return;
    this.#device.queue.writeBuffer(this.pools.poolOf(frame).buffer, this.pools.offsetOf(frame), this.#poison);
  }

  async createKernel({ label, wgsl }: DeviceKernelDescriptor): Promise<DeviceKernel> {
    this.#gone.assertUsable();
    if (wgsl === undefined)
      throw new MemoryError(
        "EINVAL",
        `kernel "${label}" is a function: ${this.#shape.name} runs kernels in WGSL (wgsl)`,
      );
    const { createKernel } = await loadPart("WGSL on a GPU", () => import("./create-kernel.js"));
    return createKernel(this.#kernels, this.#shape.limits, label, wgsl);
  }

  stopKernels(reason: MemoryError): void {
    this.#gone.close(reason);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#gone.close();
    this.buffers.destroyAll();
    this.#shape.onClose();
  }
}
