/**
 * Device-exclusive access: a device has a page of host or coherent memory for itself, for atomic operations, while every
 * access of the CPU faults and takes it back. The entry is not present and is no mapping, but holds a reference.
 *
 * Counterpart: `make_device_exclusive_range`.
 */

import type { AddressSpace } from "../space/address-space.js";
import {
  deviceExclusiveEntry,
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_PRESENT,
  PTE_TRACKING,
  PTE_WRITE,
} from "../table/entry.js";
import { PG_DIRTY, PG_SWAPCACHE } from "../frames/frames.js";
import { FAULT_DONE, FAULT_WRITE, faultIn } from "./fault.js";
import { SHORT_REFERENCE, tryPinPage } from "./gup.js";
import { splitHugeEntry } from "../huge/huge-entry.js";
import { mappingsOf } from "../huge/huge-page.js";
import { removeRmap } from "../frames/rmap.js";
import { BLOCK_FRAMES } from "../table/table-shape.js";

/**
 * Makes pages `[start, start + frames.length)` exclusive to a device, faulting them in for writing first. `frames` gets the
 * frame of each page that became so, locked and referenced for the caller, who calls `letGoOfExclusivePages`; -1 for the
 * others. Returns for how many pages a reference could be had: fewer than asked where an access is impossible; below 0, the
 * fault's code negated and less one, when that is so at once. Rejects, with no reference kept, when a page cannot be brought
 * from where it is. Notifiers hear of `owner`.
 */
export async function makeDeviceExclusiveRange(
  mm: AddressSpace,
  start: number,
  frames: Int32Array,
  owner: object | null,
): Promise<number> {
  const { machine } = mm;
  frames.fill(-1);
  const referenced = await referencePages(mm, start, frames);
  for (let i = 0; i < referenced; i++) {
    const frame = frames[i];
    // Of a compound page only the head counts.
    const locked = machine.frames.head(frame) === frame && machine.frames.tryLock(frame);
    if (locked && makeExclusive(mm, start + i, frame, owner)) continue;
    if (locked) machine.pageLocks.unlock(frame);
    machine.put(frame);
    frames[i] = -1;
  }
  return referenced;
}

/**
 * Unlocks the pages that `makeDeviceExclusiveRange` gave for `start` and on, and drops the references to them. One that was
 * given up meanwhile could not leave the swap cache while it was locked, and does so now.
 */
export function letGoOfExclusivePages(mm: AddressSpace, start: number, frames: Int32Array): void {
  const { machine } = mm;
  for (let i = 0; i < frames.length; i++) {
    const frame = frames[i];
    if (frame < 0) continue;
    machine.pageLocks.unlock(frame);
    const word = mm.pageTable.read(start + i);
    const isStillThere = isDeviceExclusiveEntry(word) && word >>> PTE_FRAME_SHIFT === frame;
    if (!isStillThere && (machine.frames.flags(frame) & PG_SWAPCACHE) !== 0) machine.swap?.releaseUnmapped(frame);
    machine.put(frame);
  }
}

/** Takes short references to as many pages as can be had, or none when a fault rejects; how many, or the first fault's code. */
async function referencePages(mm: AddressSpace, start: number, frames: Int32Array): Promise<number> {
  let referenced = 0;
  try {
    for (; referenced < frames.length; referenced++) {
      const frame = await pinOnePage(mm, start + referenced);
      if (frame < 0) return referenced === 0 ? frame : referenced;
      frames[referenced] = frame;
    }
  } catch (error) {
    for (const frame of frames.subarray(0, referenced)) mm.machine.put(frame);
    frames.fill(-1);
    throw error;
  }
  return referenced;
}

/** References a page that is mapped by an entry of its own: a huge entry is split first (`FOLL_SPLIT_PMD`). */
async function pinOnePage(mm: AddressSpace, page: number): Promise<number> {
  for (;;) {
    const vma = mm.vmaAt(page);
    if (vma !== undefined && mm.pageTable.huge(page) !== 0) splitHugeEntry(vma, page);
    const frame = tryPinPage(mm, page, true, SHORT_REFERENCE);
    if (frame >= 0) return frame;
    const code = await faultIn(mm, page, FAULT_WRITE);
    if (code !== FAULT_DONE) return -1 - code;
  }
}

/**
 * Takes the page out of all page tables, a compound page with all its parts; true if it was mapped writable at `page` and
 * is mapped nowhere now.
 */
function makeExclusive(mm: AddressSpace, page: number, frame: number, owner: object | null): boolean {
  const { machine } = mm;
  const { frames } = machine;
  const count = frames.isCompound(frame) ? BLOCK_FRAMES : 1;
  if (!frames.isAnonymous(frame)) return false;
  let valid = false;
  for (const { vma, from, to } of mappingsOf(machine, frame, count)) {
    if (frames.totalMapcount(frame) === 0) break;
    vma.mm.notifiers.notify("exclusive", from, to, owner);
    for (let mapped = from; mapped < to; mapped++) {
      const word = vma.mm.pageTable.read(mapped);
      const part = word >>> PTE_FRAME_SHIFT;
      if (part < frame || part >= frame + count) continue;
      if ((word & PTE_PRESENT) === 0) {
        if (isDeviceExclusiveEntry(word) || isDevicePrivateEntry(word)) return false;
        continue;
      }
      const taken = vma.mm.pageTable.exchange(mapped, 0);
      if ((taken & PTE_DIRTY) !== 0) frames.setFlags(frame, PG_DIRTY);
      if (vma.mm === mm && mapped === page && (taken & PTE_WRITE) !== 0) valid = true;
      const kept = taken & (PTE_WRITE | PTE_EXCLUSIVE | PTE_TRACKING);
      vma.mm.pageTable.exchange(mapped, deviceExclusiveEntry(part, kept));
      removeRmap(machine, part);
    }
  }
  return valid && frames.totalMapcount(frame) === 0;
}
