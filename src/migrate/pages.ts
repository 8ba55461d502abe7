/**
 * The second step of a migration: the page's identity moves to the destination. Bytes are the driver's work, any time
 * between setup and finalize. Counterpart: `__migrate_device_pages`, `migrate_vma_pages`, `migrate_device_pages`.
 */

import * as frameTable from "../mm/frames/frames.js";
import type { Machine } from "../mm/machine.js";
import { assertNotInCallback } from "../mm/space/notifier.js";
import { loadWord } from "../mm/shared-word.js";
import * as memoryZones from "../mm/frames/zone.js";
import * as migrateEntry from "./entry.js";
import { insertPage } from "./insert.js";
import type { MigrateVma } from "./migrate-vma.js";
import * as preload from "./preload.js";
import { preloadBoth } from "./preload.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const FLAGS = frameTable.FLAGS;
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const INDEX = frameTable.INDEX;
const MAPPING = frameTable.MAPPING;
const MAPPING_ANON = frameTable.MAPPING_ANON;
const MAPPING_KIND_SHIFT = frameTable.MAPPING_KIND_SHIFT;
const PG_DIRTY = frameTable.PG_DIRTY;
const PG_FILE_COPY = frameTable.PG_FILE_COPY;
const PG_SWAPCACHE = frameTable.PG_SWAPCACHE;
const REFCOUNT = frameTable.REFCOUNT;
const ZONE_COHERENT = memoryZones.ZONE_COHERENT;
const ZONE_PRIVATE = memoryZones.ZONE_PRIVATE;
const MIGRATE_PFN_MIGRATE = migrateEntry.MIGRATE_PFN_MIGRATE;
const MIGRATE_PFN_SHIFT = migrateEntry.MIGRATE_PFN_SHIFT;
const MIGRATE_PFN_VALID = migrateEntry.MIGRATE_PFN_VALID;
const PRELOAD_PAGES = preload.PRELOAD_PAGES;

/** What is said of a page's contents stays true wherever they are. */
const KEPT_FLAGS = PG_DIRTY | PG_FILE_COPY;

/** After it, MIGRATE is set in `args.src` for exactly the pages that move. */
export function migrateVmaPages(args: MigrateVma): void {
  const { vma } = args;
  if (vma !== null) migratePages(vma.mm.machine, args.src, args.dst, args.npages, args);
}

/** The same for pages that `migrateDeviceRange` prepared. */
export function migrateDevicePages(machine: Machine, src: Int32Array, dst: Int32Array, npages: number): void {
  migratePages(machine, src, dst, npages, null);
}

function migratePages(
  machine: Machine,
  src: Int32Array,
  dst: Int32Array,
  npages: number,
  args: MigrateVma | null,
): void {
  assertNotInCallback();
  const faultPage = args === null ? -1 : args.faultPage;
  let notified = false;
  for (let i = 0; i < npages; i++) {
    if (i % PRELOAD_PAGES === 0) preloadBoth(machine.frames.words, src, dst, i, npages);
    const source = src[i];
    const destination = dst[i];
    if ((destination & MIGRATE_PFN_VALID) === 0) {
      src[i] = source & ~MIGRATE_PFN_MIGRATE;
      continue;
    }
    const to = destination >>> MIGRATE_PFN_SHIFT;
    if ((source & MIGRATE_PFN_VALID) !== 0) {
      // Setup marked it and nobody refused it since.
      if ((source & MIGRATE_PFN_MIGRATE) === 0) continue;
      if (!moveIdentity(machine, source >>> MIGRATE_PFN_SHIFT, to, faultPage)) src[i] = source & ~MIGRATE_PFN_MIGRATE;
      continue;
    }
    if ((source & MIGRATE_PFN_MIGRATE) === 0) continue;
    if (args === null || args.vma === null) {
      src[i] = source & ~MIGRATE_PFN_MIGRATE;
      continue;
    }
    const first = args.start / machine.pageSize;
    if (!notified) args.vma.mm.notifiers.notify("migrate", first + i, first + npages, args.owner);
    notified = true;
    if (!insertPage(args.vma, first + i, to)) src[i] = source & ~MIGRATE_PFN_MIGRATE;
  }
}

/**
 * Makes `to` the page that `from` was. Refused when anybody but this migration, and the fault that it serves, holds a
 * reference, or when a page that is not anonymous, or is in the swap cache, would go to a device (`migrate_folio`).
 */
function moveIdentity(machine: Machine, from: number, to: number, faultPage: number): boolean {
  const words = machine.frames.words;
  const source = from << FRAME_SHIFT;
  const destination = to << FRAME_SHIFT;
  const kind = machine.zones.kindOf(to);
  const mapping = words[source + MAPPING];
  const cached = (words[source + FLAGS] & PG_SWAPCACHE) !== 0;
  const anonymous = (mapping & ((1 << MAPPING_KIND_SHIFT) - 1)) === MAPPING_ANON && !cached;
  if (!anonymous && (kind === ZONE_PRIVATE || kind === ZONE_COHERENT)) return false;
  if (loadWord(words, source + REFCOUNT) !== (from === faultPage ? 2 : 1)) return false;
  words[destination + MAPPING] = mapping;
  words[destination + INDEX] = words[source + INDEX];
  words[destination + FLAGS] |= words[source + FLAGS] & KEPT_FLAGS;
  return true;
}
