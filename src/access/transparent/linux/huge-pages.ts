/**
 * Pages as large as the system's huge ones, which the system is asked to back with them: a page moves to a window and back by one
 * entry then, in place of 512. Where it gives no huge pages, all is as without.
 */

import { allocateRegion } from "../../../mm/shared-memory.js";
import type { System } from "./system.js";

const HUGE_PAGE = 2 * 1024 * 1024;
/** Of a region. */
const MOST_BYTES = 2 ** 32;
const MADV_HUGEPAGE = 14;

/** Memory for frames of so many bytes each, shared; aligned for them, if there is room. Throws what the engine throws. */
export function allocateFrames(system: System, bytes: number, pageSize: number): Uint8Array {
  if (pageSize % HUGE_PAGE !== 0 || bytes + HUGE_PAGE > MOST_BYTES) return allocateRegion(bytes, true);
  const room = allocateRegion(bytes + HUGE_PAGE, true);
  const before = (HUGE_PAGE - (system.addressOf(room) % HUGE_PAGE)) % HUGE_PAGE;
  const frames = room.subarray(before, before + bytes);
  adviseHuge(system, system.addressOf(frames), bytes, pageSize);
  return frames;
}

/** Asks for huge pages in a range, if pages are as large. A kernel without them refuses, which changes nothing. */
export function adviseHuge({ madvise }: System, address: number, bytes: number, pageSize: number): void {
  if (pageSize % HUGE_PAGE === 0) madvise(address, bytes, MADV_HUGEPAGE);
}
