/**
 * Which pages of an array were written, for incremental checkpoints: soft-dirty of Linux, asked and cleared for one array.
 * Stores through a pin are seen by nobody, so all that is pinned for writing counts as written, also after a clear.
 *
 * Invariant: what is stored through a pin after `clear` was called counts as written, whenever the clear is carried out,
 * and whether the pin is still held then or not.
 *
 * Counterpart: `/proc/pid/clear_refs` and `/proc/pid/pagemap`, which Linux has for a whole process only.
 */

import { clearSoftDirtyRange, forEachSoftDirtyRun, markSoftDirty } from "../mm/space/soft-dirty.js";
import type { MemoryCore } from "./memory-core.js";

/** Pages `[first, end)` that a pin for writing holds. */
export interface WritablePages {
  readonly first: number;
  readonly end: number;
}

export class WrittenPages {
  readonly #core: MemoryCore;
  readonly #pinned = new Set<WritablePages>();
  /** Of pins that were released while a clear waited for its turn. */
  #released: WritablePages[] = [];
  #waiting = 0;

  constructor(core: MemoryCore) {
    this.#core = core;
  }

  /** From now on whoever holds the pin may write the pages. */
  pin(pages: WritablePages): void {
    this.#pinned.add(pages);
    markSoftDirty(this.#core.mm, pages.first, pages.end);
  }

  release(pages: WritablePages): void {
    this.#pinned.delete(pages);
    if (this.#waiting > 0) this.#released.push(pages);
  }

  /** Calls `found` for each run of written pages of `[first, end)`, in order. */
  forEachRun(first: number, end: number, found: (first: number, end: number) => void): void {
    forEachSoftDirtyRun(this.#core.mm, first, end, found);
  }

  /** Forgets, in its turn, that pages were written: `range` is asked for them then. */
  async clear(range: () => WritablePages, signal: AbortSignal | undefined): Promise<void> {
    const { mm, queue } = this.#core;
    this.#waiting++;
    try {
      await queue.run(async (checkpoint) => {
        checkpoint();
        const { first, end } = range();
        await clearSoftDirtyRange(mm, first, end);
        for (const pages of [...this.#pinned, ...this.#released]) markSoftDirty(mm, pages.first, pages.end);
      }, signal);
    } finally {
      this.#waiting--;
      if (this.#waiting === 0) this.#released = [];
    }
  }
}
