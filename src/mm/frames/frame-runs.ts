/** Stretches of frames that lie side by side in memory, so that a store on disk is asked once for many pages. */

import { BLOCK_FRAMES, type Zones } from "./zone.js";

/**
 * Calls `act` with the first place and the length of each stretch of `frames`, in order: neighbouring frames of one zone,
 * at most `most` of them, whose places go together as well (`joins(i)`: does place i belong to the one before it?).
 */
export function forEachRun(
  zones: Zones,
  frames: readonly number[],
  most: number,
  joins: (place: number) => boolean,
  act: (from: number, count: number) => void,
): void {
  for (let from = 0; from < frames.length;) {
    let count = 1;
    while (count < most && from + count < frames.length) {
      const frame = frames[from + count];
      if (frame !== frames[from] + count || !joins(from + count)) break;
      // Zones begin at blocks.
      if ((frame & (BLOCK_FRAMES - 1)) === 0 && zones.of(frame) !== zones.of(frame - 1)) break;
      count++;
    }
    act(from, count);
    from += count;
  }
}
