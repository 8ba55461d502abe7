/**
 * One file out of a tar archive that passes by as a stream, so that an archive larger than memory can be read. Only what
 * npm's archives hold is understood: regular entries with their sizes in octal; extended headers are skipped. Invariant:
 * the entry's bytes come whole, or the iteration fails; the archive is read to its end either way, so that a fault in
 * its compression after the entry is noticed too.
 */

import { JobFailure } from "../program/failure.js";
import { count } from "../program/sizes.js";

const blockBytes = 512;

export async function* tarEntry(archive: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  const header = new Uint8Array(blockBytes);
  let headerFilled = 0;
  let entryLeft = 0;
  let paddingLeft = 0;
  let wanted = false;
  let found = false;

  for await (const chunk of archive) {
    let position = 0;
    while (position < chunk.length) {
      const available = chunk.length - position;
      if (entryLeft > 0) {
        const taken = Math.min(entryLeft, available);
        if (wanted) yield chunk.subarray(position, position + taken);
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
        wanted = !found && entry.isFile && entry.path === path;
        found ||= wanted;
        entryLeft = entry.bytes;
        paddingLeft = (blockBytes - (entry.bytes % blockBytes)) % blockBytes;
      }
    }
  }
  if (entryLeft + paddingLeft + headerFilled > 0) {
    throw new JobFailure("EBADMSG", `the archive is cut off: ${count(entryLeft)} bytes of an entry are missing`);
  }
  if (!found) throw new JobFailure("EBADMSG", `the archive has no entry ${path}`);
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
