/**
 * Unified memory: one address space over host and device memory, with arrays in it and kernels over them.
 */

/// <reference lib="esnext.disposable" preserve="true" />

import { checkElementType, type ElementType, strideOf } from "../device/element.js";
import { checkOptions, type OptionNames } from "../device/options.js";
import { MemoryError } from "../mm/errors.js";
import type { DeviceDriver } from "../device/driver.js";
import type { ArrayHandle } from "./array-handle.js";
import { type DeviceLoss, lossOf } from "./device-loss.js";
import { Kernel, type KernelDescriptor } from "./kernel.js";
import type { DeviceModule } from "./local/device-module.js";
import { MAP_OPTIONS, type MapSourceOptions } from "./map-options.js";
import type { MemoryCore } from "./memory-core.js";
import { type Operation, OperationQueue } from "./operation-queue.js";
import { ARRAY_OPTIONS, type ArrayOptions, PagedArray } from "./paged-array.js";
import type { Pager, Port } from "./pager.js";
import { PinLeaks } from "./pin-leaks.js";
import type { Stats } from "./stats.js";

/** Of a port. */
export interface PortOptions {
  /** A name for messages: who holds a page. Default: "port 1" and so on. */
  label?: string;
}

/** Of the end of a port. */
export interface DisconnectOptions {
  /** The thread was terminated, and cannot leave by itself: what it held is let go at once. Default false. */
  terminated?: boolean;
}

const DISCONNECT_OPTIONS: OptionNames<DisconnectOptions> = { terminated: true };
const REPLACE_OPTIONS: OptionNames<{ signal?: AbortSignal }> = { signal: true };
const PORT_OPTIONS: OptionNames<PortOptions> = { label: true };

/** One address space over host and device memory, with arrays in it and kernels over them. */
export class UnifiedMemory<B extends ArrayBufferLike = ArrayBuffer> implements AsyncDisposable {
  readonly #core: MemoryCore;
  #unnamed = 0;
  #unnamedPorts = 0;
  #destroyed: Promise<void> | null = null;
  #deviceLost!: Promise<DeviceLoss>;
  /** Of `#deviceLost`, which is still to be resolved. */
  #onLoss: ((loss: DeviceLoss) => void) | null = null;

  constructor(pager: Pager, debug: boolean) {
    const queue = new OperationQueue();
    this.#core = { pager, queue, arrays: new Set(), leaks: debug ? new PinLeaks() : null };
    pager.onEnd = (reason) => void queue.close(reason);
    pager.onDevice = () => this.#heedDevice();
    this.#awaitLoss();
    this.#heedDevice();
  }

  /** Reserves an array; its elements are 0 and take no memory until they are used. EINVAL, or ENOMEM for want of addresses. */
  createArray<T extends ElementType>(type: T, length: number, options: ArrayOptions = {}): PagedArray<T, B> {
    this.#core.queue.assertOpen();
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
  async mapFile<T extends ElementType>(path: string | URL, options: MapSourceOptions<T>): Promise<PagedArray<T, B>> {
    this.#core.queue.assertOpen();
    checkOptions("mapFile", options, MAP_OPTIONS);
    return this.#mapSource(path, options);
  }

  /** The same over a `Blob` or a `File`, everywhere. */
  async mapBlob<T extends ElementType>(blob: Blob, options: MapSourceOptions<T>): Promise<PagedArray<T, B>> {
    if (typeof blob?.slice !== "function" || typeof blob.size !== "number")
      throw new MemoryError("EINVAL", "mapBlob takes a Blob or a File");
    checkOptions("mapBlob", options, MAP_OPTIONS);
    return this.#mapSource(blob, options);
  }

  async #mapSource<T extends ElementType>(
    source: string | URL | Blob,
    options: MapSourceOptions<T>,
  ): Promise<PagedArray<T, B>> {
    const { pager, queue } = this.#core;
    const { mapping, length } = await pager.mapSource(source, options, () => queue.assertOpen());
    return new PagedArray(this.#core, options.type, length, this.#labelOf(options), mapping);
  }

  #labelOf({ label }: ArrayOptions): string {
    return label ?? `array ${++this.#unnamed}`;
  }

  /** Compiles a kernel for the memory's device. EINVAL says what in the descriptor is wrong. */
  async createKernel(descriptor: KernelDescriptor): Promise<Kernel> {
    this.#core.queue.assertOpen();
    return Kernel.create(this.#core, descriptor);
  }

  /** The array that another thread has the handle of: the same pages, under the same name. EINVAL when it is destroyed. */
  arrayFrom<T extends ElementType>(handle: ArrayHandle<T>): PagedArray<T, B> {
    const { pager, queue } = this.#core;
    queue.assertOpen();
    const { type, length, label, isView } = handle ?? {};
    // What is none has no type: the pager says so.
    const byteLength = type === undefined ? 0 : length * strideOf(type);
    const mapping = pager.find(handle, Math.ceil(byteLength / pager.pageSize));
    const found = (operation: Operation): Promise<void> => mapping.found(operation);
    if (!isView) return new PagedArray(this.#core, type, length, label, mapping, found);
    return new PagedArray<"u8", B>(this.#core, "u8", byteLength, label, mapping, found).as(type, { label });
  }

  /**
   * A port to give to another thread (`worker.postMessage(port, [port])`), which gets this memory from it by `connect` of
   * `pageferry/worker`. Needs `shared: true`.
   */
  async port(options: PortOptions = {}): Promise<Port> {
    const { pager, queue } = this.#core;
    queue.assertOpen();
    checkOptions("port", options, PORT_OPTIONS);
    const { label = `port ${++this.#unnamedPorts}` } = options;
    return pager.openPort(label);
  }

  /**
   * Ends what the thread behind a port has of the memory: its pending operations reject, and its pins are let go. Resolves
   * when it has left. A thread that was terminated is noticed in Node and in newer browsers; elsewhere, say so.
   */
  async disconnect(port: Port, options: DisconnectOptions = {}): Promise<void> {
    checkOptions("disconnect", options, DISCONNECT_OPTIONS);
    await this.#core.pager.closePort(port, options.terminated === true);
  }

  /** A snapshot of budgets and counters; in a thread that the pager is not in, as of its last answer to this thread. */
  get stats(): Stats {
    return this.#core.pager.stats;
  }

  /** The same as of now, in every thread. */
  async readStats(): Promise<Stats> {
    this.#core.queue.assertOpen();
    return this.#core.pager.readStats();
  }

  /**
   * Resolves, and never rejects, when the device is lost, with what was nowhere else: the elements that kernels had written
   * there and nothing had brought home. Each access to them rejects with EIO until whole pages have been written anew, by
   * `fill` or `write`; all else is as it was, and the memory goes on without a device: dispatches reject with a
   * `DeviceLostError`. Of the arrays that this thread has. After `replaceDevice` it is a new promise, for the new device.
   */
  get deviceLost(): Promise<DeviceLoss> {
    return this.#deviceLost;
  }

  /**
   * Gives a memory whose device is lost another one, when the operations called before are done; kernels are compiled for it
   * when they are dispatched next. Rejects with EINVAL while the device is there, or with the driver's error: then there is none
   * as before. In a memory with `pager: "worker"` it takes a `DeviceModule`. Only for the thread that made the memory.
   */
  async replaceDevice(device: DeviceDriver | DeviceModule, options: { signal?: AbortSignal } = {}): Promise<void> {
    const { pager, queue } = this.#core;
    queue.assertOpen();
    checkOptions("replaceDevice", options, REPLACE_OPTIONS);
    await queue.run((operation) => pager.replaceDevice(device, operation), options.signal);
  }

  #awaitLoss(): void {
    this.#deviceLost = new Promise((resolve) => {
      this.#onLoss = resolve;
    });
  }

  #heedDevice(): void {
    const { pager, arrays } = this.#core;
    if (pager.loss === null) {
      if (this.#onLoss === null) this.#awaitLoss();
      return;
    }
    this.#onLoss?.(lossOf(pager.loss, arrays, pager.pageSize));
    this.#onLoss = null;
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
