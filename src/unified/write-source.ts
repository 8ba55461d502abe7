/**
 * What arrays are written from, as one thing: chunks of bytes asked for one at a time, and a way to end the source before
 * its end. Nothing is asked for ahead, so that a source is read no faster than the memory takes it.
 */

import { type ElementType, nameOf, strideOf } from "../device/element.js";
import { MemoryError } from "../mm/errors.js";
import { BlobSource } from "./byte-source.js";
import type { Outside } from "./operation-queue.js";

/** Bytes that come in chunks of any size, which need not end at elements. */
export type ChunkSource = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array> | Blob;

export interface Chunks {
  /** Bytes of all chunks together, where that is known before. */
  readonly byteLength: number | null;
  next(): Promise<IteratorResult<unknown, unknown>>;
  /** Nothing more is read: the source is cancelled, destroyed or returned, also while a chunk is still to come. */
  close(reason: unknown): Promise<unknown>;
  /** Nothing more is to come. */
  end(): void;
}

/** Bytes of one chunk of a blob. */
const BLOB_CHUNK_BYTES = 1024 * 1024;

/** The chunks of a source; null for what is none. EINVAL for a stream that another reader has locked. */
export function chunksOf(source: unknown): Chunks | null {
  if (typeof source !== "object" || source === null) return null;
  if (isStream(source)) return chunksOfStream(source);
  if (isBlob(source)) return chunksOfBlob(source);
  return Symbol.asyncIterator in source ? chunksOfIterable(source as AsyncIterable<unknown>) : null;
}

/** Bytes without an element type of their own, which go into arrays of any type; null for anything else. */
export function untypedBytes(source: unknown): Uint8Array | null {
  if (source instanceof Uint8Array) return source;
  if (source instanceof DataView) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  const shared = typeof SharedArrayBuffer === "function" && source instanceof SharedArrayBuffer;
  return shared || source instanceof ArrayBuffer ? new Uint8Array(source) : null;
}

/**
 * Hands all chunks to `write`, from byte `from` of an array on, in whole elements: bytes of an element that is still cut
 * are held back. A source that fails, does not fit into `byteLength` bytes or ends within an element has written the elements before.
 */
export async function writeChunks(
  chunks: Chunks,
  type: ElementType,
  from: number,
  byteLength: number,
  label: string,
  outside: Outside,
  write: (bytes: Uint8Array, at: number) => Promise<void>,
): Promise<void> {
  const stride = strideOf(type);
  const cut = new Uint8Array(stride);
  let held = 0;
  let at = from;
  for (;;) {
    const { done, value } = await outside(chunks.next());
    if (done === true) break;
    if (!(value instanceof Uint8Array))
      throw new MemoryError("EINVAL", `array "${label}" takes chunks of bytes, not ${typeof value}`);
    const came = at - from + held + value.byteLength;
    if (from + came > byteLength) {
      throw new MemoryError(
        "EINVAL",
        `the source of array "${label}" goes beyond its ${byteLength} bytes: ${came} came for byte ${from} and on`,
      );
    }
    let chunk = value;
    if (held > 0) {
      const missing = chunk.subarray(0, stride - held);
      cut.set(missing, held);
      held += missing.byteLength;
      if (held < stride) continue;
      await write(cut, at);
      at += stride;
      chunk = chunk.subarray(missing.byteLength);
    }
    held = chunk.byteLength % stride;
    const whole = chunk.byteLength - held;
    cut.set(chunk.subarray(whole));
    if (whole > 0) await write(chunk.subarray(0, whole), at);
    at += whole;
  }
  if (held > 0) {
    throw new MemoryError(
      "EINVAL",
      `the source of array "${label}" ended after ${at - from + held} bytes, within an element: ${held} of the ${stride} bytes of ${nameOf(type)}`,
    );
  }
}

function chunksOfStream(stream: ReadableStream<unknown>): Chunks {
  if (stream.locked) throw new MemoryError("EINVAL", "the stream is locked: another reader reads it");
  const reader = stream.getReader();
  return {
    byteLength: null,
    next: () => reader.read(),
    async close(reason) {
      const cancelled = reader.cancel(reason);
      reader.releaseLock();
      await cancelled;
    },
    end: () => reader.releaseLock(),
  };
}

function chunksOfIterable(source: AsyncIterable<unknown> & { destroy?: unknown; pipe?: unknown }): Chunks {
  let iterator: AsyncIterator<unknown> | null = null;
  return {
    byteLength: null,
    next: () => (iterator ??= source[Symbol.asyncIterator]()).next(),
    async close() {
      // The iterator of a Node stream would wait for a chunk that may never come.
      if (typeof source.destroy === "function" && typeof source.pipe === "function") source.destroy();
      else await iterator?.return?.();
    },
    end: () => {},
  };
}

function chunksOfBlob(blob: Blob): Chunks {
  const source = new BlobSource(blob);
  let at = 0;
  return {
    byteLength: blob.size,
    async next() {
      const bytes = new Uint8Array(Math.min(BLOB_CHUNK_BYTES, blob.size - at));
      if (bytes.byteLength === 0) return { done: true, value: undefined };
      await source.readInto(at, bytes);
      at += bytes.byteLength;
      return { done: false, value: bytes };
    },
    close: () => Promise.resolve(),
    end: () => {},
  };
}

function isStream(source: object): source is ReadableStream<unknown> {
  return "getReader" in source && typeof source.getReader === "function";
}

function isBlob(source: object): source is Blob {
  return typeof Blob === "function" && source instanceof Blob;
}
