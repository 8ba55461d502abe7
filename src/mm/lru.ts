/**
 * The list of host pages that reclaim and migration can isolate, and the batch in front of it. A new page waits in the
 * batch, which holds a reference of its own; that reference can be observed (a page in the batch is not reused on a
 * write fault before the batch is drained), so the batch is part of the model, not only an optimisation.
 *
 * Counterpart: `mm/swap.c` (`folio_add_lru`, `lru_add_drain`), `folio_isolate_lru`, `folio_putback_lru`.
 */

import { FRAME_SHIFT, type Frames, PG_LRU } from "./frames.js";
import { FrameList } from "./frame-list.js";

/** `PAGEVEC_SIZE`: the batch is drained when it holds this many pages. */
const BATCH_SIZE = 15;

export class Lru {
  readonly list: FrameList;
  readonly #frames: Frames;
  readonly #put: (frame: number) => void;
  readonly #batch = new Int32Array(BATCH_SIZE);
  #batched = 0;

  constructor(frames: Frames, put: (frame: number) => void) {
    this.#frames = frames;
    this.#put = put;
    this.list = new FrameList(frames);
  }

  /** Puts a page, which is on no list, into the batch. */
  add(frame: number): void {
    this.#frames.get(frame);
    this.#batch[this.#batched++] = frame;
    if (this.#batched === BATCH_SIZE) this.drain();
  }

  drain(): void {
    const words = this.#frames.words;
    for (let i = 0; i < this.#batched; i++) {
      const frame = this.#batch[i];
      words[frame << FRAME_SHIFT] |= PG_LRU;
      this.list.pushFront(frame);
    }
    const drained = this.#batched;
    this.#batched = 0;
    for (let i = 0; i < drained; i++) this.#put(this.#batch[i]);
  }

  /** Takes the page off the list, with a reference; false when it is not on the list. */
  isolate(frame: number): boolean {
    const words = this.#frames.words;
    const at = frame << FRAME_SHIFT;
    if ((words[at] & PG_LRU) === 0) return false;
    words[at] &= ~PG_LRU;
    this.list.remove(frame);
    this.#frames.get(frame);
    return true;
  }

  /** Gives an isolated page, and the reference that came with it, back. */
  putback(frame: number): void {
    this.add(frame);
    this.#put(frame);
  }

  /** The page is being freed. */
  forget(frame: number): void {
    this.#frames.clearFlags(frame, PG_LRU);
    this.list.remove(frame);
  }

  get batched(): readonly number[] {
    return Array.from(this.#batch.subarray(0, this.#batched));
  }
}
