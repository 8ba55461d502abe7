/**
 * The last step of a migration: the entries come back, of the new page where the page moved, of the old one where it did
 * not; locks and references go. Afterwards no migration entry of this batch is left, whatever happened before.
 *
 * Counterpart: `migrate_vma_finalize`, `migrate_device_finalize`.
 */

import { FRAME_SHIFT, MAPPING, PG_HOME, REFCOUNT } from "../mm/frames.js";
import type { Machine } from "../mm/machine.js";
import { assertNotInCallback } from "../mm/notifier.js";
import { compareExchangeWord } from "../mm/shared-word.js";
import { ZONE_PRIVATE, ZONE_SYSTEM } from "../mm/zone.js";
import { MIGRATE_PFN_MIGRATE, MIGRATE_PFN_SHIFT, MIGRATE_PFN_VALID } from "./entry.js";
import type { MigrateVma } from "./migrate-vma.js";
import { PRELOAD_PAGES, preloadBoth } from "./preload.js";
import { restoreEntries } from "./restore.js";

export function migrateVmaFinalize(args: MigrateVma): void {
  if (args.vma !== null) migrateDeviceFinalize(args.vma.mm.machine, args.src, args.dst, args.npages);
}

/** The same for pages that `migrateDeviceRange` prepared. */
export function migrateDeviceFinalize(machine: Machine, src: Int32Array, dst: Int32Array, npages: number): void {
  assertNotInCallback();
  const { words } = machine.frames;
  for (let i = 0; i < npages; i++) {
    if (i % PRELOAD_PAGES === 0) preloadBoth(machine.frames.words, src, dst, i, npages);
    const source = src[i];
    const destination = dst[i];
    const to = (destination & MIGRATE_PFN_VALID) === 0 ? -1 : destination >>> MIGRATE_PFN_SHIFT;
    if ((source & MIGRATE_PFN_VALID) === 0) {
      if (to >= 0) release(machine, to);
      continue;
    }
    const from = source >>> MIGRATE_PFN_SHIFT;
    // A destination without an identity never went through the pages step, as when a driver gave up: nothing moved.
    const moved = (source & MIGRATE_PFN_MIGRATE) !== 0 && to >= 0 && words[(to << FRAME_SHIFT) + MAPPING] !== 0;
    if (!moved) {
      if (to >= 0) release(machine, to);
      finishPage(machine, from, from);
    } else finishPage(machine, from, to);
  }
}

function finishPage(machine: Machine, from: number, to: number): void {
  const kind = machine.zones.kindOf(to);
  restoreEntries(machine, from, to);
  if (from !== to) {
    machine.pageLocks.unlock(from);
    putMoved(machine, from, to, kind);
  }
  machine.pageLocks.unlock(to);
  if (kind === ZONE_SYSTEM) machine.lru.putback(to);
  else machine.put(to);
}

/**
 * Lets the old page go. A home frame whose page went to private device memory is retained with its bytes; not so with
 * coherent memory, which the CPU can write without anybody hearing of it.
 */
function putMoved(machine: Machine, from: number, to: number, kind: number): void {
  const words = machine.frames.words;
  const at = from << FRAME_SHIFT;
  const retain = kind === ZONE_PRIVATE && (words[at] & PG_HOME) !== 0 && machine.frames.mapcount(to) > 0;
  if (retain && compareExchangeWord(words, at + REFCOUNT, 1, 0) === 1) machine.host.retain(from, to);
  else machine.put(from);
}

function release(machine: Machine, frame: number): void {
  machine.pageLocks.unlock(frame);
  machine.put(frame);
}
