/** How much of a device is left beside what programs hold there by bindings. */

import type { BoundPages } from "./bound-pages.js";

/** Pages `[start, end)` of the address space. */
export interface PageRange {
  readonly start: number;
  readonly end: number;
}

/** Of `frames` frames those that bindings do not hold; what they hold of the ranges themselves is no loss to them. */
export function framesLeft(bound: BoundPages, frames: number, ranges: readonly PageRange[]): number {
  const lost = new Set<number>();
  for (const held of bound.within(0, Infinity)) {
    for (let page = held.start; page < held.end; page++) {
      const isUsed = ranges.some(({ start, end }) => start <= page && page < end);
      if (!isUsed) lost.add(held.frames[page - held.start]);
    }
  }
  return frames - lost.size;
}
