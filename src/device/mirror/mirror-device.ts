/**
 * The mirror: a software device. Its memory is a buffer, its link can be given a bandwidth, a latency and faults, its
 * kernels are TypeScript functions over views of that buffer. It is the embedded default, and the obvious truth that
 * other devices are compared with. Counterpart: `lib/test_hmm.c`.
 */

import { MemoryError } from "../../mm/errors.js";
import type { CopyList } from "../copy-list.js";
import type { Device, DeviceDriver, DeviceHost, DeviceKernel, DeviceKernelDescriptor } from "../driver.js";
import { MirrorKernel } from "./kernel.js";
import { Link, type LinkDirection, linkError, type LinkOptions } from "./link.js";

export interface MirrorOptions {
  /** Bytes of device memory; rounded down to whole pages. Default 256 MiB. */
  budget?: number;
  /** Default "private". */
  kind?: "private" | "coherent";
  name?: string;
  link?: LinkOptions;
}

const DEFAULT_BUDGET = 256 * 1024 * 1024;
/** What a discarded frame is filled with under `debug`. */
const POISON = 0xdb;

/** The software device: `createUnifiedMemory({ device: mirrorDevice({ budget }) })`. Throws EINVAL for a bad budget. */
export function mirrorDevice(options: MirrorOptions = {}): DeviceDriver {
  const { budget = DEFAULT_BUDGET, kind = "private", name = `mirror (${kind}, software)`, link = {} } = options;
  if (!Number.isSafeInteger(budget) || budget <= 0) {
    throw new MemoryError("EINVAL", `device budget of ${budget} bytes is not a whole number above 0`);
  }
  return {
    name,
    kind,
    budget,
    open: (host) =>
      Promise.resolve(
        new MirrorDevice(host, Math.floor(budget / host.pageSize), kind, new Link(host.environment, link)),
      ),
  };
}

export class MirrorDevice implements Device {
  readonly frames: number;
  readonly bytes: Uint8Array | null;
  readonly lookahead: number;
  readonly #host: DeviceHost;
  readonly #link: Link;
  #memory: Uint8Array;
  #closed = false;

  constructor(host: DeviceHost, frames: number, kind: "private" | "coherent", link: Link) {
    this.#host = host;
    this.#link = link;
    this.frames = frames;
    this.#memory = allocate(frames * host.pageSize);
    this.bytes = kind === "coherent" ? this.#memory : null;
    this.lookahead = link.instantaneous ? 0 : 1;
  }

  async upload(copies: CopyList): Promise<void> {
    await this.#link.transfer(copies.pages * this.#host.pageSize);
    this.#assertOpen();
    const { pageSize } = this.#host;
    this.#forEachRun("upload", copies, (host, device, count) => {
      this.#memory.set(this.#host.bytes(host, count), device * pageSize);
    });
  }

  async download(copies: CopyList): Promise<void> {
    await this.#link.transfer(copies.pages * this.#host.pageSize);
    this.#assertOpen();
    this.#forEachRun("download", copies, (host, device, count) => {
      this.#host.bytes(host, count).set(this.run(device, count));
    });
  }

  async clear(frames: CopyList): Promise<void> {
    await this.#link.transfer(0);
    this.#assertOpen();
    this.#forEachRun("clear", frames, (_host, device, count) => this.run(device, count).fill(0));
  }

  discard(frame: number): void {
    if (this.#host.debug) this.run(frame, 1).fill(POISON);
  }

  createKernel(descriptor: DeviceKernelDescriptor): Promise<DeviceKernel> {
    return Promise.resolve(new MirrorKernel(this, this.#host, descriptor.host));
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#memory = new Uint8Array(0);
    return Promise.resolve();
  }

  /** The bytes of `count` contiguous frames of the device. */
  run(frame: number, count: number): Uint8Array {
    const { pageSize } = this.#host;
    return this.#memory.subarray(frame * pageSize, (frame + count) * pageSize);
  }

  /** A transfer that the link breaks has done half of its runs. */
  #forEachRun(
    direction: LinkDirection,
    list: CopyList,
    act: (host: number, device: number, count: number) => void,
  ): void {
    const breaks = this.#link.breaks(direction, list.pages);
    const runs = breaks ? list.length >>> 1 : list.length;
    for (let i = 0; i < runs; i++) act(list.host[i], list.device[i], list.count[i]);
    if (breaks) throw linkError(direction, list.pages);
  }

  #assertOpen(): void {
    if (this.#closed) throw new MemoryError("ENODEV", "the mirror device is closed");
  }
}

function allocate(bytes: number): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new MemoryError("ENOMEM", `the JavaScript engine gave no ${bytes} bytes of memory for the mirror device`, {
      cause,
    });
  }
}
