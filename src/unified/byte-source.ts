/**
 * What can be mapped: bytes of a known number that can be read from any offset, again and again. A file of Node, or a
 * `Blob`, which in a browser is what an input element or a folder of the origin gives.
 */

import { MemoryError } from "../mm/errors.js";
import { type FileHandle, fileError, nodeFiles } from "./node-files.js";

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
const REQUEST_BYTES = 4 * 1024 * 1024;

export class FileSource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly requestBytes = REQUEST_BYTES;
  readonly #handle: FileHandle;

  private constructor(name: string, byteLength: number, handle: FileHandle) {
    this.name = name;
    this.byteLength = byteLength;
    this.#handle = handle;
  }

  /** Opens a file for reading: it stays what it is, also when its name goes to another. */
  static async open(path: string | URL): Promise<FileSource> {
    if (!(typeof path === "string" && path !== "") && !(path instanceof URL))
      throw new MemoryError("EINVAL", `a file to map is a path or a file URL, not ${String(path)}`);
    const name = `file ${String(path)}`;
    const files = nodeFiles(`mapping ${name}`);
    let handle: FileHandle | null = null;
    try {
      handle = await files.open(path, "r");
      const { size, ...kind } = await statOf(handle);
      if (!kind.isFile) throw new MemoryError("EINVAL", `${name} is no file whose bytes can be mapped`);
      return new FileSource(name, size, handle);
    } catch (error) {
      await handle?.close().catch(() => {});
      throw fileError(`${name} cannot be mapped`, error);
    }
  }

  async readInto(offset: number, into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.byteLength;) {
      const { bytesRead } = await this.#handle
        .read(into, at, into.byteLength - at, offset + at)
        .catch((error: unknown) => {
          throw fileError(`${this.name} could not be read, ${into.byteLength} bytes at offset ${offset}`, error);
        });
      if (bytesRead === 0) {
        // Nothing here says not where it ends, which may be long before.
        const { size } = await statOf(this.#handle).catch(() => ({ size: offset + at }));
        throw shorter(this, offset + into.byteLength, Math.min(size, offset + at));
      }
      at += bytesRead;
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

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
      throw fileError(`${this.name} could not be read, ${into.byteLength} bytes at offset ${offset}`, error);
    }
    if (bytes.byteLength !== into.byteLength) throw shorter(this, offset + into.byteLength, offset + bytes.byteLength);
    into.set(new Uint8Array(bytes));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function shorter({ name, byteLength }: ByteSource, wanted: number, end: number): MemoryError {
  return new MemoryError(
    "EIO",
    `${name} had ${byteLength} bytes when it was mapped and ends at ${end} now: there is nothing up to ${wanted}`,
  );
}

async function statOf(handle: FileHandle): Promise<{ size: number; isFile: boolean }> {
  const stat = await handle.stat();
  return { size: stat.size, isFile: stat.isFile() };
}
