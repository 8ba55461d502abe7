/**
 * What can be mapped: bytes of a known number that can be read from any offset, again and again. A file of Node
 * (`local/file-source.ts`), or a `Blob`, which in a browser is what an input element or a folder of the origin gives.
 */

import { MemoryError } from "../mm/errors.js";

export interface ByteSource {
  /** For messages. */
  readonly name: string;
  readonly byteLength: number;
  /** Bytes that one call should ask for at most. */
  readonly requestBytes: number;
  /**
   * Fills the view from `offset` on; it lies within the source. The view is the engine's again when the promise settles.
   * Several calls may be under way. Rejects when any byte of it cannot be had.
   */
  readInto(offset: number, into: Uint8Array): Promise<void>;
  /** Nobody reads any more. */
  close(): Promise<void>;
}

/** Bytes of one request: enough that its own cost does not matter. */
export const REQUEST_BYTES = 4 * 1024 * 1024;

export class BlobSource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly requestBytes = REQUEST_BYTES;
  readonly #blob: Blob;

  constructor(blob: Blob) {
    const { name } = blob as { name?: unknown };
    this.name = typeof name === "string" ? `blob ${name}` : `blob of ${blob.size} bytes`;
    this.byteLength = blob.size;
    this.#blob = blob;
  }

  async readInto(offset: number, into: Uint8Array): Promise<void> {
    let bytes: ArrayBuffer;
    try {
      bytes = await this.#blob.slice(offset, offset + into.byteLength).arrayBuffer();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const attempt = `${this.name} could not be read, ${into.byteLength} bytes at offset ${offset}`;
      throw new MemoryError("EIO", `${attempt}: ${message.replace(/\.$/, "")}`, { cause: error });
    }
    if (bytes.byteLength !== into.byteLength) throw shorter(this, offset + into.byteLength, offset + bytes.byteLength);
    into.set(new Uint8Array(bytes));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The error of a source that had fewer bytes than when it was opened. */
export function shorter({ name, byteLength }: ByteSource, wanted: number, end: number): MemoryError {
  return new MemoryError(
    "EIO",
    `${name} had ${byteLength} bytes when it was mapped and ends at ${end} now: there is nothing up to ${wanted}`,
  );
}
