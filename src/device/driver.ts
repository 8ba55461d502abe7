/**
 * What a driver implements. A driver brings memory, moves bytes and runs kernels; placement, migration and page tables
 * are the engine's. Frames are numbered from 0, the first frame of the device.
 *
 * For every method: the engine keeps both pages of a copy locked from the call until the promise settles, so no one else
 * reads or writes them; the lists and views that are passed are the engine's again as soon as the promise settles, and
 * must not be kept. A method may throw instead of rejecting. Copies may be asked for while a kernel runs, if the device
 * has `lookahead`, and by a fault of the CPU while another copy is under way; they never touch the same frames. Kernels
 * run one after another.
 */

import type { Environment } from "../mm/environment.js";
import type { MemoryError } from "../mm/errors.js";
import type { CopyList } from "./copy-list.js";
import type { ElementArray, ElementType } from "./element.js";

/** What a driver is given when it is opened. */
export interface DeviceHost {
  readonly pageSize: number;
  readonly environment: Environment;
  /** Overwrite frames that are discarded, so that a use after that is seen. */
  readonly debug: boolean;
  /** Other threads reach the machine: a device whose kernels run in threads shares its memory with them. */
  readonly shared: boolean;
  /**
   * The bytes of `count` contiguous host frames, itself a view of host memory: never kept, never written except by
   * `download`. Runs given in a `CopyList` can always be had as one view. Of shared memory where the machine is shared.
   */
  bytes(frame: number, count: number): Uint8Array;
}

/** What is given to `createUnifiedMemory`: a device that is not open yet. */
export interface DeviceDriver {
  readonly name: string;
  /** "private": the CPU cannot reach the memory. "coherent": it maps it like memory of its own. */
  readonly kind: "private" | "coherent";
  /** Bytes of device memory that may be used, a whole number of pages of the machine it is opened for. */
  readonly budget: number;
  /**
   * Makes the device ready. A driver can be opened once at a time. When it throws, nothing is left allocated and it can
   * be opened again; afterwards the caller owns the device until `close`.
   */
  open(host: DeviceHost): Promise<Device>;
}

/** An open device: memory in frames, copies between it and the host, kernels. */
export interface Device {
  /** Frames that the memory holds: no more than the budget allows. */
  readonly frames: number;
  /**
   * The bytes of device frames for the engine's own loads and stores on behalf of the device; null where the driver's
   * memory is out of JavaScript's reach.
   */
  run(frame: number, count: number): Uint8Array | null;
  /**
   * Coherent memory as the CPU sees it: `frames` pages that begin at a multiple of 8 bytes of their buffer; null for
   * private memory. Valid until `close`.
   */
  readonly bytes: Uint8Array | null;
  /** Steps that may be loaded while a kernel runs, because copies and kernels really overlap: 0 or 1. */
  readonly lookahead: number;
  /**
   * Copies runs from host to device frames. When it rejects, the device frames' contents are unspecified and the host
   * frames are untouched: the engine leaves the pages on the host and frees the device frames.
   */
  upload(copies: CopyList): Promise<void>;
  /**
   * Copies runs from device to host frames. When it rejects, the host frames' contents are unspecified and the device
   * frames are untouched: the engine leaves the pages on the device and frees the host frames.
   */
  download(copies: CopyList): Promise<void>;
  /** Fills device frames with zeros. When it rejects, their contents are unspecified and they are freed. */
  clear(frames: CopyList): Promise<void>;
  /**
   * The contents of a frame, if it has any, will not be read again; with `debug` they are overwritten. Also called for
   * frames that a failed `upload` or `clear` was to fill. Synchronous, never throws, calls nothing of the engine.
   */
  discard(frame: number): void;
  /**
   * Compiles a kernel. The descriptor stays the caller's. Throws when the kernel cannot run on this device; nothing is
   * left allocated then.
   */
  createKernel(descriptor: DeviceKernelDescriptor): Promise<DeviceKernel>;
  /**
   * The memory is being destroyed, and nobody looks at what kernels have written: where a step that runs can be ended, it is,
   * and `execute` rejects with `reason`. Only `close` is called afterwards. Never throws.
   */
  stopKernels?(reason: MemoryError): void;
  /** Gives all memory back. Pending calls reject first. Never throws; a second call does nothing. */
  close(): Promise<void>;
}

/** A kernel as TypeScript: what the software device runs, and the truth that others are compared with. */
export interface HostKernel {
  /** The arrays that the kernel writes, by name. All others are read only: their pages may be dropped, not copied back. */
  readonly writes: readonly string[];
  /** Does the work of a range of invocations. Called for ranges in ascending order; must not await. */
  run(range: KernelRange): void;
}

/** What a host kernel is called with: a range of invocations, and the elements that they use. */
export interface KernelRange {
  /** Invocations `[first, first + count)`. */
  readonly first: number;
  readonly count: number;
  /** The elements that the range may use, by array name: views of device memory, valid during the call. */
  readonly arrays: Readonly<Record<string, ElementArray>>;
  /** Index in the whole array of element 0 of each view. */
  readonly base: Readonly<Record<string, number>>;
  // The kernel's author knows what the caller of `dispatch` passes.
  // oxlint-disable-next-line no-explicit-any
  readonly uniforms: Readonly<Record<string, any>>;
}

/** Where a `HostKernel` is found: what other threads can be told of it. */
export interface HostModule {
  /** The whole URL of the module: `new URL("./kernels.js", import.meta.url)`. */
  readonly module: URL | string;
  /** The name of the export that is the kernel. */
  readonly export: string;
}

/** A kernel in WGSL, as it can be posted to any thread. */
export interface WgslKernel {
  readonly text: string;
  readonly entryPoint: string;
  /** Values of overrides. */
  readonly constants: Readonly<Record<string, number>>;
  /** Elements of each array that an invocation uses, by the name of its variable. */
  readonly footprint: Readonly<
    Record<string, "whole" | { readonly each: number; readonly before?: number; readonly after?: number }>
  >;
}

/** What a driver makes a kernel from: either a function, or WGSL, whose uniforms come as bytes in WGSL's layout. */
export type DeviceKernelDescriptor =
  | {
      readonly label: string;
      readonly host: HostKernel;
      /** Where another thread finds the same kernel; missing for one that was given as a function. */
      readonly module?: { readonly module: string; readonly export: string };
      readonly wgsl?: undefined;
    }
  | { readonly label: string; readonly wgsl: WgslKernel; readonly host?: undefined; readonly module?: undefined };

/** The part of an array that a step uses: elements `[first, first + length)`, on the pages in `frames`. */
export interface KernelSlice {
  readonly name: string;
  readonly type: ElementType;
  readonly first: number;
  readonly length: number;
  /** Elements of the whole array. */
  readonly total: number;
  /** Bytes of the first page before the first element. */
  readonly offset: number;
  /**
   * The pages in order: frames of this device, counted from its first; `-1 - frame` for a host frame that a coherent
   * device reads in place.
   */
  readonly frames: Int32Array;
  readonly written: boolean;
}

/** Invocations `[first, first + count)` of a dispatch, and the parts of the arrays that they use. */
export interface KernelStep {
  readonly first: number;
  readonly count: number;
  /** Of the whole dispatch. */
  readonly invocations: number;
  readonly slices: readonly KernelSlice[];
  // oxlint-disable-next-line no-explicit-any
  readonly uniforms: Readonly<Record<string, any>>;
}

/** A kernel as the driver runs it, step by step. */
export interface DeviceKernel {
  /**
   * Runs one step; its pages are held on the device until the promise settles. When it rejects, the slices that are
   * written hold unspecified contents, all others are untouched.
   */
  execute(step: KernelStep): Promise<void>;
  /** In place of the device's `lookahead`, for this kernel. */
  readonly lookahead?: 0 | 1;
  /** Bytes of device memory beside the frames that steps have needed at most, where slices were not contiguous. */
  readonly scratchBytes: number;
}
