/**
 * Unified memory: one address space over host and device memory, with arrays in it and kernels over them.
 */

/// <reference lib="esnext.disposable" preserve="true" />

import { AttachedDevice } from "../device/attached-device.js";
import type { DeviceDriver } from "../device/driver.js";
import { checkElementType, type ElementType, strideOf } from "../device/element.js";
import { mirrorDevice } from "../device/mirror/index.js";
import { checkOptions, type OptionNames } from "../device/options.js";
import type { Environment } from "../mm/environment.js";
import { MemoryError } from "../mm/errors.js";
import { Machine, type MachineOptions } from "../mm/machine.js";
import type { SwapStore } from "../mm/swap/swap.js";
import { Kernel, type KernelDescriptor } from "./kernel.js";
import { LocalPager } from "./local/local-pager.js";
import { loadOnDemand } from "./local/load-on-demand.js";
import type { SwapFileOptions } from "./local/swap-file.js";
import { MAP_OPTIONS, type MapSourceOptions } from "./map-options.js";
import type { MemoryCore } from "./memory-core.js";
import { checkSignal, OperationQueue } from "./operation-queue.js";
import { ARRAY_OPTIONS, type ArrayOptions, PagedArray } from "./paged-array.js";
import type { Pager } from "./pager.js";
import { PinLeaks } from "./pin-leaks.js";
import type { Stats } from "./stats.js";

/** Of `createUnifiedMemory`; all may be left out. */
export interface UnifiedMemoryOptions {
  /** Default: the embedded software device, `mirrorDevice()`. */
  device?: DeviceDriver;
  /** Bytes of host memory that pages may use, those retained for pages on the device included. Default: no limit. */
  hostBudget?: number;
  /**
   * Where pages go when the host budget is used up, so that arrays may exceed it: a path at which nothing is yet, for a
   * file that lasts as long as the memory. Needs Node and a host budget.
   */
  swapFile?: string | URL | SwapFileOptions;
  /** The same by a store of the caller's, which `destroy` closes. */
  swapStore?: SwapStore;
  /** Bytes a page: a power of two from 4 KiB to 2 MiB. Default 64 KiB. */
  pageSize?: number;
  /** Poison frames that are given back, and report pins that are collected unreleased. */
  debug?: boolean;
  /** Aborts the opening of the device. */
  signal?: AbortSignal;
  /** Time, scheduling and failures from outside, for simulation. */
  environment?: Environment;
}

/** Options of later versions, and what they are in this one. */
const ONE_VALUE_YET = { shared: false, cpuAccess: "pinned" } as const;

const OPTIONS: OptionNames<UnifiedMemoryOptions & typeof ONE_VALUE_YET> = {
  device: true,
  hostBudget: true,
  swapFile: true,
  swapStore: true,
  pageSize: true,
  debug: true,
  signal: true,
  environment: true,
  shared: true,
  cpuAccess: true,
};

/** Opens the device and makes a memory over it. EINVAL for options out of bounds, or the driver's error. */
export async function createUnifiedMemory(options: UnifiedMemoryOptions = {}): Promise<UnifiedMemory> {
  checkOptions("createUnifiedMemory", options, OPTIONS);
  const { device = mirrorDevice(), hostBudget, pageSize, debug = false, signal, environment } = options;
  for (const [later, today] of Object.entries(ONE_VALUE_YET)) {
    const value = (options as Record<string, unknown>)[later];
    if (value !== undefined && value !== today)
      throw new MemoryError("EINVAL", `option ${later} is not supported by this version, save for ${String(today)}`);
  }
  checkSignal(signal);
  signal?.throwIfAborted();
  const machineOptions: MachineOptions = { debug };
  if (hostBudget !== undefined) machineOptions.hostBudget = hostBudget;
  if (pageSize !== undefined) machineOptions.pageSize = pageSize;
  if (environment !== undefined) machineOptions.environment = environment;
  const wantsSwap = options.swapFile !== undefined || options.swapStore !== undefined;
  const part = wantsSwap ? await loadOnDemand("swap") : null;
  const swap = part === null ? null : await part.openSwap(options);
  try {
    signal?.throwIfAborted();
    const machine = new Machine(machineOptions);
    if (swap !== null) part?.swapOn(machine, swap);
    const attached = await attachUnlessAborted(machine, device, signal);
    try {
      return new UnifiedMemory(new LocalPager(machine, attached), debug);
    } catch (error) {
      await attached.device.close();
      throw error;
    }
  } catch (error) {
    await swap?.close?.();
    throw error;
  }
}

/** Aborted while the driver opens the device, it does not wait for that; the device is closed once it is open. */
async function attachUnlessAborted(
  machine: Machine,
  driver: DeviceDriver,
  signal: AbortSignal | undefined,
): Promise<AttachedDevice> {
  const attaching = AttachedDevice.attach(machine, driver);
  let onAbort = (): void => {};
  const aborted = new Promise<"aborted">((resolve) => {
    onAbort = () => resolve("aborted");
  });
  signal?.addEventListener("abort", onAbort);
  try {
    const first = await Promise.race([attaching, aborted]);
    if (first !== "aborted") return first;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
  attaching.then(({ device }) => device.close()).catch(() => {});
  throw signal?.reason;
}

/** One address space over host and device memory, with arrays in it and kernels over them. */
export class UnifiedMemory implements AsyncDisposable {
  readonly #core: MemoryCore;
  #unnamed = 0;
  #destroyed: Promise<void> | null = null;

  constructor(pager: Pager, debug: boolean) {
    this.#core = { pager, queue: new OperationQueue(), leaks: debug ? new PinLeaks() : null };
  }

  /** Reserves an array; its elements are 0 and take no memory until they are used. EINVAL, or ENOMEM for want of addresses. */
  createArray<T extends ElementType>(type: T, length: number, options: ArrayOptions = {}): PagedArray<T> {
    if (this.#destroyed !== null) throw destroyedError();
    checkElementType(type, this.#core.pager.pageSize);
    if (!Number.isSafeInteger(length) || length < 1) {
      throw new MemoryError("EINVAL", `an array's length is a whole number of at least 1, not ${length}`);
    }
    checkOptions("createArray", options, ARRAY_OPTIONS);
    const { pager } = this.#core;
    const mapping = pager.reserve(Math.ceil((length * strideOf(type)) / pager.pageSize));
    return new PagedArray(this.#core, type, length, this.#labelOf(options), mapping);
  }

  /**
   * An array over a file, as it is now: only pages that are used are read, and pages that nobody has changed take memory
   * no longer than it is needed for others. Writes stay in the memory and never reach the file. Needs Node. Rejects with
   * EINVAL for what is not within the file, or the system's error. The file stays open until the array is destroyed; a file
   * that is cut short meanwhile makes what reads there fail with EIO.
   */
  async mapFile<T extends ElementType>(path: string | URL, options: MapSourceOptions<T>): Promise<PagedArray<T>> {
    if (this.#destroyed !== null) throw destroyedError();
    checkOptions("mapFile", options, MAP_OPTIONS);
    return this.#mapSource(path, options);
  }

  /** The same over a `Blob` or a `File`, everywhere. */
  async mapBlob<T extends ElementType>(blob: Blob, options: MapSourceOptions<T>): Promise<PagedArray<T>> {
    if (typeof blob?.slice !== "function" || typeof blob.size !== "number")
      throw new MemoryError("EINVAL", "mapBlob takes a Blob or a File");
    checkOptions("mapBlob", options, MAP_OPTIONS);
    return this.#mapSource(blob, options);
  }

  async #mapSource<T extends ElementType>(
    source: string | URL | Blob,
    options: MapSourceOptions<T>,
  ): Promise<PagedArray<T>> {
    const { pager } = this.#core;
    const checkpoint = (): void => {
      if (this.#destroyed !== null) throw destroyedError();
    };
    const { mapping, length } = await pager.mapSource(source, options, checkpoint);
    return new PagedArray(this.#core, options.type, length, this.#labelOf(options), mapping);
  }

  #labelOf({ label }: ArrayOptions): string {
    return label ?? `array ${++this.#unnamed}`;
  }

  /** Compiles a kernel for the memory's device. EINVAL says what in the descriptor is wrong. */
  async createKernel(descriptor: KernelDescriptor): Promise<Kernel> {
    if (this.#destroyed !== null) throw destroyedError();
    return Kernel.create(this.#core, descriptor);
  }

  /** A snapshot of budgets and counters. */
  get stats(): Stats {
    return this.#core.pager.stats;
  }

  /**
   * Rejects what is pending, unmaps all arrays and closes the device. Views of pins that are still held stay readable;
   * what they show is no longer anybody's.
   */
  destroy(): Promise<void> {
    this.#destroyed ??= this.#tearDown();
    return this.#destroyed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.destroy();
  }

  async #tearDown(): Promise<void> {
    const { queue, pager } = this.#core;
    const ended = queue.close(destroyedError());
    pager.stopKernels?.(destroyedError());
    await ended;
    await pager.close();
  }
}

function destroyedError(): MemoryError {
  return new MemoryError("EINVAL", "the memory is destroyed");
}
