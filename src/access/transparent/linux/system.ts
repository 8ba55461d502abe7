/**
 * The functions of the system's own library that transparent access calls, by `koffi`: a package that calls C from
 * JavaScript and brings a binary for each system, so that nothing is compiled. It is an optional peer, looked for when it
 * is wanted.
 *
 * Addresses are numbers: those of a process are below 2^47. An argument that the system reads or writes is given as a typed
 * array, which keeps it alive during the call; never as its address.
 */

import { MemoryError } from "../../../mm/errors.js";

/** The part of `koffi` that is used. */
export interface Koffi {
  load(path: string | null): { func(prototype: string): (...values: unknown[]) => number };
  address(value: ArrayBufferView): bigint;
  errno(value?: number): number;
  readonly os: { readonly errno: Readonly<Record<string, number>> };
  readonly node: {
    poll(
      descriptor: number,
      options: { readable: boolean },
      callback: () => void,
    ): { close(): void; unref(): void; ref(): void };
  };
}

/** Also EFD_NONBLOCK: what the pager may be about to read must not keep it. */
const O_NONBLOCK = 0o4000;

export const INSTALL = "npm install koffi@3.3.4";

/** What is left where transparent access cannot be had. */
export const WAY_OUT = 'without cpuAccess: "transparent" the same memory works here: array.pin, read and write';

/** Throws ENOTSUP, with what is missing and what to do, where the module is not found. Its URL, for any thread. */
export function findKoffi(): string {
  const { process } = globalThis as { process?: { platform?: string; versions?: { node?: string } } };
  if (process?.versions?.node === undefined || process.platform !== "linux") {
    const here = process?.platform ?? "a browser";
    throw new MemoryError("ENOTSUP", `cpuAccess: "transparent" needs Node on Linux, and this is ${here}; ${WAY_OUT}`);
  }
  try {
    return (import.meta as unknown as { resolve(name: string): string }).resolve("koffi");
  } catch (cause) {
    throw notLoaded("is not installed", cause);
  }
}

function notLoaded(what: string, cause: unknown): MemoryError {
  return new MemoryError(
    "ENOTSUP",
    `cpuAccess: "transparent" needs the package koffi, which ${what}: ${INSTALL}; ${WAY_OUT}`,
    {
      cause,
    },
  );
}

export class System {
  readonly koffi: Koffi;
  /** In shared memory: not 0 once the process exits, and its descriptors are closed. */
  readonly exiting: Int32Array<SharedArrayBuffer>;
  readonly ioctl: (descriptor: number, request: number, argument: Uint32Array) => number;
  /** The same for a request whose argument is a number. */
  readonly ioctlNumber: (descriptor: number, request: number, argument: number) => number;
  readonly madvise: (address: number, length: number, advice: number) => number;
  readonly memcpy: (to: number, from: number, length: number) => unknown;
  /** The same between typed arrays, of one length. */
  readonly copyBytes: (to: Uint8Array, from: Uint8Array, length: number) => unknown;
  readonly read: (descriptor: number, into: ArrayBufferView, length: number) => number;
  /** `descriptors` are `struct pollfd`, `timeout` is a `struct timespec`; with no mask of signals. */
  readonly ppoll: (descriptors: Int32Array, count: number, timeout: Int32Array, signals: number) => number;
  readonly write: (descriptor: number, from: ArrayBufferView, length: number) => number;
  readonly open: (path: string, flags: number) => number;
  readonly close: (descriptor: number) => number;
  readonly dup2: (from: number, to: number) => number;
  readonly eventfd: (value: number, flags: number) => number;
  readonly syscall: (number: number, argument: number) => number;
  readonly memfdCreate: (name: string, flags: number) => number;
  readonly ftruncate: (descriptor: number, length: number) => number;
  readonly fallocate: (descriptor: number, mode: number, offset: number, length: number) => number;
  /** The address, -1 for an error. */
  readonly mmap: (
    address: number,
    length: number,
    protection: number,
    flags: number,
    descriptor: number,
    offset: number,
  ) => number;
  readonly munmap: (address: number, length: number) => number;
  readonly usleep: (microseconds: number) => number;
  /** Ends the process, without anything else. */
  readonly exitNow: (code: number) => never;

  constructor(koffi: Koffi, exiting = createExitWord()) {
    this.koffi = koffi;
    this.exiting = exiting;
    const library = koffi.load(null);
    const of = <F>(prototype: string): F => library.func(prototype) as F;
    this.ioctl = of("int ioctl(int descriptor, unsigned long request, void *argument)");
    this.ioctlNumber = of("int ioctl(int descriptor, unsigned long request, size_t argument)");
    this.madvise = of("int madvise(size_t address, size_t length, int advice)");
    this.memcpy = of("size_t memcpy(size_t to, size_t from, size_t length)");
    this.copyBytes = of("void memcpy(void *to, void *from, size_t length)");
    this.read = of("intptr_t read(int descriptor, void *into, size_t length)");
    this.ppoll = of("int ppoll(void *descriptors, unsigned long count, void *timeout, size_t signals)");
    this.write = of("intptr_t write(int descriptor, void *from, size_t length)");
    this.open = of("int open(const char *path, int flags)");
    this.close = of("int close(int descriptor)");
    this.dup2 = of("int dup2(int from, int to)");
    this.eventfd = of("int eventfd(unsigned int value, int flags)");
    this.syscall = of("long syscall(long number, long argument)");
    this.memfdCreate = of("int memfd_create(const char *name, unsigned int flags)");
    this.ftruncate = of("int ftruncate(int descriptor, int64_t length)");
    this.fallocate = of("int fallocate(int descriptor, int mode, int64_t offset, int64_t length)");
    this.mmap = of(
      "intptr_t mmap(size_t address, size_t length, int protection, int flags, int descriptor, int64_t offset)",
    );
    this.munmap = of("int munmap(size_t address, size_t length)");
    this.usleep = of("int usleep(unsigned int microseconds)");
    this.exitNow = of("void _exit(int code)");
  }

  /** Throws ENOTSUP when the module at this URL, as `findKoffi` gave it, does not work here. */
  static async load(url: string, exiting?: Int32Array<SharedArrayBuffer>): Promise<System> {
    try {
      const loaded = (await import(/* @vite-ignore */ /* webpackIgnore: true */ url)) as Koffi & { default?: Koffi };
      return new System(loaded.default ?? loaded, exiting);
    } catch (cause) {
      throw notLoaded(`does not load (${cause instanceof Error ? cause.message : String(cause)})`, cause);
    }
  }

  addressOf(bytes: Uint8Array): number {
    return Number(this.koffi.address(bytes));
  }

  /** The errno of the call before, by name. */
  errorName(): string {
    return this.nameOf(this.koffi.errno());
  }

  nameOf(errno: number): string {
    for (const [name, number] of Object.entries(this.koffi.os.errno)) if (number === errno) return name;
    return `errno ${errno}`;
  }

  /** What a call returns that is not to fail. Throws EIO with the call and the errno. */
  must(call: string, result: number): number {
    if (result >= 0) return result;
    throw new MemoryError("EIO", `${call}: ${this.errorName()}`);
  }

  /**
   * The process exits: threads that wait by the descriptor go on, to their end. The number stays that of an open file: the event
   * loop of the pager aborts the process over one that is closed.
   */
  letGo(descriptor: number): void {
    Atomics.store(this.exiting, 0, 1);
    this.dup2(this.eventfd(0, O_NONBLOCK), descriptor);
  }

  /** Says why, and ends the process: nothing that threads have stored or wait for can be answered for any more. */
  die(reason: string): never {
    // This thread is about to be ended, and the process to exit as it was told to.
    while (Atomics.load(this.exiting, 0) !== 0) Atomics.wait(this.exiting, 0, 1);
    const line = bytesOf(`pageferry: ${reason}; the process ends (exit code ${EXIT_CODE})\n`);
    this.write(2, line, line.byteLength);
    return this.exitNow(EXIT_CODE);
  }
}

/** What the threads of a process know of its exit. */
export function createExitWord(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
}

/** EX_SOFTWARE of sysexits(3). */
export const EXIT_CODE = 70;

function bytesOf(text: string): Uint8Array {
  const { TextEncoder: Encoder } = globalThis as unknown as {
    TextEncoder: new () => { encode(text: string): Uint8Array };
  };
  return new Encoder().encode(text);
}
