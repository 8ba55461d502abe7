/**
 * Taking entries out of a page table: pages lose this mapping and its reference; a device page whose last reference that
 * was goes back to its driver. The notifiers have been told. Counterpart: `zap_pte_range`.
 */

import type { AddressSpace } from "./address-space.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isMigrationEntry,
  isSwapEntry,
  PTE_DIRTY,
  PTE_FRAME_SHIFT,
  PTE_PRESENT,
} from "../table/entry.js";
import { assert } from "../errors.js";
import { PG_DIRTY, PG_SWAPCACHE } from "../frames/frames.js";
import { removeRmap } from "../frames/rmap.js";
import { splitHugeEntry, zapHugeEntry } from "../huge/huge-entry.js";
import { TABLE_MASK, TABLE_WORDS } from "../table/page-table.js";
import { exchangeWord } from "../shared-word.js";

export function zapRange(mm: AddressSpace, start: number, end: number): void {
  const { pageTable, machine } = mm;
  for (let page = start; page < end;) {
    const blockEnd = Math.min(end, (page & ~TABLE_MASK) + TABLE_WORDS);
    const leaf = pageTable.leaf(page);
    if (leaf === 0) {
      if (pageTable.huge(page) !== 0) {
        if (blockEnd - page < TABLE_WORDS) {
          splitHugeEntryOf(mm, page);
          continue;
        }
        zapHugeEntry(mm, page);
      }
      page = blockEnd;
      continue;
    }
    const words = pageTable.chunkOf(leaf);
    const base = pageTable.baseOf(leaf);
    for (; page < blockEnd; page++) {
      const at = base + (page & TABLE_MASK);
      if (words[at] === 0) continue;
      const word = exchangeWord(words, at, 0);
      const frame = word >>> PTE_FRAME_SHIFT;
      if ((word & PTE_PRESENT) !== 0 || isDevicePrivateEntry(word)) {
        if (frame === 0) continue;
        if (machine.frames.isAnonymous(frame)) mm.resident.uncharge(1);
        else if ((word & PTE_DIRTY) !== 0) machine.frames.setFlags(frame, PG_DIRTY);
        removeRmap(machine, frame);
        if ((machine.frames.flags(frame) & PG_SWAPCACHE) !== 0) machine.swap?.releaseUnmapped(frame);
        machine.put(frame);
      } else if (isDeviceExclusiveEntry(word)) {
        // The entry holds a reference, but is no mapping.
        mm.resident.uncharge(1);
        if ((machine.frames.flags(frame) & PG_SWAPCACHE) !== 0) machine.swap?.releaseUnmapped(frame);
        machine.put(frame);
      } else if (isMigrationEntry(word)) mm.resident.uncharge(machine.frames.isAnonymous(frame) ? 1 : 0);
      else if (isSwapEntry(word)) machine.swap?.releaseAndReclaim(frame);
    }
  }
}

/** A part of a block goes: the entry is split, the page stays one. */
function splitHugeEntryOf(mm: AddressSpace, page: number): void {
  const vma = mm.vmaAt(page);
  assert(vma !== undefined, `page ${page} is under a huge entry and not mapped`);
  splitHugeEntry(vma, page);
}
