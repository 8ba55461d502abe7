/**
 * Unified memory: one address space over host and device memory, with arrays in it and kernels over them.
 */

/// <reference lib="esnext.disposable" preserve="true" />

import { AttachedDevice } from "../device/attached-device.js";
import type { DeviceDriver } from "../device/driver.js";
import { ELEMENT_TYPES, type ElementType, isElementType, strideOf } from "../device/element.js";
import { mirrorDevice } from "../device/mirror/index.js";
import { MAX_FRAMES } from "../mm/entry.js";
import type { Environment } from "../mm/environment.js";
import { MemoryError } from "../mm/errors.js";
import { Machine, type MachineOptions } from "../mm/machine.js";
import { exitAddressSpace } from "../mm/mapping.js";
import { Kernel, type KernelDescriptor } from "./kernel.js";
import type { MemoryCore } from "./memory-core.js";
import { OperationQueue } from "./operation-queue.js";
import { type ArrayOptions, PagedArray } from "./paged-array.js";
import { PinLeaks } from "./pin-leaks.js";
import { Residency } from "./residency.js";
import { type Stats, takeStats } from "./stats.js";

export interface UnifiedMemoryOptions {
  /** Default: the embedded software device, `mirrorDevice()`. */
  device?: DeviceDriver;
  /** Bytes of host memory that pages may use, those retained for pages on the device included. Default: no limit. */
  hostBudget?: number;
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

/** Opens the device and makes a memory over it. EINVAL for options out of bounds, or the driver's error. */
export async function createUnifiedMemory(options: UnifiedMemoryOptions = {}): Promise<UnifiedMemory> {
  const { device = mirrorDevice(), hostBudget, pageSize, debug = false, signal, environment } = options;
  for (const [later, today] of Object.entries(ONE_VALUE_YET)) {
    const value = (options as Record<string, unknown>)[later];
    if (value !== undefined && value !== today)
      throw new MemoryError("EINVAL", `option ${later} is not supported by this version, save for ${String(today)}`);
  }
  signal?.throwIfAborted();
  const machineOptions: MachineOptions = { debug };
  if (hostBudget !== undefined) machineOptions.hostBudget = hostBudget;
  if (pageSize !== undefined) machineOptions.pageSize = pageSize;
  if (environment !== undefined) machineOptions.environment = environment;
  const machine = new Machine(machineOptions);
  const attached = await attachUnlessAborted(machine, device, signal);
  try {
    return new UnifiedMemory(machine, attached, debug);
  } catch (error) {
    await attached.device.close();
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

export class UnifiedMemory implements AsyncDisposable {
  readonly #core: MemoryCore;
  #unnamed = 0;
  #destroyed: Promise<void> | null = null;

  constructor(machine: Machine, attached: AttachedDevice, debug: boolean) {
    const mm = machine.createAddressSpace();
    this.#core = {
      machine,
      mm,
      attached,
      residency: new Residency(attached, mm),
      queue: new OperationQueue(),
      arrays: new Set(),
      leaks: debug ? new PinLeaks() : null,
    };
  }

  /** Reserves an array; its elements are 0 and take no memory until they are used. EINVAL, or ENOMEM for want of addresses. */
  createArray<T extends ElementType>(type: T, length: number, options: ArrayOptions = {}): PagedArray<T> {
    if (this.#destroyed !== null) throw destroyedError();
    if (!isElementType(type))
      throw new MemoryError("EINVAL", `element type "${String(type)}" is none of ${ELEMENT_TYPES.join(", ")}`);
    if (!Number.isSafeInteger(length) || length < 1) {
      throw new MemoryError("EINVAL", `an array's length is a whole number of at least 1, not ${length}`);
    }
    const { frames, pageSize } = this.#core.machine;
    const pages = Math.ceil((length * strideOf(type)) / pageSize);
    if (pages > MAX_FRAMES - frames.count) {
      throw new MemoryError(
        "ENOMEM",
        `an array of ${pages} pages exceeds the ${MAX_FRAMES - frames.count} that are left`,
      );
    }
    return new PagedArray(this.#core, type, length, options.label ?? `array ${++this.#unnamed}`);
  }

  /** Compiles a kernel for the memory's device. EINVAL says what in the descriptor is wrong. */
  async createKernel(descriptor: KernelDescriptor): Promise<Kernel> {
    if (this.#destroyed !== null) throw destroyedError();
    return Kernel.create(this.#core, descriptor);
  }

  /** A snapshot of budgets and counters. */
  get stats(): Stats {
    return takeStats(this.#core);
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
    const { queue, arrays, machine, mm, attached } = this.#core;
    await queue.close(destroyedError());
    arrays.clear();
    await exitAddressSpace(mm);
    machine.lru.drain();
    attached.forget(mm);
    await attached.device.close();
  }
}

function destroyedError(): MemoryError {
  return new MemoryError("EINVAL", "the memory is destroyed");
}
