/**
 * What the front of a memory (arrays, kernels and pins, as programs see them) asks of the pager that has their pages.
 * `local/` is the engine in this thread.
 *
 * The front checks what programs give, keeps the order of operations, and speaks of elements; a pager speaks of pages, and
 * runs what it is asked for at once. Pages are counted from an array's first.
 */

import type { PinnedPages } from "../access/host-pins.js";
import type { DeviceLostError } from "../device/device-lost-error.js";
import type { DeviceDriver, DeviceKernelDescriptor, DispatchResources } from "../device/driver.js";
import type { ElementType } from "../device/element.js";
import type { MemoryError } from "../mm/errors.js";
import type { ArrayHandle } from "./array-handle.js";
import type { DevicePin } from "./device-pin.js";
import type { Footprint } from "./footprint.js";
import type { DispatchMode, DispatchReport, Progress } from "./kernel.js";
import type { DeviceModule } from "./local/device-module.js";
import type { MapSourceOptions } from "./map-options.js";
import type { Checkpoint, Operation } from "./operation-queue.js";
import type { PinMode } from "./pin.js";
import type { PinLeaks } from "./pin-leaks.js";
import type { ResidentRange } from "./resident-range.js";
import type { Stats } from "./stats.js";

export interface Pager {
  readonly pageSize: number;
  /** The loss of the device that is lost and not replaced yet; null while there is one. */
  readonly loss: PagerLoss | null;
  /** To be called when `loss` has changed. */
  onDevice: () => void;
  /** To be called once when the pager is gone before `close` was called. */
  onEnd: (reason: MemoryError) => void;
  /** Pages that are 0 until they are written. ENOMEM when there is no room for their frames. */
  reserve(pages: number): Mapping;
  /**
   * Pages of a file or a blob, as it is until they are written, and how many elements they hold. `checkpoint` is asked once
   * the source is open; whatever is thrown, the source is closed.
   */
  mapSource(source: string | URL | Blob, options: MapSourceOptions, checkpoint: Checkpoint): Promise<MappedPages>;
  createKernel(descriptor: DeviceKernelDescriptor): Promise<PagerKernel>;
  /** Puts another device into the place of a lost one. EINVAL while there is one, EPERM for a thread that may not. */
  replaceDevice(device: DeviceDriver | DeviceModule, operation: Operation): Promise<void>;
  /** As of now, or as the pager last said. */
  readonly stats: Stats;
  readStats(): Promise<Stats>;
  /** What tells a shared memory from others, in every thread; null of one that is not shared. */
  readonly identity: string | null;
  /** A mapping that another thread has told of. EINVAL when there is none any more. */
  find(handle: ArrayHandle, pages: number): Mapping;
  /** A port for another thread, which that one connects to. EINVAL of a memory that is not shared. */
  openPort(name: string): Promise<Port>;
  /**
   * Ends what the thread behind the port has of the memory, and resolves when the thread has left. `terminated`: it is gone
   * already, and cannot say so.
   */
  closePort(port: Port, terminated: boolean): Promise<void>;
  /** The memory is being destroyed: ends the step that runs, where that can be done. Missing where the device has other users. */
  stopKernels?(reason: MemoryError): void;
  /** Unmaps what is mapped and closes the device. Nothing else is asked for afterwards. */
  close(): Promise<void>;
}

/** A device that is gone, and what was nowhere else. */
export interface PagerLoss {
  readonly error: DeviceLostError;
  /** First and end of each run of a mapping's pages that are lost with it, in ascending order. */
  readonly runsOf: (mapping: Mapping) => readonly number[];
}

/** `MessagePort` of the runtime; what that is, the types of the DOM or of Node say. */
export type Port = typeof globalThis extends { MessagePort: { prototype: infer P } } ? P : object;

export interface MappedPages {
  readonly mapping: Mapping;
  readonly length: number;
}

/** What a pin holds: the pager's own record of it, so that a pin which its owner lost can be collected and reported. */
export interface PinnedRange {
  /** Of the array, which may view the pages as elements of another type than other arrays do. */
  readonly label: string;
  readonly mode: PinMode;
  /** First element, and how many. */
  readonly start: number;
  readonly length: number;
  /** The port of the thread that has the pin; none for the pager's own thread. */
  readonly owner?: string;
  /** Pages `[first, end)`. */
  readonly first: number;
  readonly end: number;
}

/** Uses a stretch of the bytes that were asked for; `offset` is from the first of these. One that writes writes them all. */
export type UseBytes = (bytes: Uint8Array, offset: number) => void;

/** In place of a page's number: the pages are not mapped yet, or never will be. */
export const UNMAPPED = -1;
/** The pages were unmapped, by this thread or another. */
export const GONE = -2;

/** What the threads of a shared memory know of a mapping. */
export interface SharedMapping {
  readonly number: number;
  /** In shared memory: where the pages are, as `Mapping.page` says it. */
  readonly page: Int32Array;
  readonly readOnly: boolean;
}

/** Where threads see the pages of an array, in a memory with transparent access. */
export interface WindowBytes {
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** How transparent access is had; what is left out is what works best here. For tests, and for reports of their results. */
export interface TransparentOptions {
  /** How the process's page table is written. Default: the first that the kernel has. */
  readonly method?: "move" | "minor" | "copy";
  /** By which step of the ladder of privileges the descriptor is opened. Default: the first that the process may use. */
  readonly privilege?: "system call" | "/dev/userfaultfd" | "user mode only";
  /** Milliseconds that threads may wait while nobody answers, before the process ends. Default 10,000. */
  readonly patience?: number;
}

/** The pages of one array. */
export interface Mapping {
  /** null of a memory that is not shared. */
  readonly shared: SharedMapping | null;
  /** Of a snapshot. */
  readonly readOnly: boolean;
  /** What pins hold now, as far as this thread knows. */
  readonly pins: ReadonlySet<PinnedRange>;
  /** Number in the address space of the first page; `UNMAPPED` or `GONE` when there is none. */
  readonly page: number;
  /** Maps the pages. Called once. */
  map(operation: Operation): Promise<void>;
  /** In place of `map`, of a mapping that another array is over already: resolves when it is mapped. */
  found(operation: Operation): Promise<void>;
  /** Unmaps what is mapped. Pinned pages live until they are let go. */
  unmap(operation: Operation): Promise<void>;
  /** Calls `use` with stretches that together cover bytes `[at, at + length)`, in ascending order. */
  access(at: number, length: number, write: boolean, use: UseBytes, operation: Operation): Promise<void>;
  /** Makes pages resident in host memory, and holds them there until `unpin`. */
  pin(range: PinnedRange, operation: Operation): Promise<PinnedPages>;
  /** The same if that needs no wait; else null, and nothing is held. */
  tryPin(range: PinnedRange): PinnedPages | null;
  unpin(range: PinnedRange, pages: PinnedPages): void;
  /** The bytes of `count` pinned frames that lie side by side. */
  bytesOf(frame: number, count: number): Uint8Array;
  /** May the bytes be some of the mapping's own, as the view of a pin is? */
  mayHold(bytes: Uint8Array): boolean;
  prefetch(to: "device" | "host", first: number, end: number, operation: Operation): Promise<void>;
  /** The same pages, as they are when the snapshot is mapped: copy-on-write, and never written. */
  snapshot(): Mapping;
  /** Where the pages are at this moment, whatever is under way; empty where none is mapped. `length` counts elements. */
  residency(elementsPerPage: number, length: number): Promise<ResidentRange[]>;
  /** First and end of each run of pages that were written, in ascending order. */
  writtenRuns(operation: Operation): Promise<number[]>;
  /** Forgets what was written, save for what is pinned for writing. */
  clearWritten(operation: Operation): Promise<void>;
  markWritten(first: number, end: number): void;
  /** Where threads see the pages as they are at any time. ENOTSUP without transparent access. */
  window(operation: Operation): Promise<WindowBytes>;
  /** What programs do with the device's buffers. Missing where the pager is in another thread. ENOTSUP of a device without. */
  interop?(): Promise<MappingInterop>;
}

/** The pages of one array as buffers of a device, which are objects of the program's own thread. */
export interface MappingInterop {
  /** Holds pages on the device, side by side. `onRelease` is called when the program lets them go. */
  bind(
    range: PinnedRange,
    elements: ElementBytes,
    leaks: PinLeaks | null,
    onRelease: () => void,
    operation: Operation,
  ): Promise<DevicePin>;
  /** Copies elements to a buffer of the program's, from byte `offset` of it on. */
  copyTo(buffer: unknown, offset: unknown, elements: ElementBytes, operation: Operation): Promise<void>;
  /** Copies bytes of a buffer, from byte `offset` of it on, to elements. */
  copyFrom(buffer: unknown, offset: unknown, elements: ElementBytes, operation: Operation): Promise<void>;
}

/** Elements `[start, start + length)` of an array, with what tells their bytes. */
export interface ElementBytes {
  readonly label: string;
  readonly stride: number;
  readonly start: number;
  readonly length: number;
  /** Elements of the whole array. */
  readonly total: number;
}

/** Two arrays may be over one mapping, as those are that a thread has made of one handle. */
export function isSameMapping(one: Mapping, other: Mapping): boolean {
  return one === other || (one.shared !== null && one.shared.number === other.shared?.number);
}

/** An array of a dispatch. */
export interface BoundArray {
  /** In the kernel. */
  readonly name: string;
  readonly label: string;
  readonly mapping: Mapping;
  readonly type: ElementType;
  readonly length: number;
  /** null: nobody knows before the kernel runs. */
  readonly footprint: Footprint | null;
  readonly written: boolean;
}

/** A dispatch that fits its arrays. */
export interface Dispatch extends DispatchResources {
  /** The product of its shape. */
  readonly invocations: number;
  readonly arrays: readonly BoundArray[];
  readonly mode: "auto" | DispatchMode;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

/** A kernel that the device has compiled. */
export interface PagerKernel {
  dispatch(dispatch: Dispatch, operation: Operation): Promise<DispatchReport>;
}
