/**
 * Pages come back from swap: into the swap cache first, then into the page table. A write makes the page this mapping's
 * own and takes it out of the cache; after a read it stays there.
 *
 * Counterpart: `do_swap_page`, `read_swap_cache_async`.
 */

import type { AddressSpace } from "../space/address-space.js";
import {
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
} from "../table/entry.js";
import { assert } from "../errors.js";
import {
  FAULT_DONE,
  FAULT_OOM,
  FAULT_OWN,
  FAULT_SWAP,
  FAULT_UNSHARE,
  FAULT_WAIT,
  FAULT_WRITE,
  faultPresent,
  faultResult,
} from "../fault/fault.js";
import { PG_LOCKED, PG_LRU, PG_SWAPCACHE } from "../frames/frames.js";
import { forEachRun } from "../frames/frame-runs.js";
import { homeFrameOf } from "../host/home-range.js";
import type { Machine } from "../machine.js";
import { addAnonRmap } from "../frames/rmap.js";
import { settled } from "../settled.js";
import type { Swap } from "./swap.js";
import { makeEntry, maybeWritable, type Vma } from "../space/vma.js";

/** The swap of a machine whose page tables name slots. */
export function swapOf({ machine }: AddressSpace): Swap {
  assert(machine.swap !== null, "a page table names a swap slot and the machine has no swap");
  return machine.swap;
}

/** A fault at a swap entry. */
export function faultSwapped(vma: Vma, page: number, word: number, flags: number): number {
  const { mm } = vma;
  const slot = word >>> PTE_FRAME_SHIFT;
  const frame = swapOf(mm).cached(slot);
  if (frame === 0) return faultResult(FAULT_SWAP, slot);
  if ((mm.machine.frames.flags(frame) & PG_LOCKED) !== 0) return faultResult(FAULT_WAIT, frame);
  const write = (flags & FAULT_WRITE) !== 0;
  const entry = mapFromSwapCache(vma, page, word, frame, write);
  if (entry === 0) return FAULT_OOM;
  // One fault up to its end: were the copy another one, each of them would make room with the other's page, for ever.
  const wanted = write ? PTE_WRITE : (flags & (FAULT_UNSHARE | FAULT_OWN)) === 0 ? 0 : PTE_EXCLUSIVE;
  return (entry & wanted) === wanted ? FAULT_DONE : faultPresent(vma, page, entry, flags);
}

/**
 * Maps a page of the swap cache that nobody has locked in the place of its swap entry; the new entry, or 0 when the page
 * cannot be charged. With `write` the entry is writable if the page is, or thereby becomes, this mapping's own.
 */
function mapFromSwapCache(vma: Vma, page: number, word: number, frame: number, write: boolean): number {
  const { mm } = vma;
  const { frames, lru } = mm.machine;
  const swap = swapOf(mm);
  if (!mm.tryCharge()) return 0;
  if (write && (frames.flags(frame) & PG_LRU) === 0) lru.drain();
  frames.get(frame);
  swap.release(word >>> PTE_FRAME_SHIFT);
  // The cache and this access are the only users: the cache can let go.
  if (write && frames.refcount(frame) === 2) swap.tryRemove(frame);
  let entry = makeEntry(vma, frame) | (word & PTE_SOFT_DIRTY);
  if ((word & PTE_EXCLUSIVE) !== 0 || frames.refcount(frame) === 1) {
    entry |= PTE_EXCLUSIVE;
    if (write) entry = maybeWritable(vma, entry | PTE_MAKE_DIRTY);
  }
  if ((word & PTE_UFFD_WP) !== 0) entry = (entry | PTE_UFFD_WP) & ~PTE_WRITE;
  addAnonRmap(mm.machine, frame, vma, page, (entry & PTE_EXCLUSIVE) !== 0);
  mm.pageTable.exchange(page, entry);
  mm.machine.counters.faults++;
  return entry;
}

/**
 * Reads a slot into the swap cache, where others find the page locked until its bytes are there. False when there is no
 * host memory for it; rejects with the store's error.
 */
export async function readIntoSwapCache(vma: Vma, page: number, slot: number): Promise<boolean> {
  const { begun, done } = readRunIntoSwapCache(vma, page, slot, 1);
  await done;
  return begun === 1;
}

/**
 * Starts to read neighbouring slots, of `pages` pages from `page` on: as many as there is host memory for. Their number
 * comes at once; the promise is that they are all there, or the store's error.
 */
export function readRunIntoSwapCache(
  vma: Vma,
  page: number,
  slot: number,
  pages: number,
): { readonly begun: number; readonly done: Promise<void> } {
  const { mm } = vma;
  const { machine } = mm;
  const swap = swapOf(mm);
  const added: number[] = [];
  for (let i = 0; i < pages; i++) {
    const frame = machine.host.allocate(homeFrameOf(vma.home, page + i), false);
    if (frame === 0) break;
    machine.frames.tryLock(frame);
    swap.add(slot + i, frame);
    added.push(frame);
  }
  const reads: Promise<void>[] = [];
  const together = (): boolean => true;
  forEachRun(machine.zones, added, swap.store.maxRun ?? 1, together, (from, count) => {
    reads.push(fillFromSwap(machine, swap, slot + from, added[from], count));
  });
  return { begun: added.length, done: settled(reads) };
}

async function fillFromSwap(machine: Machine, swap: Swap, slot: number, first: number, count: number): Promise<void> {
  let failed = true;
  try {
    await swap.read(slot, machine.zones.run(first, count), count);
    failed = false;
  } finally {
    for (let frame = first; frame < first + count; frame++) {
      if (failed) swap.remove(frame);
      else machine.lru.add(frame);
      machine.pageLocks.unlock(frame);
      // The entry may have been given up meanwhile, which could not take the locked page out of the cache.
      if ((machine.frames.flags(frame) & PG_SWAPCACHE) !== 0) swap.releaseUnmapped(frame);
      machine.put(frame);
    }
  }
}
