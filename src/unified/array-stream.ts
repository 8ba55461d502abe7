/**
 * An array's bytes as a web stream: one chunk is read for each that the consumer asks for, none ahead, so that the only
 * copies are of chunks that are on their way. Each chunk is an operation of its own in the order of operations.
 */

import { type ElementType, strideOf } from "../device/element.js";
import type { OptionNames } from "../device/options.js";
import { MemoryError } from "../mm/errors.js";
import { checkSignal } from "./operation-queue.js";

/** Of an array as a stream of bytes. */
export interface StreamOptions {
  /** First element. Default 0. */
  start?: number;
  /** Elements. Default: to the end. */
  length?: number;
  /** Elements a chunk; the last may be shorter. Default: as many as 256 KiB hold. */
  chunkLength?: number;
  /** Aborted, the stream fails with its reason. */
  signal?: AbortSignal;
}

export const STREAM_OPTIONS: OptionNames<StreamOptions> = {
  start: true,
  length: true,
  chunkLength: true,
  signal: true,
};

const CHUNK_BYTES = 256 * 1024;

type Controller = ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;

/** What the stream reads from. */
export interface Streamed {
  readonly type: ElementType;
  read(options: { start: number; length: number }): Promise<ArrayBufferView<ArrayBuffer>>;
}

/** The bytes of elements `[start, end)`, little endian. EINVAL for a chunk of no elements. */
export function streamOf(
  array: Streamed,
  start: number,
  end: number,
  { chunkLength = CHUNK_BYTES / strideOf(array.type), signal }: StreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (!Number.isSafeInteger(chunkLength) || chunkLength < 1)
    throw new MemoryError("EINVAL", `chunkLength is a whole number of at least 1, not ${String(chunkLength)}`);
  checkSignal(signal);
  let at = start;
  let ended = false;
  let onAbort = (): void => {};
  const finish = (): void => {
    ended = true;
    signal?.removeEventListener("abort", onAbort);
  };
  const source = {
    start(controller: Controller) {
      onAbort = () => {
        finish();
        controller.error(signal?.reason);
      };
      if (signal?.aborted === true) onAbort();
      else signal?.addEventListener("abort", onAbort);
    },
    async pull(controller: Controller) {
      const length = Math.min(chunkLength, end - at);
      try {
        if (length > 0) {
          const { buffer } = await array.read({ start: at, length });
          if (ended) return;
          at += length;
          controller.enqueue(new Uint8Array(buffer));
        }
      } catch (error) {
        finish();
        throw error;
      }
      if (at < end) return;
      finish();
      controller.close();
    },
    cancel: finish,
  };
  return new ReadableStream<Uint8Array<ArrayBuffer>>(source, { highWaterMark: 0 });
}
