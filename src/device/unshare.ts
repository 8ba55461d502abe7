/**
 * Pages that a device is about to write become their mapping's own first: whoever shares one (a snapshot, a forked process)
 * gets a copy in host memory, and the page stays where it is. What the host retains of a page that nothing wrote on the
 * device is copied from there, so that only what was written there crosses the link.
 *
 * Invariant: a page stays locked while its bytes come over the link; when that fails, all who share it still do.
 */

import type { AddressSpace } from "../mm/space/address-space.js";
import { isDevicePrivateEntry, isSwapEntry, PTE_EXCLUSIVE, PTE_FRAME_SHIFT, PTE_PRESENT } from "../mm/table/entry.js";
import { MemoryError } from "../mm/errors.js";
import { FAULT_DONE, FAULT_OOM, FAULT_UNSHARE, faultIn } from "../mm/fault/fault.js";
import { moveAnonRmap } from "../mm/frames/rmap.js";
import { moveSharers } from "../mm/copy/sharers.js";
import type { Vma } from "../mm/space/vma.js";
import { ZONE_PRIVATE } from "../mm/frames/zone.js";
import type { AttachedDevice } from "./attached-device.js";
import { outOfHostMemory } from "./out-of-host-memory.js";
import { BATCH_PAGES, type Transfer } from "./transfers.js";

const MOST_ATTEMPTS = 16;

/** A page of the device, locked, and the host frame that is to hold its bytes for those who share it. */
interface Copy {
  readonly vma: Vma;
  readonly page: number;
  readonly frame: number;
  readonly copy: number;
}

/**
 * Makes pages `[start, end)` this address space's own, as far as they have contents. `checkpoint` is called before each
 * batch and may throw to stop there. ENOMEM when there is no host memory for a copy, or the device's error: pages before
 * are their mapping's own then, the others are shared as they were.
 */
export async function unsharePages(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  checkpoint: () => void = () => {},
): Promise<void> {
  for (let page = firstShared(mm, start, end); page < end;) {
    checkpoint();
    const batchEnd = Math.min(end, page + BATCH_PAGES);
    await unshareOnDevice(attached, mm, page, batchEnd);
    for (page = firstShared(mm, page, batchEnd); page < batchEnd; page = firstShared(mm, page, batchEnd)) {
      await unshareInHost(mm, page);
    }
    page = firstShared(mm, page, end);
  }
}

/**
 * The same for pages that are held on the device by `held` references each, beside their mappings': they stay there. ENOMEM when
 * there is no host memory for a copy.
 */
export async function unshareHeldPages(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  held: (frame: number) => number,
): Promise<void> {
  const { host, pageLocks, paging } = mm.machine;
  let attempt = 0;
  for (let page = firstShared(mm, start, end); page < end;) {
    const batchEnd = Math.min(end, page + BATCH_PAGES);
    if (paging.isPossible && host.available < batchEnd - page) await paging.makeRoom(batchEnd - page);
    await unshareOnDevice(attached, mm, page, batchEnd, held);
    const left = firstShared(mm, page, end);
    attempt = left > page ? 0 : attempt + 1;
    if (attempt === MOST_ATTEMPTS) throw outOfHostMemory(mm.machine, page);
    page = left;
    if (attempt > 0) await pageLocks.wait(mm.pageTable.read(page) >>> PTE_FRAME_SHIFT);
  }
}

/** The first of pages `[start, end)` that may have another user, `end` for none. */
function firstShared(mm: AddressSpace, start: number, end: number): number {
  let page = start;
  while (page < end && !isShared(mm, mm.pageTable.read(page))) page++;
  return page;
}

function isShared({ machine }: AddressSpace, word: number): boolean {
  const frame = word >>> PTE_FRAME_SHIFT;
  if (frame === 0 || (word & PTE_EXCLUSIVE) !== 0) return false;
  if (isSwapEntry(word)) return true;
  return ((word & PTE_PRESENT) !== 0 || isDevicePrivateEntry(word)) && machine.frames.isAnonymous(frame);
}

/**
 * A fault, which copies the page in host memory. What the device could not unshare comes home by it. A page that comes from
 * swap needs another one; where reclaim takes it back to make room for its copy, there is no memory for both.
 */
async function unshareInHost(mm: AddressSpace, page: number): Promise<void> {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const code = await faultIn(mm, page, FAULT_UNSHARE);
    if (code === FAULT_OOM) break;
    if (code !== FAULT_DONE)
      throw new MemoryError("EFAULT", `the mapping at ${page * mm.machine.pageSize} allows no access`);
    if (!isShared(mm, mm.pageTable.read(page))) return;
  }
  throw outOfHostMemory(mm.machine, page);
}

async function unshareOnDevice(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  held: (frame: number) => number = () => 0,
): Promise<void> {
  const transfer = attached.transfers.take();
  const taken: Copy[] = [];
  await mm.mmapLock.read();
  try {
    const withoutRoom = takePages(attached, transfer, mm, start, end, taken);
    await download(attached, transfer, taken);
    for (const copy of taken) giveCopy(attached, copy, held(copy.frame));
    // What can be reclaimed for is left to faults.
    if (withoutRoom >= 0 && !mm.machine.paging.isPossible) throw outOfHostMemory(mm.machine, withoutRoom);
  } finally {
    mm.mmapLock.readUnlock();
    attached.transfers.give(transfer);
  }
}

/** Locks what is shared on the device, and takes host frames for it; the page for which there was none, -1 otherwise. */
function takePages(
  attached: AttachedDevice,
  { copies }: Transfer,
  mm: AddressSpace,
  start: number,
  end: number,
  taken: Copy[],
): number {
  const { machine } = mm;
  const { frames, host, zones } = machine;
  const { zone } = attached;
  for (let page = firstShared(mm, start, end); page < end; page = firstShared(mm, page + 1, end)) {
    const word = mm.pageTable.read(page);
    const frame = word >>> PTE_FRAME_SHIFT;
    const vma = mm.vmaAt(page);
    if (vma === undefined || isSwapEntry(word) || frame < zone.first || frame >= zone.first + zone.frames) continue;
    if (!frames.tryLock(frame)) continue;
    const copy = frames.mapcount(frame) === 1 ? 0 : host.allocate(0, false);
    if (copy === 0 && frames.mapcount(frame) > 1) {
      machine.pageLocks.unlock(frame);
      return page;
    }
    taken.push({ vma, page, frame, copy });
    if (copy === 0) continue;
    if (zone.kind !== ZONE_PRIVATE) zones.copy(copy, frame);
    else if (host.retained.hasCopy(frame)) zones.copy(copy, host.retained.of(frame));
    else copies.push(copy, frame - zone.first);
  }
  return -1;
}

async function download(attached: AttachedDevice, { copies }: Transfer, taken: readonly Copy[]): Promise<void> {
  if (copies.length === 0) return;
  const { counters, device, machine } = attached;
  const began = machine.environment.now();
  try {
    await device.download(copies);
    counters.toHost.unshare.bytes += copies.pages * machine.pageSize;
  } catch (error) {
    for (const { frame, copy } of taken) {
      machine.pageLocks.unlock(frame);
      if (copy !== 0) machine.put(copy);
    }
    throw error;
  } finally {
    counters.time.download += machine.environment.now() - began;
  }
}

/** Gives the copy to those who still share the page, if any do; the page then is the mapping's own. */
function giveCopy({ counters }: AttachedDevice, { vma, page, frame, copy }: Copy, held: number): void {
  const { machine, pageTable } = vma.mm;
  if (copy !== 0) {
    if (machine.frames.mapcount(frame) > 1 && moveSharers(vma, page, frame, copy, held))
      counters.toHost.unshare.pages++;
    else machine.put(copy);
  }
  machine.pageLocks.unlock(frame);
  if (machine.frames.mapcount(frame) > 1) return;
  moveAnonRmap(machine, frame, vma);
  pageTable.exchange(page, pageTable.read(page) | PTE_EXCLUSIVE);
}
