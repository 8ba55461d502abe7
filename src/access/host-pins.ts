/**
 * Pins of the host: the pages of a range are made resident in host memory and held there, as `pin_user_pages` with
 * FOLL_LONGTERM does; a pinned page does not migrate. Pages without contents get frames, so that a pin for reading sees
 * what is written later, pages that are shared are copied for the same reason, and pages of coherent device memory move to
 * host memory first.
 */

import type { AttachedDevice } from "../device/attached-device.js";
import { outOfHostMemory } from "../device/out-of-host-memory.js";
import type { AddressSpace } from "../mm/space/address-space.js";
import { PTE_FRAME_SHIFT, PTE_PRESENT } from "../mm/table/entry.js";
import { MemoryError } from "../mm/errors.js";
import { FAULT_OWN, FAULT_WRITE } from "../mm/fault/fault.js";
import { PG_DIRTY } from "../mm/frames/frames.js";
import { DMA_PIN, tryPinPage, tryPinRun } from "../mm/fault/gup.js";
import { VM_SHARED } from "../mm/space/vma.js";
import { BLOCK_FRAMES, ZONE_SYSTEM } from "../mm/frames/zone.js";
import { migrateDeviceCoherentPage } from "../migrate/device-range.js";
import { bringHome, faultHost } from "./host-access.js";

/** Pages made ready between two checkpoints. */
const BATCH_PAGES = 512;

/** How often a page is made ready that is taken away again before it can be pinned. */
const MOST_ATTEMPTS = 64;

/** Pinned pages: the frames in order. */
export interface PinnedPages {
  /** The first frame when all are contiguous and in one region, else -1. */
  readonly first: number;
  readonly count: number;
  /** The frames one by one when they are not contiguous. */
  readonly frames: Int32Array | null;
}

/** Pins pages `[start, end)` if that needs no fault and no wait; null, with nothing pinned, otherwise. */
export function tryPinPages(mm: AddressSpace, start: number, end: number, write: boolean): PinnedPages | null {
  const count = end - start;
  if (mm.machine.hasPageCaches && mapsFilePage(mm, start, end)) return null;
  const first = hostFrame(mm, tryPinPage(mm, start, write, DMA_PIN));
  if (first < 0) return null;
  let frames: Int32Array | null = null;
  for (let i = 1; i < count; i++) {
    // Neighbours in the block of the frame before are of its region: nothing more to ask.
    if (frames === null && ((first + i) & (BLOCK_FRAMES - 1)) !== 0) {
      i += tryPinRun(mm, start + i, end, first + i, write, DMA_PIN);
      if (i === count) break;
    }
    const frame = hostFrame(mm, tryPinPage(mm, start + i, write, DMA_PIN));
    if (frame < 0) {
      unpinFrames(mm, first, frames, i, false);
      return null;
    }
    if (frames === null && !continues(mm, first, frame, i)) {
      frames = new Int32Array(count);
      for (let j = 0; j < i; j++) frames[j] = first + j;
    }
    if (frames !== null) frames[i] = frame;
  }
  return { first: frames === null ? first : -1, count, frames };
}

/**
 * Is any of the pages one of a file, mapped privately? A write through the mapping would give it another page, which the pin
 * would not show.
 */
function mapsFilePage(mm: AddressSpace, start: number, end: number): boolean {
  for (let page = start; page < end; page++) {
    const word = mm.pageTable.read(page);
    const frame = word >>> PTE_FRAME_SHIFT;
    if ((word & PTE_PRESENT) === 0 || frame === 0 || mm.machine.frames.isAnonymous(frame)) continue;
    const vma = mm.vmaAt(page);
    if (vma?.file !== null && vma !== undefined && (vma.flags & VM_SHARED) === 0) return true;
  }
  return false;
}

/** Is `frame` the i-th after `first`, in the same region of memory? */
function continues(mm: AddressSpace, first: number, frame: number, i: number): boolean {
  const { zones } = mm.machine;
  return frame === first + i && zones.of(frame) === zones.of(first);
}

/**
 * The same, faulting and waiting as often as it takes; `checkpoint` may throw to stop. ENOMEM and EBUSY leave nothing
 * pinned.
 */
export async function pinPages(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  write: boolean,
  checkpoint: () => void,
): Promise<PinnedPages> {
  if (mm.machine.paging.isPossible) return pinBeforeReclaim(attached, mm, start, end, write, checkpoint);
  for (;;) {
    checkpoint();
    await bringHome(attached, mm, start, end, checkpoint);
    for (let page = start; page < end; page++) {
      if ((page - start) % BATCH_PAGES === 0) checkpoint();
      await makePinnable(attached, mm, page, write);
    }
    const pinned = tryPinPages(mm, start, end, write);
    if (pinned !== null) return pinned;
  }
}

/**
 * The same where pages can be reclaimed: each is held as soon as it is there, so that it does not go again for those after
 * it. So a range that is larger than host memory ends in ENOMEM.
 */
async function pinBeforeReclaim(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  write: boolean,
  checkpoint: () => void,
): Promise<PinnedPages> {
  const { machine } = mm;
  const { paging } = machine;
  for (;;) {
    const held: number[] = [];
    try {
      for (let page = start; page < end;) {
        checkpoint();
        const batchEnd = Math.min(end, page + paging.pagesAtOnce(BATCH_PAGES));
        await bringHome(attached, mm, page, batchEnd);
        await paging.readIn(mm, page, batchEnd);
        for (; page < batchEnd; page++) held.push(await holdPage(attached, mm, page, write));
      }
      const pinned = tryPinPages(mm, start, end, write);
      if (pinned !== null) return pinned;
    } finally {
      for (const frame of held) machine.put(frame, DMA_PIN);
    }
  }
}

/** Pins one page of host memory. */
async function holdPage(attached: AttachedDevice, mm: AddressSpace, page: number, write: boolean): Promise<number> {
  const { paging } = mm.machine;
  for (;;) {
    // A page of a file is made the mapping's own, as it is: who pins it sees what is written later. A write would copy it
    // first, and when memory is short reclaim what it copies from.
    if (!paging.tryMakeOwn(mm, page) && !(await paging.makeOwn(mm, page))) throw outOfHostMemory(mm.machine, page);
    await makePinnable(attached, mm, page, write);
    const frame = hostFrame(mm, tryPinPage(mm, page, write, DMA_PIN));
    if (frame >= 0) return frame;
  }
}

/** Drops a pin; one for writing leaves its pages dirty. */
export function unpinPages(mm: AddressSpace, { first, count, frames }: PinnedPages, wrote: boolean): void {
  unpinFrames(mm, first, frames, count, wrote);
}

function unpinFrames(mm: AddressSpace, first: number, frames: Int32Array | null, count: number, wrote: boolean): void {
  const { machine } = mm;
  if (frames === null) {
    if (wrote) for (let frame = first; frame < first + count; frame++) machine.frames.setFlags(frame, PG_DIRTY);
    machine.putRun(first, count, DMA_PIN);
    return;
  }
  for (let i = 0; i < count; i++) {
    if (wrote) machine.frames.setFlags(frames[i], PG_DIRTY);
    machine.put(frames[i], DMA_PIN);
  }
}

/** A pinned frame of host memory; -1, with the pin dropped, for the zero page and for one of a device. */
function hostFrame({ machine }: AddressSpace, frame: number): number {
  if (frame < 0) return -1;
  if (frame !== 0 && machine.zones.kindOf(frame) === ZONE_SYSTEM) return frame;
  machine.put(frame, DMA_PIN);
  return -1;
}

async function leaveCoherentMemory({ machine, counters }: AttachedDevice, frame: number, page: number): Promise<void> {
  try {
    if (machine.paging.isNeeded) await machine.paging.makeRoom(1);
    await migrateDeviceCoherentPage(machine, frame);
  } catch (error) {
    throw error instanceof MemoryError && error.code === "ENOMEM" ? outOfHostMemory(machine, page) : error;
  }
  counters.toHost.access.pages++;
  counters.toHost.access.bytes += machine.pageSize;
}

async function makePinnable(attached: AttachedDevice, mm: AddressSpace, page: number, write: boolean): Promise<void> {
  const { machine } = mm;
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const frame = tryPinPage(mm, page, write, DMA_PIN);
    if (frame > 0) {
      if (machine.zones.of(frame).kind === ZONE_SYSTEM) {
        machine.put(frame, DMA_PIN);
        return;
      }
      machine.put(frame, DMA_PIN - 1);
      await leaveCoherentMemory(attached, frame, page);
      continue;
    }
    if (frame === 0) machine.put(0, DMA_PIN);
    await faultHost(mm, page, write ? FAULT_WRITE : FAULT_OWN);
  }
  // Reclaim takes the page back to make room for its copy, again and again.
  throw outOfHostMemory(machine, page);
}
