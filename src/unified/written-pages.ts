/**
 * Clears what is known of the pages that were written. Stores through a pin are seen by nobody, so all that a pin holds for
 * writing counts as written, also after a clear.
 *
 * Invariant: what is stored through a pin after `clear` was called counts as written, whenever the clear is carried out,
 * and whether the pin is still held then or not.
 *
 * Counterpart: `/proc/pid/clear_refs` and `/proc/pid/pagemap`, which Linux has for a whole process only.
 */

import type { OperationQueue } from "./operation-queue.js";
import type { Mapping, PinnedRange } from "./pager.js";

export class WrittenPages {
  readonly #mapping: Mapping;
  /** Of pins for writing that were released while a clear waited for its turn. */
  #released: PinnedRange[] = [];
  #waiting = 0;

  constructor(mapping: Mapping) {
    this.#mapping = mapping;
  }

  /** A pin has let the pages go. */
  release(range: PinnedRange): void {
    if (this.#waiting > 0 && range.mode === "write") this.#released.push(range);
  }

  /** Forgets, when its turn comes, that pages were written. `assertMapped` is asked then. */
  async clear(queue: OperationQueue, assertMapped: () => void, signal: AbortSignal | undefined): Promise<void> {
    this.#waiting++;
    try {
      await queue.run(async (operation) => {
        operation.checkpoint();
        assertMapped();
        await this.#mapping.clearWritten(operation);
        for (const { first, end } of this.#released) this.#mapping.markWritten(first, end);
      }, signal);
    } finally {
      this.#waiting--;
      if (this.#waiting === 0) this.#released = [];
    }
  }
}
