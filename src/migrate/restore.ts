/**
 * Replaces the migration entries of a locked page by entries of the page that it became, or of itself when it stays.
 * Each entry that is restored takes a reference and a mapping of the new page.
 *
 * Counterpart: `remove_migration_ptes`, `remove_migration_pte`, in `mm/migrate.c`.
 */

import * as pageTableEntry from "../mm/table/entry.js";
import * as frameTable from "../mm/frames/frames.js";
import type { Machine } from "../mm/machine.js";
import * as pageTables from "../mm/table/page-table.js";
import * as reverseMap from "../mm/frames/rmap.js";
import * as sharedWord from "../mm/shared-word.js";
import * as vmaFlags from "../mm/space/vma.js";
import type { Vma } from "../mm/space/vma.js";
import * as memoryZones from "../mm/frames/zone.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const {
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_MIGRATION,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_TRACKING,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
  devicePrivateEntry,
} = pageTableEntry;
const { FRAME_SHIFT, INDEX, MAPCOUNT, PG_DIRTY, REFCOUNT } = frameTable;
const { TABLE_MASK } = pageTables;
const { ZONE_PRIVATE } = memoryZones;
const { addToWord, storeWord } = sharedWord;
const { vmasOf } = reverseMap;
const { makeEntry, maybeWritable } = vmaFlags;

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
