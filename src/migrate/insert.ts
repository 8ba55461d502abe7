/**
 * A page where there was none: a hole or the zero page becomes a page of the destination, without a copy to make.
 *
 * Invariant: when it is refused, the entry is as before and the destination is still the caller's.
 *
 * Counterpart: `migrate_vma_insert_page` in `mm/migrate_device.c`.
 */

import { prepareAnonVma } from "../mm/space/anon-vma.js";
import { devicePrivateEntry, isZeroPageEntry, PTE_EXCLUSIVE, PTE_MAKE_DIRTY, PTE_WRITE } from "../mm/table/entry.js";
import { addNewAnonRmap } from "../mm/frames/rmap.js";
import { makeEntry, VM_UFFD_MISSING, VM_WRITE, type Vma } from "../mm/space/vma.js";
import { ZONE_PRIVATE, ZONE_SYSTEM } from "../mm/frames/zone.js";

/** Maps the destination frame at `page`; false when that cannot be. */
export function insertPage(vma: Vma, page: number, frame: number): boolean {
  const { mm } = vma;
  const { machine, pageTable } = mm;
  if (!vma.anonymous || mm.exiting) return false;
  if (pageTable.huge(page) !== 0 || pageTable.ensureLeaf(page) === 0) return false;
  if ((vma.flags & VM_UFFD_MISSING) !== 0) return false;
  if (!prepareAnonVma(vma)) return false;
  const word = pageTable.read(page);
  if (word !== 0 && !isZeroPageEntry(word)) return false;
  if (!mm.tryCharge()) return false;
  addNewAnonRmap(machine, frame, vma, page);
  machine.frames.get(frame);
  const kind = machine.zones.kindOf(frame);
  const writable = (vma.flags & VM_WRITE) === 0 ? 0 : PTE_WRITE;
  if (kind === ZONE_PRIVATE) pageTable.exchange(page, devicePrivateEntry(frame, writable | PTE_EXCLUSIVE));
  else {
    const dirty = writable === 0 ? 0 : PTE_MAKE_DIRTY;
    pageTable.exchange(page, makeEntry(vma, frame) | writable | dirty | PTE_EXCLUSIVE);
    if (kind === ZONE_SYSTEM) machine.lru.add(frame);
  }
  return true;
}
