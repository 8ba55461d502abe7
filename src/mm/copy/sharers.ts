/**
 * Who keeps the frame when a shared page is written: the one at home in it. The sharers get a copy, which takes over the
 * page's identity with all their mappings, so that an array which is written after a fork or a snapshot stays one
 * contiguous stretch of memory.
 *
 * Invariant: where this is refused, every entry is as before. Whoever holds a reference to the frame holds the page that
 * all share; so it is refused then, and the writer gets a frame of the pool.
 *
 * Counterpart: none; in Linux it is always the writer who gets the new page (`wp_page_copy`).
 */

import { PTE_FRAME_SHIFT, PTE_PRESENT, PTE_TRACKING, PTE_YOUNG, mapsFrame } from "../table/entry.js";
import {
  FLAGS,
  FRAME_SHIFT,
  INDEX,
  MAPPING,
  PG_DIRTY,
  PG_FILE_COPY,
  PG_LOCKED,
  PG_LRU,
  PG_SWAPCACHE,
} from "../frames/frames.js";
import { homeFrameOf } from "../host/home-range.js";
import type { Machine } from "../machine.js";
import { duplicateRmap, removeRmap, vmasOf } from "../frames/rmap.js";
import { makeEntry, type Vma } from "../space/vma.js";

/** An entry that was taken out of its page table. */
interface TakenEntry {
  readonly vma: Vma;
  readonly page: number;
  readonly word: number;
}

/** Gives those who share the page of a home frame a copy; then the frame is this mapping's own. */
export function keepHome(vma: Vma, page: number, frame: number): boolean {
  const { machine } = vma.mm;
  if (
    frame !== homeFrameOf(vma.home, page) ||
    machine.frames.isCompound(frame) ||
    (machine.frames.flags(frame) & PG_LOCKED) !== 0
  )
    return false;
  if (isHeldElsewhere(machine, frame, 0)) return false;
  const copy = machine.host.allocate(0, false);
  if (copy === 0) return false;
  machine.zones.copy(copy, frame);
  if (moveSharers(vma, page, frame, copy, 0)) return true;
  machine.put(copy);
  return false;
}

/**
 * Moves all mappings of a page, save that at `page` of the VMA, to `copy`: a frame of host memory that holds the page's
 * bytes, and whose one reference is then consumed. False when more than `held` references are neither of mappings nor of
 * the swap cache: then nothing has changed.
 */
export function moveSharers(vma: Vma, page: number, frame: number, copy: number, held: number): boolean {
  const { machine } = vma.mm;
  const { frames, lru, swap, counters } = machine;
  const taken = takeSharers(vma, page, frame);
  if (isHeldElsewhere(machine, frame, held)) {
    for (const entry of taken) entry.vma.mm.pageTable.exchange(entry.page, entry.word);
    return false;
  }
  const { words } = frames;
  const from = frame << FRAME_SHIFT;
  const to = copy << FRAME_SHIFT;
  words[to + MAPPING] = words[from + MAPPING];
  words[to + INDEX] = words[from + INDEX];
  words[to + FLAGS] |= words[from + FLAGS] & (PG_DIRTY | PG_FILE_COPY);
  for (const entry of taken) {
    duplicateRmap(machine, copy);
    entry.vma.mm.pageTable.exchange(entry.page, entryOfCopy(entry, copy));
    removeRmap(machine, frame);
    machine.put(frame);
  }
  // The slot holds what the sharers have; what the owner has now is nowhere else.
  if ((words[from + FLAGS] & PG_SWAPCACHE) !== 0) swap?.replace(frame, copy);
  lru.add(copy);
  machine.put(copy);
  counters.copiedOnWrite++;
  return true;
}

/** Takes out the entries first and looks at the reference count after, so that a pin without a lock is seen or fails. */
function takeSharers(owner: Vma, ownPage: number, frame: number): TakenEntry[] {
  const { machine } = owner.mm;
  const taken: TakenEntry[] = [];
  const index = machine.frames.words[(frame << FRAME_SHIFT) + INDEX];
  for (const vma of vmasOf(machine, frame)) {
    const page = vma.pageOfIndex(index);
    const { pageTable, notifiers } = vma.mm;
    if (page < 0 || (vma === owner && page === ownPage) || !mapsFrame(pageTable.read(page), frame)) continue;
    notifiers.notify("clear", page, page + 1, null);
    taken.push({ vma, page, word: pageTable.exchange(page, 0) });
  }
  return taken;
}

function entryOfCopy({ vma, word }: TakenEntry, copy: number): number {
  if ((word & PTE_PRESENT) !== 0) return (word & ((1 << PTE_FRAME_SHIFT) - 1)) | (copy << PTE_FRAME_SHIFT);
  return (makeEntry(vma, copy) & ~PTE_YOUNG) | (word & PTE_TRACKING);
}

/** Has anybody but mappings, the swap cache and the `held` of the caller a reference? */
function isHeldElsewhere({ frames, lru }: Machine, frame: number, held: number): boolean {
  const cached = (frames.flags(frame) & PG_SWAPCACHE) === 0 ? 0 : 1;
  if (frames.refcount(frame) > frames.mapcount(frame) + cached + held && (frames.flags(frame) & PG_LRU) === 0) {
    lru.drain();
  }
  return frames.refcount(frame) !== frames.mapcount(frame) + cached + held;
}
