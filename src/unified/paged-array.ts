/**
 * An array of a unified memory: a mapping of pages with a home in host memory, read and written in bulk, pinned for use
 * in place, or given to kernels. All operations but `tryPin` wait for those called before them.
 */

/// <reference lib="esnext.disposable" preserve="true" />

import type { PinnedPages } from "../access/host-pins.js";
import {
  checkElementType,
  type ElementType,
  isViewOf,
  nameOf,
  strideOf,
  type View,
  viewOf,
} from "../device/element.js";
import { checkOptions, type OptionNames } from "../device/options.js";
import { MemoryError } from "../mm/errors.js";
import type { ArrayHandle } from "./array-handle.js";
import { STREAM_OPTIONS, type StreamOptions, streamOf } from "./array-stream.js";
import type { DevicePin } from "./device-pin.js";
import { fillView, patternOf } from "./fill-pattern.js";
import type { GpuBuffer } from "./gpu-buffer.js";
import { nameLost } from "./lost-elements.js";
import type { MemoryCore } from "./memory-core.js";
import { checkSignal, type Operation } from "./operation-queue.js";
import {
  type ElementBytes,
  GONE,
  type Mapping,
  type MappingInterop,
  type PinnedRange,
  type UseBytes,
} from "./pager.js";
import { namePinned } from "./pin-leaks.js";
import { Pin, type PinMode, type PinPlace } from "./pin.js";
import type { ResidentRange } from "./resident-range.js";
import { type ChunkSource, chunksOf, untypedBytes, writeChunks } from "./write-source.js";
import { WrittenPages } from "./written-pages.js";

/** Of `createArray`. */
export interface ArrayOptions {
  /** A name for messages and reports. */
  label?: string;
}

/** Elements `[start, start + length)`; by default from the first, to the last. */
export interface Range {
  start?: number;
  length?: number;
}

/** Elements that were written, or lie on a page with one that was. */
export type DirtyRange = Readonly<Required<Range>>;

/** Which elements to read, and until when it may be given up. */
export interface ReadOptions {
  /** First element. Default 0. */
  start?: number;
  /** How many; only without an array to read into. Default: to the end. */
  length?: number;
  signal?: AbortSignal;
}

/** Where to write, and until when it may be given up. */
export interface WriteOptions {
  /** First element to write. Default 0. */
  start?: number;
  signal?: AbortSignal;
}

/** Which elements to copy to a buffer, where to, and until when it may be given up. */
export interface CopyToOptions extends Range {
  /** Byte of the buffer, a multiple of 4. Default 0. */
  targetOffset?: number;
  signal?: AbortSignal;
}

/** Which elements to copy from a buffer, where from, and until when it may be given up. */
export interface CopyFromOptions extends Range {
  /** Byte of the buffer, a multiple of 4. Default 0. */
  sourceOffset?: number;
  signal?: AbortSignal;
}

export const ARRAY_OPTIONS: OptionNames<ArrayOptions> = { label: true };
const RANGE_OPTIONS: OptionNames<Range & { signal?: AbortSignal }> = { start: true, length: true, signal: true };
const WRITE_OPTIONS: OptionNames<WriteOptions> = { start: true, signal: true };
const COPY_TO_OPTIONS: OptionNames<CopyToOptions> = { ...RANGE_OPTIONS, targetOffset: true };
const COPY_FROM_OPTIONS: OptionNames<CopyFromOptions> = { ...RANGE_OPTIONS, sourceOffset: true };
const SIGNAL_OPTIONS: OptionNames<{ signal?: AbortSignal }> = { signal: true };

/**
 * An array of elements of one type, whose pages are in host memory or on the device. Operations take effect in call order.
 */
export class PagedArray<
  T extends ElementType = ElementType,
  B extends ArrayBufferLike = ArrayBuffer,
> implements Disposable {
  readonly type: T;
  /** Elements. */
  readonly length: number;
  readonly label: string;
  /** The array's pages, as the pager has them. */
  readonly mapping: Mapping;
  readonly #core: MemoryCore;
  readonly #written: WrittenPages;
  /** The array whose pages these are, for one that `as` made. */
  readonly #source: PagedArray<ElementType, ArrayBufferLike> | null;
  #unmappable: unknown;
  #destroyed = false;

  /** Made by `UnifiedMemory`, `snapshot` and `as`; a function maps the pages when their turn has come. */
  constructor(
    core: MemoryCore,
    type: T,
    length: number,
    label: string,
    mapping: Mapping,
    origin: ((operation: Operation) => Promise<void>) | PagedArray<ElementType, ArrayBufferLike> = (operation) =>
      mapping.map(operation),
  ) {
    this.type = type;
    this.length = length;
    this.label = label;
    this.mapping = mapping;
    this.#core = core;
    if (typeof origin !== "function") {
      this.#source = origin;
      this.#written = origin.#written;
      return;
    }
    this.#source = null;
    this.#written = new WrittenPages(mapping);
    core.arrays.add(this);
    // The mapping takes its place in the order of operations; what comes later finds it.
    core.queue.run(origin).catch((error: unknown) => {
      this.#unmappable = error;
    });
  }

  get byteLength(): number {
    return this.length * strideOf(this.type);
  }

  /** Pages that the array covers. */
  get pages(): number {
    return Math.ceil(this.byteLength / this.#core.pager.pageSize);
  }

  /**
   * Page number of the first page in the memory's address space, for operations whose turn has come: those called before
   * `destroy` still find it.
   */
  get firstPage(): number {
    this.assertMapped();
    return this.mapping.page;
  }

  /** A snapshot: it can be read, pinned for reading, given to kernels that read it, and destroyed. */
  get readOnly(): boolean {
    return this.mapping.readOnly;
  }

  /** What another thread makes this array of, by `memory.arrayFrom`. EINVAL of a memory that is not shared. */
  get handle(): ArrayHandle<T> {
    this.#assertAlive();
    const { type, length, label, mapping } = this;
    const memory = this.#core.pager.identity;
    if (memory === null || mapping.shared === null) {
      throw new MemoryError("EINVAL", `array "${label}" is in a memory of one thread: make it with shared: true`);
    }
    return { memory, type, length, label, isView: this.#source !== null, mapping: mapping.shared };
  }

  /** By this thread or another. */
  get destroyed(): boolean {
    return this.#destroyed || this.mapping.page === GONE || this.#source?.destroyed === true;
  }

  /** What pins hold now. */
  get pins(): ReadonlySet<PinnedRange> {
    return this.mapping.pins;
  }

  /**
   * Writes elements from `start` on: a typed array as views of the array are, or bytes (little endian): an `ArrayBuffer`, a
   * `DataView` or a `Uint8Array` of whole elements, a `Blob`, or chunks as they come from a web stream, a Node stream or
   * another async iterable, which need not end at elements. Rejects with EINVAL for another type or more than there is room
   * for. A source that fails, is aborted or ends within an element leaves what was written before: whole elements. Streams
   * are cancelled or destroyed then, also when the write's turn never comes. What is in memory is read when the write's turn
   * comes, so leave it alone until then; a source must not wait for an operation of the same memory, which would wait for it.
   */
  async write(
    source: View<T> | ArrayBufferLike | DataView | Uint8Array | ChunkSource,
    options: WriteOptions = {},
  ): Promise<void> {
    checkOptions("write", options, WRITE_OPTIONS);
    const { start = 0, signal } = options;
    this.assertWritable();
    this.#checkRange(start, 0);
    const stride = strideOf(this.type);
    const bytes = isViewOf(this.type, source)
      ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
      : untypedBytes(source);
    if (bytes === null) return this.#writeFrom(source, start, signal);
    const { byteLength } = bytes;
    this.#checkWhole(byteLength);
    this.#checkRange(start, byteLength / stride);
    return this.#core.queue.run(async (operation) => {
      if (bytes.byteLength !== byteLength) {
        throw new MemoryError(
          "EINVAL",
          `the source of array "${this.label}" was detached before the write's turn came`,
        );
      }
      // A copy of the array's own pages in parts would overtake itself.
      const apart = this.mapping.mayHold(bytes) ? bytes.slice() : bytes;
      await this.#writeBytes(apart, start * stride, operation);
    }, signal);
  }

  /**
   * The bytes of a range, little endian, as a web stream that reads a chunk when one is asked for: for `new Response`,
   * `pipeTo`, `for await` and Node's `pipeline`. Each chunk has its own place in the order of operations; stream a
   * `snapshot` to get them all from one. The stream fails with EINVAL when the array is destroyed before its end.
   */
  stream(options: StreamOptions = {}): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.#assertAlive();
    checkOptions("stream", options, STREAM_OPTIONS);
    const { start = 0, length = this.length - Number(start) } = options;
    this.#checkRange(start, length);
    return streamOf(this, start, start + length, options);
  }

  /** Copies elements into a new typed array, or into `into` as many as it has. */
  read(options?: ReadOptions): Promise<View<T, ArrayBuffer>>;
  read<V extends View<T>>(into: V, options?: ReadOptions): Promise<V>;
  async read(first?: View<T> | ReadOptions, second?: ReadOptions): Promise<View<T>> {
    this.#assertAlive();
    const into = isViewOf(this.type, first) ? first : undefined;
    if (into === undefined && ArrayBuffer.isView(first)) {
      throw new MemoryError(
        "EINVAL",
        `array "${this.label}" reads into a typed array of ${nameOf(this.type)} elements only`,
      );
    }
    const options = (into === undefined ? (first as ReadOptions | undefined) : second) ?? {};
    checkOptions("read", options, RANGE_OPTIONS);
    const { start = 0, signal } = options;
    if (into !== undefined) this.#checkWhole(into.byteLength);
    const given = into === undefined ? options.length : into.byteLength / strideOf(this.type);
    const length = given ?? this.length - Number(start);
    this.#checkRange(start, length);
    return this.#core.queue.run(async (operation) => {
      const target = into ?? viewOf(this.type, new ArrayBuffer(length * strideOf(this.type)), 0, length);
      const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
      const apart = this.mapping.mayHold(bytes) ? new Uint8Array(bytes.byteLength) : bytes;
      await this.#readBytes(apart, start * strideOf(this.type), operation);
      if (apart !== bytes) bytes.set(apart);
      return target;
    }, signal);
  }

  /**
   * Sets all elements of a range to one value: a number, or the numbers of a vector or a matrix as a view has them (a vector
   * of three may leave its fourth out; one number goes to all), or for a structure what its `of` makes, or 0.
   */
  async fill(value: number | bigint | ArrayLike<number>, range: Range & { signal?: AbortSignal } = {}): Promise<void> {
    this.assertWritable();
    const { start, length } = this.#rangeOf("fill", range);
    const pattern = patternOf(this.type, value);
    return this.#core.queue.run(async (operation) => {
      const stride = strideOf(this.type);
      await this.#access(start * stride, length * stride, true, operation, (bytes) => {
        fillView(viewOf(this.type, bytes.buffer, bytes.byteOffset, bytes.byteLength / stride), pattern);
      });
    }, range.signal);
  }

  /**
   * Makes the pages of a range resident in host memory and holds them there until the pin is released. Any number of pins
   * may overlap; what they mean to each other is the program's affair.
   */
  async pin(mode: PinMode, range: Range & { signal?: AbortSignal } = {}): Promise<Pin<T, B>> {
    this.#assertAlive();
    const place = this.#placeOf("pin", mode, range);
    return this.#core.queue.run(async (operation) => {
      this.assertMapped();
      try {
        return this.#createPin(place, await this.mapping.pin(place, operation));
      } catch (error) {
        throw this.#named(error);
      }
    }, range.signal);
  }

  /**
   * All elements as a typed array that stays right: a load finds the current bytes, a store is seen by what comes after it, in
   * this thread and in others, library code and system calls included. A page that is elsewhere comes by itself when it is touched; the
   * thread waits meanwhile, for a dispatch that uses the array too. A store to a snapshot, or one for which there is no memory,
   * ends the process, since a store cannot reject. What the view shows once the array is destroyed is unspecified.
   *
   * Resolves in its turn. Needs a memory made with `cpuAccess: "transparent"`, else ENOTSUP; `pin` gives views everywhere.
   */
  async view(options: { signal?: AbortSignal } = {}): Promise<View<T, SharedArrayBuffer>> {
    this.#assertAlive();
    checkOptions("view", options, SIGNAL_OPTIONS);
    return this.#core.queue.run(async (operation) => {
      this.assertMapped();
      const { buffer, byteOffset } = await this.mapping.window(operation);
      return viewOf<T, SharedArrayBuffer>(this.type, buffer, byteOffset, this.length);
    }, options.signal);
  }

  /** The same at once: null when a page is not in host memory, or while operations called before are still to be done. */
  tryPin(mode: PinMode, range: Range = {}): Pin<T, B> | null {
    this.#assertAlive();
    const place = this.#placeOf("tryPin", mode, range);
    if (!this.#core.queue.quiet || this.mapping.page < 0) return null;
    const pages = this.mapping.tryPin(place);
    return pages === null ? null : this.#createPin(place, pages);
  }

  /**
   * Makes a range resident on a device of WebGPU, side by side in one of its buffers, and holds it there until it is released:
   * `binding` is then a `GPUBufferBinding` for pipelines of the program's own, or of other libraries. A binding for writing
   * counts as written. The buffer has other pages, too: bind it as it is given, and see `docs/webgpu.md` for what WebGPU asks
   * of two bindings of one buffer.
   *
   * Meanwhile what needs the pages elsewhere rejects with EBUSY, which names the range: reads, writes and pins by the CPU,
   * kernels and copies that write them, for a binding for writing also those that read them, and other bindings unless both
   * are for reading. Destroying the array or the memory releases it.
   *
   * The range begins at a multiple of 256 bytes (`minStorageBufferOffsetAlignment`) and has a multiple of 4, else EINVAL. ENOMEM
   * when no buffer has so many bytes, or bindings hold what it needs; ENOTSUP where the device is no GPU, or is another thread's.
   */
  async bind(mode: PinMode, range: Range & { signal?: AbortSignal } = {}): Promise<DevicePin> {
    this.#assertAlive();
    const place = this.#placeOf("bind", mode, range);
    return this.#interop(range.signal, (interop, operation) =>
      interop.bind(place, this.#elements(place), this.#core.leaks, () => this.#written.release(place), operation),
    );
  }

  /**
   * Copies elements to a buffer of the program's, of the device's own `GPUDevice` and with `GPUBufferUsage.COPY_DST`: from byte
   * `targetOffset` of it on. Pages on the device are copied there, others from where they are; none move, so the array can be
   * larger than the device. Bytes on both sides are multiples of 4. EINVAL, with both numbers, for what is not so or does not
   * fit; an aborted copy has copied a part.
   */
  async copyTo(target: GpuBuffer, options: CopyToOptions = {}): Promise<void> {
    this.#assertAlive();
    const elements = this.#elements(this.#rangeOf("copyTo", options, COPY_TO_OPTIONS));
    return this.#interop(options.signal, (interop, operation) =>
      interop.copyTo(target, options.targetOffset ?? 0, elements, operation),
    );
  }

  /**
   * Copies bytes of a buffer of the program's, of the device's own `GPUDevice` and with `GPUBufferUsage.COPY_SRC`, to elements:
   * from byte `sourceOffset` of it on. The pages are written on the device, as by a kernel; pages that are overwritten whole are not
   * brought there before. A copy that rejects once it has begun leaves the elements unspecified, all others untouched.
   */
  async copyFrom(source: GpuBuffer, options: CopyFromOptions = {}): Promise<void> {
    this.assertWritable();
    const elements = this.#elements(this.#rangeOf("copyFrom", options, COPY_FROM_OPTIONS));
    return this.#interop(options.signal, (interop, operation) =>
      interop.copyFrom(source, options.sourceOffset ?? 0, elements, operation),
    );
  }

  /**
   * Moves pages ahead of their use. To the device: as many from the range's start on as fit; pinned pages stay. To the
   * host: all that the device holds.
   */
  async prefetch(to: "device" | "host", range: Range & { signal?: AbortSignal } = {}): Promise<void> {
    this.#assertAlive();
    const { start, length } = this.#rangeOf("prefetch", range);
    if (to !== "device" && to !== "host")
      throw new MemoryError("EINVAL", `prefetch goes to "device" or "host", not to "${String(to)}"`);
    const { first, end } = this.#pagesOf(start, length);
    return this.#core.queue.run(async (operation) => {
      this.assertMapped();
      await this.mapping.prefetch(to, first, end, operation);
    }, range.signal);
  }

  /**
   * The array as it is at this place in the order of operations, while kernels and writes called later go on: an array that
   * shares all pages, and is itself only read. No bytes are copied, save of pages that are pinned (a pin's stores go on);
   * later, one page for each that is written, in host memory, while this array stays where it is. EPERM is what writing the
   * snapshot gets. Both can be destroyed in any order. When there is no memory for its page tables, operations on the
   * snapshot reject with ENOMEM.
   *
   * On a memory with nothing to do the picture is taken within the call; else what is stored through the view of a pin before
   * the snapshot's turn is in it.
   */
  snapshot(options: ArrayOptions = {}): PagedArray<T, B> {
    this.#assertAlive();
    checkOptions("snapshot", options, ARRAY_OPTIONS);
    const { label = `snapshot of ${this.label}` } = options;
    const mapping = this.mapping.snapshot();
    return new PagedArray(this.#core, this.type, this.length, label, mapping, async (operation) => {
      this.assertMapped();
      await mapping.map(operation);
    });
  }

  /**
   * The same bytes as elements of another type: an array over the same pages, for everything that an array is for, save that
   * a kernel that writes one cannot be given the other as well. It ends when this array is destroyed; destroying it ends it
   * alone. EINVAL when the bytes are no whole number of elements of the type.
   */
  as<U extends ElementType>(type: U, options: ArrayOptions = {}): PagedArray<U, B> {
    this.#assertAlive();
    checkElementType(type, this.#core.pager.pageSize);
    checkOptions("as", options, ARRAY_OPTIONS);
    const stride = strideOf(type);
    if (this.byteLength % stride !== 0) {
      throw new MemoryError(
        "EINVAL",
        `the ${this.byteLength} bytes of array "${this.label}" are no whole number of elements: ${nameOf(type)} has ${stride}`,
      );
    }
    const { label = `${this.label} as ${nameOf(type)}` } = options;
    const source: PagedArray<ElementType, ArrayBufferLike> = this.#source ?? this;
    return new PagedArray(this.#core, type, this.byteLength / stride, label, this.mapping, source);
  }

  /**
   * Where the elements are at this moment: all of them, whole pages, in ascending order, neighbours in one place joined. It
   * waits for nothing that was called before, so that it can be looked at while a kernel runs, and moves nothing.
   */
  async residency(): Promise<ResidentRange[]> {
    this.#assertAlive();
    const { length } = this;
    const ranges = await this.mapping.residency(this.#core.pager.pageSize / strideOf(this.type), length);
    return ranges.length > 0 ? ranges : [{ start: 0, length, place: "none" }];
  }

  /**
   * The elements written since `clearDirty`, or since the array was made: by `write`, `fill`, kernels (all that they declare
   * to write, as far as the invocations of the dispatch go) and pins for writing (all that they hold, for as long as they hold
   * it). Whole pages, merged, in ascending order. Of a snapshot: those that were written when it was taken.
   */
  async dirtyRanges(options: { signal?: AbortSignal } = {}): Promise<DirtyRange[]> {
    this.#assertAlive();
    checkOptions("dirtyRanges", options, SIGNAL_OPTIONS);
    return this.#core.queue.run(async (operation) => {
      operation.checkpoint();
      this.assertMapped();
      const elements = this.#core.pager.pageSize / strideOf(this.type);
      const runs = await this.mapping.writtenRuns(operation);
      const ranges: DirtyRange[] = [];
      for (let i = 0; i < runs.length; i += 2) {
        const start = runs[i] * elements;
        ranges.push({ start, length: Math.min(runs[i + 1] * elements, this.length) - start });
      }
      return ranges;
    }, options.signal);
  }

  /** Forgets what was written until here. What a pin for writing holds counts as written all the same. */
  async clearDirty(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.assertWritable();
    checkOptions("clearDirty", options, SIGNAL_OPTIONS);
    return this.#written.clear(this.#core.queue, () => this.assertMapped(), options.signal);
  }

  /** Is it an array of this memory? */
  belongsTo(core: MemoryCore): boolean {
    return this.#core === core;
  }

  /** Throws EINVAL when the array is destroyed, EPERM when it is a snapshot. */
  assertWritable(): void {
    this.#assertAlive();
    if (this.readOnly) throw new MemoryError("EPERM", `array "${this.label}" is a snapshot, which cannot be written`);
  }

  /** Throws why there are no pages, to an operation whose turn has come. */
  assertMapped(): void {
    if (this.mapping.page >= 0) return;
    if (this.destroyed) throw this.#goneError();
    if (this.#source !== null) return this.#source.assertMapped();
    if (this.#unmappable instanceof MemoryError) throw this.#unmappable;
    throw new MemoryError("ENOMEM", `array "${this.label}" could not be mapped`);
  }

  /** Unmaps the array once the operations called before are done. Pins keep their pages until they are released. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#core.arrays.delete(this);
    if (this.#source === null) this.#core.queue.run((operation) => this.mapping.unmap(operation)).catch(() => {});
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  async #writeFrom(source: unknown, start: number, signal: AbortSignal | undefined): Promise<void> {
    checkSignal(signal);
    const chunks = chunksOf(source);
    if (chunks === null)
      throw new MemoryError(
        "EINVAL",
        `array "${this.label}" takes ${nameOf(this.type)} elements, bytes, a blob, a stream or an async iterable of bytes`,
      );
    const stride = strideOf(this.type);
    let closed = false;
    try {
      if (chunks.byteLength !== null) {
        this.#checkWhole(chunks.byteLength);
        this.#checkRange(start, chunks.byteLength / stride);
      }
      await this.#core.queue.run(async (operation) => {
        const { outside } = operation;
        try {
          const write = (bytes: Uint8Array, at: number): Promise<void> => this.#writeBytes(bytes, at, operation);
          await writeChunks(chunks, this.type, start * stride, this.byteLength, this.label, outside, write);
        } catch (error) {
          closed = true;
          await outside(chunks.close(error)).catch(() => {});
          throw error;
        }
      }, signal);
    } catch (error) {
      // A write whose turn did not come has not closed its source.
      if (!closed) chunks.close(error).catch(() => {});
      throw error;
    }
    chunks.end();
  }

  #checkWhole(byteLength: number): void {
    const stride = strideOf(this.type);
    if (byteLength % stride === 0) return;
    throw new MemoryError(
      "EINVAL",
      `${byteLength} bytes for array "${this.label}" are no whole number of elements: ${nameOf(this.type)} has ${stride}`,
    );
  }

  async #writeBytes(source: Uint8Array, at: number, operation: Operation): Promise<void> {
    await this.#access(at, source.byteLength, true, operation, (bytes, offset) => {
      bytes.set(source.subarray(offset, offset + bytes.byteLength));
    });
  }

  async #readBytes(target: Uint8Array, at: number, operation: Operation): Promise<void> {
    await this.#access(at, target.byteLength, false, operation, (bytes, offset) => target.set(bytes, offset));
  }

  /** Calls `use` with stretches of bytes `[at, at + length)` of the array, and their offset from `at`, in order. */
  async #access(at: number, length: number, write: boolean, operation: Operation, use: UseBytes): Promise<void> {
    if (length === 0) return;
    this.assertMapped();
    // The last page is written whole when its last element is: what is beyond that is nobody's.
    const end = at + length;
    const whole = write && end === this.byteLength ? this.pages * this.#core.pager.pageSize - at : length;
    const useElements: UseBytes =
      whole === length
        ? use
        : (bytes, offset) => {
            if (offset < length) use(bytes.subarray(0, length - offset), offset);
          };
    try {
      await this.mapping.access(at, whole, write, useElements, operation);
    } catch (error) {
      throw this.#named(error);
    }
  }

  /** An error of the pager's, which knows pages only. */
  #named(error: unknown): unknown {
    return nameLost(error, [this], this.#core.pager.pageSize);
  }

  #placeOf(what: string, mode: PinMode, range: Range): PinPlace<T> {
    const { start, length } = this.#rangeOf(what, range);
    if (writes(mode)) this.assertWritable();
    const { first, end } = this.#pagesOf(start, length);
    const { label, type, mapping } = this;
    return { label, mode, start, length, first, end, mapping, pageSize: this.#core.pager.pageSize, type };
  }

  #createPin(place: PinPlace<T>, pages: PinnedPages): Pin<T, B> {
    const { leaks } = this.#core;
    const pin: Pin<T, B> = new Pin(place, pages, () => {
      this.#written.release(place);
      leaks?.unregister(pin);
    });
    leaks?.register(pin, `${place.mode} pin of ${namePinned(place)}`, "in host memory");
    return pin;
  }

  #elements({ start, length }: DirtyRange): ElementBytes {
    return { label: this.label, stride: strideOf(this.type), start, length, total: this.length };
  }

  #interop<R>(
    signal: AbortSignal | undefined,
    use: (interop: MappingInterop, operation: Operation) => Promise<R>,
  ): Promise<R> {
    return this.#core.queue.run(async (operation) => {
      this.assertMapped();
      const { mapping } = this;
      try {
        if (mapping.interop !== undefined) return await use(await mapping.interop(), operation);
      } catch (error) {
        throw this.#named(error);
      }
      throw new MemoryError("ENOTSUP", `array "${this.label}" has no GPUBuffers here: the device is in another thread`);
    }, signal);
  }

  #pagesOf(start: number, length: number): { first: number; end: number } {
    const { pageSize } = this.#core.pager;
    const stride = strideOf(this.type);
    return {
      first: Math.floor((start * stride) / pageSize),
      end: Math.ceil(((start + length) * stride) / pageSize),
    };
  }

  #rangeOf<R extends Range>(
    what: string,
    range: R,
    names: OptionNames<R> = RANGE_OPTIONS as OptionNames<R>,
  ): DirtyRange {
    checkOptions(what, range, names);
    const { start = 0, length } = range;
    const elements = length ?? this.length - Number(start);
    this.#checkRange(start, elements);
    if (elements === 0) throw new MemoryError("EINVAL", `a range of 0 elements of array "${this.label}" has no pages`);
    return { start, length: elements };
  }

  #checkRange(start: number, length: number): void {
    const whole = Number.isSafeInteger(start) && Number.isSafeInteger(length) && start >= 0 && length >= 0;
    if (!whole || start + length > this.length) {
      throw new MemoryError(
        "EINVAL",
        `elements ${start} to ${sumOf(start, length)} are not within the ${this.length} of array "${this.label}"`,
      );
    }
  }

  #assertAlive(): void {
    this.#core.queue.assertOpen();
    if (this.destroyed) throw this.#goneError();
  }

  #goneError(): MemoryError {
    return new MemoryError("EINVAL", `array "${this.label}" is destroyed`);
  }
}

/** For a message: what is given may be no number at all. */
function sumOf(start: unknown, length: unknown): string {
  return typeof start === "number" && typeof length === "number"
    ? String(start + length)
    : `${String(start)} + ${String(length)}`;
}

function writes(mode: PinMode): boolean {
  if (mode !== "read" && mode !== "write")
    throw new MemoryError("EINVAL", `a pin's mode is "read" or "write", not "${String(mode)}"`);
  return mode === "write";
}
