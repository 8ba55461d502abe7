/**
 * Which device frames to use next: the run of `count` frames whose most recent use is the longest ago, where free frames
 * count as never used. So the least recently used pages go first, and free memory before any of them, that which is
 * rather for others last. A pure function over counters.
 */

/** Never to be chosen: a step is using the frame. */
export const HELD = Infinity;
/** The frame is free. */
export const FREE = -1;
/** It is free, beside pages that are used otherwise. */
export const FREE_BESIDE_OTHERS = -0.5;

/**
 * First frame of the run, -1 when every run of that length has a held frame. The lowest such run wins. No run goes from one
 * of the device's buffers, of `runFrames` frames each, into the next.
 */
export function leastRecentlyUsedRun(uses: Float64Array, count: number, runFrames = uses.length): number {
  let best = -1;
  let bestUse = HELD;
  // Frames of the sliding window in descending order of use: the head is the window's most recent use.
  const queue = new Int32Array(uses.length);
  let head = 0;
  let tail = 0;
  for (let frame = 0; frame < uses.length; frame++) {
    while (tail > head && uses[queue[tail - 1]] <= uses[frame]) tail--;
    queue[tail++] = frame;
    const first = frame - count + 1;
    if (first < 0) continue;
    if (queue[head] < first) head++;
    if (frame % runFrames < count - 1) continue;
    const use = uses[queue[head]];
    if (use >= bestUse) continue;
    best = first;
    bestUse = use;
    if (use === FREE) break;
  }
  return best;
}
