/**
 * A WebGPU device beside which a plain copy of its memory is kept, so that tests of the engine can look at device frames
 * without waiting. Everything that comes back from the GPU is compared with the copy. Kernels that are functions run over the copy, and
 * what they write goes to the GPU.
 */

import assert from "node:assert/strict";
import type { MemoryError } from "../../src/mm/errors.js";
import { CopyList } from "../../src/device/copy-list.js";
import type {
  Device,
  DeviceDriver,
  DeviceHost,
  DeviceKernel,
  DeviceKernelDescriptor,
  KernelSlice,
  KernelStep,
  PagedDispatch,
  PagedRound,
  PagedRun,
  PagedUnits,
  WorkgroupShape,
} from "../../src/device/driver.js";
import { runStep } from "../../src/device/mirror/run-step.js";
import type { StepKernel } from "../../src/device/step-kernel.js";
import { webgpuDevice, type WebgpuLimits } from "../../src/device/webgpu/index.js";
import { WebgpuDevice } from "../../src/device/webgpu/webgpu-device.js";
import { joined, sameBytes } from "../bytes.js";
import { assertNothingUncaught, sharedDevice } from "./opened-device.js";

/** Numbers of host frames from here on mean frames of the copy. */
const SHADOW = 2 ** 24;

export class ShadowedDriver implements DeviceDriver {
  readonly kind = "private";
  readonly name: string;
  readonly budget: number;
  /** Those in WGSL that were made. */
  readonly kernels: DeviceKernel[] = [];
  readonly #driver: DeviceDriver;
  readonly #gpu: GPUDevice;

  private constructor(driver: DeviceDriver, gpu: GPUDevice) {
    this.#driver = driver;
    this.#gpu = gpu;
    this.name = driver.name;
    this.budget = driver.budget;
  }

  static async create(budget: number, limits: WebgpuLimits = {}): Promise<ShadowedDriver> {
    const device = await sharedDevice();
    return new ShadowedDriver(await webgpuDevice({ device, budget, limits }), device);
  }

  async open(host: DeviceHost): Promise<Device> {
    const { pageSize } = host;
    const shadow = new Uint8Array(Math.floor(this.budget / pageSize) * pageSize);
    const bytes = (frame: number, count: number): Uint8Array =>
      frame < SHADOW
        ? host.bytes(frame, count)
        : shadow.subarray((frame - SHADOW) * pageSize, (frame - SHADOW + count) * pageSize);
    const device = await this.#driver.open({ ...host, bytes });
    assert.ok(device instanceof WebgpuDevice);
    return new ShadowedDevice(this, device, host, shadow, this.#gpu);
  }
}

class ShadowedDevice implements Device {
  readonly bytes = null;
  readonly frames: number;
  readonly runFrames: number;
  readonly lookahead: number;
  readonly #device: WebgpuDevice;
  readonly #driver: ShadowedDriver;
  readonly #host: DeviceHost;
  readonly #shadow: Uint8Array;
  readonly #gpu: GPUDevice;

  constructor(driver: ShadowedDriver, device: WebgpuDevice, host: DeviceHost, shadow: Uint8Array, gpu: GPUDevice) {
    this.#driver = driver;
    this.#device = device;
    this.#host = host;
    this.#shadow = shadow;
    this.#gpu = gpu;
    this.frames = device.frames;
    this.runFrames = device.runFrames;
    this.lookahead = device.lookahead;
  }

  run(frame: number, count: number): Uint8Array {
    const { pageSize } = this.#host;
    return this.#shadow.subarray(frame * pageSize, (frame + count) * pageSize);
  }

  async upload(copies: CopyList): Promise<void> {
    await this.#device.upload(copies);
    for (let i = 0; i < copies.length; i++) {
      const count = copies.count[i];
      this.run(copies.device[i], count).set(this.#host.bytes(copies.host[i], count));
    }
  }

  async download(copies: CopyList): Promise<void> {
    await this.#device.download(copies);
    for (let i = 0; i < copies.length; i++) {
      const [host, frame, count] = [copies.host[i], copies.device[i], copies.count[i]];
      assert.ok(
        sameBytes(this.#host.bytes(host, count), this.run(frame, count)),
        `frames ${frame} to ${frame + count} do not come back as they were written`,
      );
    }
  }

  async clear(frames: CopyList): Promise<void> {
    await this.#device.clear(frames);
    for (let i = 0; i < frames.length; i++) this.run(frames.device[i], frames.count[i]).fill(0);
  }

  discard(frame: number): void {
    this.#device.discard(frame);
    if (this.#host.debug) this.run(frame, 1).fill(0xdb);
  }

  async createKernel(descriptor: DeviceKernelDescriptor): Promise<DeviceKernel> {
    const { host, wgsl } = descriptor;
    if (wgsl === undefined) return new FunctionKernel(host ?? assert.fail(), this, this.#host.pageSize);
    const kernel = new FollowedKernel(await this.#device.createKernel(descriptor), this);
    this.#driver.kernels.push(kernel);
    return kernel;
  }

  stopKernels(reason: MemoryError): void {
    this.#device.stopKernels(reason);
  }

  async close(): Promise<void> {
    await this.#device.close();
    await this.#device.close();
    assert.equal(this.#device.buffers.created, this.#device.buffers.destroyed, "a buffer is left");
    await assertNothingUncaught(this.#gpu);
  }

  /** The copy becomes what the GPU has. */
  async fetch(frames: Int32Array): Promise<void> {
    if (frames.length > 0) await this.#device.download(toShadow(frames));
  }

  /** The GPU gets what the copy has. */
  async send({ frames }: KernelSlice): Promise<void> {
    if (frames.length > 0) await this.#device.upload(toShadow(frames));
  }
}

/** A kernel that runs on the GPU: the copy gets what it has written. */
class FollowedKernel implements DeviceKernel {
  readonly #kernel: DeviceKernel;
  readonly #device: ShadowedDevice;

  readonly onlyPaged?: string;
  /** Missing where the GPU's kernel cannot be paged. */
  readonly beginPaged?: (dispatch: PagedDispatch) => Promise<PagedRun>;

  constructor(kernel: DeviceKernel, device: ShadowedDevice) {
    this.#kernel = kernel;
    this.#device = device;
    if (kernel.onlyPaged !== undefined) this.onlyPaged = kernel.onlyPaged;
    if (kernel.beginPaged !== undefined) {
      this.beginPaged = async (dispatch) =>
        new FollowedRun((await kernel.beginPaged?.(dispatch)) ?? assert.fail(), device);
    }
  }

  get scratchBytes(): number {
    return this.#kernel.scratchBytes;
  }

  get workgroups(): WorkgroupShape {
    return this.#kernel.workgroups ?? assert.fail("a kernel in WGSL has workgroups");
  }

  async execute(step: KernelStep): Promise<void> {
    await this.#kernel.execute(step);
    for (const { written, frames } of step.slices) if (written) await this.#device.fetch(frames);
  }
}

/** A paged dispatch on the GPU: after each round the copy gets what it may have written. */
class FollowedRun implements PagedRun {
  readonly units: number;
  readonly mostUnits: number;
  readonly #run: PagedRun;
  readonly #device: ShadowedDevice;
  /** Frames of pages that may be written, by page. */
  readonly #writable = new Map<number, number>();

  constructor(run: PagedRun, device: ShadowedDevice) {
    this.#run = run;
    this.#device = device;
    this.units = run.units;
    this.mostUnits = run.mostUnits;
  }

  map(page: number, frame: number, writable: boolean): void {
    this.#run.map(page, frame, writable);
    if (writable) this.#writable.set(page, frame);
    else this.#writable.delete(page);
  }

  async round(units: PagedUnits): Promise<PagedRound> {
    const found = await this.#run.round(units);
    await this.#device.fetch(Int32Array.from(this.#writable.values()));
    return found;
  }

  close(): void {
    this.#run.close();
  }
}

/** A function over the copy: of no other interest to the driver than what it reads and writes. */
class FunctionKernel implements DeviceKernel {
  /** The copy has no queue. */
  readonly lookahead = 1;
  scratchBytes = 0;
  readonly #kernel: StepKernel;
  readonly #device: ShadowedDevice;
  readonly #pageSize: number;

  constructor(kernel: StepKernel, device: ShadowedDevice, pageSize: number) {
    this.#kernel = kernel;
    this.#device = device;
    this.#pageSize = pageSize;
  }

  async execute(step: KernelStep): Promise<void> {
    const before = step.slices.map(({ frames }) => joined([...frames].map((frame) => this.#device.run(frame, 1))));
    for (const [i, { frames, name }] of step.slices.entries()) {
      await this.#device.fetch(frames);
      const now = joined([...frames].map((frame) => this.#device.run(frame, 1)));
      assert.ok(
        sameBytes(now, before[i] ?? assert.fail()),
        `pages of "${name}" are not on the GPU as they were written`,
      );
    }
    const memory = {
      pageSize: this.#pageSize,
      bytes: () => this.#device.run(0, this.#device.frames),
      run: (frame: number, count: number) => this.#device.run(frame, count),
      hostPage: () => assert.fail("a private device reads no host page"),
    };
    this.scratchBytes = Math.max(this.scratchBytes, runStep(this.#kernel, step, memory));
    for (const slice of step.slices) if (slice.written) await this.#device.send(slice);
  }
}

function toShadow(frames: Int32Array): CopyList {
  const list = new CopyList(frames.length);
  for (const frame of frames) list.push(SHADOW + frame, frame);
  return list;
}
