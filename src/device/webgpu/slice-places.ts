/**
 * Where the slices of a step are bound: in the pool where their frames lie side by side, else in scratch memory, to which
 * their pages are copied, and from which what the kernel wrote is copied back.
 *
 * WebGPU lets a dispatch have one buffer either for reading or for writing. So a slice that is only read is declared as written
 * where another slice in its pool is written; and where the same page is bound twice in such a pool, the second time it is a copy.
 * What must not be declared so is a copy, too.
 */

import type { KernelSlice } from "../driver.js";
import { strideOf } from "../element.js";
import type { Pool, Pools } from "./pools.js";

/** An array of the kernel, as its text has it. */
export interface ArrayVariable {
  readonly name: string;
  /** null for as many elements as there are. */
  readonly length: number | null;
  /** Declared as storage that can be written. */
  readonly writable: boolean;
  /** It must not be declared as written where it is only read: then a compiler takes what is loaded for the same everywhere. */
  readonly staysReadOnly: boolean;
}

export interface SlicePlace {
  readonly slice: KernelSlice;
  /** null: in scratch memory. */
  pool: Pool | null;
  /** Bytes of the pool in front of what is bound; of scratch memory, in front of the slice's first page. */
  offset: number;
  /** Bytes that are bound. */
  readonly size: number;
  /** The element of the array that is bound first. */
  readonly base: number;
  /** Not the whole array from its start: the kernel has to know the base. */
  readonly isPart: boolean;
  /** Bound as storage that can be written. */
  writable: boolean;
}

/** In the order of the kernel's arrays. */
export function placeSlices(
  arrays: readonly ArrayVariable[],
  slices: readonly KernelSlice[],
  pools: Pools,
): SlicePlace[] {
  const places = arrays.map((array) =>
    placeSlice(
      array,
      slices.find(({ name }) => name === array.name)!,
      pools,
    ),
  );
  for (const { pool, writable } of places) {
    if (pool === null || !writable) continue;
    for (const [n, place] of places.entries()) {
      if (place.pool !== pool) continue;
      if (arrays[n].staysReadOnly) copy(place);
      else place.writable = true;
    }
  }
  for (let i = 1; i < places.length; i++) {
    const place = places[i];
    if (!place.writable || !places.some((other, j) => j < i && overlap(other, place))) continue;
    copy(place);
  }
  return places;
}

/** Binds it in scratch memory. */
function copy(place: SlicePlace): void {
  place.pool = null;
  place.offset = 0;
}

function placeSlice({ length, writable }: ArrayVariable, slice: KernelSlice, pools: Pools): SlicePlace {
  const { frames, first, offset, total, type } = slice;
  const stride = strideOf(type);
  const base = first - offset / stride;
  if (length !== null) {
    // A fixed length is bound from the array's start, whatever part of it the step has.
    const size = Math.max(length, first + slice.length) * stride;
    const pool = first === 0 && slice.length >= length ? poolOf(frames, pools) : null;
    const start = pool === null ? base * stride : pools.offsetOf(frames[0]);
    return { slice, pool, offset: start, size, base: 0, isPart: false, writable };
  }
  const pool = poolOf(frames, pools);
  const start = pool === null ? 0 : pools.offsetOf(frames[0]);
  const size = Math.max(offset + slice.length * stride, stride);
  const isPart = first !== 0 || slice.length !== total;
  return { slice, pool, offset: start, size, base, isPart, writable };
}

/** The pool where frames lie side by side. */
function poolOf(frames: Int32Array, pools: Pools): Pool | null {
  if (frames.length === 0 || frames.length > pools.restOfPool(frames[0])) return null;
  for (let i = 1; i < frames.length; i++) if (frames[i] !== frames[0] + i) return null;
  return pools.poolOf(frames[0]);
}

function overlap(a: SlicePlace, b: SlicePlace): boolean {
  return a.pool !== null && a.pool === b.pool && a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

/** Bytes of scratch memory that a place takes: its slice's pages, and what is bound. */
export function scratchBytesOf({ pool, offset, size, slice }: SlicePlace, pageSize: number): number {
  if (pool !== null) return 0;
  return Math.ceil(Math.max(size, offset + slice.frames.length * pageSize) / 4) * 4;
}

/** Copies a slice's pages to its scratch memory, run by run. */
export function gather(encoder: GPUCommandEncoder, place: SlicePlace, scratch: GPUBuffer, pools: Pools): void {
  forEachRun(place.slice.frames, pools, (frame, page, count) => {
    const { pageSize } = pools;
    const { buffer } = pools.poolOf(frame);
    encoder.copyBufferToBuffer(
      buffer,
      pools.offsetOf(frame),
      scratch,
      place.offset + page * pageSize,
      count * pageSize,
    );
  });
}

/** Copies the slice's own elements back: what else is on its pages may have changed meanwhile. */
export function scatter(encoder: GPUCommandEncoder, place: SlicePlace, scratch: GPUBuffer, pools: Pools): void {
  const { frames, offset, length, type } = place.slice;
  const { pageSize } = pools;
  const end = offset + length * strideOf(type);
  forEachRun(frames, pools, (frame, page, count) => {
    const from = Math.max(offset, page * pageSize);
    const to = Math.min(end, (page + count) * pageSize);
    if (from >= to) return;
    const pool = pools.poolOf(frame);
    const target = pools.offsetOf(frame) + from - page * pageSize;
    encoder.copyBufferToBuffer(scratch, place.offset + from, pool.buffer, target, to - from);
  });
}

function forEachRun(frames: Int32Array, pools: Pools, act: (frame: number, page: number, count: number) => void): void {
  for (let page = 0; page < frames.length;) {
    const frame = frames[page];
    const most = Math.min(frames.length - page, pools.restOfPool(frame));
    let count = 1;
    while (count < most && frames[page + count] === frame + count) count++;
    act(frame, page, count);
    page += count;
  }
}
