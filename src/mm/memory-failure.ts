/**
 * Memory that is gone with its device: each page of it that the host still has is there again, and all others leave a
 * marker, so that every access to them fails until somebody has written the whole page anew.
 *
 * Invariant: no entry names the frame afterwards. References that others still have to it keep the frame, and nothing else.
 *
 * Counterpart: `memory_failure` in `mm/memory-failure.c`, `PTE_MARKER_POISONED`. Linux has other copies only in files and swap.
 */

import { assert } from "./errors.js";
import { allocateAnonymous, mapNewPage, writtenEntry } from "./fault/fault.js";
import { FLAGS, FRAME_SHIFT, INDEX, MAPPING, PG_DIRTY, PG_FILE_COPY, PG_LOCKED, PG_ZEROS } from "./frames/frames.js";
import { duplicateRmap, removeRmap, vmasOf } from "./frames/rmap.js";
import type { Machine } from "./machine.js";
import type { AddressSpace } from "./space/address-space.js";
import { makeEntry, maybeWritable, type Vma } from "./space/vma.js";
import {
  mapsFrame,
  poisonMarker,
  PTE_EXCLUSIVE,
  PTE_SOFT_DIRTY,
  PTE_TRACKING,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "./table/entry.js";

/** Hears of each page that is lost, in each address space that maps it. */
export type OnLost = (mm: AddressSpace, page: number) => void;

/**
 * The memory behind a frame of a device is gone. A page that the host has retained is mapped from there; what a file holds,
 * or is zero, becomes what has not been touched yet; all else is marked as lost, and told to `onLost`. The page is not locked.
 */
export function memoryFailure(machine: Machine, frame: number, onLost: OnLost): void {
  const { frames, host, lru } = machine;
  const { words } = frames;
  assert((frames.flags(frame) & PG_LOCKED) === 0, `the memory of frame ${frame} is given up during a migration`);
  const home = host.retained.hasCopy(frame) ? host.takeRetained(host.retained.of(frame)) : 0;
  const from = frame << FRAME_SHIFT;
  const to = home << FRAME_SHIFT;
  const index = words[from + INDEX];
  if (home !== 0) {
    words[to + MAPPING] = words[from + MAPPING];
    words[to + INDEX] = index;
    words[to + FLAGS] |= words[from + FLAGS] & (PG_DIRTY | PG_FILE_COPY);
  }
  const again = (frames.flags(frame) & (PG_FILE_COPY | PG_ZEROS)) !== 0;
  // The last mapping that goes may take the frame with it.
  frames.get(frame);
  for (const vma of vmasOf(machine, frame)) {
    const page = vma.pageOfIndex(index);
    const { pageTable, notifiers, resident } = vma.mm;
    if (page < 0 || !mapsFrame(pageTable.read(page), frame)) continue;
    notifiers.notify("clear", page, page + 1, null);
    const word = pageTable.exchange(page, 0);
    if (home !== 0) {
      duplicateRmap(machine, home);
      pageTable.exchange(page, entryAtHome(vma, word, home));
    } else {
      resident.uncharge(1);
      if (!again) {
        pageTable.exchange(page, poisonMarker(word & PTE_TRACKING));
        machine.hasLostPages = true;
        onLost(vma.mm, page);
      }
    }
    removeRmap(machine, frame);
    machine.put(frame);
  }
  machine.put(frame);
  if (home === 0) return;
  lru.add(home);
  machine.put(home);
}

/** As the end of a migration leaves it. */
function entryAtHome(vma: Vma, word: number, home: number): number {
  const entry = (makeEntry(vma, home) & ~PTE_YOUNG) | (word & (PTE_SOFT_DIRTY | PTE_EXCLUSIVE));
  return (word & PTE_WRITE) === 0 ? entry | (word & PTE_UFFD_WP) : maybeWritable(vma, entry);
}

/**
 * Gives a page whose contents are lost new memory, for a store that fills all of it: its frame, which holds until the next
 * `await`; 0 when there is no memory. The mmap lock is held, and the mapping allows the store.
 */
export function replaceLostPage(vma: Vma, page: number): number {
  const frame = allocateAnonymous(vma, page, true);
  if (frame !== 0) mapNewPage(vma, page, frame, writtenEntry(vma, frame));
  return frame;
}
