/**
 * What the three methods of writing the process's page table have in common: windows over shared buffers, protection, and
 * how memory is given back.
 *
 * Invariants: windows and regions of frames are never inherited by a child process, which would make their pages shared;
 * the range of a window is watched from before anybody has its buffer until it is closed, without a gap; a buffer is kept for ever,
 * so that its addresses are nobody else's.
 */

import { MemoryError } from "../../../mm/errors.js";
import type { ProcessPages, ProcessWindow } from "../process-pages.js";
import type { Userfaultfd } from "./userfaultfd.js";
import type { System } from "./system.js";

const MADV_DONTNEED = 4;
const MADV_DONTFORK = 10;
const SYSTEM_PAGE = 4096;
/** Windows begin at multiples of it, so that what is moved may be huge pages. */
const ALIGNMENT = 2 * 1024 * 1024;

const kept: SharedArrayBuffer[] = [];

export abstract class LinuxPages implements ProcessPages {
  abstract readonly method: string;
  protected readonly watch: Userfaultfd;
  protected readonly system: System;

  constructor(watch: Userfaultfd) {
    this.watch = watch;
    this.system = watch.system;
  }

  abstract install(at: number, frame: number, bytes: number): void;
  abstract show(at: number, frame: number, bytes: number): void;
  abstract takeBack(frame: number, at: number, bytes: number): void;
  abstract drop(at: number, bytes: number): void;

  createWindow(bytes: number): ProcessWindow {
    const whole = Math.ceil(bytes / SYSTEM_PAGE) * SYSTEM_PAGE;
    const length = whole + ALIGNMENT;
    const buffer = allocateBuffer(length);
    kept.push(buffer);
    const start = this.system.addressOf(new Uint8Array(buffer, 0, length));
    const address = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
    const window = { buffer, byteOffset: address - start, bytes: whole, address };
    this.advise(address, whole, MADV_DONTFORK, "MADV_DONTFORK");
    this.openWindow(window);
    return window;
  }

  closeWindow({ address, bytes }: ProcessWindow): void {
    this.watch.unregister(address, bytes);
    this.advise(address, bytes, MADV_DONTNEED, "MADV_DONTNEED");
  }

  addressOf(region: Uint8Array): number {
    const address = this.system.addressOf(region);
    // The zero page of the engine is a small buffer anywhere.
    if (address % SYSTEM_PAGE === 0 && region.byteLength % SYSTEM_PAGE === 0)
      this.openRegion(address, region.byteLength);
    return address;
  }

  adopt(at: number, frame: number, bytes: number): void {
    this.release(frame, bytes);
    this.watch.protect(at, bytes, false);
  }

  guard(at: number, bytes: number): void {
    this.watch.protect(at, bytes, true);
  }

  unguard(at: number, bytes: number): void {
    this.watch.protect(at, bytes, false);
  }

  wake(at: number, bytes: number): void {
    this.watch.wake(at, bytes);
  }

  release(frame: number, bytes: number): void {
    this.advise(frame, bytes, MADV_DONTNEED, "MADV_DONTNEED");
  }

  /** Registers the range. */
  protected abstract openWindow(window: ProcessWindow): void;

  protected openRegion(address: number, bytes: number): void {
    this.advise(address, bytes, MADV_DONTFORK, "MADV_DONTFORK");
  }

  /** Pages of the window are missing, as the system has it. */
  protected empty(at: number, bytes: number): void {
    this.advise(at, bytes, MADV_DONTNEED, "MADV_DONTNEED");
  }

  protected advise(address: number, bytes: number, advice: number, name: string): void {
    this.system.must(`madvise ${name}`, this.system.madvise(address, bytes, advice));
  }
}

/** A shared buffer that begins with a page, and takes no memory until it is touched: one that could grow, and cannot. */
function allocateBuffer(length: number): SharedArrayBuffer {
  const Growable = SharedArrayBuffer as unknown as new (
    length: number,
    options: { maxByteLength: number },
  ) => SharedArrayBuffer;
  try {
    return new Growable(length, { maxByteLength: length });
  } catch (cause) {
    throw new MemoryError("ENOMEM", `no addresses for the ${length} bytes of a view`, { cause });
  }
}
