/**
 * Gives the memory of frames that nothing uses back to the system: those that were idle for a while, and all of them as soon as more
 * frames have memory than the host budget has pages. So the process has no more memory for pages than the budget, beside the
 * copies that windows show, which are dropped then.
 *
 * Invariant: what is given back is free and not retained, and counts as untouched from then on: it reads as zeros.
 *
 * Counterpart: `mm/page_reporting.c`.
 */

import { PG_RETAINED, PG_TOUCHED } from "../../mm/frames/frames.js";
import type { IdleFrames } from "../../mm/host/retained.js";
import type { Machine } from "../../mm/machine.js";
import type { ProcessTable } from "./process-table.js";

export class IdleMemory implements IdleFrames {
  /** Bytes given back. */
  released = 0;
  readonly #machine: Machine;
  readonly #table: ProcessTable;
  /** Idle since the last look, and since before it. A frame is in one of them at most, and may be in use again. */
  #recent: number[] = [];
  #old: number[] = [];
  /** Frames that have memory. */
  #touched = 0;
  /** By frame: is it in one of them? */
  #listed = new Uint8Array(0);

  constructor(machine: Machine, table: ProcessTable) {
    this.#machine = machine;
    this.#table = table;
    machine.host.retained.idle = this;
  }

  add(frame: number): void {
    if (frame >= this.#listed.length) this.#grow();
    if (this.#listed[frame] === 1) return;
    this.#listed[frame] = 1;
    this.#recent.push(frame);
  }

  touched(): void {
    if (++this.#touched <= this.#machine.host.charge.limit) return;
    this.#table.dropShown();
    this.age();
    this.age();
  }

  /** To be called now and then: what was idle at the last call and still is goes. */
  age(): void {
    const frames = Int32Array.from(this.#old).sort();
    this.#old = this.#recent;
    this.#recent = [];
    for (let i = 0; i < frames.length;) {
      const first = frames[i++];
      if (!this.#take(first)) continue;
      let end = first + 1;
      for (; frames[i] === end && this.#isBeside(end) && this.#take(end); i++) end++;
      this.#release(first, end - first);
    }
  }

  #grow(): void {
    const listed = new Uint8Array(this.#machine.frames.count);
    listed.set(this.#listed);
    this.#listed = listed;
  }

  /** Is the frame in the region of the one before it? */
  #isBeside(frame: number): boolean {
    const { zones } = this.#machine;
    return zones.of(frame) === zones.of(frame - 1);
  }

  #isIdle(frame: number): boolean {
    const { frames } = this.#machine;
    return frames.refcount(frame) === 0 && (frames.flags(frame) & (PG_RETAINED | PG_TOUCHED)) === PG_TOUCHED;
  }

  #take(frame: number): boolean {
    this.#listed[frame] = 0;
    if (!this.#isIdle(frame)) return false;
    this.#machine.frames.clearFlags(frame, PG_TOUCHED);
    this.#touched--;
    return true;
  }

  #release(first: number, count: number): void {
    const { pageSize } = this.#machine;
    this.#table.pages.release(this.#table.addressOf(first), count * pageSize);
    this.released += count * pageSize;
  }
}
