/**
 * One step of a kernel, wherever it runs: a function over views of device memory. A slice whose frames are
 * contiguous is one view; any other is gathered into scratch memory first, and scattered back if the kernel writes it.
 */

import { MemoryError } from "../../mm/errors.js";
import type { KernelSlice, KernelStep } from "../driver.js";
import { type ElementArray, strideOf, viewOf } from "../element.js";
import type { StepKernel } from "../step-kernel.js";

/** Where a step's pages are. */
export interface StepMemory {
  readonly pageSize: number;
  /** All of the device's memory. */
  bytes(): Uint8Array;
  /** The bytes of `count` contiguous frames of the device. */
  run(frame: number, count: number): Uint8Array;
  /** The bytes of a host frame that the step reads in place. */
  hostPage(frame: number): Uint8Array;
}

/** Returns the bytes of scratch memory that it took. */
export function runStep(
  kernel: StepKernel,
  { first, count, shape, slices, uniforms }: KernelStep,
  memory: StepMemory,
): number {
  const arrays: Record<string, ElementArray> = {};
  const base: Record<string, number> = {};
  const lengths: Record<string, number> = {};
  const scattered: [KernelSlice, Uint8Array][] = [];
  let scratchBytes = 0;
  for (const slice of slices) {
    const contiguous = isContiguous(slice.frames);
    const bytes = contiguous ? memory.run(slice.frames[0], slice.frames.length) : gather(slice, memory);
    if (!contiguous) {
      scratchBytes += bytes.byteLength;
      if (slice.written) scattered.push([slice, bytes]);
    }
    arrays[slice.name] = viewOf(slice.type, bytes.buffer, bytes.byteOffset + slice.offset, slice.length);
    base[slice.name] = slice.first;
    lengths[slice.name] = slice.total;
  }
  const result: unknown = kernel.run({ first, count, shape, arrays, base, lengths, uniforms });
  if (result instanceof Promise) {
    result.catch(() => {});
    throw new MemoryError("EINVAL", "a kernel must not await: what it writes later is nobody's");
  }
  for (const [slice, bytes] of scattered) scatter(slice, bytes, memory);
  return scratchBytes;
}

function gather({ frames }: KernelSlice, memory: StepMemory): Uint8Array {
  const { pageSize } = memory;
  const scratch = new Uint8Array(frames.length * pageSize);
  for (let i = 0; i < frames.length; i++) scratch.set(pageOf(frames[i], memory), i * pageSize);
  return scratch;
}

/** Only the slice's own elements go back: what else is on its pages may have changed meanwhile. */
function scatter({ frames, offset, length, type }: KernelSlice, scratch: Uint8Array, memory: StepMemory): void {
  const { pageSize } = memory;
  const end = offset + length * strideOf(type);
  for (let i = 0; i < frames.length; i++) {
    const from = Math.max(offset, i * pageSize);
    const to = Math.min(end, (i + 1) * pageSize);
    if (from < to) pageOf(frames[i], memory).set(scratch.subarray(from, to), from - i * pageSize);
  }
}

function pageOf(frame: number, memory: StepMemory): Uint8Array {
  return frame >= 0 ? memory.run(frame, 1) : memory.hostPage(-1 - frame);
}

function isContiguous(frames: Int32Array): boolean {
  if (frames[0] < 0) return false;
  for (let i = 1; i < frames.length; i++) if (frames[i] !== frames[0] + i) return false;
  return true;
}
