/**
 * The source behind a mapped array: which bytes of it each page holds. The last page ends in zeros. What was read is
 * counted, byte for byte.
 */

import { checkElementType, nameOf, strideOf } from "../../device/element.js";
import { MemoryError } from "../../mm/errors.js";
import type { FileBacking } from "../../mm/file/page-cache.js";
import type { ByteSource } from "../byte-source.js";
import type { MapSourceOptions } from "../map-options.js";

/** Elements that a mapping has. EINVAL, naming the value and its bound, for one that does not lie within the source. */
export function checkMapping(
  source: ByteSource,
  { type, offset = 0, length }: MapSourceOptions,
  pageSize: number,
): number {
  const { name, byteLength } = source;
  checkElementType(type, pageSize);
  const stride = strideOf(type);
  if (!Number.isSafeInteger(offset) || offset < 0 || offset % stride !== 0) {
    throw new MemoryError(
      "EINVAL",
      `offset ${offset} of a mapping is not a multiple of the ${stride} bytes of ${nameOf(type)}`,
    );
  }
  const rest = byteLength - offset;
  if (rest < stride) {
    throw new MemoryError(
      "EINVAL",
      `${name} has ${byteLength} bytes: from offset ${offset} on there is no ${nameOf(type)}`,
    );
  }
  if (length === undefined) {
    if (rest % stride === 0) return rest / stride;
    throw new MemoryError(
      "EINVAL",
      `the ${rest} bytes of ${name} from offset ${offset} on are no whole number of ${nameOf(type)}: say how many by length`,
    );
  }
  if (!Number.isSafeInteger(length) || length < 1)
    throw new MemoryError("EINVAL", `a mapping's length is a whole number of at least 1, not ${length}`);
  if (length * stride > rest) {
    throw new MemoryError(
      "EINVAL",
      `${length} elements of ${nameOf(type)} from offset ${offset} on need ${offset + length * stride} bytes, and ${name} has ${byteLength}`,
    );
  }
  return length;
}

export class MappedSource implements FileBacking {
  readonly maxRun: number;
  readonly source: ByteSource;
  readonly #offset: number;
  readonly #end: number;
  readonly #pageSize: number;
  readonly #onRead: (bytes: number) => void;
  readonly #onClose: () => void;

  /** Bytes `[offset, offset + byteLength)` of the source, in pages. */
  constructor(
    source: ByteSource,
    offset: number,
    byteLength: number,
    pageSize: number,
    onRead: (bytes: number) => void,
    onClose: () => void,
  ) {
    this.source = source;
    this.#offset = offset;
    this.#end = offset + byteLength;
    this.#pageSize = pageSize;
    this.#onRead = onRead;
    this.#onClose = onClose;
    this.maxRun = Math.max(1, Math.floor(source.requestBytes / pageSize));
  }

  async read(index: number, into: Uint8Array): Promise<void> {
    const from = this.#offset + index * this.#pageSize;
    const bytes = Math.min(into.byteLength, this.#end - from);
    await this.source.readInto(from, into.subarray(0, bytes));
    into.fill(0, bytes);
    this.#onRead(bytes);
  }

  close(): void {
    this.#onClose();
  }
}
