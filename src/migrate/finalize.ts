/**
 * The last step of a migration: the entries come back, of the new page where the page moved, of the old one where it did
 * not; locks and references go. Afterwards no migration entry of this batch is left, whatever happened before.
 *
 * Counterpart: `migrate_vma_finalize`, `migrate_device_finalize`.
 */

import * as frameTable from "../mm/frames/frames.js";
import type { Machine } from "../mm/machine.js";
import { assertNotInCallback } from "../mm/space/notifier.js";
import { compareExchangeWord } from "../mm/shared-word.js";
import * as memoryZones from "../mm/frames/zone.js";
import * as migrateEntry from "./entry.js";
import type { MigrateVma } from "./migrate-vma.js";
import * as preload from "./preload.js";
import { preloadBoth } from "./preload.js";
import { restoreEntries } from "./restore.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const MAPCOUNT = frameTable.MAPCOUNT;
const MAPPING = frameTable.MAPPING;
const PG_HOME = frameTable.PG_HOME;
const PG_SWAPCACHE = frameTable.PG_SWAPCACHE;
const REFCOUNT = frameTable.REFCOUNT;
const ZONE_PRIVATE = memoryZones.ZONE_PRIVATE;
const ZONE_SYSTEM = memoryZones.ZONE_SYSTEM;
const MIGRATE_PFN_MIGRATE = migrateEntry.MIGRATE_PFN_MIGRATE;
const MIGRATE_PFN_SHIFT = migrateEntry.MIGRATE_PFN_SHIFT;
const MIGRATE_PFN_VALID = migrateEntry.MIGRATE_PFN_VALID;
const PRELOAD_PAGES = preload.PRELOAD_PAGES;

/**
 * The last step: migration entries give way to entries of the page's place, new or old; locks go,
 * waiters wake. `migrate_vma_finalize`.
 */
export function migrateVmaFinalize(args: MigrateVma): void {
  if (args.vma !== null) migrateDeviceFinalize(args.vma.mm.machine, args.src, args.dst, args.npages);
}

/**
 * The same for pages that `migrateDeviceRange` prepared. Some pages at a time get their entries back and are then let go:
 * two short loops, each of which the compiler makes one piece of code.
 */
export function migrateDeviceFinalize(machine: Machine, src: Int32Array, dst: Int32Array, npages: number): void {
  assertNotInCallback();
  for (let first = 0; first < npages; first += PRELOAD_PAGES) {
    const end = Math.min(first + PRELOAD_PAGES, npages);
    preloadBoth(machine.frames.words, src, dst, first, end);
    restorePages(machine, src, dst, first, end);
    letPagesGo(machine, src, dst, first, end);
  }
}

function restorePages(machine: Machine, src: Int32Array, dst: Int32Array, first: number, end: number): void {
  const { words } = machine.frames;
  for (let i = first; i < end; i++) {
    const source = src[i];
    if ((source & MIGRATE_PFN_VALID) === 0) continue;
    const from = source >>> MIGRATE_PFN_SHIFT;
    restoreEntries(machine, from, hasMoved(words, source, dst[i]) ? dst[i] >>> MIGRATE_PFN_SHIFT : from);
  }
}

function letPagesGo(machine: Machine, src: Int32Array, dst: Int32Array, first: number, end: number): void {
  const { words } = machine.frames;
  const { pageLocks } = machine;
  for (let i = first; i < end; i++) {
    const source = src[i];
    const from = source >>> MIGRATE_PFN_SHIFT;
    const to = dst[i] >>> MIGRATE_PFN_SHIFT;
    if (hasMoved(words, source, dst[i])) {
      pageLocks.unlock(from);
      putMoved(machine, from, to);
      letGo(machine, to);
      continue;
    }
    if ((dst[i] & MIGRATE_PFN_VALID) !== 0) {
      pageLocks.unlock(to);
      machine.put(to);
    }
    if ((source & MIGRATE_PFN_VALID) !== 0) letGo(machine, from);
  }
}

/** Did the page move? A destination without an identity never went through the pages step, as when a driver gave up. */
function hasMoved(words: Int32Array, source: number, destination: number): boolean {
  const both = MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE;
  if ((source & both) !== both || (destination & MIGRATE_PFN_VALID) === 0) return false;
  return words[((destination >>> MIGRATE_PFN_SHIFT) << FRAME_SHIFT) + MAPPING] !== 0;
}

/** The page that the batch held locked is everybody's again. */
function letGo(machine: Machine, frame: number): void {
  machine.pageLocks.unlock(frame);
  if (machine.zones.kindOf(frame) === ZONE_SYSTEM) {
    machine.lru.putback(frame);
    // Who gave the page up while it was locked could not take it out of the swap cache.
    if ((machine.frames.flags(frame) & PG_SWAPCACHE) !== 0) machine.swap?.releaseUnmapped(frame);
  } else machine.put(frame);
}

/**
 * Lets the old page go. A home frame whose page went to private device memory is retained with its bytes; not so with
 * coherent memory, which the CPU can write without anybody hearing of it.
 */
function putMoved(machine: Machine, from: number, to: number): void {
  const { words } = machine.frames;
  const at = from << FRAME_SHIFT;
  const retain = (words[at] & PG_HOME) !== 0 && words[(to << FRAME_SHIFT) + MAPCOUNT] > 0;
  const toPrivate = machine.zones.kindOf(to) === ZONE_PRIVATE;
  if (retain && toPrivate && compareExchangeWord(words, at + REFCOUNT, 1, 0) === 1) machine.host.retain(from, to);
  else machine.put(from);
}
