/**
 * Private copies of file pages: pages of a mapped file that a mapping has for itself, so that they can be pinned and can
 * move to a device, while they still hold what the file holds. Nobody has to keep such a page: it is given up without a
 * copy, wherever it is, and read again.
 *
 * Invariant: a page with PG_FILE_COPY has the bytes of the file page that its VMA maps at its place. No entry of it is
 * writable: whoever makes one so takes the mark away first, and so does whoever lets a device write it.
 *
 * Linux has no counterpart: pages of a file do not migrate to private memory there.
 */

import { prepareAnonVma } from "../space/anon-vma.js";
import { mapsFrame, PTE_EXCLUSIVE } from "../table/entry.js";
import { FRAME_SHIFT, INDEX, PG_DIRTY, PG_FILE_COPY, PG_LOCKED, PG_LRU } from "../frames/frames.js";
import type { Machine } from "../machine.js";
import { homeFrameOf } from "../host/home-range.js";
import { addNewAnonRmap, removeRmap, vmasOf } from "../frames/rmap.js";
import { makeEntry, VM_SHARED, type Vma } from "../space/vma.js";

/** References of a page that can be dropped: its one mapping's, and the one of who drops it. */
const DROPPABLE = 2;

/**
 * Makes the cached file page at `page` of a private mapping the mapping's own: the page itself, or a copy when others use it.
 * False when it is not there, is being read, or there is no memory for a copy.
 */
export function ownFilePage(vma: Vma, page: number): boolean {
  return takeFilePage(vma, page) || copyFilePage(vma, page);
}

/** The page itself; false when others use it, or it is not there. */
export function takeFilePage(vma: Vma, page: number): boolean {
  const { mm, file } = vma;
  const { machine, pageTable } = mm;
  const { frames, lru } = machine;
  if (file === null || (vma.flags & VM_SHARED) !== 0) return false;
  const frame = file.page(vma.indexOf(page));
  const word = pageTable.read(page);
  if (frame === 0 || (word !== 0 && !mapsFrame(word, frame))) return false;
  if ((frames.flags(frame) & PG_LRU) === 0) lru.drain();
  // The cache, and this mapping if it maps the page: nobody else.
  const mapped = word === 0 ? 0 : 1;
  if (frames.refcount(frame) !== 1 + mapped || (frames.flags(frame) & (PG_LOCKED | PG_DIRTY)) !== 0) return false;
  if (pageTable.ensureLeaf(page) === 0 || !prepareAnonVma(vma) || !mm.tryCharge()) return false;
  if (mapped === 1) {
    mm.notifiers.notify("clear", page, page + 1, null);
    pageTable.exchange(page, 0);
    removeRmap(machine, frame);
    machine.put(frame);
  }
  if (!file.giveUp(frame)) {
    mm.resident.uncharge(1);
    return false;
  }
  frames.setFlags(frame, PG_FILE_COPY);
  addNewAnonRmap(machine, frame, vma, page);
  pageTable.exchange(page, makeEntry(vma, frame) | PTE_EXCLUSIVE);
  return true;
}

function copyFilePage(vma: Vma, page: number): boolean {
  const { mm, file } = vma;
  const { machine, pageTable } = mm;
  const { frames } = machine;
  if (file === null || (vma.flags & VM_SHARED) !== 0) return false;
  const source = file.page(vma.indexOf(page));
  const word = pageTable.read(page);
  if (source === 0 || (word !== 0 && !mapsFrame(word, source))) return false;
  if ((frames.flags(source) & (PG_LOCKED | PG_DIRTY)) !== 0) return false;
  if (pageTable.ensureLeaf(page) === 0 || !prepareAnonVma(vma)) return false;
  const frame = machine.host.allocate(homeFrameOf(vma.home, page), false);
  if (frame === 0) return false;
  if (!mm.tryCharge()) {
    machine.put(frame);
    return false;
  }
  machine.zones.copy(frame, source);
  if (word !== 0) {
    mm.notifiers.notify("clear", page, page + 1, null);
    pageTable.exchange(page, 0);
    removeRmap(machine, source);
    machine.put(source);
  }
  frames.setFlags(frame, PG_FILE_COPY);
  addNewAnonRmap(machine, frame, vma, page);
  pageTable.exchange(page, makeEntry(vma, frame) | PTE_EXCLUSIVE);
  machine.lru.add(frame);
  return true;
}

/**
 * Takes the one mapping of a page with PG_FILE_COPY out of its page table; the next access reads the file. The caller holds
 * a reference, which is then the last. False, with nothing changed, when anybody else uses the page, or a VMA that maps
 * another page for it is gone.
 */
export function dropFileCopy(machine: Machine, frame: number): boolean {
  const { frames } = machine;
  if (frames.mapcount(frame) !== 1 || frames.refcount(frame) !== DROPPABLE) return false;
  const index = frames.words[(frame << FRAME_SHIFT) + INDEX];
  for (const vma of vmasOf(machine, frame)) {
    const page = vma.pageOfIndex(index);
    const { pageTable } = vma.mm;
    if (page < 0 || vma.file === null || !mapsFrame(pageTable.read(page), frame)) continue;
    vma.mm.notifiers.notify("clear", page, page + 1, null);
    const word = pageTable.exchange(page, 0);
    // A pin without a lock has come in between.
    if (frames.refcount(frame) !== DROPPABLE) {
      pageTable.exchange(page, word);
      return false;
    }
    vma.mm.resident.uncharge(1);
    removeRmap(machine, frame);
    machine.put(frame);
    return true;
  }
  return false;
}
