/**
 * What a device sees of an address space: a walk that reports frames and permissions, and faults in what is missing if
 * asked. When one page needs a fault, every page from there to the end of that part (range, VMA, leaf table) is faulted
 * like an access of the CPU, own private pages included; then the walk goes on from the same page.
 *
 * The caller reads the notifier's sequence before, and enters nothing into its table when it has changed since
 * (`MmuNotifiers.readBegin`, `readRetry`), with no `await` between that look and the writing.
 *
 * Counterpart: `mm/hmm.c`.
 */

import type { AddressSpace } from "../space/address-space.js";
import { isDevicePrivateEntry, PTE_FRAME_SHIFT, PTE_NO_ACCESS, PTE_PRESENT, PTE_WRITE } from "../table/entry.js";
import {
  FAULT_DEVICE,
  FAULT_DONE,
  FAULT_READ,
  FAULT_SWAP,
  FAULT_WAIT,
  FAULT_WRITE,
  faultCode,
  faultFrame,
  handleVmaFault,
  migrateToRam,
  readFile,
  swapIn,
} from "./fault.js";
import type { MmuInterval } from "../space/notifier.js";
import { TABLE_MASK, TABLE_WORDS } from "../table/page-table.js";
import { isAccessible, VM_IO, VM_PFNMAP, VM_READ, VM_WRITE, type Vma } from "../space/vma.js";

/** The page can be read through the frame in the upper bits (`HMM_PFN_VALID`). */
export const HMM_VALID = 1;
export const HMM_WRITE = 1 << 1;
/** The mapping forbids the access, or nothing is mapped (`HMM_PFN_ERROR`). */
export const HMM_ERROR = 1 << 2;
/** The page is mapped by a huge entry (`HMM_PFN_ORDER_SHIFT`). */
export const HMM_HUGE = 1 << 3;
export const HMM_FRAME_SHIFT = 6;

export interface HmmRange {
  readonly mm: AddressSpace;
  readonly interval: MmuInterval;
  /** What `readBegin` said. */
  sequence: number;
  /** Pages `[start, end)`. */
  readonly start: number;
  readonly end: number;
  /** A word a page: frame and HMM flags. */
  readonly pfns: Int32Array;
  /** "none" only looks. */
  readonly fault: "none" | "read" | "write";
  /** Private pages of this owner are reported, with the permission that they have, and not faulted. */
  readonly owner: object;
}

export const HMM_DONE = 0;
/** The range was invalidated meanwhile: begin again. */
export const HMM_BUSY = -16;
/** A write to a mapping that is read-only. */
export const HMM_PERM = -1;
/** No mapping, no access, or a fault that failed. */
export const HMM_FAULT = -14;

/** What a walk of one part found. */
const WALKED = 1;

/** Fills `range.pfns`. Takes the mmap lock; gives it up while it waits for a page's lock. */
export async function hmmRangeFault(range: HmmRange): Promise<number> {
  const { mm, interval } = range;
  let page = range.start;
  for (;;) {
    let waitFor = -1;
    await mm.mmapLock.read();
    try {
      while (page < range.end) {
        if (mm.notifiers.readRetry(interval, range.sequence)) return HMM_BUSY;
        const vma = mm.vmaAt(page);
        const partEnd = endOfPart(range, page, vma);
        const missing = walkPart(range, vma, page, partEnd);
        if (missing < 0) return missing;
        page = missing;
        if (page === partEnd) continue;
        const code = await faultPart(range, vma as Vma, page, partEnd);
        if (code < 0) return code;
        if (code > WALKED) {
          waitFor = code - WALKED - 1;
          break;
        }
      }
      if (waitFor < 0) return mm.notifiers.readRetry(interval, range.sequence) ? HMM_BUSY : HMM_DONE;
    } finally {
      mm.mmapLock.readUnlock();
    }
    await mm.machine.pageLocks.wait(waitFor);
  }
}

/** The same without faulting: always done at once. The mmap lock is held or nothing awaits between. */
export function hmmSnapshot(mm: AddressSpace, start: number, end: number, owner: object, pfns: Int32Array): void {
  const range: SnapshotRange = { start, pfns, fault: "none", owner };
  for (let page = start; page < end;) {
    const vma = mm.vmaAt(page);
    const next = vma === undefined ? page + 1 : Math.min(end, vma.end);
    walkPart(range, vma, page, next);
    page = next;
  }
}

type SnapshotRange = Pick<HmmRange, "start" | "pfns" | "fault" | "owner">;

function endOfPart(range: HmmRange, page: number, vma: Vma | undefined): number {
  const blockEnd = (page & ~TABLE_MASK) + TABLE_WORDS;
  return Math.min(range.end, blockEnd, vma === undefined ? page + 1 : vma.end);
}

/** Reports pages until one needs a fault; that page, or `end`, or an error. */
function walkPart(range: SnapshotRange, vma: Vma | undefined, start: number, end: number): number {
  const { pfns, fault } = range;
  if (vma === undefined || !canBeWalked(vma)) {
    if (fault !== "none") return HMM_FAULT;
    pfns.fill(HMM_ERROR, start - range.start, end - range.start);
    return end;
  }
  const { pageTable } = vma.mm;
  let huge = 0;
  for (let page = start; page < end; page++) {
    if (page === start || (page & TABLE_MASK) === 0) huge = pageTable.huge(page) === 0 ? 0 : HMM_HUGE;
    const seen = report(pageTable.read(page), vma, range);
    if (seen < 0) {
      if (fault === "write" && (vma.flags & VM_WRITE) === 0) return HMM_PERM;
      return page;
    }
    pfns[page - range.start] = (seen & HMM_VALID) === 0 ? seen : seen | huge;
  }
  return end;
}

/** Mappings of registers have no pages (VM_IO, VM_PFNMAP); what a driver mapped of its own memory has (VM_MIXEDMAP). */
function canBeWalked(vma: Vma): boolean {
  return (vma.flags & VM_READ) !== 0 && (vma.flags & (VM_IO | VM_PFNMAP)) === 0;
}

/** What the device is told of one entry; -1 when it needs a fault first. */
function report(word: number, vma: Vma, range: SnapshotRange): number {
  const frame = word >>> PTE_FRAME_SHIFT;
  const writable = (word & PTE_WRITE) === 0 ? 0 : HMM_WRITE;
  if ((word & PTE_PRESENT) !== 0 && (word & PTE_NO_ACCESS) === 0) {
    return range.fault === "write" && writable === 0 ? -1 : (frame << HMM_FRAME_SHIFT) | HMM_VALID | writable;
  }
  const own = isDevicePrivateEntry(word) && vma.mm.machine.zones.of(frame).pageMap?.owner === range.owner;
  if (own) return (frame << HMM_FRAME_SHIFT) | HMM_VALID | writable;
  return range.fault === "none" ? 0 : -1;
}

/** Faults pages `[start, end)` of the VMA. WALKED; or WALKED + 1 + the frame to wait for; or an error. */
async function faultPart(range: HmmRange, vma: Vma, start: number, end: number): Promise<number> {
  const flags = range.fault === "write" ? FAULT_WRITE : 0;
  if (!isAccessible(vma)) return HMM_FAULT;
  for (let page = start; page < end; page++) {
    const result = handleVmaFault(vma, page, flags);
    const code = faultCode(result);
    if (code === FAULT_WAIT) return WALKED + 1 + faultFrame(result);
    if (code === FAULT_DEVICE) await migrateToRam(range.mm, page, faultFrame(result));
    else if (code === FAULT_SWAP) {
      if (!(await swapIn(range.mm, page, faultFrame(result)))) return HMM_FAULT;
      page--;
    } else if (code === FAULT_READ) {
      if (!(await readFile(range.mm, page))) return HMM_FAULT;
      page--;
    } else if (code !== FAULT_DONE) return HMM_FAULT;
  }
  return WALKED;
}
