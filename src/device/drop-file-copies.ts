/**
 * Pages of a device that still hold what a file holds leave it by being forgotten: no copy, no room in host memory. So a
 * kernel can stream over a mapped file that is larger than host and device memory together.
 */

import { PG_FILE_COPY, PG_LOCKED } from "../mm/frames/frames.js";
import type { AttachedDevice } from "./attached-device.js";

/** Drops what can be dropped of frames `[first, first + count)` of the machine; how many pages went. */
export function dropFileCopies({ machine, counters }: AttachedDevice, first: number, count: number): number {
  const { frames } = machine;
  let dropped = 0;
  for (let frame = first; frame < first + count; frame++) {
    if ((frames.flags(frame) & (PG_FILE_COPY | PG_LOCKED)) !== PG_FILE_COPY) continue;
    if (!frames.tryGet(frame, 1)) continue;
    if (machine.paging.dropFileCopy(machine, frame)) dropped++;
    machine.put(frame);
  }
  counters.droppedClean.pages += dropped;
  counters.droppedClean.bytes += dropped * machine.pageSize;
  return dropped;
}
