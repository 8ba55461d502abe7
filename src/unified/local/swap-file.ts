/**
 * Swap on disk: a file of slots, which grows as they are used and has holes where they are not. It has no name any more
 * once it is open, so that the system takes it away when the memory is destroyed, and also when the process ends early.
 *
 * Counterpart: a swap file as `swapon` takes it.
 */

import { MemoryError } from "../../mm/errors.js";
import { MAX_SWAP_SLOTS, type SwapStore } from "../../mm/swap/swap.js";
import { type FileHandle, fileError, nodeFiles } from "./node-files.js";

/** A file that pages go to when the host budget is used up. */
export interface SwapFileOptions {
  /** Where the file is made; nothing may be there yet. It is on disk only while the memory exists. */
  path: string | URL;
  /** Bytes that it may have at most. Default: as many as the disk gives. */
  limit?: number;
}

/** Bytes of one request. */
const MAX_REQUEST = 4 * 1024 * 1024;

/** EINVAL for options that make no swap file; says which. */
export function checkSwapFile(given: unknown, pageSize: number): SwapFileOptions {
  const options = (isPath(given) ? { path: given } : given) as SwapFileOptions;
  if (typeof options !== "object" || options === null || !isPath(options.path))
    throw new MemoryError("EINVAL", `swapFile is a path or { path, limit }, not ${describe(given)}`);
  for (const name of Object.keys(options)) {
    if (name !== "path" && name !== "limit")
      throw new MemoryError("EINVAL", `swapFile has the option ${name}, which is neither path nor limit`);
  }
  const { limit } = options;
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= pageSize)) {
    throw new MemoryError(
      "EINVAL",
      `a swap file of at most ${limit} bytes does not hold one page of ${pageSize} bytes`,
    );
  }
  return options;
}

export class SwapFile implements SwapStore {
  readonly slots: number;
  readonly maxRun: number;
  readonly #name: string;
  readonly #pageSize: number;
  readonly #handle: FileHandle;

  private constructor(name: string, handle: FileHandle, pageSize: number, slots: number) {
    this.slots = slots;
    this.maxRun = Math.max(1, MAX_REQUEST / pageSize);
    this.#name = name;
    this.#pageSize = pageSize;
    this.#handle = handle;
  }

  /** Makes the file. Rejects with the system's error, and leaves no file, when it cannot be made. */
  static async create({ path, limit }: SwapFileOptions, pageSize: number): Promise<SwapFile> {
    const name = String(path);
    const files = nodeFiles(`swap file ${name}`);
    const slots = limit === undefined ? MAX_SWAP_SLOTS : Math.min(Math.floor(limit / pageSize), MAX_SWAP_SLOTS);
    let handle: FileHandle;
    try {
      handle = await files.open(path, "wx+", 0o600);
    } catch (error) {
      throw fileError(`swap file ${name} cannot be made`, error);
    }
    try {
      await files.unlink(path);
    } catch (error) {
      await handle.close().catch(() => {});
      throw fileError(`swap file ${name} cannot be taken out of its folder`, error);
    }
    return new SwapFile(name, handle, pageSize, slots);
  }

  async write(slot: number, bytes: Uint8Array): Promise<void> {
    const position = this.#positionOf(slot);
    for (let at = 0; at < bytes.byteLength;) {
      try {
        const { bytesWritten } = await this.#handle.write(bytes, at, bytes.byteLength - at, position + at);
        if (bytesWritten === 0) throw new MemoryError("ENOSPC", `swap file ${this.#name} takes no more bytes`);
        at += bytesWritten;
      } catch (error) {
        throw fileError(
          `swap file ${this.#name} could not be written, ${bytes.byteLength} bytes at offset ${position}`,
          error,
        );
      }
    }
  }

  async read(slot: number, into: Uint8Array): Promise<void> {
    const position = this.#positionOf(slot);
    for (let at = 0; at < into.byteLength;) {
      const { bytesRead } = await this.#handle
        .read(into, at, into.byteLength - at, position + at)
        .catch((error: unknown) => {
          throw fileError(
            `swap file ${this.#name} could not be read, ${into.byteLength} bytes at offset ${position}`,
            error,
          );
        });
      if (bytesRead === 0)
        throw new MemoryError("EIO", `swap file ${this.#name} ends at offset ${position + at}: there is no slot`);
      at += bytesRead;
    }
  }

  /** The bytes stay on disk until the slot is written again: Node cannot make holes. */
  discard(): void {}

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** Slots are numbered from 1. */
  #positionOf(slot: number): number {
    return (slot - 1) * this.#pageSize;
  }
}

function isPath(value: unknown): value is string | URL {
  return (typeof value === "string" && value !== "") || value instanceof URL;
}

function describe(value: unknown): string {
  if (typeof value === "object" && value !== null) return "an object without a path";
  return typeof value === "string" ? `"${value}"` : String(value);
}
