/**
 * The device's own page table around its own migrations, which are not announced to it: a page leaves the table before
 * its bytes are copied, so that no store of the device is lost to a copy that is already under way; afterwards the table
 * has every page that is on the device, moved there or left there, and nothing else.
 *
 * What is entered is what the page table says after the migration, not what was planned: a page that was meant to move
 * may have been given up meanwhile.
 */

import type { AddressSpace } from "../mm/space/address-space.js";
import { mapsFrame, PTE_FRAME_SHIFT, PTE_WRITE } from "../mm/table/entry.js";
import { FRAME_SHIFT, INDEX } from "../mm/frames/frames.js";
import { anonVmaOf } from "../mm/frames/rmap.js";
import { VM_READ, type Vma } from "../mm/space/vma.js";
import { MIGRATE_PFN_VALID } from "../migrate/entry.js";
import type { MigrateVma } from "../migrate/migrate-vma.js";
import type { AttachedDevice } from "./attached-device.js";

/** After setup: the device reaches the pages that may move no more. */
export function leaveTable(attached: AttachedDevice, mm: AddressSpace, start: number, args: MigrateVma): void {
  const table = attached.table(mm);
  for (let i = 0; i < args.npages; i++) {
    if ((args.src[i] & MIGRATE_PFN_VALID) !== 0) table.clear(start + i, start + i + 1);
  }
}

/** After finalize: the device reaches those of pages `[start, end)` of the VMA that are in its memory. */
export function enterResident(attached: AttachedDevice, vma: Vma, start: number, end: number): void {
  if ((vma.flags & VM_READ) === 0) return;
  const { pageTable } = vma.mm;
  const { first, frames } = attached.zone;
  const table = attached.table(vma.mm);
  for (let page = start; page < end; page++) {
    const word = pageTable.read(page);
    const frame = word >>> PTE_FRAME_SHIFT;
    if (frame < first || frame >= first + frames || !mapsFrame(word, frame)) continue;
    table.set(page, frame, (word & PTE_WRITE) !== 0);
  }
}

/** The same for the pages in frames `[first, first + count)` of the machine, wherever they are mapped. */
export function enterFrames(attached: AttachedDevice, first: number, count: number): void {
  const { machine } = attached;
  for (let frame = first; frame < first + count; frame++) {
    if (machine.frames.mapcount(frame) === 0) continue;
    const index = machine.frames.words[(frame << FRAME_SHIFT) + INDEX];
    for (const vma of anonVmaOf(machine, frame)?.vmas ?? []) {
      const page = vma.pageOfIndex(index);
      if (page >= 0) enterResident(attached, vma, page, page + 1);
    }
  }
}
