/**
 * .npy files into arrays: the header says what array to make, and the elements go into it as they come. A source that
 * fails leaves no array.
 */

import { strideOf } from "../device/element.js";
import type { ScalarType } from "../device/layout.js";
import { checkOptions, type OptionNames } from "../device/options.js";
import { MemoryError } from "../mm/errors.js";
import { checkSignal } from "../unified/operation-queue.js";
import type { PagedArray } from "../unified/paged-array.js";
import type { UnifiedMemory } from "../unified/unified-memory.js";
import { type Chunks, type ChunkSource, chunksOf, untypedBytes } from "../unified/write-source.js";
import { type NpyHeader, readNpyHeader, refusal } from "./header.js";
import { swapBytes } from "./swap-bytes.js";

/** What `loadNpy` may be told beside its source. */
export interface LoadNpyOptions {
  /** A name for messages and reports. */
  label?: string;
  signal?: AbortSignal;
}

/** An array that came out of a `.npy` file, and its shape. */
export interface LoadedNpy<B extends ArrayBufferLike = ArrayBuffer> {
  readonly array: PagedArray<ScalarType, B>;
  /** Lengths of the dimensions, the outermost first; the array has all elements in C order. */
  readonly shape: readonly number[];
}

const OPTIONS: OptionNames<LoadNpyOptions> = { label: true, signal: true };

/**
 * Makes an array of the elements of a .npy file: float32 and 64, int8 to 64, uint8 to 64, and bool as u8 of 0 and 1, in
 * either byte order. Rejects with EINVAL for Fortran order, other types and a file that is shorter or longer than its shape.
 */
export async function loadNpy<B extends ArrayBufferLike = ArrayBuffer>(
  memory: UnifiedMemory<B>,
  source: Uint8Array | ArrayBuffer | ChunkSource,
  options: LoadNpyOptions = {},
): Promise<LoadedNpy<B>> {
  checkOptions("loadNpy", options, OPTIONS);
  const { label, signal } = options;
  checkSignal(signal);
  const bytes = untypedBytes(source);
  const chunks = chunksOf(bytes === null ? source : once(bytes));
  if (chunks === null)
    throw new MemoryError("EINVAL", "loadNpy takes bytes, a blob, a stream or an async iterable of bytes");
  let array: PagedArray<ScalarType, B> | null = null;
  try {
    signal?.throwIfAborted();
    const { header, rest } = await unlessAborted(readHeader(chunks), signal);
    array = memory.createArray(header.type, header.length, label === undefined ? {} : { label });
    const elements = new Elements(chunks, header, rest);
    await array.write(elements, signal === undefined ? {} : { signal });
    chunks.end();
    return { array, shape: header.shape };
  } catch (error) {
    array?.destroy();
    chunks.close(error).catch(() => {});
    throw error;
  }
}

/** The chunks behind the header, in the byte order of arrays. Ended early, it ends the source without waiting for it. */
class Elements implements AsyncIterable<Uint8Array> {
  readonly #chunks: Chunks;
  readonly #header: NpyHeader;
  #rest: Uint8Array | null;
  #bytes = 0;
  /** Bytes of an element that is still cut. */
  #cut = new Uint8Array(0);

  constructor(chunks: Chunks, header: NpyHeader, rest: Uint8Array) {
    this.#chunks = chunks;
    this.#header = header;
    this.#rest = rest;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      return: async () => {
        await this.#chunks.close(new MemoryError("EINVAL", "the .npy source is not read to its end"));
        return { done: true, value: undefined };
      },
    };
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    const { type, length, littleEndian } = this.#header;
    const stride = strideOf(type);
    const next = this.#rest === null ? await this.#chunks.next() : { done: false, value: this.#rest };
    this.#rest = null;
    if (next.done === true) {
      if (this.#bytes === length * stride) return { done: true, value: undefined };
      throw refusal(`ends after ${this.#bytes} of the ${length * stride} bytes of ${length} ${type}`);
    }
    const chunk = asBytes(next.value);
    this.#bytes += chunk.byteLength;
    if (littleEndian || stride === 1) return { done: false, value: chunk };
    const joined = join(this.#cut, chunk);
    const whole = joined.byteLength - (joined.byteLength % stride);
    this.#cut = joined.slice(whole);
    swapBytes(joined.subarray(0, whole), stride);
    return { done: false, value: joined.subarray(0, whole) };
  }
}

async function readHeader(chunks: Chunks): Promise<{ header: NpyHeader; rest: Uint8Array }> {
  let start = new Uint8Array(0);
  for (;;) {
    const { done, value } = await chunks.next();
    if (done === true) throw refusal(`ends after ${start.length} bytes, within its header`);
    start = join(start, asBytes(value));
    const header = readNpyHeader(start);
    if (header !== null) return { header, rest: start.subarray(header.dataOffset) };
  }
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal?.reason as Error);
  });
  signal?.addEventListener("abort", onAbort);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function asBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new MemoryError("EINVAL", `loadNpy takes chunks of bytes, not ${typeof chunk}`);
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(first.byteLength + second.byteLength);
  joined.set(first);
  joined.set(second, first.byteLength);
  return joined;
}
