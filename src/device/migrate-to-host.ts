/**
 * Moving pages from a device to host memory: by address (an access or a prefetch), by the fault of one page, and by
 * physical range (eviction). A page whose home frame was retained, and which nothing wrote on the device, takes that
 * frame without a copy.
 *
 * Best effort, like the way there: a page that is in use, or for which there is no host memory, stays on the device.
 */

import type { AddressSpace } from "../mm/space/address-space.js";
import { isDevicePrivateEntry } from "../mm/table/entry.js";
import { MemoryError } from "../mm/errors.js";
import { PG_LOCKED } from "../mm/frames/frames.js";
import { homeFrameOf } from "../mm/host/home-range.js";
import type { Vma } from "../mm/space/vma.js";
import type { DeviceFault } from "../mm/frames/zone.js";
import { homeOfPage, migrateDeviceRange } from "../migrate/device-range.js";
import {
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_SHIFT,
  MIGRATE_PFN_VALID,
  MIGRATE_VMA_SELECT_DEVICE_COHERENT,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  migratePfn,
} from "../migrate/entry.js";
import { migrateDeviceFinalize, migrateVmaFinalize } from "../migrate/finalize.js";
import { migrateDevicePages, migrateVmaPages } from "../migrate/pages.js";
import { migrateVmaSetup } from "../migrate/setup.js";
import type { ToHostCause } from "../trace/counters.js";
import type { AttachedDevice } from "./attached-device.js";
import { dropFileCopies } from "./drop-file-copies.js";
import { enterFrames, enterResident, leaveTable } from "./resident-entries.js";
import { outOfHostMemory } from "./out-of-host-memory.js";
import { BATCH_PAGES, type Transfer } from "./transfers.js";

/**
 * Moves the pages of `[start, end)` that are on this device to the host; returns how many moved. `checkpoint` is called
 * before each batch and may throw to stop there.
 */
export async function migrateToHost(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  cause: ToHostCause,
  checkpoint: () => void = () => {},
): Promise<number> {
  let moved = 0;
  const batch = attached.machine.paging.pagesAtOnce(BATCH_PAGES);
  for (let page = start; page < end;) {
    checkpoint();
    const coming = countPrivate(attached, mm, page, Math.min(end, page + batch));
    if (lacksRoom(attached, coming)) await attached.machine.paging.makeRoom(coming);
    const transfer = attached.transfers.take();
    await mm.mmapLock.read();
    try {
      const vma = mm.vmaAt(page);
      if (vma === undefined) throw notMapped(mm, page);
      const batchEnd = Math.min(end, vma.end, page + batch);
      moved += await returnPages(attached, transfer, vma, page, batchEnd, -1, cause);
      page = batchEnd;
    } finally {
      mm.mmapLock.readUnlock();
      attached.transfers.give(transfer);
    }
  }
  return moved;
}

/**
 * The same for the first batch. It is done when this returns, and returns a number, where there is room, nobody is at the mmap
 * lock, and the device copies at once.
 */
export function migrateBatchToHost(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  cause: ToHostCause,
): number | Promise<number> {
  const batchEnd = Math.min(end, start + attached.machine.paging.pagesAtOnce(BATCH_PAGES));
  if (lacksRoom(attached, countPrivate(attached, mm, start, batchEnd)) || !mm.mmapLock.tryRead())
    return migrateToHost(attached, mm, start, batchEnd, cause);
  const transfer = attached.transfers.take();
  const release = (): void => {
    mm.mmapLock.readUnlock();
    attached.transfers.give(transfer);
  };
  let moved: number | Promise<number>;
  try {
    const vma = mm.vmaAt(start);
    if (vma === undefined) throw notMapped(mm, start);
    moved = returnPages(attached, transfer, vma, start, Math.min(batchEnd, vma.end), -1, cause);
  } catch (error) {
    release();
    throw error;
  }
  if (typeof moved !== "number") return moved.finally(release);
  release();
  return moved;
}

/**
 * `migrate_to_ram`: the CPU touched a page that is private to this device. The faulter holds the mmap lock. Throws ENOMEM
 * when the host has no frame for the page.
 */
export async function migrateFaultedPage(attached: AttachedDevice, { vma, page, frame }: DeviceFault): Promise<void> {
  const transfer = attached.transfers.take();
  try {
    await returnPages(attached, transfer, vma, page, page + 1, frame, "fault");
    if (transfer.withoutRoom > 0) throw outOfHostMemory(attached.machine, page);
  } finally {
    attached.transfers.give(transfer);
  }
}

/**
 * Empties device frames `[first, first + count)`, numbered within the device, whatever address space their pages belong
 * to. Returns how many pages moved. `checkpoint` is called before each batch and may throw to stop there.
 */
export async function evictFrames(
  attached: AttachedDevice,
  first: number,
  count: number,
  checkpoint: () => void = () => {},
): Promise<number> {
  const { machine, zone, counters } = attached;
  let moved = 0;
  counters.evictions++;
  const batch = machine.paging.pagesAtOnce(BATCH_PAGES);
  for (let from = 0; from < count; from += batch) {
    checkpoint();
    const npages = Math.min(batch, count - from);
    moved += dropFileCopies(attached, zone.first + first + from, npages);
    const coming = countUsed(attached, zone.first + first + from, npages);
    if (lacksRoom(attached, coming)) await machine.paging.makeRoom(coming);
    const transfer = attached.transfers.take();
    const { args } = transfer;
    args.npages = npages;
    args.dst.fill(0, 0, args.npages);
    try {
      args.cpages = migrateDeviceRange(machine, args.src, zone.first + first + from, args.npages);
      offerHostFrames(attached, transfer, null, 0);
      const failure = await copyHome(attached, transfer);
      migrateDevicePages(machine, args.src, args.dst, args.npages);
      moved += countMoved(attached, transfer, "eviction");
      migrateDeviceFinalize(machine, args.src, args.dst, args.npages);
      enterFrames(attached, zone.first + first + from, args.npages);
      if (failure !== null) throw failure.error;
    } finally {
      attached.transfers.give(transfer);
    }
  }
  return moved;
}

function notMapped(mm: AddressSpace, page: number): MemoryError {
  return new MemoryError("EFAULT", `address ${page * mm.machine.pageSize} is not mapped`);
}

/**
 * Is host memory to be reclaimed before a batch? Setup takes only what is there; where less can be had than the pages need,
 * some of them stay where they are.
 */
function lacksRoom({ machine }: AttachedDevice, pages: number): boolean {
  return pages > 0 && machine.paging.isPossible && machine.host.available < pages;
}

function countPrivate(attached: AttachedDevice, mm: AddressSpace, start: number, end: number): number {
  if (!attached.machine.paging.isPossible) return 0;
  let pages = 0;
  for (let page = start; page < end; page++) if (isDevicePrivateEntry(mm.pageTable.read(page))) pages++;
  return pages;
}

function countUsed({ machine }: AttachedDevice, first: number, count: number): number {
  let pages = 0;
  for (let frame = first; frame < first + count; frame++) if (machine.frames.refcount(frame) > 0) pages++;
  return pages;
}

function returnPages(
  attached: AttachedDevice,
  transfer: Transfer,
  vma: Vma,
  start: number,
  end: number,
  faultPage: number,
  cause: ToHostCause,
): number | Promise<number> {
  const { args } = transfer;
  const { pageSize } = attached.machine;
  args.vma = vma;
  args.start = start * pageSize;
  args.end = end * pageSize;
  args.flags =
    attached.driver.kind === "private" ? MIGRATE_VMA_SELECT_DEVICE_PRIVATE : MIGRATE_VMA_SELECT_DEVICE_COHERENT;
  args.owner = attached.owner;
  args.faultPage = faultPage;
  migrateVmaSetup(args);
  leaveTable(attached, vma.mm, start, args);
  offerHostFrames(attached, transfer, vma, start);
  const copied = copyHome(attached, transfer);
  if (copied instanceof Promise)
    return copied.then((outcome) => completeReturn(attached, transfer, vma, cause, outcome));
  return completeReturn(attached, transfer, vma, cause, copied);
}

/** What comes after the copy. How many pages moved; throws what the copy failed with. */
function completeReturn(
  attached: AttachedDevice,
  transfer: Transfer,
  vma: Vma,
  cause: ToHostCause,
  failure: CopyFailure | null,
): number {
  const { args } = transfer;
  const start = args.start / attached.machine.pageSize;
  migrateVmaPages(args);
  const moved = countMoved(attached, transfer, cause);
  migrateVmaFinalize(args);
  enterResident(attached, vma, start, start + args.npages);
  if (failure !== null) throw failure.error;
  return moved;
}

interface CopyFailure {
  readonly error: unknown;
}

/**
 * Copies to their host frames what no retained frame holds already. When it fails, the pages that were to be copied stay; the
 * error is returned, since the batch has to be finalized first.
 */
function copyHome(
  { machine, counters, device }: AttachedDevice,
  transfer: Transfer,
): CopyFailure | null | Promise<CopyFailure | null> {
  if (transfer.copies.length === 0) return null;
  const began = machine.environment.now();
  const end = (failure: CopyFailure | null): CopyFailure | null => {
    counters.time.download += machine.environment.now() - began;
    if (failure !== null) withdrawCopies(transfer);
    return failure;
  };
  const fail = (error: unknown): CopyFailure | null => end({ error });
  try {
    const copying = device.download(transfer.copies);
    return copying === undefined ? end(null) : Promise.resolve(copying).then(() => end(null), fail);
  } catch (error) {
    return fail(error);
  }
}

/** The pages that were to be copied do not move: those that are at home in a retained frame do, which cannot be retained again. */
function withdrawCopies({ args, copies }: Transfer): void {
  const { src, dst, npages } = args;
  let run = 0;
  let within = 0;
  // In the order in which they were offered.
  for (let i = 0; i < npages && run < copies.length; i++) {
    if (dst[i] >>> MIGRATE_PFN_SHIFT !== copies.host[run] + within) continue;
    src[i] &= ~MIGRATE_PFN_MIGRATE;
    if (++within < copies.count[run]) continue;
    run++;
    within = 0;
  }
  copies.clear();
}

/** Gives each page that may move a host frame. */
function offerHostFrames(attached: AttachedDevice, transfer: Transfer, vma: Vma | null, start: number): void {
  if (transfer.args.cpages === 0) return;
  const { machine, zone } = attached;
  const { host, frames } = machine;
  const { src, dst, npages, faultPage } = transfer.args;
  for (let i = 0; i < npages; i++) {
    const source = src[i];
    // A hole of the range is no page of the device: it stays as it is.
    if ((source & (MIGRATE_PFN_MIGRATE | MIGRATE_PFN_VALID)) !== (MIGRATE_PFN_MIGRATE | MIGRATE_PFN_VALID)) continue;
    const frame = source >>> MIGRATE_PFN_SHIFT;
    // Setup tolerates one reference of somebody else, who could store after the copy and be gone before the pages step.
    if (frames.refcount(frame) !== (frame === faultPage ? 2 : 1)) continue;
    const copied = host.retained.hasCopy(frame) ? host.retained.of(frame) : 0;
    // A mapping without a home, a snapshot, may share the page with one that has.
    const home = vma === null || vma.home === null ? homeOfPage(machine, frame) : homeFrameOf(vma.home, start + i);
    const destination = host.allocate(home, false);
    if (destination === 0) {
      transfer.withoutRoom++;
      continue;
    }
    frames.setFlags(destination, PG_LOCKED);
    dst[i] = migratePfn(destination);
    if (destination === copied) transfer.dropped++;
    else transfer.copies.push(destination, frame - zone.first);
  }
}

function countMoved(attached: AttachedDevice, transfer: Transfer, cause: ToHostCause): number {
  const { counters, machine } = attached;
  const { src, npages } = transfer.args;
  const both = MIGRATE_PFN_MIGRATE | MIGRATE_PFN_VALID;
  let moved = 0;
  for (let i = 0; i < npages; i++) if ((src[i] & both) === both) moved++;
  if (moved === 0) return 0;
  counters.toHost[cause].pages += moved;
  counters.toHost[cause].bytes += transfer.copies.pages * machine.pageSize;
  counters.droppedClean.pages += transfer.dropped;
  counters.droppedClean.bytes += transfer.dropped * machine.pageSize;
  return moved;
}
