/**
 * Compound pages: 512 aligned frames of host memory with one identity, mapped by huge entries as a whole, by entries of
 * their own, or both. The head has the references, the flags and the lock of all.
 *
 * Invariant: references are at least the huge entries and the entries that map it. A compound page is split into 512 pages
 * only if they are exactly those, so that nobody can hold a part of what is no more.
 *
 * Counterpart: `prep_compound_page`, `page_add_new_anon_rmap`, `can_split_folio`, `__split_huge_page` (`mm/huge_memory.c`).
 */

import { assert } from "../errors.js";
import {
  FRAME_SHIFT,
  GUP_PIN_COUNTING_BIAS,
  INDEX,
  MAPCOUNT,
  MAPPING,
  MAPPING_ANON,
  MAPPING_KIND_SHIFT,
  PG_COMPOUND,
  PG_DIRTY,
  PG_HEAD,
  PG_LRU,
  PG_TAIL,
  REFCOUNT,
} from "../frames/frames.js";
import type { Machine } from "../machine.js";
import { addToWord } from "../shared-word.js";
import { BLOCK_FRAMES } from "../table/table-shape.js";
import type { Vma } from "../space/vma.js";

/** Makes a block the anonymous compound page of the VMA's pages from `page` on, mapped there by one huge entry. */
export function makeCompoundPage(machine: Machine, head: number, vma: Vma, page: number): void {
  const { anonVma } = vma;
  assert(anonVma !== null, "an anonymous page is mapped into a VMA without an anon_vma");
  const { words } = machine.frames;
  const index = vma.offset + (page - vma.start);
  for (let i = 0; i < BLOCK_FRAMES; i++) {
    const at = (head + i) << FRAME_SHIFT;
    words[at] |= i === 0 ? PG_HEAD : PG_TAIL;
    words[at + MAPPING] = (anonVma.id << MAPPING_KIND_SHIFT) | MAPPING_ANON;
    words[at + INDEX] = index + i;
  }
  machine.frames.addCompoundMapcount(head, 1);
}

/**
 * Makes a compound page, which no huge entry maps any more and nobody holds, 512 pages: each has the references of its
 * entries, and one that none maps is freed.
 */
export function splitCompoundPage(machine: Machine, head: number): void {
  const { frames, host, lru } = machine;
  const { words } = frames;
  const flags = words[head << FRAME_SHIFT];
  const mappings = frames.totalMapcount(head);
  // A thread in user mode may be about to give back a reference that it took by an entry of long ago.
  const held = (frames.refcount(head) - mappings) % GUP_PIN_COUNTING_BIAS;
  assert(held === 0 && frames.compoundMapcount(head) === 0, `compound page ${head} is split while it is held`);
  assert((flags & PG_LRU) !== 0, `compound page ${head} is split while it is off the LRU`);
  host.splitBlock(head);
  lru.forget(head);
  for (let part = head; part < head + BLOCK_FRAMES; part++) {
    const at = part << FRAME_SHIFT;
    words[at] = (words[at] & ~PG_COMPOUND) | (flags & PG_DIRTY);
    // A reference of our own, until the page is known to be in use.
    addToWord(words, at + REFCOUNT, words[at + MAPCOUNT] + 1 - (part === head ? mappings : 0));
    lru.insert(part);
  }
  for (let part = head; part < head + BLOCK_FRAMES; part++) machine.put(part);
}
