/** Makes memories: checks what is asked for, and opens the pager here or in a worker. */

import type { DeviceDriver } from "../device/driver.js";
import { checkOptions, type OptionNames } from "../device/options.js";
import type { Environment } from "../mm/environment.js";
import { MemoryError } from "../mm/errors.js";
import type { SwapStore } from "../mm/swap/swap.js";
import { loadPart } from "../device/load-part.js";
import type { DeviceModule } from "./local/device-module.js";
import { openPager } from "./local/open-pager.js";
import type { SwapFileOptions } from "./local/swap-file.js";
import { checkSignal } from "./operation-queue.js";
import type { TransparentOptions } from "./pager.js";
import { UnifiedMemory } from "./unified-memory.js";

/** Of `createUnifiedMemory`; all may be left out. */
export interface UnifiedMemoryOptions {
  /** Default: the embedded software device, `mirrorDevice()`. */
  device?: DeviceDriver | DeviceModule;
  /** Default false: pages of this thread alone. */
  shared?: false;
  /** Default "here": the pager, which moves the pages, is in this thread. */
  pager?: "here";
  /** Bytes of host memory that pages may use, those retained for pages on the device included. Default: no limit. */
  hostBudget?: number;
  /**
   * Where pages go when the host budget is used up, so that arrays may exceed it: a path at which nothing is yet, for a
   * file that lasts as long as the memory. Needs Node and a host budget.
   */
  swapFile?: string | URL | SwapFileOptions;
  /** The same by a store of the caller's, which `destroy` closes. */
  swapStore?: SwapStore;
  /** Default "pinned": the CPU reaches pages that it has pinned, and copies of others. */
  cpuAccess?: "pinned";
  /** Bytes a page: a power of two from 4 KiB to 2 MiB. Default 64 KiB. */
  pageSize?: number;
  /** Poison frames that are given back, and report pins that are collected unreleased. */
  debug?: boolean;
  /** Aborts the opening of the device. */
  signal?: AbortSignal;
  /** Time, scheduling and failures from outside, for simulation. */
  environment?: Environment;
}

/** Of `createUnifiedMemory`, for a memory that workers use as well. */
export interface SharedMemoryOptions extends Omit<UnifiedMemoryOptions, "shared" | "pager"> {
  /**
   * Keep pages where workers reach them too: `port` hands the memory to one. The views of pins are then over
   * `SharedArrayBuffer`s. In browsers it needs a page that is cross-origin isolated.
   */
  shared: true;
  /**
   * Where the pager runs, which moves the pages: in this thread, or in a worker of its own, with the device. There only what
   * can be posted gets: a device as `{ module, export }`, kernels likewise. Default "here".
   */
  pager?: "here" | "worker";
}

/** Of `createUnifiedMemory`, for a memory whose arrays are typed arrays to all threads: `array.view`. */
export interface TransparentMemoryOptions extends Omit<
  UnifiedMemoryOptions,
  "shared" | "pager" | "cpuAccess" | "swapStore" | "environment"
> {
  /**
   * Needs Node on Linux, the package `koffi`, and the permission to use userfaultfd; `npx pageferry info` says what there is. The
   * pager runs in a worker, so a device is given as `{ module, export }`, and it is one with memory of its own.
   */
  cpuAccess: "transparent";
  transparent?: TransparentOptions;
  shared?: true;
  pager?: "worker";
}

const OPTIONS: OptionNames<SharedMemoryOptions & Omit<TransparentMemoryOptions, "cpuAccess" | "shared" | "pager">> = {
  device: true,
  shared: true,
  pager: true,
  hostBudget: true,
  swapFile: true,
  swapStore: true,
  pageSize: true,
  debug: true,
  signal: true,
  environment: true,
  cpuAccess: true,
  transparent: true,
};

/**
 * Opens the device and makes a memory over it. EINVAL for options out of bounds, ENOTSUP for `shared` where memory cannot be
 * shared, or the driver's error.
 */
export function createUnifiedMemory(
  options: SharedMemoryOptions | TransparentMemoryOptions,
): Promise<UnifiedMemory<SharedArrayBuffer>>;
export function createUnifiedMemory(options?: UnifiedMemoryOptions): Promise<UnifiedMemory>;
export async function createUnifiedMemory(
  options: SharedMemoryOptions | TransparentMemoryOptions | UnifiedMemoryOptions = {},
): Promise<UnifiedMemory<ArrayBufferLike>> {
  checkOptions("createUnifiedMemory", options, OPTIONS);
  const { shared = false, pager = "here", debug = false, signal } = options;
  if (typeof shared !== "boolean") throw new MemoryError("EINVAL", `shared is true or false, not ${String(shared)}`);
  checkSignal(signal);
  signal?.throwIfAborted();
  const { cpuAccess = "pinned", transparent } = options as Partial<TransparentMemoryOptions>;
  if (pager === "here" && (cpuAccess as string) === "pinned" && !transparent)
    return new UnifiedMemory(await openPager(options as UnifiedMemoryOptions | SharedMemoryOptions), debug);
  const { startPager } = await loadPart("a pager in a worker", () => import("./remote/start-pager.js"));
  return new UnifiedMemory(await startPager(options as SharedMemoryOptions | TransparentMemoryOptions), debug);
}
