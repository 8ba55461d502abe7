/**
 * Files of Node, found without importing one of its modules: what a browser loads must not name them. Where there is no
 * Node (a browser, an older runtime) whoever asks for a file is told so.
 */

import { type ErrorCode, MemoryError } from "../../mm/errors.js";

/** The part of Node's `FileHandle` that is used here. */
export interface FileHandle {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  write(from: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesWritten: number }>;
  stat(): Promise<{ readonly size: number; isFile(): boolean }>;
  close(): Promise<void>;
}

interface FilePromises {
  open(path: string | URL, flags: string, mode?: number): Promise<FileHandle>;
  unlink(path: string | URL): Promise<void>;
}

interface NodeProcess {
  getBuiltinModule?(name: string): unknown;
}

/** ENOTSUP, naming what it was wanted for, where the runtime has no files. */
export function nodeFiles(purpose: string): FilePromises {
  if (inThisThread !== null) return inThisThread;
  const files = builtin("node:fs/promises");
  if (files === undefined) {
    throw new MemoryError(
      "ENOTSUP",
      `${purpose} needs the files of Node 20.16 or later, which this runtime does not have`,
    );
  }
  return files as FilePromises;
}

/** Files that are read and written by this thread itself; null while the threads of the pool do it. */
let inThisThread: FilePromises | null = null;

interface FilesSync {
  openSync(path: string | URL, flags: string, mode?: number): number;
  unlinkSync(path: string | URL): void;
  readSync(file: number, into: Uint8Array, offset: number, length: number, position: number): number;
  writeSync(file: number, from: Uint8Array, offset: number, length: number, position: number): number;
  fstatSync(file: number): { readonly size: number; isFile(): boolean };
  closeSync(file: number): void;
}

/**
 * From now on this thread waits for its files by itself. The threads of the pool may be waiting for pages that this one is to
 * bring, from a file.
 */
export function useFilesOfThisThread(): void {
  const files = builtin("node:fs") as FilesSync;
  inThisThread = {
    open: async (path, flags, mode) => {
      const file = files.openSync(path, flags, mode);
      return {
        read: async (into, offset, length, position) => ({
          bytesRead: files.readSync(file, into, offset, length, position),
        }),
        write: async (from, offset, length, position) => ({
          bytesWritten: files.writeSync(file, from, offset, length, position),
        }),
        stat: async () => files.fstatSync(file),
        close: async () => files.closeSync(file),
      };
    },
    unlink: async (path) => files.unlinkSync(path),
  };
}

function builtin(name: string): unknown {
  const { process } = globalThis as { process?: NodeProcess };
  return process?.getBuiltinModule?.(name);
}

/** Codes of the system that an error of ours may have; all others are an EIO. */
const KNOWN: Readonly<Record<string, ErrorCode>> = {
  EACCES: "EACCES",
  EDQUOT: "ENOSPC",
  EEXIST: "EEXIST",
  EFBIG: "ENOSPC",
  EISDIR: "EISDIR",
  ENOENT: "ENOENT",
  ENOSPC: "ENOSPC",
  ENOTDIR: "ENOENT",
  EPERM: "EACCES",
  EROFS: "EACCES",
};

/** What the system says, as an error of ours that says what was attempted. */
export function fileError(attempt: string, cause: unknown): MemoryError {
  if (cause instanceof MemoryError) return cause;
  const system = (cause as { code?: unknown } | null)?.code;
  const code = (typeof system === "string" ? KNOWN[system] : undefined) ?? "EIO";
  const message = cause instanceof Error ? cause.message : String(cause);
  return new MemoryError(code, `${attempt}: ${message.replace(/\.$/, "")}`, { cause });
}
