/**
 * Copies between frames and a buffer of the program's, and from host memory to it: by the device's queue, so in the order of
 * what the program submits itself.
 */

import { MemoryError } from "../../mm/errors.js";
import type { BufferCopies, DeviceInterop, TargetCopies } from "../driver.js";
import type { DeviceGone } from "./device-gone.js";
import type { Pools } from "./pools.js";
import { BUFFER_COPY_DST, BUFFER_COPY_SRC } from "./usage.js";

/** What is copied at once of memory that is shared, which Dawn cannot be given. */
const UNSHARED_BYTES = 1024 * 1024;

/** What the buffers of one device have in common. */
interface Context {
  readonly name: string;
  readonly device: GPUDevice;
  readonly gone: DeviceGone;
  readonly pools: Pools;
}

type BufferUse = "target" | "source";

export class WebgpuInterop implements DeviceInterop {
  readonly bindingAlignment: number;
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
    this.bindingAlignment = context.device.limits.minStorageBufferOffsetAlignment;
  }

  placeOf(frame: number, written: boolean): { buffer: GPUBuffer; offset: number } {
    const { pools } = this.#context;
    if (written) pools.willChange(frame, 1, true);
    return { buffer: pools.poolOf(frame).buffer, offset: pools.offsetOf(frame) };
  }

  async source(buffer: unknown): Promise<BufferCopies> {
    return new Copies(this.#context, await this.#usable(buffer, "source"), "source");
  }

  async target(buffer: unknown): Promise<TargetCopies> {
    return new CopiesOut(this.#context, await this.#usable(buffer, "target"), "target");
  }

  async #usable(given: unknown, use: BufferUse): Promise<GPUBuffer> {
    const { device, gone, name, pools } = this.#context;
    gone.assertUsable();
    const buffer = bufferFrom(given, use);
    if (pools.pools.some((pool) => pool.buffer === buffer))
      throw new MemoryError("EINVAL", `the ${use} of a copy is a buffer with pages of ${name} itself`);
    const needed = use === "target" ? BUFFER_COPY_DST : BUFFER_COPY_SRC;
    if ((buffer.usage & needed) === 0) {
      const flag = use === "target" ? "COPY_DST" : "COPY_SRC";
      throw new MemoryError("EINVAL", `${labelOf(buffer)} has usage ${buffer.usage}, without GPUBufferUsage.${flag}`);
    }
    const error = await gone.until(refusalOf(device, pools.pools[0].buffer, buffer, use));
    if (error !== null) {
      const what = `${labelOf(buffer)} cannot be the ${use} of a copy by ${name}`;
      throw new MemoryError("EINVAL", `${what}: ${reasonOf(error)}`, { cause: error });
    }
    return buffer;
  }
}

/** What only another implementation of WebGPU would take for a buffer is found when it is used. */
function bufferFrom(given: unknown, use: BufferUse): GPUBuffer {
  const { usage, size, mapAsync } = (given ?? {}) as Partial<GPUBuffer>;
  if (typeof usage === "number" && typeof size === "number" && typeof mapAsync === "function")
    return given as GPUBuffer;
  const what = typeof given === "object" && given !== null ? (given.constructor?.name ?? "an object") : String(given);
  throw new MemoryError("EINVAL", `the ${use} of a copy is ${what}, not a GPUBuffer`);
}

function labelOf({ label, size }: GPUBuffer): string {
  return label === "" ? `the buffer of ${size} bytes` : `buffer "${label}"`;
}

function reasonOf({ message }: { readonly message: string }): string {
  return (message.split("\n", 1)[0] ?? "").replace(/\.$/, "");
}

/** What WebGPU says to a copy of no bytes: whether the buffer is of this device, and neither mapped nor destroyed. */
async function refusalOf(
  device: GPUDevice,
  pool: GPUBuffer,
  buffer: GPUBuffer,
  use: BufferUse,
): Promise<Error | GPUError | null> {
  device.pushErrorScope("validation");
  let thrown: Error | null = null;
  try {
    const encoder = device.createCommandEncoder();
    if (use === "target") encoder.copyBufferToBuffer(pool, 0, buffer, 0, 0);
    else encoder.copyBufferToBuffer(buffer, 0, pool, 0, 0);
    device.queue.submit([encoder.finish()]);
  } catch (error) {
    // An object of another implementation.
    thrown = error as Error;
  }
  const refused = await device.popErrorScope();
  return thrown ?? refused;
}

class Copies implements BufferCopies {
  readonly size: number;
  protected readonly context: Context;
  protected readonly buffer: GPUBuffer;
  readonly #use: BufferUse;
  #encoder: GPUCommandEncoder | null = null;
  #refusals: Promise<GPUError | null>[] = [];

  constructor(context: Context, buffer: GPUBuffer, use: BufferUse) {
    this.context = context;
    this.buffer = buffer;
    this.#use = use;
    this.size = buffer.size;
  }

  frames(frame: number, at: number, length: number, offset: number): void {
    const { device, pools } = this.context;
    const encoder = (this.#encoder ??= device.createCommandEncoder());
    for (let done = 0; done < length;) {
      const from = frame + Math.floor((at + done) / pools.pageSize);
      const within = (at + done) % pools.pageSize;
      const part = Math.min(length - done, pools.restOfPool(from) * pools.pageSize - within);
      const pool = pools.poolOf(from);
      const place = pools.offsetOf(from) + within;
      if (this.#use === "target") encoder.copyBufferToBuffer(pool.buffer, place, this.buffer, offset + done, part);
      else {
        pools.willChange(from, Math.ceil((within + part) / pools.pageSize), true);
        encoder.copyBufferToBuffer(this.buffer, offset + done, pool.buffer, place, part);
      }
      done += part;
    }
  }

  submit(): void {
    const { device, gone } = this.context;
    gone.assertUsable();
    const encoder = this.#encoder;
    if (encoder === null) return;
    this.#encoder = null;
    this.watched(() => device.queue.submit([encoder.finish()]));
  }

  async done(): Promise<void> {
    const { device, gone } = this.context;
    const refusals = this.#refusals;
    this.#refusals = [];
    const [, ...results] = await gone.until(Promise.all([device.queue.onSubmittedWorkDone(), ...refusals]));
    const cause = results.find((result) => result !== null);
    if (cause === undefined) return;
    throw new MemoryError("EIO", `${labelOf(this.buffer)} was not copied: ${reasonOf(cause)}`, { cause });
  }

  /** Notes what WebGPU says to what is done. */
  protected watched(act: () => void): void {
    const { device } = this.context;
    device.pushErrorScope("validation");
    try {
      act();
    } finally {
      const refusal = device.popErrorScope();
      refusal.catch(() => {});
      this.#refusals.push(refusal);
    }
  }
}

class CopiesOut extends Copies implements TargetCopies {
  #unshared: Uint8Array<ArrayBuffer> | null = null;

  bytes(source: Uint8Array, offset: number): void {
    const { device, gone } = this.context;
    gone.assertUsable();
    this.watched(() => {
      if (source.buffer instanceof ArrayBuffer) {
        device.queue.writeBuffer(this.buffer, offset, source);
        return;
      }
      const part = (this.#unshared ??= new Uint8Array(UNSHARED_BYTES));
      for (let done = 0; done < source.byteLength; done += part.byteLength) {
        const length = Math.min(part.byteLength, source.byteLength - done);
        part.set(source.subarray(done, done + length));
        device.queue.writeBuffer(this.buffer, offset + done, part, 0, length);
      }
    });
  }
}
