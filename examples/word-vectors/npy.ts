/**
 * The headers of .npy files, as far as the search can take what is in them as it lies in the file: two dimensions,
 * little-endian float32, rows one after another. Everything else is refused by its name.
 */

import { MemoryError } from "../../src/index.js";
import { isNpy, type NpyHeader, readNpyHeader } from "../../src/npy/index.js";
import { JobFailure } from "../program/failure.js";

export interface VectorHeader {
  readonly rows: number;
  readonly dimensions: number;
  /** Where the numbers begin. */
  readonly dataOffset: number;
}

/** `start` is the beginning of the file, as many bytes as a header can have, or all; `file` is what messages call it. */
export function readVectorHeader(start: Uint8Array, file: string): VectorHeader {
  const refuse = (why: string): JobFailure => new JobFailure("EINVAL", `${file}: ${why}`);
  if (!isNpy(start)) throw refuse("not a .npy file: it does not begin with \\x93NUMPY");
  const { type, littleEndian, shape, dataOffset } = headerIn(start, refuse);
  if (type !== "f32" || !littleEndian)
    throw refuse(`the elements are ${littleEndian ? "" : "big-endian "}${type}; little-endian float32 is needed`);
  const [rows, dimensions] = shape;
  if (shape.length !== 2) {
    throw refuse(
      `the array has ${shape.length} dimensions, shape (${shape.join(", ")}); 2 are needed, words by numbers`,
    );
  }
  return { rows, dimensions, dataOffset };
}

function headerIn(start: Uint8Array, refuse: (why: string) => JobFailure): NpyHeader {
  try {
    const header = readNpyHeader(start);
    if (header !== null) return header;
  } catch (error) {
    if (error instanceof MemoryError) throw refuse(error.message.replace(/^EINVAL: /, ""));
    throw error;
  }
  throw refuse(`cut off inside the .npy header: there are ${start.length} bytes`);
}
