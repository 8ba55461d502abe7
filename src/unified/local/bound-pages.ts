/**
 * Pages that bindings hold on the device, for programs that use them there.
 *
 * Invariants: a page that is held is its mapping's own, so that nobody else needs it elsewhere; what a binding for writing
 * holds counts as written for as long as it is held.
 */

import { MemoryError } from "../../mm/errors.js";
import type { PinnedRange } from "../pager.js";
import type { Residency } from "./residency.js";

/** What one binding holds: pages `[start, end)` of the address space, in frames of the device. */
export interface BoundRange {
  readonly range: PinnedRange;
  readonly start: number;
  readonly end: number;
  readonly frames: Int32Array;
  readonly residency: Residency;
}

export class BoundPages {
  readonly #held = new Set<BoundRange>();

  hold(bound: BoundRange): void {
    bound.residency.hold(bound.frames);
    this.#held.add(bound);
  }

  isHeld(bound: BoundRange): boolean {
    return this.#held.has(bound);
  }

  /** A second time does nothing. */
  letGo(bound: BoundRange): void {
    if (this.#held.delete(bound)) bound.residency.release(bound.frames);
  }

  /** Lets go of all that hold pages of `[start, end)`; by default of everything. */
  letGoOf(start = 0, end = Infinity): void {
    for (const bound of this.within(start, end)) this.letGo(bound);
  }

  /** Those that hold pages of `[start, end)`. */
  within(start: number, end: number): BoundRange[] {
    return [...this.#held].filter((bound) => bound.start < end && bound.end > start);
  }

  /** Throws EBUSY when the CPU cannot use all of pages `[start, end)`. */
  refuseCpu(start: number, end: number): void {
    for (const { range } of this.within(start, end)) {
      throw new MemoryError("EBUSY", `the CPU has to wait for pages that ${nameOf(range)} holds on the device`);
    }
  }
}

/** For messages. */
export function nameOf({ label, mode, start, length }: PinnedRange): string {
  return `a ${mode} binding of elements ${start} to ${start + length} of array "${label}"`;
}
