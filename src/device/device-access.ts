/**
 * Access of a device to an address space through its own page table: what is not there is faulted in by
 * `hmmRangeFault`, and entered only if no notifier spoke in between. The engine side of a device's load and store; data-dependent
 * kernels and tests use it, declared footprints do not need it.
 *
 * Counterpart: `dmirror_read`, `dmirror_write`, `dmirror_fault` in `lib/test_hmm.c`.
 */

import type { AddressSpace } from "../mm/space/address-space.js";
import { MemoryError } from "../mm/errors.js";
import { LostPagesError } from "../mm/lost-pages-error.js";
import { isPoisonMarker } from "../mm/table/entry.js";
import { FAULT_DONE, FAULT_OOM, FAULT_WRITE, faultIn } from "../mm/fault/fault.js";
import { PG_DIRTY } from "../mm/frames/frames.js";
import {
  HMM_BUSY,
  HMM_DONE,
  HMM_FRAME_SHIFT,
  HMM_PERM,
  HMM_WRITE,
  type HmmRange,
  hmmRangeFault,
} from "../mm/fault/hmm.js";
import type { AttachedDevice } from "./attached-device.js";

/** Pages that one fault asks for at most. */
const FAULT_PAGES = 64;

/** Calls `use` with the bytes of each page of `[start, end)` in turn; EFAULT or EPERM when the mapping forbids it, EIO for lost contents. */
async function access(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  write: boolean,
  use: (bytes: Uint8Array, page: number) => void,
): Promise<void> {
  const table = attached.table(mm);
  for (let page = start; page < end;) {
    if (attached.lost !== null) throw attached.lost;
    const frame = table.lookup(page, write);
    if (frame < 0) await faultPages(attached, mm, page, Math.min(end, page + FAULT_PAGES), write);
    else {
      if (write) markWritten(attached, frame);
      use(attached.pageBytes(frame), page);
      page++;
    }
  }
}

/** The page's only copy is in this frame from now on: not in its retained home frame, in swap or in a file. */
function markWritten({ machine }: AttachedDevice, frame: number): void {
  machine.host.retained.wrote(frame);
  machine.frames.setFlags(frame, PG_DIRTY);
}

/** Reads whole pages as the device sees them. */
export async function deviceRead(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const { pageSize } = mm.machine;
  const read = new Uint8Array((end - start) * pageSize);
  await access(attached, mm, start, end, false, (bytes, page) => read.set(bytes, (page - start) * pageSize));
  return read;
}

/** Writes whole pages from the device. One that fails may have written its first pages. */
export async function deviceWrite(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  source: Uint8Array,
): Promise<void> {
  const { pageSize } = mm.machine;
  if (source.byteLength % pageSize !== 0) {
    throw new MemoryError("EINVAL", `${source.byteLength} bytes are not a multiple of the page size ${pageSize}`);
  }
  const end = start + source.byteLength / pageSize;
  await access(attached, mm, start, end, true, (bytes, page) => {
    bytes.set(source.subarray((page - start) * pageSize, (page - start + 1) * pageSize));
  });
}

async function faultPages(
  attached: AttachedDevice,
  mm: AddressSpace,
  start: number,
  end: number,
  write: boolean,
): Promise<void> {
  const interval = attached.table(mm);
  const range: HmmRange = {
    mm,
    interval,
    sequence: 0,
    start,
    end,
    pfns: new Int32Array(end - start),
    fault: write ? "write" : "read",
    owner: attached.owner,
  };
  for (;;) {
    range.sequence = mm.notifiers.readBegin(interval);
    const result = await hmmRangeFault(range);
    if (result === HMM_BUSY || (result === HMM_DONE && mm.notifiers.readRetry(interval, range.sequence))) continue;
    if (result === HMM_DONE) break;
    for (let page = start; page < end; page++) {
      if (isPoisonMarker(mm.pageTable.read(page))) throw LostPagesError.at(mm, page);
    }
    const what = `${write ? "write" : "read"} of pages ${start} to ${end} by ${attached.driver.name}`;
    throw result === HMM_PERM
      ? new MemoryError("EPERM", `${what}: the mapping is read-only`)
      : new MemoryError("EFAULT", `${what}: no access`);
  }
  for (let page = start; page < end; page++) {
    const seen = range.pfns[page - start];
    if (write && (seen & HMM_WRITE) === 0) {
      if (page === start) await bringHomeToWrite(attached, mm, page);
      return;
    }
    interval.set(page, seen >>> HMM_FRAME_SHIFT, (seen & HMM_WRITE) !== 0);
  }
}

/**
 * Own private memory is reported with the permission it has, whatever was asked. A page that does not allow the store,
 * though its mapping may (it was read-only for a while), gets the permission by a fault of the CPU.
 */
async function bringHomeToWrite(attached: AttachedDevice, mm: AddressSpace, page: number): Promise<void> {
  const code = await faultIn(mm, page, FAULT_WRITE);
  if (code === FAULT_DONE) return;
  const what = `write of page ${page} by ${attached.driver.name}`;
  throw code === FAULT_OOM
    ? new MemoryError("ENOMEM", `${what}: no memory to bring it home`)
    : new MemoryError("EPERM", `${what}: the mapping is read-only`);
}
