/**
 * What a driver implements. A driver brings memory, moves bytes and runs kernels; placement, migration and page tables
 * are the engine's. Frames are numbered from 0, the first frame of the device.
 *
 * For every method: the engine keeps both pages of a copy locked from the call until the promise settles, so no one else
 * reads or writes them; the lists and views that are passed are the engine's again as soon as the promise settles, and
 * must not be kept. A method may throw instead of rejecting. Copies may be asked for while a kernel runs, if the device
 * has `lookahead`, and by a fault of the CPU while another copy is under way; they never touch the same frames. Kernels
 * run one after another: a step is executed before the last one is done only where `lookahead` is 2.
 */

import type { Environment } from "../mm/environment.js";
import type { MemoryError } from "../mm/errors.js";
import type { CopyList } from "./copy-list.js";
import type { DeviceLostError } from "./device-lost-error.js";
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
  /**
   * Steps that may be on their way while a kernel runs, because copies and kernels really overlap: 0, 1 or 2. With 1, the next
   * step is loaded meanwhile. With 2, it is executed meanwhile as well, so that the device never waits for the program, and the
   * one after it is loaded: `execute` is called before it has settled for the step before, and steps run in the order of calls.
   */
  readonly lookahead: number;
  /** The device is a program on the CPU: what it does, the CPU could do by itself. Default false. */
  readonly isSoftware?: boolean;
  /**
   * Frames that a kernel can have as one run: frames `[n * runFrames, (n + 1) * runFrames)` lie in one buffer of the device,
   * the next run in another. Missing where all frames are one run.
   */
  readonly runFrames?: number;
  /**
   * Resolves when the device is gone, whatever it was doing, and never rejects; not with `close`. Its memory is lost then:
   * what is pending rejects with the same error, and so does what is called later, until `close`. Missing where a device cannot
   * be lost.
   */
  readonly lost?: Promise<DeviceLostError>;
  /** Missing where the program has no buffers of the same device. */
  readonly interop?: DeviceInterop;
  /**
   * Copies runs from host to device frames. When it rejects, the device frames' contents are unspecified and the host
   * frames are untouched: the engine leaves the pages on the host and frees the device frames.
   */
  upload(copies: CopyList): Promise<void>;
  /**
   * Copies runs from device to host frames. When it rejects, the host frames' contents are unspecified and the device
   * frames are untouched: the engine leaves the pages on the device and frees the host frames. Where it is done when it returns,
   * it returns nothing: what a fault of the CPU needs is then there without a turn of the event loop.
   */
  download(copies: CopyList): Promise<void> | undefined;
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

/**
 * What a program that uses the device by itself can do with its memory: on WebGPU, buffers are `GPUBuffer`s. All of it is in the
 * order of what the program submits, and takes effect before whatever is called later.
 */
export interface DeviceInterop {
  /** The byte of its buffer at which a binding begins is a multiple of this, which a page is, too. */
  readonly bindingAlignment: number;
  /** The buffer that a frame is in, and the byte at which it begins there. `written`: the program may write it. */
  placeOf(frame: number, written: boolean): { readonly buffer: object; readonly offset: number };
  /**
   * Makes ready to copy to a buffer of the program's. Rejects with EINVAL, naming what it lacks, when that cannot be: it is no
   * buffer, or one of another device, or may not be used so.
   */
  target(buffer: unknown): Promise<TargetCopies>;
  /** The same for copies from it. */
  source(buffer: unknown): Promise<BufferCopies>;
}

/** Copies between memory and one buffer of the program's. Numbers are bytes, and multiples of 4. */
export interface BufferCopies {
  /** Of the buffer. */
  readonly size: number;
  /** `length` bytes, from byte `at` of frame `frame` on into the frames after it, and in the buffer from `offset` on. */
  frames(frame: number, at: number, length: number, offset: number): void;
  /** What was called until here is in the device's queue. Throws when the device is gone. */
  submit(): void;
  /** Resolves when the device has done all that was submitted. Rejects with EIO when it has refused something. */
  done(): Promise<void>;
}

export interface TargetCopies extends BufferCopies {
  /** Host memory, which may change as soon as it returns, to the buffer from `offset` on. */
  bytes(source: Uint8Array, offset: number): void;
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
  /**
   * Elements of each array that an invocation uses, by the name of its variable. Of an array that is not in it, nobody knows
   * before the kernel runs.
   */
  readonly footprint: Readonly<
    Record<string, "whole" | { readonly each: number; readonly before?: number; readonly after?: number }>
  >;
  /** Storage and uniform variables that are buffers of the caller's, not arrays or uniforms. */
  readonly bindings: readonly string[];
}

/** What a driver makes a kernel from: a function, WGSL, or both, which do the same: it takes what suits it. */
export interface DeviceKernelDescriptor {
  readonly label: string;
  readonly host?: HostKernel;
  /** Where another thread finds the function; missing for one that was given as such. */
  readonly module?: { readonly module: string; readonly export: string };
  readonly wgsl?: WgslKernel;
}

/** What of a kernel can be posted to another thread. */
export type PostableKernel = Pick<DeviceKernelDescriptor, "module" | "wgsl">;

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
  /** What the step leaves on these pages is downloaded when it is done, unless other steps use them, too. A hint. */
  readonly leaving?: boolean;
}

/** How many invocations a dispatch has in each dimension: x changes fastest. Those of one dimension have 1 in the others. */
export type DispatchShape = readonly [x: number, y: number, z: number];

/** What a dispatch has beside its arrays. */
export interface DispatchResources {
  readonly shape: DispatchShape;
  /** For WGSL what `uniformBytes` takes, by the names of uniform variables; for functions whatever the caller gave. */
  // oxlint-disable-next-line no-explicit-any
  readonly uniforms: Readonly<Record<string, any>>;
  /** The caller's own buffers, textures and samplers, by the names of the kernel's variables; what they are, the device knows. */
  readonly bindings: Readonly<Record<string, object>>;
}

/**
 * Invocations `[first, first + count)` of a dispatch, and the parts of the arrays that they use. Invocation (x, y, z) has the
 * number `x + shape[0] * (y + shape[1] * z)`.
 */
export interface KernelStep extends DispatchResources {
  readonly first: number;
  readonly count: number;
  /** Of the whole dispatch: the product of its shape. */
  readonly invocations: number;
  readonly slices: readonly KernelSlice[];
}

/** A kernel as the driver runs it, step by step. */
export interface DeviceKernel {
  /**
   * Runs one step; its pages are held on the device until the promise settles. When it rejects, the slices that are
   * written hold unspecified contents, all others are untouched.
   */
  execute(step: KernelStep): Promise<void>;
  /** In place of the device's `lookahead`, for this kernel. */
  readonly lookahead?: 0 | 1 | 2;
  /** Bytes of device memory beside the frames that steps have needed at most, where slices were not contiguous. */
  readonly scratchBytes: number;
  /**
   * Steps run beside this thread, however long they are: what is on the device is run in one. Otherwise steps are cut, so that
   * the thread is free now and then.
   */
  readonly runsBeside?: true;
  /** How invocations are grouped; missing for functions, whose steps may begin and end anywhere. */
  readonly workgroups?: WorkgroupShape;
  /** Why the kernel runs paged and never in steps: for messages. Missing where it runs in steps. */
  readonly onlyPaged?: string;
  /**
   * Begins a dispatch whose pages come as the kernel asks for them. Missing where the kernel cannot run so. Throws what
   * `execute` throws.
   */
  beginPaged?(dispatch: PagedDispatch): Promise<PagedRun>;
}

/** Steps begin and end between workgroups, unless they end with the dispatch. */
export interface WorkgroupShape {
  /** Invocations in each dimension. */
  readonly size: DispatchShape;
  /** Invocations of a workgroup wait for each other or share memory: a dispatch has whole workgroups only. */
  readonly whole: boolean;
}

/** An array of a paged dispatch. */
export interface PagedOperand {
  readonly name: string;
  readonly type: ElementType;
  /** Elements of the array. */
  readonly total: number;
  /** The pages of the array, and the number of its first among the pages of all operands, which are numbered through. */
  readonly pages: number;
  readonly firstPage: number;
  readonly written: boolean;
}

/** All invocations of a dispatch, over arrays of which any part may be used. */
export interface PagedDispatch extends DispatchResources {
  readonly operands: readonly PagedOperand[];
}

/**
 * A dispatch by touch and commit, round by round. A *unit* is an invocation, or a workgroup where `WorkgroupShape.whole`; units
 * are numbered as invocations are. In a round, each of the units that are named either finds all the pages that it uses
 * on the device, and runs, once and for all; or does nothing, and the pages that it misses are reported.
 *
 * A unit that uses several pages one after another (an index, then what it points to) may miss another page in the next round.
 */
export interface PagedRun {
  /** Of the whole dispatch. */
  readonly units: number;
  /** Units that one round can have at most. */
  readonly mostUnits: number;
  /**
   * Where a page is from the next round on: in a frame of this device, -1 for not here, `-1 - frame` for a host frame that a
   * coherent device reads in place. A unit that stores to a page that is not writable misses it.
   */
  map(page: number, frame: number, writable: boolean): void;
  /** The pages that are mapped are held from the call until the promise settles. When it rejects, the dispatch is over. */
  round(units: PagedUnits): Promise<PagedRound>;
  /** Gives back what the run has allocated. Called once, also after a round that rejected. Never throws. */
  close(): void;
}

/** Units `[first, first + count)`, or those of a list, in ascending order. */
export type PagedUnits =
  | { readonly first: number; readonly count: number; readonly list?: undefined }
  | { readonly list: Uint32Array };

/** What a round has found; valid until the next one. */
export interface PagedRound {
  /** Units that have not run, in ascending order. */
  readonly pending: Uint32Array;
  /**
   * Pages that they miss, each once: the page's number, with `PAGE_WRITE` added where it is to be written. In any order; of a
   * round of one unit, the first is one that it comes to before it reads anything that is missing.
   */
  readonly misses: Uint32Array;
  /** One bit for each page of all operands, the lowest bit of the first word first: what units of this round have used or missed. */
  readonly touched: Uint32Array;
}

/** In a list of misses: a unit stores to the page. */
export const PAGE_WRITE = 2 ** 31;
