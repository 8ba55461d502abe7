/**
 * The list of host pages that reclaim and migration can isolate, and the batch in front of it. A new page waits in the
 * batch, which holds a reference of its own; that reference can be observed (a page in the batch is not reused on a
 * write fault before the batch is drained), so the batch is part of the model, not only an optimisation.
 *
 * Counterpart: `mm/swap.c` (`folio_add_lru`, `lru_add_drain`), `folio_isolate_lru`, `folio_putback_lru`.
 */

import * as frameTable from "./frames.js";
import type { Frames } from "./frames.js";
import { FrameList } from "./frame-list.js";
import { addToWord } from "../shared-word.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const PG_LRU = frameTable.PG_LRU;
const REFCOUNT = frameTable.REFCOUNT;

/** `PAGEVEC_SIZE`: the batch is drained when it holds this many pages. */
const BATCH_SIZE = 15;

export class Lru {
  readonly list: FrameList;
  readonly #frames: Frames;
  readonly #free: (frame: number) => void;
  readonly #batch = new Int32Array(BATCH_SIZE);
  #batched = 0;

  /** `free` is told of a page whose last reference was the batch's. */
  constructor(frames: Frames, free: (frame: number) => void) {
    this.#frames = frames;
    this.#free = free;
    this.list = new FrameList(frames);
  }

  /** Puts a page, which is on no list, into the batch. */
  add(frame: number): void {
    this.#frames.get(frame);
    this.putback(frame);
  }

  /** Puts a page on the list itself: a part of a compound page that was there. */
  insert(frame: number): void {
    this.#frames.setFlags(frame, PG_LRU);
    this.list.pushFront(frame);
  }

  drain(): void {
    const words = this.#frames.words;
    const batched = this.#batched;
    this.#batched = 0;
    for (let i = 0; i < batched; i++) {
      const frame = this.#batch[i];
      const at = frame << FRAME_SHIFT;
      words[at] |= PG_LRU;
      this.list.pushFront(frame);
      if (addToWord(words, at + REFCOUNT, -1) === 1) this.#free(frame);
    }
  }

  /**
   * Takes the page off the list; false when it is not on the list. The caller holds a reference, which keeps the page
   * until `putback`.
   */
  isolate(frame: number): boolean {
    const words = this.#frames.words;
    const at = frame << FRAME_SHIFT;
    if ((words[at] & PG_LRU) === 0) return false;
    words[at] &= ~PG_LRU;
    this.list.remove(frame);
    return true;
  }

  /** Gives an isolated page back; the caller's reference becomes the batch's. */
  putback(frame: number): void {
    this.#batch[this.#batched++] = frame;
    if (this.#batched === BATCH_SIZE) this.drain();
  }

  /** Gives a page on the list, which is not to go yet, another round. */
  rotate(frame: number): void {
    this.list.remove(frame);
    this.list.pushFront(frame);
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
