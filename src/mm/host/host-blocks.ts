/**
 * Blocks of the pool for compound pages: 512 aligned host frames in one region. A block whose page was split comes back
 * to the pool frame by frame; when it is all there again, and a block is needed, it is one once more.
 *
 * Counterpart: order-9 pages of `mm/page_alloc.c`.
 */

import type { FrameList } from "../frames/frame-list.js";
import type { Frames } from "../frames/frames.js";
import type { FreeRuns } from "./free-runs.js";
import { BLOCK_FRAMES } from "../table/table-shape.js";

export class HostBlocks {
  readonly #frames: Frames;
  readonly #runs: FreeRuns;
  /** Free frames of the pool, one by one. */
  readonly #pool: FrameList;
  readonly #free: number[] = [];
  /** First frames of blocks that were split. */
  readonly #split = new Set<number>();

  constructor(frames: Frames, runs: FreeRuns, pool: FrameList) {
    this.#frames = frames;
    this.#runs = runs;
    this.#pool = pool;
  }

  /** The first frame of a free block; 0 when there is none and none can be cut from what is not reserved. */
  take(): number {
    return this.#free.pop() ?? (this.#reunite() || this.#runs.takeAligned(BLOCK_FRAMES));
  }

  /** Gives back a block that is whole. */
  give(first: number): void {
    this.#free.push(first);
  }

  /** The page in a block has been split, so its frames go their own ways. */
  wasSplit(first: number): void {
    this.#split.add(first);
  }

  /** A block all of whose frames are back in the pool, taken out of it. */
  #reunite(): number {
    for (const first of this.#split) {
      let frame = first;
      while (frame < first + BLOCK_FRAMES && this.#frames.refcount(frame) === 0) frame++;
      if (frame < first + BLOCK_FRAMES) continue;
      while (frame-- > first) this.#pool.remove(frame);
      this.#split.delete(first);
      return first;
    }
    return 0;
  }
}
