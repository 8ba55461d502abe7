/** A file of Node as a source to map. */

import { MemoryError } from "../../mm/errors.js";
import { type ByteSource, REQUEST_BYTES, shorter } from "../byte-source.js";
import { type FileHandle, fileError, nodeFiles } from "./node-files.js";

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

async function statOf(handle: FileHandle): Promise<{ size: number; isFile: boolean }> {
  const stat = await handle.stat();
  return { size: stat.size, isFile: stat.isFile() };
}
