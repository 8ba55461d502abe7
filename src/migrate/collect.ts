/**
 * The first half of setup: walks the entries of the range and takes what may migrate. A page that was taken is locked,
 * and a migration entry stands where it was mapped, so that every access waits; what could not be locked at once stays,
 * which keeps two migrations from waiting for each other.
 *
 * The reference that the collector takes is the one that the entry held: the two cancel out.
 *
 * Counterpart: `migrate_vma_collect_pmd`, `migrate_vma_collect_hole`, in `mm/migrate_device.c`.
 */

import * as pageTableEntry from "../mm/table/entry.js";
import { isDevicePrivateEntry } from "../mm/table/entry.js";
import * as frameTable from "../mm/frames/frames.js";
import { splitHugeEntry } from "../mm/huge/huge-entry.js";
import type { Machine } from "../mm/machine.js";
import * as pageTables from "../mm/table/page-table.js";
import { mayShareAnonRmap, migrationEntryFor } from "../mm/frames/rmap.js";
import { exchangeWord, storeWord } from "../mm/shared-word.js";
import type { Vma } from "../mm/space/vma.js";
import * as memoryZones from "../mm/frames/zone.js";
import type { Zones } from "../mm/frames/zone.js";
import * as migrateEntry from "./entry.js";
import type { MigrateVma } from "./migrate-vma.js";
import * as preload from "./preload.js";
import { preloadMapped } from "./preload.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const PTE_DIRTY = pageTableEntry.PTE_DIRTY;
const PTE_EXCLUSIVE = pageTableEntry.PTE_EXCLUSIVE;
const PTE_FRAME_SHIFT = pageTableEntry.PTE_FRAME_SHIFT;
const PTE_PRESENT = pageTableEntry.PTE_PRESENT;
const PTE_WRITE = pageTableEntry.PTE_WRITE;
const FLAGS = frameTable.FLAGS;
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const MAPCOUNT = frameTable.MAPCOUNT;
const MAPPING = frameTable.MAPPING;
const PG_COMPOUND = frameTable.PG_COMPOUND;
const PG_DIRTY = frameTable.PG_DIRTY;
const PG_LOCKED = frameTable.PG_LOCKED;
const TABLE_MASK = pageTables.TABLE_MASK;
const TABLE_WORDS = pageTables.TABLE_WORDS;
const ZONE_COHERENT = memoryZones.ZONE_COHERENT;
const ZONE_PRIVATE = memoryZones.ZONE_PRIVATE;
const ZONE_SYSTEM = memoryZones.ZONE_SYSTEM;
const MIGRATE_PFN_MIGRATE = migrateEntry.MIGRATE_PFN_MIGRATE;
const MIGRATE_PFN_SHIFT = migrateEntry.MIGRATE_PFN_SHIFT;
const MIGRATE_PFN_VALID = migrateEntry.MIGRATE_PFN_VALID;
const MIGRATE_PFN_WRITE = migrateEntry.MIGRATE_PFN_WRITE;
const MIGRATE_VMA_SELECT_DEVICE_COHERENT = migrateEntry.MIGRATE_VMA_SELECT_DEVICE_COHERENT;
const MIGRATE_VMA_SELECT_DEVICE_PRIVATE = migrateEntry.MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
const MIGRATE_VMA_SELECT_SYSTEM = migrateEntry.MIGRATE_VMA_SELECT_SYSTEM;
const PRELOAD_PAGES = preload.PRELOAD_PAGES;

/** Fills `args.src` and `args.cpages` for pages `[first, end)` of the VMA. */
export function collect(args: MigrateVma, vma: Vma, first: number, end: number): void {
  const { mm } = vma;
  mm.notifiers.notify("migrate", first, end, args.owner);
  args.cpages = 0;
  for (let page = first; page < end;) {
    const blockEnd = Math.min(end, (page & ~TABLE_MASK) + TABLE_WORDS);
    if (mm.pageTable.leaf(page) === 0 && mm.pageTable.huge(page) !== 0 && !openHugePage(vma, page)) {
      page = blockEnd;
      continue;
    }
    const leaf = mm.pageTable.leaf(page);
    if (leaf === 0) collectHoles(args, vma, page - first, blockEnd - first);
    else {
      const words = mm.pageTable.chunkOf(leaf);
      const at = mm.pageTable.baseOf(leaf) + (page & TABLE_MASK);
      collectLeaf(args, vma, words, at, page - first, blockEnd - page);
    }
    page = blockEnd;
  }
}

/**
 * Splits what a huge entry maps: the zero page's entry, or the compound page itself. False when somebody holds the page:
 * then nothing under this entry migrates, whatever was selected.
 */
function openHugePage(vma: Vma, page: number): boolean {
  const { machine, pageTable } = vma.mm;
  const head = pageTable.huge(page) >>> PTE_FRAME_SHIFT;
  if (head !== 0) return machine.hugePages.splitHugePage(machine, head);
  splitHugeEntry(vma, page);
  return true;
}

function collectHoles(args: MigrateVma, vma: Vma, from: number, to: number): void {
  if (!vma.anonymous) return;
  args.src.fill(MIGRATE_PFN_MIGRATE, from, to);
  args.cpages += to - from;
}

/** Entries `[at, at + count)` of a leaf, into the places of `src` from `place` on. */
function collectLeaf(args: MigrateVma, vma: Vma, entries: Int32Array, at: number, place: number, count: number): void {
  const { src, flags, owner } = args;
  const { machine } = vma.mm;
  const { frames, zones } = machine;
  const words = frames.words;
  let collected = 0;
  for (let i = 0; i < count; i++) {
    if (i % PRELOAD_PAGES === 0) preloadMapped(words, entries, at + i, at + count);
    const word = entries[at + i];
    const frame = word >>> PTE_FRAME_SHIFT;
    if (frame === 0) {
      // None, or the zero page: there is nothing to copy, and its entry stays until the new page is inserted.
      if (word === 0) {
        if (!vma.anonymous) continue;
      } else if ((word & PTE_PRESENT) === 0 || (flags & MIGRATE_VMA_SELECT_SYSTEM) === 0) continue;
      src[place + i] = MIGRATE_PFN_MIGRATE;
      collected++;
      continue;
    }
    const present = (word & PTE_PRESENT) !== 0;
    if (!present && !isDevicePrivateEntry(word)) continue;
    if (zones.kindOf(frame) === ZONE_SYSTEM) {
      if ((flags & MIGRATE_VMA_SELECT_SYSTEM) === 0) continue;
    } else if (!isSelectedDevicePage(zones, frame, flags, owner)) continue;
    const record = frame << FRAME_SHIFT;
    // A part of a compound page that is mapped by itself stays where it is, as in Linux 6.1.
    if (words[record + MAPPING] === 0 || (words[record + FLAGS] & PG_COMPOUND) !== 0) continue;
    if ((words[record + FLAGS] & PG_LOCKED) !== 0) continue;
    if (!takeEntry(machine, entries, at + i, frame)) continue;
    words[record + FLAGS] |= PG_LOCKED;
    words[record + MAPCOUNT]--;
    src[place + i] =
      (frame << MIGRATE_PFN_SHIFT) |
      MIGRATE_PFN_VALID |
      MIGRATE_PFN_MIGRATE |
      ((word & PTE_WRITE) === 0 ? 0 : MIGRATE_PFN_WRITE);
    collected++;
  }
  args.cpages += collected;
}

/** Pages of a device are for its own driver only. */
function isSelectedDevicePage(zones: Zones, frame: number, flags: number, owner: object | null): boolean {
  switch (zones.kindOf(frame)) {
    case ZONE_PRIVATE:
      return (flags & MIGRATE_VMA_SELECT_DEVICE_PRIVATE) !== 0 && zones.of(frame).pageMap?.owner === owner;
    case ZONE_COHERENT:
      return (flags & MIGRATE_VMA_SELECT_DEVICE_COHERENT) !== 0 && zones.of(frame).pageMap?.owner === owner;
    default:
      return false;
  }
}

/** Replaces the entry by a migration entry; false, with nothing changed, when the page is pinned for DMA. */
function takeEntry(machine: Machine, entries: Int32Array, at: number, frame: number): boolean {
  const word = exchangeWord(entries, at, 0);
  if ((word & PTE_EXCLUSIVE) !== 0 && !mayShareAnonRmap(machine, frame)) {
    storeWord(entries, at, word);
    return false;
  }
  if ((word & (PTE_PRESENT | PTE_DIRTY)) === (PTE_PRESENT | PTE_DIRTY)) {
    machine.frames.words[frame << FRAME_SHIFT] |= PG_DIRTY;
  }
  storeWord(entries, at, migrationEntryFor(word, frame));
  return true;
}
