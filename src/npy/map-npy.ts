/**
 * .npy files as mapped arrays: the header is read, the elements are mapped where they lie, and read page by page as they are
 * used. So only what lies there as memory has it can be mapped.
 */

import { strideOf } from "../device/element.js";
import { checkOptions, type OptionNames } from "../device/options.js";
import { BlobSource, type ByteSource } from "../unified/byte-source.js";
import { FileSource } from "../unified/local/file-source.js";
import type { UnifiedMemory } from "../unified/unified-memory.js";
import { MAX_NPY_HEADER_BYTES, type NpyHeader, readNpyHeader, refusal } from "./header.js";
import type { LoadedNpy } from "./load-npy.js";

/** What `mapNpy` may be told beside its source. */
export interface MapNpyOptions {
  /** A name for messages and reports. */
  label?: string;
}

const OPTIONS: OptionNames<MapNpyOptions> = { label: true };

/** Enough for the headers of most files. */
const FIRST_BYTES = 256;

/**
 * An array over a .npy file (a path or a file URL, in Node) or over a `Blob` or `File` that holds one: nothing but the header
 * is read before it is used, as with `mapFile` and `mapBlob`. Rejects with EINVAL for what only `loadNpy` can read (big endian,
 * elements that do not begin at a multiple of their size), for what neither can, and for a file that is shorter or longer than
 * its shape.
 */
export async function mapNpy<B extends ArrayBufferLike = ArrayBuffer>(
  memory: UnifiedMemory<B>,
  source: string | URL | Blob,
  options: MapNpyOptions = {},
): Promise<LoadedNpy<B>> {
  checkOptions("mapNpy", options, OPTIONS);
  const header = await headerOf(source);
  const { type, shape, length, dataOffset: offset } = header;
  const mapping = { type, offset, length, ...options };
  const isBlob = typeof source === "object" && "slice" in source;
  return { array: await (isBlob ? memory.mapBlob(source, mapping) : memory.mapFile(source, mapping)), shape };
}

async function headerOf(source: string | URL | Blob): Promise<NpyHeader> {
  const isBlob = typeof source === "object" && "slice" in source;
  const opened = isBlob ? new BlobSource(source) : await FileSource.open(source);
  try {
    const header = await readHeader(opened);
    checkMappable(header, opened.byteLength);
    return header;
  } finally {
    await opened.close();
  }
}

async function readHeader(source: ByteSource): Promise<NpyHeader> {
  for (let bytes = FIRST_BYTES; ; bytes *= 4) {
    const start = new Uint8Array(Math.min(bytes, MAX_NPY_HEADER_BYTES, source.byteLength));
    await source.readInto(0, start);
    const header = readNpyHeader(start);
    if (header !== null) return header;
    if (start.length === source.byteLength) throw refusal(`ends after ${start.length} bytes, within its header`);
  }
}

function checkMappable({ type, length, littleEndian, dataOffset }: NpyHeader, byteLength: number): void {
  const stride = strideOf(type);
  const end = dataOffset + length * stride;
  if (byteLength !== end) {
    throw refusal(`has ${byteLength} bytes, and its header of ${dataOffset} and its ${length} ${type} take ${end}`);
  }
  if (!littleEndian && stride > 1) throw refusal(`is big endian, which cannot be mapped: loadNpy reads it`);
  if (dataOffset % stride !== 0) {
    throw refusal(
      `has ${type} elements from byte ${dataOffset} on, no multiple of ${stride}, which cannot be mapped: loadNpy reads it`,
    );
  }
}
