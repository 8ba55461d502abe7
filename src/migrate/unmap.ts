/**
 * The second half of setup: takes the collected pages off the LRU and out of all other page tables, and gives back those
 * that somebody else still uses. What remains marked is mapped nowhere and can move.
 *
 * Counterpart: `migrate_device_unmap`, `migrate_vma_check_page`, in `mm/migrate_device.c`.
 */

import * as frameTable from "../mm/frames/frames.js";
import type { Machine } from "../mm/machine.js";
import { tryToMigrate } from "../mm/frames/rmap.js";
import { loadWord } from "../mm/shared-word.js";
import * as memoryZones from "../mm/frames/zone.js";
import * as migrateEntry from "./entry.js";
import * as preload from "./preload.js";
import { preloadListNeighbours } from "./preload.js";
import { restoreEntries } from "./restore.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const MAPCOUNT = frameTable.MAPCOUNT;
const PG_SWAPCACHE = frameTable.PG_SWAPCACHE;
const REFCOUNT = frameTable.REFCOUNT;
const ZONE_SYSTEM = memoryZones.ZONE_SYSTEM;
const MIGRATE_PFN_MIGRATE = migrateEntry.MIGRATE_PFN_MIGRATE;
const MIGRATE_PFN_SHIFT = migrateEntry.MIGRATE_PFN_SHIFT;
const MIGRATE_PFN_VALID = migrateEntry.MIGRATE_PFN_VALID;
const PRELOAD_PAGES = preload.PRELOAD_PAGES;

/** Returns how many of the `npages` entries are still to migrate. */
export function unmapCollected(machine: Machine, src: Int32Array, npages: number, faultPage: number): number {
  const { frames, lru, zones } = machine;
  let unmapped = 0;
  let restore = 0;
  lru.drain();
  for (let i = 0; i < npages; i++) {
    if (i % PRELOAD_PAGES === 0) preloadListNeighbours(frames.words, src, i, npages);
    const word = src[i];
    if ((word & MIGRATE_PFN_VALID) === 0) {
      if ((word & MIGRATE_PFN_MIGRATE) !== 0) unmapped++;
      continue;
    }
    const frame = word >>> MIGRATE_PFN_SHIFT;
    const system = zones.kindOf(frame) === ZONE_SYSTEM;
    // The collector's reference keeps the isolated page.
    if (system && !lru.isolate(frame)) {
      src[i] = word & ~MIGRATE_PFN_MIGRATE;
      restore++;
      continue;
    }
    if (frames.words[(frame << FRAME_SHIFT) + MAPCOUNT] !== 0) tryToMigrate(machine, frame);
    if (isStillUsed(machine, frame, !system, faultPage)) {
      if (system) {
        frames.get(frame);
        lru.putback(frame);
      }
      src[i] = word & ~MIGRATE_PFN_MIGRATE;
      restore++;
    } else unmapped++;
  }
  if (restore > 0) restoreRefused(machine, src, npages);
  return unmapped;
}

/**
 * Does anybody but this migration use the page? One stray reference on a device page is tolerated here, as in Linux; the
 * pages step, which asks for an exact count, refuses it.
 */
function isStillUsed(machine: Machine, frame: number, device: boolean, faultPage: number): boolean {
  const at = frame << FRAME_SHIFT;
  const words = machine.frames.words;
  const mapcount = words[at + MAPCOUNT];
  const cached = (words[at] & PG_SWAPCACHE) !== 0 || !machine.frames.isAnonymous(frame);
  const extra = 1 + (frame === faultPage ? 1 : 0) + (device ? 1 : 0) + (cached ? 1 : 0);
  return mapcount !== 0 || loadWord(words, at + REFCOUNT) - extra > mapcount;
}

function restoreRefused(machine: Machine, src: Int32Array, npages: number): void {
  for (let i = 0; i < npages; i++) {
    const word = src[i];
    if ((word & (MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE)) !== MIGRATE_PFN_VALID) continue;
    const frame = word >>> MIGRATE_PFN_SHIFT;
    restoreEntries(machine, frame, frame);
    src[i] = 0;
    machine.pageLocks.unlock(frame);
    machine.put(frame);
  }
}
