/**
 * Bulk access of the CPU to pages: makes a range accessible, bringing home what a device holds batch by batch, then lets
 * the caller use the bytes in runs of contiguous frames. Between the last check of the entries and the use there is no
 * `await`, so what the caller reads or writes is the page.
 */

import type { AttachedDevice } from "../device/attached-device.js";
import { migrateToHost } from "../device/migrate-to-host.js";
import { outOfHostMemory } from "../device/out-of-host-memory.js";
import type { AddressSpace } from "../mm/space/address-space.js";
import { isDevicePrivateEntry, PTE_MAKE_DIRTY, PTE_YOUNG } from "../mm/table/entry.js";
import { MemoryError } from "../mm/errors.js";
import { FAULT_DONE, FAULT_HWPOISON, FAULT_OOM, FAULT_WRITE, faultIn, handleFault } from "../mm/fault/fault.js";
import { LostPagesError } from "../mm/lost-pages-error.js";
import { BLOCK_FRAMES } from "../mm/frames/zone.js";
import { touch } from "./cpu.js";

/** Pages made accessible and used at once. */
const BATCH_PAGES = 512;

/**
 * Unlike a store of the processor, one of ours marks the page soft-dirty as well: a page that was made on a device may be
 * writable without ever having been written.
 */
const WRITTEN = PTE_YOUNG | PTE_MAKE_DIRTY;

/** Uses the bytes of pages `[page, page + count)`, which lie side by side. */
export type UseRun = (bytes: Uint8Array, page: number, count: number) => void;

/**
 * Calls `use` for runs that together cover pages `[start, end)` in ascending order. `checkpoint` is called before each batch and may throw
 * to stop there. Errors: ENOMEM when the host budget is exhausted, EFAULT when the mapping forbids the access, EIO where
 * contents are lost, or the driver's when a page cannot come home; pages before have been used, none after.
 */
export async function accessHost(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  write: boolean,
  use: UseRun,
  checkpoint: () => void = () => {},
): Promise<void> {
  const { paging } = mm.machine;
  for (let page = start; page < end;) {
    checkpoint();
    const batchEnd = Math.min(end, page + paging.pagesAtOnce(BATCH_PAGES));
    await bringHome(attached, mm, page, batchEnd);
    await (write ? paging.readInForWrite(mm, page, batchEnd) : paging.readIn(mm, page, batchEnd));
    const reached = useAccessible(mm, page, batchEnd, write, use);
    if (reached === page) await faultHost(mm, page, write ? FAULT_WRITE : 0);
    page = reached;
  }
}

/** Migrates back what the device holds of the range, in one go instead of a fault a page. */
export async function bringHome(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  checkpoint: () => void = () => {},
): Promise<void> {
  for (let page = start; page < end; page++) {
    if (isDevicePrivateEntry(mm.pageTable.read(page))) {
      await migrateToHost(attached, mm, page, end, "access", checkpoint);
      return;
    }
  }
}

/** One fault of the CPU, with its failure as an error. */
export async function faultHost(mm: AddressSpace, page: number, flags: number): Promise<void> {
  const code = await faultIn(mm, page, flags);
  if (code === FAULT_DONE) return;
  if (code === FAULT_OOM) throw outOfHostMemory(mm.machine, page);
  if (code === FAULT_HWPOISON) throw LostPagesError.at(mm, page);
  throw new MemoryError(
    "EFAULT",
    `the mapping at ${page * mm.machine.pageSize} does not allow a ${(flags & FAULT_WRITE) === 0 ? "read" : "write"}`,
  );
}

/** Uses pages from `start` on as long as each can be accessed, after a fault perhaps. Returns where it stopped. */
function useAccessible(mm: AddressSpace, start: number, end: number, write: boolean, use: UseRun): number {
  const { zones } = mm.machine;
  let page = start;
  while (page < end) {
    const first = accessOrFault(mm, page, write);
    if (first < 0) return page;
    let count = 1;
    while (
      page + count < end &&
      ((first + count) & (BLOCK_FRAMES - 1)) !== 0 &&
      accessOrFault(mm, page + count, write) === first + count
    )
      count++;
    use(zones.run(first, count), page, count);
    page += count;
  }
  return page;
}

/** The frame after one fault at most, -1 when the fault has to wait or fails. */
function accessOrFault(mm: AddressSpace, page: number, write: boolean): number {
  const frame = touch(mm, page, write, WRITTEN);
  if (frame >= 0 || !mm.mmapLock.tryRead()) return frame;
  try {
    if (handleFault(mm, page, write ? FAULT_WRITE : 0) !== FAULT_DONE) return -1;
  } finally {
    mm.mmapLock.readUnlock();
  }
  return touch(mm, page, write, WRITTEN);
}
