/**
 * A file of float32 vectors, one row after another, described without being loaded: `.npy`, or raw numbers with a given
 * dimension. Invariant: the file holds exactly `rows * dimensions` numbers after `dataOffset`, or opening it failed; and
 * no chunk that leaves `readChunks` holds a number that is not finite.
 */

import { open, type FileHandle } from "node:fs/promises";
import { endianness } from "node:os";
import { explain, JobFailure } from "../program/failure.js";
import { isNpy, MAX_NPY_HEADER_BYTES } from "../../src/npy/index.js";
import { readVectorHeader } from "./npy.js";
import { count } from "../program/sizes.js";

export interface VectorFile {
  readonly file: string;
  readonly rows: number;
  readonly dimensions: number;
  readonly dataOffset: number;
}

export const bytesPerNumber = 4;
export const largestDimension = 65_536;

const chunkBytes = 1024 ** 2;

/** Looks at the header and the length only. `dimensions` says that a file without a header holds raw float32. */
export async function openVectorFile(file: string, dimensions?: number): Promise<VectorFile> {
  if (endianness() !== "LE") throw new JobFailure("EINVAL", "word vectors can be read on little-endian machines only");
  const { bytes, start } = await beginningOf(file);
  if (isNpy(start)) {
    if (dimensions !== undefined) {
      throw new JobFailure(
        "EINVAL",
        `--dim ${dimensions} is for raw float32, but ${file} is a .npy file and says its own`,
      );
    }
    const header = readVectorHeader(start, file);
    checkDimension(header.dimensions, `${file}: dimension`);
    const expected = header.dataOffset + header.rows * header.dimensions * bytesPerNumber;
    if (bytes !== expected) {
      throw new JobFailure(
        "EBADMSG",
        `${file} is ${bytes < expected ? "cut off" : "too long"}: ${count(bytes)} bytes, but ${count(header.rows)} x ` +
          `${header.dimensions} numbers and the header take ${count(expected)}`,
      );
    }
    return { file, ...header };
  }
  if (file.toLowerCase().endsWith(".npy")) readVectorHeader(start, file);
  if (dimensions === undefined) {
    throw new JobFailure(
      "EINVAL",
      `${file} is not a .npy file; if it holds raw float32, say how many make a vector with --dim`,
    );
  }
  const rowBytes = dimensions * bytesPerNumber;
  if (bytes === 0 || bytes % rowBytes !== 0) {
    throw new JobFailure(
      "EBADMSG",
      `${file} has ${count(bytes)} bytes, which is not a whole number of vectors of ${dimensions} float32 (${count(rowBytes)} bytes)`,
    );
  }
  return { file, rows: bytes / rowBytes, dimensions, dataOffset: 0 };
}

export function checkDimension(dimensions: number, what: string): void {
  if (!Number.isInteger(dimensions) || dimensions < 1 || dimensions > largestDimension) {
    throw new JobFailure("EINVAL", `${what} ${dimensions} is not a whole number from 1 to ${largestDimension}`);
  }
}

/** The numbers of the file in order, as bytes. A chunk stays the reader's: it is not used again for the next one. */
export async function* readChunks(
  vectors: VectorFile,
  options: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {},
): AsyncGenerator<Uint8Array> {
  const total = vectors.rows * vectors.dimensions * bytesPerNumber;
  const handle = await open(vectors.file).catch(cannotRead(vectors.file));
  try {
    for (let done = 0; done < total;) {
      options.signal?.throwIfAborted();
      const chunk = new Uint8Array(Math.min(chunkBytes, total - done));
      await fill(chunk, handle, vectors, done);
      refuseWhatIsNotFinite(vectors, new Float32Array(chunk.buffer), done / bytesPerNumber);
      done += chunk.length;
      yield chunk;
      options.onProgress?.(done);
    }
  } finally {
    await handle.close();
  }
}

/** Whether vector `row` has a number other than zero; without one it points nowhere and has no cosine with anything. */
export async function hasDirection(vectors: VectorFile, row: number): Promise<boolean> {
  const numbers = new Float32Array(vectors.dimensions);
  const handle = await open(vectors.file).catch(cannotRead(vectors.file));
  try {
    await fill(new Uint8Array(numbers.buffer), handle, vectors, row * vectors.dimensions * bytesPerNumber);
  } finally {
    await handle.close();
  }
  return numbers.some((number) => number !== 0);
}

/** Reads what stands `start` bytes after the first number. */
async function fill(chunk: Uint8Array, handle: FileHandle, vectors: VectorFile, start: number): Promise<void> {
  for (let filled = 0; filled < chunk.length;) {
    const { bytesRead } = await handle
      .read(chunk, filled, chunk.length - filled, vectors.dataOffset + start + filled)
      .catch(cannotRead(vectors.file));
    if (bytesRead === 0) {
      const total = vectors.rows * vectors.dimensions * bytesPerNumber;
      throw new JobFailure(
        "EBADMSG",
        `${vectors.file} became shorter while it was read: ${count(start + filled)} of ${count(total)} bytes`,
      );
    }
    filled += bytesRead;
  }
}

function refuseWhatIsNotFinite(vectors: VectorFile, numbers: Float32Array, first: number): void {
  // A sum is finite only if every number is; so the usual chunk costs one addition a number, and no branch.
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum += numbers[i];
  if (Number.isFinite(sum)) return;
  for (let i = 0; i < numbers.length; i++) {
    if (Number.isFinite(numbers[i])) continue;
    const row = Math.floor((first + i) / vectors.dimensions);
    const column = (first + i) % vectors.dimensions;
    throw new JobFailure(
      "EINVAL",
      `${vectors.file}: number ${column + 1} of vector ${row + 1} is ${numbers[i]}; cosine similarity needs finite numbers`,
    );
  }
}

async function beginningOf(file: string): Promise<{ bytes: number; start: Uint8Array }> {
  const handle = await open(file).catch(cannotRead(file));
  try {
    const status = await handle.stat();
    if (!status.isFile()) throw new JobFailure("EINVAL", `cannot read ${file}: it is not a regular file`);
    const { buffer, bytesRead } = await handle.read(new Uint8Array(MAX_NPY_HEADER_BYTES), 0, MAX_NPY_HEADER_BYTES, 0);
    return { bytes: status.size, start: buffer.subarray(0, bytesRead) };
  } catch (error) {
    throw explain(error, `cannot read ${file}`);
  } finally {
    await handle.close();
  }
}

function cannotRead(file: string): (error: unknown) => never {
  return (error) => {
    throw explain(error, `cannot read ${file}`);
  };
}
