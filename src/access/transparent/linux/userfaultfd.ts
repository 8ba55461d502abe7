/**
 * A userfaultfd: the descriptor, the ranges that it watches, and what it does to their pages. Numbers are Linux's
 * (`include/uapi/linux/userfaultfd.h`); all arguments are 64-bit words, written as two halves.
 *
 * Invariant: one argument is reused by all calls of a thread, since none of them returns before the system has read it.
 */

import { MemoryError } from "../../../mm/errors.js";
import { type System, WAY_OUT } from "./system.js";

const SYSCALL_X64 = 323;
const SYSCALL_ARM64 = 282;
const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const UFFD_USER_MODE_ONLY = 1;
const DEV_USERFAULTFD = "/dev/userfaultfd";
const USERFAULTFD_IOC_NEW = 0xaa00;

const UFFDIO_API = 0xc018aa3f;
const UFFDIO_REGISTER = 0xc020aa00;
const UFFDIO_UNREGISTER = 0x8010aa01;
const UFFDIO_WAKE = 0x8010aa02;
const UFFDIO_COPY = 0xc028aa03;
const UFFDIO_MOVE = 0xc028aa05;
const UFFDIO_WRITEPROTECT = 0xc018aa06;
const UFFDIO_CONTINUE = 0xc020aa07;
const UFFDIO_POISON = 0xc020aa08;
const API_VERSION = 0xaa;

export const MODE_MISSING = 1;
export const MODE_WRITE_PROTECT = 2;
export const MODE_MINOR = 4;

export const FEATURE_WRITE_PROTECT = 1 << 0;
export const FEATURE_MINOR_SHMEM = 1 << 10;
export const FEATURE_WRITE_PROTECT_SHMEM = 1 << 12;
export const FEATURE_POISON = 1 << 14;
export const FEATURE_MOVE = 1 << 16;

const COPY_WRITE_PROTECTED = 2;
const CONTINUE_WRITE_PROTECTED = 2;
const PROTECT = 1;

const ENOENT = 2;
const EAGAIN = 11;
const EBUSY = 16;
const HIGH = 2 ** 32;
/** How often a call that did nothing is tried again before that is an error. */
const MOST_ATTEMPTS = 10_000;
/** Who holds a page holds it for a moment, or for as long as a disk takes: after some short pauses come long ones, in microseconds. */
const SHORT_PAUSE = 50;
const SHORT_PAUSES = 100;
const LONG_PAUSE = 1000;
const LONG_PAUSES = 5000;

/** Which step of the ladder of privileges it was opened by. */
export type Privilege = "system call" | "/dev/userfaultfd" | "user mode only";

export class Userfaultfd {
  readonly descriptor: number;
  readonly privilege: Privilege;
  /** Bits of the kernel's features. */
  readonly features: number;
  readonly system: System;
  readonly #argument = new Uint32Array(10);

  private constructor(system: System, descriptor: number, privilege: Privilege) {
    this.system = system;
    this.descriptor = descriptor;
    this.privilege = privilege;
    this.#put(0, API_VERSION);
    this.#put(1, 0);
    this.#put(2, 0);
    system.must("UFFDIO_API", system.ioctl(descriptor, UFFDIO_API, this.#argument));
    this.features = this.#get(1);
  }

  /** By the first step of the ladder that works, or by the one that is named. ENOTSUP says what each step answered. */
  static open(system: System, only?: Privilege): Userfaultfd {
    const refusals: string[] = [];
    for (const { privilege, open } of LADDER) {
      if (only !== undefined && only !== privilege) continue;
      const descriptor = open(system);
      if (descriptor >= 0) return new Userfaultfd(system, descriptor, privilege);
      refusals.push(`${privilege}: ${system.errorName()}`);
    }
    throw new MemoryError(
      "ENOTSUP",
      `cpuAccess: "transparent" needs userfaultfd, which this process may not have (${refusals.join("; ")}): a container's seccomp profile or the kernel forbids it; ${WAY_OUT}`,
    );
  }

  has(feature: number): boolean {
    return Math.floor(this.features / feature) % 2 === 1;
  }

  /** From now on faults of these modes in the range are messages. */
  register(address: number, length: number, modes: number): void {
    this.#put(0, address);
    this.#put(1, length);
    this.#put(2, modes);
    this.#put(3, 0);
    this.system.must("UFFDIO_REGISTER", this.system.ioctl(this.descriptor, UFFDIO_REGISTER, this.#argument));
  }

  unregister(address: number, length: number): void {
    this.#put(0, address);
    this.#put(1, length);
    this.system.must("UFFDIO_UNREGISTER", this.system.ioctl(this.descriptor, UFFDIO_UNREGISTER, this.#argument));
  }

  wake(address: number, length: number): void {
    this.#put(0, address);
    this.#put(1, length);
    this.system.must("UFFDIO_WAKE", this.system.ioctl(this.descriptor, UFFDIO_WAKE, this.#argument));
  }

  /** Pages that are missing become copies. */
  copy(to: number, from: number, length: number, writeProtected: boolean): void {
    this.#transfer("UFFDIO_COPY", UFFDIO_COPY, to, from, length, writeProtected ? COPY_WRITE_PROTECTED : 0);
  }

  /**
   * Pages that are missing at `to` become those at `from`, which are missing afterwards. The bytes that were moved: less
   * than asked where a page is missing at `from`.
   */
  move(to: number, from: number, length: number): number {
    return this.#transfer("UFFDIO_MOVE", UFFDIO_MOVE, to, from, length, 0);
  }

  /** Pages that the file has are mapped. */
  continue(address: number, length: number, writeProtected: boolean): void {
    this.#fill("UFFDIO_CONTINUE", UFFDIO_CONTINUE, address, length, writeProtected ? CONTINUE_WRITE_PROTECTED : 0);
  }

  /** An access to the pages, which are missing, is a SIGBUS. */
  poison(address: number, length: number): void {
    this.#fill("UFFDIO_POISON", UFFDIO_POISON, address, length, 0);
  }

  /** Stores to pages that are there fault, or fault no more; then who waits is woken. */
  protect(address: number, length: number, isProtected: boolean): void {
    for (let attempt = 0; ; attempt++) {
      this.#put(0, address);
      this.#put(1, length);
      this.#put(2, isProtected ? PROTECT : 0);
      if (this.system.ioctl(this.descriptor, UFFDIO_WRITEPROTECT, this.#argument) === 0) return;
      if (this.system.koffi.errno() !== EAGAIN || attempt === MOST_ATTEMPTS)
        this.system.must("UFFDIO_WRITEPROTECT", -1);
    }
  }

  close(): void {
    this.system.close(this.descriptor);
  }

  /** Calls that have a source: what is done is in word 4. */
  #transfer(name: string, request: number, to: number, from: number, length: number, mode: number): number {
    let done = 0;
    for (let attempt = 0; done < length;) {
      this.#put(0, to + done);
      this.#put(1, from + done);
      this.#put(2, length - done);
      this.#put(3, mode);
      this.#put(4, 0);
      if (this.system.ioctl(this.descriptor, request, this.#argument) === 0) return length;
      if (request === UFFDIO_MOVE && this.system.koffi.errno() === ENOENT) return done;
      done += this.#progress(name, 4, ++attempt);
    }
    return length;
  }

  /** Calls that have none: word 3. */
  #fill(name: string, request: number, address: number, length: number, mode: number): void {
    let done = 0;
    for (let attempt = 0; done < length;) {
      this.#put(0, address + done);
      this.#put(1, length - done);
      this.#put(2, mode);
      this.#put(3, 0);
      if (this.system.ioctl(this.descriptor, request, this.#argument) === 0) return;
      done += this.#progress(name, 3, ++attempt);
    }
  }

  /** Bytes that a call did before it gave up for now. Throws what it failed with. */
  #progress(name: string, word: number, attempt: number): number {
    const errno = this.system.koffi.errno();
    const isNegative = this.#argument[2 * word + 1] >= 0x8000_0000;
    const done = isNegative ? 0 : this.#get(word);
    if (errno === EAGAIN && attempt < MOST_ATTEMPTS) return done;
    // Somebody holds the page: a system call that reads or writes it.
    if (errno === EBUSY) {
      if (attempt > SHORT_PAUSES + LONG_PAUSES) throw heldForLong(name);
      this.system.usleep(attempt > SHORT_PAUSES ? LONG_PAUSE : SHORT_PAUSE);
      return 0;
    }
    throw new MemoryError("EIO", `${name}: ${this.system.nameOf(errno)}`);
  }

  #put(word: number, value: number): void {
    this.#argument[2 * word] = value;
    this.#argument[2 * word + 1] = value / HIGH;
  }

  #get(word: number): number {
    return this.#argument[2 * word] + this.#argument[2 * word + 1] * HIGH;
  }
}

/** Ways to a descriptor, the one that can most first: its number, or -1. */
export const LADDER: readonly { readonly privilege: Privilege; readonly open: (system: System) => number }[] = [
  { privilege: "system call", open: (system) => system.syscall(numberOf(), O_CLOEXEC | O_NONBLOCK) },
  { privilege: "/dev/userfaultfd", open: openDevice },
  {
    privilege: "user mode only",
    open: (system) => system.syscall(numberOf(), O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY),
  },
];

function heldForLong(name: string): MemoryError {
  return new MemoryError(
    "EIO",
    `${name}: EBUSY: something has held memory of a view for ${(LONG_PAUSES * LONG_PAUSE) / 1e6} seconds, such as a system call with O_DIRECT, or io_uring`,
  );
}

function openDevice(system: System): number {
  const device = system.open(DEV_USERFAULTFD, O_CLOEXEC);
  if (device < 0) return device;
  // Its argument is the flags themselves.
  const flags = system.ioctlNumber(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
  const errno = system.koffi.errno();
  system.close(device);
  system.koffi.errno(errno);
  return flags;
}

function numberOf(): number {
  const { process } = globalThis as { process?: { arch?: string } };
  return process?.arch === "arm64" ? SYSCALL_ARM64 : SYSCALL_X64;
}
