/**
 * What user space asks of the recording driver: migrate a range, read or write it as the device, give the memory back.
 * Ranges are handled VMA by VMA in batches of at most 64 pages; the first error ends the call, and what earlier batches
 * did stays done.
 */

import {
  type AddressSpace,
  HMM_BUSY,
  HMM_FRAME_SHIFT,
  HMM_WRITE,
  hmmRangeFault,
  letGoOfExclusivePages,
  makeDeviceExclusiveRange,
  type HmmRange,
  type Vma,
  vmaFlags,
} from "../../mm/index.js";
import { bringBack, sendBatch } from "./batches.js";
import { EBUSY, EFAULT, EINVAL, ENOENT } from "./errno.js";
import type { MirrorTable } from "./mirror-table.js";
import { BATCH_PAGES, type RecordedDevice } from "./recorded-device.js";
import type { Results } from "./trace-format.js";

const MAX_VALUES = 64;

/** A process that has the device open. */
export interface Client {
  readonly mm: AddressSpace;
  readonly device: RecordedDevice;
  readonly table: MirrorTable;
}

/** Migrates pages `[first, end)` to the device, then reads them there without faulting. */
export async function migrateToDevice(client: Client, first: number, end: number): Promise<Results> {
  const { device, table } = client;
  const rc = await forEachBatch(client.mm, first, end, (vma, from, to) =>
    sendBatch(device, device.batch, table, vma, from, to),
  );
  if (rc !== 0) return { rc };
  for (let page = first; page < end; page++) {
    if (table.frame(page, false) < 0) return { rc: -ENOENT };
  }
  return { rc: 0, cpages: end - first };
}

/** Migrates pages `[first, end)` from the device to the system. */
export async function migrateToSystem(client: Client, first: number, end: number): Promise<Results> {
  const { device, table } = client;
  let cpages = 0;
  const rc = await forEachBatch(client.mm, first, end, (vma, from, to) => {
    cpages += bringBack(device, device.batch, table, vma, from, to);
  });
  return rc === 0 ? { rc, cpages } : { rc };
}

/** The device reads the first word of each page. */
export async function deviceRead(client: Client, first: number, end: number): Promise<Results> {
  const values: number[] = [];
  const results = await access(client, first, end, false, (_, bytes) => values.push(wordsOf(bytes).getUint32(0, true)));
  return results.rc === 0 ? { ...results, values: values.slice(0, MAX_VALUES) } : results;
}

/** The device overwrites page `first + k` with the value `value + k`, first and last word, zeros between. */
export function deviceWrite(client: Client, first: number, end: number, value: number): Promise<Results> {
  return access(client, first, end, true, (page, bytes) => {
    bytes.fill(0);
    const words = wordsOf(bytes);
    words.setUint32(0, value + page - first, true);
    words.setUint32(bytes.length - 4, value + page - first, true);
  });
}

/**
 * Gives the device pages `[first, end)` for itself, then reads them there without faulting. A chunk is entered in the
 * device's table only when references to all of its pages were had.
 */
export async function makeExclusive(client: Client, first: number, end: number): Promise<Results> {
  const { mm, table } = client;
  for (let page = first; page < end; page += BATCH_PAGES) {
    const frames = new Int32Array(Math.min(BATCH_PAGES, end - page));
    const referenced = await makeDeviceExclusiveRange(mm, page, frames, null);
    let entered = 0;
    frames.forEach((frame, i) => {
      if (frame < 0) return;
      if (referenced === frames.length) {
        table.enter(page + i, frame, false);
        entered++;
      }
    });
    letGoOfExclusivePages(mm, page, frames);
    if (entered < frames.length) return { rc: -EBUSY };
  }
  for (let page = first; page < end; page++) {
    if (table.frame(page, false) < 0) return { rc: -ENOENT };
  }
  return { rc: 0, cpages: end - first };
}

async function forEachBatch(
  mm: AddressSpace,
  first: number,
  end: number,
  migrate: (vma: Vma, from: number, to: number) => void,
): Promise<number> {
  await mm.mmapLock.read();
  try {
    for (let page = first; page < end;) {
      const vma = mm.vmaAt(page);
      if (vma === undefined || (vma.flags & vmaFlags.VM_READ) === 0) return -EINVAL;
      const next = Math.min(end, page + BATCH_PAGES, vma.end);
      migrate(vma, page, next);
      page = next;
    }
    return 0;
  } finally {
    mm.mmapLock.readUnlock();
  }
}

/** Goes through the device's page table; faults the rest of the range wherever a page is missing. */
async function access(
  client: Client,
  first: number,
  end: number,
  write: boolean,
  act: (page: number, bytes: Uint8Array) => void,
): Promise<Results> {
  let faults = 0;
  for (let page = first; page < end;) {
    const frame = client.table.frame(page, write);
    if (frame >= 0) {
      act(page, client.device.bytes(frame));
      page++;
      continue;
    }
    const rc = await fault(client, page, end, write);
    if (rc !== 0) return { rc };
    faults++;
  }
  return { rc: 0, cpages: end - first, faults };
}

async function fault(client: Client, first: number, end: number, write: boolean): Promise<number> {
  for (let page = first; page < end; page += BATCH_PAGES) {
    const rc = await faultBatch(client, page, Math.min(page + BATCH_PAGES, end), write);
    if (rc !== 0) return rc;
  }
  return 0;
}

async function faultBatch(client: Client, start: number, end: number, write: boolean): Promise<number> {
  const { mm, table, device } = client;
  const range: HmmRange = {
    mm,
    interval: table,
    sequence: 0,
    start,
    end,
    pfns: new Int32Array(end - start),
    fault: write ? "write" : "read",
    owner: device,
  };
  let rc: number;
  do {
    range.sequence = mm.notifiers.readBegin(table);
    rc = await hmmRangeFault(range);
  } while (rc === HMM_BUSY || (rc === 0 && mm.notifiers.readRetry(table, range.sequence)));
  return rc < 0 ? rc : enterAll(range, table, write);
}

/** Enters what was found; at a page that a write cannot have, it stops with what it has entered before. */
function enterAll({ pfns, start }: HmmRange, table: MirrorTable, write: boolean): number {
  for (let i = 0; i < pfns.length; i++) {
    const writable = (pfns[i] & HMM_WRITE) !== 0;
    if (write && !writable) return -EFAULT;
    table.enter(start + i, pfns[i] >>> HMM_FRAME_SHIFT, writable);
  }
  return 0;
}

function wordsOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
