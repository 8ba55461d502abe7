/**
 * Replaces the migration entries of a locked page by entries of the page that it became, or of itself when it stays.
 * Each entry that is restored takes a reference and a mapping of the new page.
 *
 * Counterpart: `remove_migration_ptes`, `remove_migration_pte`, in `mm/migrate.c`.
 */

import * as pageTableEntry from "../mm/table/entry.js";
import { devicePrivateEntry } from "../mm/table/entry.js";
import * as frameTable from "../mm/frames/frames.js";
import type { Machine } from "../mm/machine.js";
import * as pageTables from "../mm/table/page-table.js";
import { vmasOf } from "../mm/frames/rmap.js";
import { addToWord, storeWord } from "../mm/shared-word.js";
import { makeEntry, maybeWritable } from "../mm/space/vma.js";
import type { Vma } from "../mm/space/vma.js";
import * as memoryZones from "../mm/frames/zone.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const PTE_DIRTY = pageTableEntry.PTE_DIRTY;
const PTE_EXCLUSIVE = pageTableEntry.PTE_EXCLUSIVE;
const PTE_FRAME_SHIFT = pageTableEntry.PTE_FRAME_SHIFT;
const PTE_MAKE_DIRTY = pageTableEntry.PTE_MAKE_DIRTY;
const PTE_MIGRATION = pageTableEntry.PTE_MIGRATION;
const PTE_PRESENT = pageTableEntry.PTE_PRESENT;
const PTE_SOFT_DIRTY = pageTableEntry.PTE_SOFT_DIRTY;
const PTE_TRACKING = pageTableEntry.PTE_TRACKING;
const PTE_UFFD_WP = pageTableEntry.PTE_UFFD_WP;
const PTE_WRITE = pageTableEntry.PTE_WRITE;
const PTE_YOUNG = pageTableEntry.PTE_YOUNG;
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const INDEX = frameTable.INDEX;
const MAPCOUNT = frameTable.MAPCOUNT;
const PG_DIRTY = frameTable.PG_DIRTY;
const REFCOUNT = frameTable.REFCOUNT;
const TABLE_MASK = pageTables.TABLE_MASK;
const ZONE_PRIVATE = memoryZones.ZONE_PRIVATE;

/** `source` and `destination` are both locked; they are the same frame when the page stays where it is. */
export function restoreEntries(machine: Machine, source: number, destination: number): void {
  const words = machine.frames.words;
  const at = destination << FRAME_SHIFT;
  const index = words[at + INDEX];
  const vmas = vmasOf(machine, destination);
  for (let i = 0; i < vmas.length; i++) {
    const vma = vmas[i];
    const page = vma.pageOfIndex(index);
    if (page < 0 || !restoreEntry(machine, vma, page, source, destination)) continue;
    words[at + MAPCOUNT]++;
    addToWord(words, at + REFCOUNT, 1);
  }
}

function restoreEntry(machine: Machine, vma: Vma, page: number, source: number, destination: number): boolean {
  const { pageTable } = vma.mm;
  const leaf = pageTable.leaf(page);
  if (leaf === 0) return false;
  const entries = pageTable.chunkOf(leaf);
  const at = pageTable.baseOf(leaf) + (page & TABLE_MASK);
  const word = entries[at];
  if (word >>> PTE_FRAME_SHIFT !== source || (word & (PTE_PRESENT | PTE_MIGRATION)) !== PTE_MIGRATION) return false;
  const owned = (word & (PTE_WRITE | PTE_EXCLUSIVE)) !== 0 && machine.frames.isAnonymous(destination);
  const exclusive = owned ? PTE_EXCLUSIVE : 0;
  let restored: number;
  if (machine.zones.kindOf(destination) === ZONE_PRIVATE) {
    const writable = (word & PTE_WRITE) === 0 ? 0 : maybeWritable(vma, 0);
    restored = devicePrivateEntry(destination, (word & PTE_TRACKING) | writable | exclusive);
  } else {
    restored = (makeEntry(vma, destination) & ~PTE_YOUNG) | (word & (PTE_SOFT_DIRTY | PTE_YOUNG)) | exclusive;
    if ((word & PTE_DIRTY) !== 0 && (machine.frames.words[destination << FRAME_SHIFT] & PG_DIRTY) !== 0)
      restored |= PTE_MAKE_DIRTY;
    if ((word & PTE_WRITE) !== 0) restored = maybeWritable(vma, restored);
    else restored |= word & PTE_UFFD_WP;
  }
  storeWord(entries, at, restored);
  return true;
}
