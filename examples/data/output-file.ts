/** A file that is written from beginning to end, and the record that is kept of it. */

import { createHash, type Hash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import { explain } from "../program/failure.js";

export interface FileRecord {
  readonly bytes: number;
  readonly sha256: string;
}

/** A file that knows its own length and digest when it is finished, and is on the disk then. */
export class OutputFile {
  readonly #handle: FileHandle;
  readonly #hash: Hash = createHash("sha256");
  #bytes = 0;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  static async create(path: string): Promise<OutputFile> {
    try {
      return new OutputFile(await open(path, "wx"));
    } catch (error) {
      throw explain(error, `cannot create ${path}`);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done);
      done += bytesWritten;
    }
    this.#bytes += bytes.length;
  }

  async finish(): Promise<FileRecord> {
    await this.#handle.sync();
    return { bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
