/**
 * The reverse map: from a page to all its mappings. An anonymous page names its anon_vma and its index; the VMAs of that
 * root which cover the index are the only ones that can map it.
 *
 * Counterpart: `mm/rmap.c` (`page_add_anon_rmap`, `page_remove_rmap`, `try_to_migrate`).
 */

import * as pageTableEntry from "../table/entry.js";
import { isDevicePrivateEntry, mapsFrame } from "../table/entry.js";
import { assert } from "../errors.js";
import * as frameTable from "./frames.js";
import type { Machine } from "../machine.js";
import * as pageTables from "../table/page-table.js";
import { exchangeWord, loadWord, storeWord } from "../shared-word.js";
import type { AnonVma, Vma } from "../space/vma.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const PTE_DIRTY = pageTableEntry.PTE_DIRTY;
const PTE_EXCLUSIVE = pageTableEntry.PTE_EXCLUSIVE;
const PTE_FRAME_SHIFT = pageTableEntry.PTE_FRAME_SHIFT;
const PTE_MIGRATION = pageTableEntry.PTE_MIGRATION;
const PTE_PRESENT = pageTableEntry.PTE_PRESENT;
const PTE_TRACKING = pageTableEntry.PTE_TRACKING;
const PTE_WRITE = pageTableEntry.PTE_WRITE;
const PTE_YOUNG = pageTableEntry.PTE_YOUNG;
const FLAGS = frameTable.FLAGS;
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const GUP_PIN_COUNTING_BIAS = frameTable.GUP_PIN_COUNTING_BIAS;
const INDEX = frameTable.INDEX;
const MAPCOUNT = frameTable.MAPCOUNT;
const MAPPING = frameTable.MAPPING;
const MAPPING_ANON = frameTable.MAPPING_ANON;
const MAPPING_FILE = frameTable.MAPPING_FILE;
const MAPPING_KIND_MASK = frameTable.MAPPING_KIND_MASK;
const MAPPING_KIND_SHIFT = frameTable.MAPPING_KIND_SHIFT;
const PG_DIRTY = frameTable.PG_DIRTY;
const REFCOUNT = frameTable.REFCOUNT;
const BLOCK_FRAMES = pageTables.BLOCK_FRAMES;
const TABLE_MASK = pageTables.TABLE_MASK;

/** Makes the frame the anonymous page at `page` of the VMA, mapped there once (`page_add_new_anon_rmap`). */
export function addNewAnonRmap(machine: Machine, frame: number, vma: Vma, page: number): void {
  const { anonVma } = vma;
  assert(anonVma !== null, "an anonymous page is mapped into a VMA without an anon_vma");
  const words = machine.frames.words;
  const at = frame << FRAME_SHIFT;
  words[at + MAPPING] = (anonVma.id << MAPPING_KIND_SHIFT) | MAPPING_ANON;
  words[at + INDEX] = vma.offset + (page - vma.start);
  words[at + MAPCOUNT] = 1;
}

/**
 * One more mapping of a page that may be new to this tree of address spaces. One that this mapping does not have to
 * itself belongs to the oldest root, from which all who may share it are found (`page_add_anon_rmap`).
 */
export function addAnonRmap(machine: Machine, frame: number, vma: Vma, page: number, exclusive: boolean): void {
  const words = machine.frames.words;
  const at = frame << FRAME_SHIFT;
  words[at + MAPCOUNT]++;
  if (words[at + MAPPING] !== 0) return;
  let root = vma.anonVma;
  assert(root !== null, "an anonymous page is mapped into a VMA without an anon_vma");
  while (!exclusive && root.parent !== root) root = root.parent;
  words[at + MAPPING] = (root.id << MAPPING_KIND_SHIFT) | MAPPING_ANON;
  words[at + INDEX] = vma.offset + (page - vma.start);
}

/** The page belongs to this VMA alone from now on, so its mappings are looked for under the VMA's own root only. */
export function moveAnonRmap(machine: Machine, frame: number, vma: Vma): void {
  const { anonVma } = vma;
  assert(anonVma !== null, "a VMA maps an anonymous page but has no anon_vma");
  const { frames } = machine;
  const first = frames.head(frame);
  const end = first + (frames.isCompound(frame) ? BLOCK_FRAMES : 1);
  for (let part = first; part < end; part++) {
    frames.words[(part << FRAME_SHIFT) + MAPPING] = (anonVma.id << MAPPING_KIND_SHIFT) | MAPPING_ANON;
  }
}

/** One more mapping of the page: with a reference. */
export function duplicateRmap(machine: Machine, frame: number): void {
  machine.frames.words[(frame << FRAME_SHIFT) + MAPCOUNT]++;
  machine.frames.get(frame);
}

export function removeRmap(machine: Machine, frame: number): void {
  machine.frames.words[(frame << FRAME_SHIFT) + MAPCOUNT]--;
}

/** The root of an anonymous page; undefined when none of its mappings can exist any more. */
export function anonVmaOf(machine: Machine, frame: number): AnonVma | undefined {
  if (!machine.frames.isAnonymous(frame)) return undefined;
  return machine.anonVma(machine.frames.words[(frame << FRAME_SHIFT) + MAPPING] >>> MAPPING_KIND_SHIFT);
}

const NO_VMAS: readonly Vma[] = [];

/** The VMAs that may map a page: of its anon_vma, or of what it is a page of. */
export function vmasOf(machine: Machine, frame: number): readonly Vma[] {
  const mapping = machine.frames.words[(frame << FRAME_SHIFT) + MAPPING];
  const id = mapping >>> MAPPING_KIND_SHIFT;
  const root = (mapping & MAPPING_KIND_MASK) === MAPPING_FILE ? machine.pageCache(id) : machine.anonVma(id);
  return root?.vmas ?? NO_VMAS;
}

/**
 * May an anonymous-exclusive page stop being exclusive? Not while it may be pinned for DMA: whoever pinned it relies on
 * seeing the writes through this mapping. Its entry has been cleared before, and it is no part of a compound page
 * (`page_try_share_anon_rmap`).
 */
export function mayShareAnonRmap(machine: Machine, frame: number): boolean {
  return loadWord(machine.frames.words, (frame << FRAME_SHIFT) + REFCOUNT) < GUP_PIN_COUNTING_BIAS;
}

/** The migration entry that takes the place of an entry of a locked page. */
export function migrationEntryFor(word: number, frame: number): number {
  const kept = word & (PTE_WRITE | PTE_EXCLUSIVE | PTE_TRACKING);
  const aged = (word & PTE_PRESENT) === 0 ? 0 : word & (PTE_YOUNG | PTE_DIRTY);
  return (frame << PTE_FRAME_SHIFT) | PTE_MIGRATION | kept | aged;
}

/**
 * Puts migration entries in the place of all mappings of a locked page. It stops at the first mapping that cannot go
 * (pinned for DMA); the caller sees the map count and restores.
 */
export function tryToMigrate(machine: Machine, frame: number): void {
  const { frames } = machine;
  const at = frame << FRAME_SHIFT;
  const index = frames.words[at + INDEX];
  for (const vma of vmasOf(machine, frame)) {
    if (frames.words[at + MAPCOUNT] === 0) return;
    const page = vma.pageOfIndex(index);
    if (page >= 0 && !migrateOneMapping(machine, vma, page, frame)) return;
  }
}

function migrateOneMapping(machine: Machine, vma: Vma, page: number, frame: number): boolean {
  const { pageTable, notifiers } = vma.mm;
  notifiers.notify("clear", page, page + 1, null);
  const leaf = pageTable.leaf(page);
  if (leaf === 0) return true;
  const entries = pageTable.chunkOf(leaf);
  const at = pageTable.baseOf(leaf) + (page & TABLE_MASK);
  if (!mapsFrame(entries[at], frame)) return true;
  const word = exchangeWord(entries, at, 0);
  if ((word & PTE_EXCLUSIVE) !== 0 && !isDevicePrivateEntry(word) && !mayShareAnonRmap(machine, frame)) {
    storeWord(entries, at, word);
    return false;
  }
  if ((word & PTE_PRESENT) !== 0 && (word & PTE_DIRTY) !== 0)
    machine.frames.words[(frame << FRAME_SHIFT) + FLAGS] |= PG_DIRTY;
  storeWord(entries, at, migrationEntryFor(word, frame));
  removeRmap(machine, frame);
  machine.put(frame);
  return true;
}
