/**
 * Moving pages of an address space to a device: setup, a destination for each page, the copies, pages, finalize; batch
 * by batch, each under one hold of the mmap lock.
 *
 * Best effort: pages that are locked, pinned or without room stay. When the copies of a batch fail, all its pages stay
 * where they were, and the error is thrown after the batch has been finalized.
 */

import type { AddressSpace } from "../mm/space/address-space.js";
import { pteFrame, PTE_MAKE_DIRTY, PTE_PRESENT } from "../mm/table/entry.js";
import { MemoryError } from "../mm/errors.js";
import { PG_ZEROS } from "../mm/frames/frames.js";
import type { Vma } from "../mm/space/vma.js";
import {
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_SHIFT,
  MIGRATE_PFN_VALID,
  MIGRATE_VMA_SELECT_SYSTEM,
  migratePfn,
} from "../migrate/entry.js";
import { migrateVmaFinalize } from "../migrate/finalize.js";
import type { MigrateVma } from "../migrate/migrate-vma.js";
import { migrateVmaPages } from "../migrate/pages.js";
import { migrateVmaSetup } from "../migrate/setup.js";
import type { ToDeviceCause } from "../trace/counters.js";
import type { AttachedDevice } from "./attached-device.js";
import { enterResident, leaveTable } from "./resident-entries.js";
import { BATCH_PAGES, type Transfer } from "./transfers.js";

/** Chooses a frame for a page: locked, with one reference, as `AttachedDevice.allocate` gives it; 0 to leave the page. */
export type Placement = (page: number) => number;

/**
 * Moves pages `[start, end)`, within mappings, and returns how many moved. `checkpoint` is called before each batch and
 * may throw to stop there.
 */
export async function migrateToDevice(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  cause: ToDeviceCause,
  placement: Placement = () => attached.allocate(),
  checkpoint: () => void = () => {},
): Promise<number> {
  let moved = 0;
  for (let page = start; page < end;) {
    checkpoint();
    if (attached.lost !== null) throw attached.lost;
    const transfer = attached.transfers.take();
    await mm.mmapLock.read();
    try {
      const vma = mm.vmaAt(page);
      if (vma === undefined) throw new MemoryError("EFAULT", `address ${page * mm.machine.pageSize} is not mapped`);
      const batchEnd = Math.min(end, vma.end, page + BATCH_PAGES);
      moved += await migrateBatch(attached, vma, page, batchEnd, transfer, cause, placement);
      page = batchEnd;
    } finally {
      mm.mmapLock.readUnlock();
      attached.transfers.give(transfer);
    }
  }
  return moved;
}

async function migrateBatch(
  attached: AttachedDevice,
  vma: Vma,
  start: number,
  end: number,
  transfer: Transfer,
  cause: ToDeviceCause,
  placement: Placement,
): Promise<number> {
  const { machine, counters, device } = attached;
  const { args, copies, clears } = transfer;
  args.vma = vma;
  args.start = start * machine.pageSize;
  args.end = end * machine.pageSize;
  args.flags = MIGRATE_VMA_SELECT_SYSTEM;
  args.owner = attached.owner;
  migrateVmaSetup(args);
  if (args.cpages === 0) {
    migrateVmaFinalize(args);
    return 0;
  }
  leaveTable(attached, vma.mm, start, args);
  offerDestinations(attached, transfer, start, placement);
  let failure: { error: unknown } | null = null;
  const began = machine.environment.now();
  try {
    if (clears.length > 0) await device.clear(clears);
    if (copies.length > 0) await device.upload(copies);
  } catch (error) {
    failure = { error };
    withdraw(transfer);
  }
  counters.time.upload += machine.environment.now() - began;
  migrateVmaPages(args);
  const moved = countMoved(attached, transfer);
  counters.toDevice[cause].pages += moved;
  counters.toDevice[cause].bytes += failure === null ? copies.pages * machine.pageSize : 0;
  migrateVmaFinalize(args);
  if (clears.length > 0) forgetCleared(attached, vma.mm, start, args);
  enterResident(attached, vma, start, end);
  if (failure !== null) throw failure.error;
  return moved;
}

/** Gives each page that may move a frame, and notes the copy or the clear that it needs. */
function offerDestinations(attached: AttachedDevice, transfer: Transfer, start: number, placement: Placement): void {
  const { args, copies, clears } = transfer;
  const { src, dst, npages } = args;
  const { first } = attached.zone;
  for (let i = 0; i < npages; i++) {
    const source = src[i];
    if ((source & MIGRATE_PFN_MIGRATE) === 0) continue;
    const frame = placement(start + i);
    if (frame === 0) continue;
    dst[i] = migratePfn(frame);
    if ((source & MIGRATE_PFN_VALID) === 0) clears.pushClear(frame - first);
    else copies.push(source >>> MIGRATE_PFN_SHIFT, frame - first);
  }
}

/**
 * A page that was made in coherent memory is dirty, as far as the protocol knows; nothing but zeros was written here, which
 * the page had before. One in private memory, which only a kernel can write, is known to be zero until then.
 */
function forgetCleared(
  { machine, zone }: AttachedDevice,
  mm: AddressSpace,
  start: number,
  { src, npages }: MigrateVma,
): void {
  for (let i = 0; i < npages; i++) {
    if ((src[i] & (MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE)) !== MIGRATE_PFN_MIGRATE) continue;
    const word = mm.pageTable.read(start + i);
    const index = pteFrame(word) - zone.first;
    if (index < 0 || index >= zone.frames) continue;
    if ((word & PTE_PRESENT) === 0) machine.frames.setFlags(pteFrame(word), PG_ZEROS);
    else mm.pageTable.exchange(start + i, word & ~PTE_MAKE_DIRTY);
  }
}

/** No page of the batch moves: finalize gives the destinations back and restores the entries. */
function withdraw({ args }: Transfer): void {
  for (let i = 0; i < args.npages; i++) args.src[i] &= ~MIGRATE_PFN_MIGRATE;
}

/** Pages of the batch that moved; the others were refused. */
function countMoved(attached: AttachedDevice, { args }: Transfer): number {
  let moved = 0;
  for (let i = 0; i < args.npages; i++) if ((args.src[i] & MIGRATE_PFN_MIGRATE) !== 0) moved++;
  attached.counters.refused += args.npages - moved;
  return moved;
}
