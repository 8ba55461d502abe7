/** Pinned pages in stretches that lie side by side in memory. */

import type { PinnedPages } from "../access/host-pins.js";
import { BLOCK_FRAMES } from "../mm/frames/zone.js";

/** The frame of the i-th page. */
export function frameAt({ first, frames }: PinnedPages, i: number): number {
  return frames === null ? first + i : frames[i];
}

/** How many pages from the i-th on lie side by side; at the end of a block of frames another region may begin. */
export function sideBySide(pages: PinnedPages, i: number): number {
  if (pages.frames === null) return pages.count - i;
  let count = 1;
  while (i + count < pages.count) {
    const frame = pages.frames[i + count];
    if (frame !== pages.frames[i] + count || (frame & (BLOCK_FRAMES - 1)) === 0) break;
    count++;
  }
  return count;
}
