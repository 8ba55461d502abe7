/**
 * The mirror: a software device. Its memory is a buffer, its link can be given a bandwidth, a latency and faults, its
 * kernels are TypeScript functions over views of that buffer, in a worker where the machine is shared and the kernel a module
 * (`kernel-thread.ts`). It is the embedded default, and the obvious truth that other devices are compared with. Counterpart: `lib/test_hmm.c`.
 */

import { MemoryError } from "../../mm/errors.js";
import type { CopyList } from "../copy-list.js";
import type { Device, DeviceHost, DeviceKernel, DeviceKernelDescriptor, HostKernel } from "../driver.js";
import { loadPart } from "../load-part.js";
import { type CompiledWgsl, compileWgsl } from "./compiled-wgsl.js";
import { MirrorKernel, MirrorWgslKernel } from "./kernel.js";
import type { KernelThread } from "./kernel-thread.js";
import { Link, linkError } from "./link.js";
import type { LinkDirection, LinkOptions } from "./link-options.js";
import type { StepMemory } from "./run-step.js";

/** What a discarded frame is filled with under `debug`. */
const POISON = 0xdb;

/** Bytes from which on another way to copy is worth its call. */
const LONG_COPY = 16_384;

export interface MirrorShape {
  readonly name: string;
  readonly kind: "private" | "coherent";
  readonly budget: number;
  readonly link: LinkOptions;
}

export class MirrorDevice implements Device {
  readonly frames: number;
  readonly bytes: Uint8Array | null;
  readonly lookahead: number;
  readonly #host: DeviceHost;
  readonly #link: Link;
  readonly #name: string;
  readonly #onClose: () => void;
  #memory: Uint8Array;
  /** Runs the kernels that are modules, in a shared machine. */
  #kernels: KernelThread | null = null;
  #closed = false;

  constructor(host: DeviceHost, { name, kind, budget, link }: MirrorShape, onClose: () => void) {
    this.#host = host;
    this.#link = new Link(link);
    this.#name = name;
    this.#onClose = onClose;
    this.frames = Math.floor(budget / host.pageSize);
    this.#memory = allocate(this.frames * host.pageSize, host.shared);
    this.bytes = kind === "coherent" ? this.#memory : null;
    this.lookahead = this.#link.instantaneous ? 0 : 1;
  }

  async upload(copies: CopyList): Promise<void> {
    await this.#link.transfer(copies.pages * this.#host.pageSize, this.#host.environment);
    this.#assertOpen();
    this.#forEachRun("upload", copies, (host, device, count) => {
      this.#copy(this.run(device, count), this.#host.bytes(host, count));
    });
  }

  download(copies: CopyList): Promise<void> | undefined {
    const wait = this.#link.transfer(copies.pages * this.#host.pageSize, this.#host.environment);
    if (wait !== undefined) return wait.then(() => this.#download(copies));
    this.#download(copies);
    return undefined;
  }

  async clear(frames: CopyList): Promise<void> {
    await this.#link.transfer(0, this.#host.environment);
    this.#assertOpen();
    this.#forEachRun("clear", frames, (_host, device, count) => this.run(device, count).fill(0));
  }

  discard(frame: number): void {
    if (this.#host.debug) this.run(frame, 1).fill(POISON);
  }

  async createKernel(descriptor: DeviceKernelDescriptor): Promise<DeviceKernel> {
    this.#assertOpen();
    const { label, host, module, wgsl } = descriptor;
    const memory: StepMemory = {
      pageSize: this.#host.pageSize,
      bytes: () => this.#memory,
      run: (frame, count) => this.run(frame, count),
      hostPage: (frame) => this.#host.bytes(frame, 1),
    };
    for (const name of wgsl?.bindings ?? [])
      throw new MemoryError("ENOTSUP", `${this.#name} has no buffers of the caller's, as binding "${name}" would be`);
    const compiled = wgsl && (await compileWgsl(wgsl));
    const isPosted = this.#host.shared && (module !== undefined || (host === undefined && wgsl !== undefined));
    if (!isPosted) {
      if (compiled !== undefined) return runCompiled(memory, compiled, host);
      if (host !== undefined) return new MirrorKernel(memory, host);
      throw new MemoryError("EINVAL", `kernel "${label}" has no code`);
    }
    const { KernelThread } = await loadPart("kernels in a worker", () => import("./kernel-thread.js"));
    this.#assertOpen();
    this.#kernels ??= new KernelThread(this.#name, this.#memory, memory);
    return this.#kernels.createKernel(label, module, compiled);
  }

  stopKernels(reason: MemoryError): void {
    void this.#kernels?.close(reason);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#kernels?.close(this.#closedError());
    this.#memory = new Uint8Array(0);
    this.#onClose();
  }

  /** The bytes of `count` contiguous frames of the device. */
  run(frame: number, count: number): Uint8Array {
    const { pageSize } = this.#host;
    return this.#memory.subarray(frame * pageSize, (frame + count) * pageSize);
  }

  #download(copies: CopyList): void {
    this.#assertOpen();
    this.#forEachRun("download", copies, (host, device, count) => {
      this.#copy(this.#host.bytes(host, count), this.run(device, count));
    });
  }

  #copy(to: Uint8Array, from: Uint8Array): void {
    const { environment } = this.#host;
    if (environment.copy === undefined || to.byteLength < LONG_COPY) to.set(from);
    else environment.copy(to, from);
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
    if (this.#closed) throw this.#closedError();
  }

  #closedError(): MemoryError {
    return new MemoryError("ENODEV", `${this.#name} is closed`);
  }
}

/** A function is taken for steps where there is one. */
async function runCompiled(memory: StepMemory, wgsl: CompiledWgsl, host?: HostKernel): Promise<DeviceKernel> {
  const { createPagedKernel, createStepKernel } = await loadPart("WGSL", () => import("../wgsl/index.js"));
  return new MirrorWgslKernel(memory, host ?? createStepKernel(wgsl.steps()), () => createPagedKernel(wgsl.paged()));
}

function allocate(bytes: number, shared: boolean): Uint8Array {
  try {
    return new Uint8Array(shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
  } catch (cause) {
    throw new MemoryError("ENOMEM", `the JavaScript engine gave no ${bytes} bytes of memory for the mirror device`, {
      cause,
    });
  }
}
