/**
 * Pages that come to lie side by side in one buffer of the device, wherever they were: what a binding holds. Those that are held
 * already stay where they are, and the others come to lie around them.
 */

import { MemoryError } from "../../mm/errors.js";
import type { ToDeviceCause } from "../../trace/counters.js";
import type { Checkpoint } from "../operation-queue.js";
import { isScattered, type Residency, sideBySide } from "./residency.js";

/** How often another place is looked for when pages refuse to go. */
const ATTEMPTS = 4;

/**
 * Makes pages `[start, end)` resident in a run of frames, which it returns. ENOMEM where what is held leaves no such run, or the host
 * has no room for what has to leave the device; EBUSY when a page does not let itself be moved. `pageSize` is for messages.
 */
export async function loadRun(
  residency: Residency,
  start: number,
  end: number,
  cause: ToDeviceCause,
  checkpoint: Checkpoint,
  pageSize: number,
): Promise<Int32Array> {
  const frames = new Int32Array(end - start);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const missing = residency.beginLoad(start, frames);
    if (missing === 0 && !isScattered(frames, residency.runFrames)) return frames;
    const first = placeFor(residency, frames);
    if (first < 0) {
      throw new MemoryError(
        "ENOMEM",
        `there are no ${frames.length * pageSize} bytes side by side beside what is held on the device`,
      );
    }
    await leavePlaces(residency, frames, first, checkpoint);
    for (let i = 0; i < frames.length;) {
      let next = i + 1;
      while (next < frames.length && frames[next] < 0 === frames[i] < 0) next++;
      if (frames[i] < 0) await residency.placeAt(start + i, first + i, next - i, cause, checkpoint);
      i = next;
    }
  }
  throw new MemoryError("EBUSY", `a page of ${start} to ${end} is in use and cannot move to where the others are`);
}

/** Around those of the pages that are held, else where what is there was used longest ago; -1 for nowhere. */
function placeFor(residency: Residency, frames: Int32Array): number {
  const held = frames.findIndex((frame) => frame >= 0 && residency.holdsOf(frame) > 0);
  if (held < 0) return residency.placeForRun(frames.length);
  const first = frames[held] - held;
  return isPlace(residency, frames, first) ? first : -1;
}

/** Is there nothing from frame `first` on, in one buffer, that is held for other pages, or elsewhere for these? */
function isPlace(residency: Residency, frames: Int32Array, first: number): boolean {
  const { runFrames } = residency;
  const last = first + frames.length - 1;
  if (first < 0 || last >= residency.frames || Math.floor(first / runFrames) !== Math.floor(last / runFrames))
    return false;
  return frames.every((frame, i) => {
    if (frame === first + i) return true;
    return residency.holdsOf(first + i) === 0 && (frame < 0 || residency.holdsOf(frame) === 0);
  });
}

/** Pages that are elsewhere on the device leave it, and are missing from now on. */
async function leavePlaces(
  residency: Residency,
  frames: Int32Array,
  first: number,
  checkpoint: Checkpoint,
): Promise<void> {
  for (let i = 0; i < frames.length;) {
    const run = sideBySide(frames, i);
    if (frames[i] >= 0 && frames[i] !== first + i) {
      await residency.vacate(frames[i], run, checkpoint);
      frames.fill(-1, i, i + run);
    }
    i += run;
  }
}
