/** Arrays as .npy files: the header, and the array's own stream behind it. */

import type { ElementType } from "../device/element.js";
import { checkOptions, type OptionNames } from "../device/options.js";
import { MemoryError } from "../mm/errors.js";
import type { PagedArray } from "../unified/paged-array.js";
import { packer } from "./descriptor.js";
import { writeNpyHeader } from "./header.js";

/** What `npyStream` may be told beside its array. */
export interface NpyStreamOptions {
  /** Lengths of the dimensions of elements, the outermost first. Default: one dimension. */
  shape?: readonly number[];
  signal?: AbortSignal;
}

const OPTIONS: OptionNames<NpyStreamOptions> = { shape: true, signal: true };

/**
 * An array as a .npy file, little endian, C order. Vectors and matrices become numbers, with dimensions of their own behind
 * those of the shape: (rows), or (columns, rows); structures become NumPy's structured types. Padding is left out. EINVAL for
 * a shape of another number of elements.
 */
export function npyStream<T extends ElementType>(
  array: PagedArray<T, ArrayBufferLike>,
  options: NpyStreamOptions = {},
): ReadableStream<Uint8Array<ArrayBuffer>> {
  checkOptions("npyStream", options, OPTIONS);
  const { shape = [array.length], signal } = options;
  const length = shape.reduce((product, dimension) => product * dimension, 1);
  if (!shape.every((dimension) => Number.isSafeInteger(dimension) && dimension > 0) || length !== array.length) {
    throw new MemoryError(
      "EINVAL",
      `shape (${shape.join(", ")}) is not one of the ${array.length} elements of array "${array.label}"`,
    );
  }
  const header = writeNpyHeader(array.type, shape);
  const pack = packer(array.type);
  const reader = array.stream(signal === undefined ? {} : { signal }).getReader();
  const source = {
    start: (controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>) => controller.enqueue(header),
    async pull(controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>) {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(pack(value));
    },
    cancel: (reason: unknown) => reader.cancel(reason),
  };
  return new ReadableStream<Uint8Array<ArrayBuffer>>(source, { highWaterMark: 0 });
}
