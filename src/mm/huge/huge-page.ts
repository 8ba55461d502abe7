/**
 * Splitting a compound page into 512 pages, in all address spaces that map it. It is refused while anybody holds a part of
 * it: then nothing has changed, and nobody was told.
 *
 * In Linux migration entries stand in for the mappings while the page is taken apart; here nothing runs in between, so each
 * mapping becomes at once what it would be afterwards.
 *
 * Counterpart: `split_huge_page_to_list`, `unmap_folio`, `remap_page` (`mm/huge_memory.c`).
 */

import { splitCompoundPage } from "./compound.js";
import {
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "../table/entry.js";
import { FRAME_SHIFT, INDEX, PG_DIRTY, PG_LOCKED } from "../frames/frames.js";
import { splitHugeEntry } from "./huge-entry.js";
import type { Machine } from "../machine.js";
import { vmasOf } from "../frames/rmap.js";
import { BLOCK_FRAMES } from "../table/table-shape.js";
import { makeEntry, maybeWritable, type Vma } from "../space/vma.js";

/** Splits the compound page that the frame is part of; false, with nothing changed, when somebody holds or has locked it. */
export function splitHugePage(machine: Machine, frame: number): boolean {
  const { frames } = machine;
  const head = frames.head(frame);
  if ((frames.flags(head) & PG_LOCKED) !== 0 || frames.refcount(head) !== frames.totalMapcount(head)) return false;
  let left = partMappings(machine, head);
  for (const mapping of mappingsOf(machine, head, BLOCK_FRAMES)) {
    if (left === 0) break;
    splitHugeEntry(mapping.vma, mapping.from);
    mapping.vma.mm.notifiers.notify("clear", mapping.from, mapping.to, null);
    left -= remapParts(mapping, head);
  }
  splitCompoundPage(machine, head);
  return true;
}

/** How many entries of one page map parts of the compound page once no huge entry does. */
function partMappings({ frames }: Machine, head: number): number {
  return frames.totalMapcount(head) + frames.compoundMapcount(head) * (BLOCK_FRAMES - 1);
}

/** Where a VMA may map a page, or parts of a compound page: pages `[from, to)`. */
export interface PartMapping {
  readonly vma: Vma;
  readonly from: number;
  readonly to: number;
}

/** The VMAs that may map any of the `count` frames of a page, in the order of the reverse map's walk. */
export function* mappingsOf(machine: Machine, head: number, count: number): Generator<PartMapping> {
  const index = machine.frames.words[(head << FRAME_SHIFT) + INDEX];
  for (const vma of vmasOf(machine, head)) {
    const page = vma.start + (index - vma.offset);
    const from = Math.max(page, vma.start);
    const to = Math.min(page + count, vma.end);
    if (from < to) yield { vma, from, to };
  }
}

/** Gives the entries of a compound page the form that a migration entry would have left behind; how many there are. */
function remapParts({ vma, from, to }: PartMapping, head: number): number {
  const { machine, pageTable } = vma.mm;
  let mapped = 0;
  for (let page = from; page < to; page++) {
    const seen = pageTable.read(page);
    const frame = seen >>> PTE_FRAME_SHIFT;
    if ((seen & PTE_PRESENT) === 0 || frame === 0 || frame < head || frame >= head + BLOCK_FRAMES) continue;
    mapped++;
    const word = pageTable.exchange(page, 0);
    if ((word & PTE_DIRTY) !== 0) machine.frames.setFlags(head, PG_DIRTY);
    pageTable.exchange(page, remapped(vma, word));
  }
  return mapped;
}

function remapped(vma: Vma, word: number): number {
  const frame = word >>> PTE_FRAME_SHIFT;
  let entry = (makeEntry(vma, frame) & ~PTE_YOUNG) | (word & (PTE_YOUNG | PTE_SOFT_DIRTY | PTE_EXCLUSIVE));
  if ((word & PTE_DIRTY) !== 0) entry |= PTE_MAKE_DIRTY;
  return (word & PTE_WRITE) === 0 ? entry | (word & PTE_UFFD_WP) : maybeWritable(vma, entry);
}
