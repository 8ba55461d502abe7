/**
 * Files out of a tar archive that passes by as a stream, so that an archive larger than memory can be read. Only what
 * npm's archives hold is understood: regular entries with their sizes in octal; extended headers are skipped. Invariant:
 * an entry's bytes come whole, or the iteration fails; the archive is read to its end either way, so that a fault in
 * its compression after the entry is noticed too.
 */

import { JobFailure } from "../program/failure.js";
import { count } from "../program/sizes.js";

const blockBytes = 512;
const nothing = new Uint8Array(0);

/** A piece of a file, in order. The first one of each is empty, so that files without bytes are seen, too. */
export interface TarPiece {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The bytes of the first entry at `path`; a second one there is passed over. */
export async function* tarEntry(archive: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  let times = 0;
  for await (const piece of tarEntries(archive)) {
    if (piece.path !== path) continue;
    if (piece.bytes.length === 0) times++;
    else if (times === 1) yield piece.bytes;
  }
  if (times === 0) throw new JobFailure("EBADMSG", `the archive has no entry ${path}`);
}

export async function* tarEntries(archive: AsyncIterable<Uint8Array>): AsyncGenerator<TarPiece> {
  const header = new Uint8Array(blockBytes);
  let headerFilled = 0;
  let entryLeft = 0;
  let paddingLeft = 0;
  /** Of the file that passes by; null for what is no file. */
  let path: string | null = null;

  for await (const chunk of archive) {
    let position = 0;
    while (position < chunk.length) {
      const available = chunk.length - position;
      if (entryLeft > 0) {
        const taken = Math.min(entryLeft, available);
        if (path !== null) yield { path, bytes: chunk.subarray(position, position + taken) };
        entryLeft -= taken;
        position += taken;
      } else if (paddingLeft > 0) {
        const taken = Math.min(paddingLeft, available);
        paddingLeft -= taken;
        position += taken;
      } else {
        const taken = Math.min(blockBytes - headerFilled, available);
        header.set(chunk.subarray(position, position + taken), headerFilled);
        headerFilled += taken;
        position += taken;
        if (headerFilled < blockBytes) continue;
        headerFilled = 0;
        // Two empty blocks end an archive; an empty one in between means nothing.
        if (header.every((byte) => byte === 0)) continue;
        const entry = readHeader(header);
        path = entry.isFile ? entry.path : null;
        if (path !== null) yield { path, bytes: nothing };
        entryLeft = entry.bytes;
        paddingLeft = (blockBytes - (entry.bytes % blockBytes)) % blockBytes;
      }
    }
  }
  if (entryLeft + paddingLeft + headerFilled > 0) {
    throw new JobFailure("EBADMSG", `the archive is cut off: ${count(entryLeft)} bytes of an entry are missing`);
  }
}

function readHeader(header: Uint8Array): { path: string; bytes: number; isFile: boolean } {
  const stored = octal(header, 148, 8);
  let sum = 0;
  for (let i = 0; i < blockBytes; i++) sum += i >= 148 && i < 156 ? 0x20 : header[i];
  if (sum !== stored)
    throw new JobFailure("EBADMSG", `the archive is damaged: a header's checksum is ${sum}, not ${stored}`);
  const name = text(header, 0, 100);
  const prefix = text(header, 257, 5) === "ustar" ? text(header, 345, 155) : "";
  return {
    path: prefix === "" ? name : `${prefix}/${name}`,
    bytes: octal(header, 124, 12),
    isFile: header[156] === 0x30 || header[156] === 0,
  };
}

function text(header: Uint8Array, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

function octal(header: Uint8Array, start: number, length: number): number {
  const digits = text(header, start, length).trim();
  if (!/^[0-7]+$/.test(digits))
    throw new JobFailure("EBADMSG", `the archive is damaged: ${JSON.stringify(digits)} is not an octal number`);
  return Number.parseInt(digits, 8);
}
