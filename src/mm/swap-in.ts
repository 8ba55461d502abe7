/**
 * Pages come back from swap: into the swap cache first, then into the page table. A write makes the page this mapping's
 * own and takes it out of the cache; after a read it stays there.
 *
 * Counterpart: `do_swap_page`, `read_swap_cache_async`.
 */

import type { AddressSpace } from "./address-space.js";
import { PTE_EXCLUSIVE, PTE_FRAME_SHIFT, PTE_MAKE_DIRTY, PTE_SOFT_DIRTY, PTE_UFFD_WP, PTE_WRITE } from "./entry.js";
import { assert } from "./errors.js";
import { PG_LRU, PG_SWAPCACHE } from "./frames.js";
import { homeFrameOf } from "./home-range.js";
import { addAnonRmap } from "./rmap.js";
import type { Swap } from "./swap.js";
import { makeEntry, maybeWritable, type Vma } from "./vma.js";

/** The swap of a machine whose page tables name slots. */
export function swapOf({ machine }: AddressSpace): Swap {
  assert(machine.swap !== null, "a page table names a swap slot and the machine has no swap");
  return machine.swap;
}

/**
 * Maps a page of the swap cache that nobody has locked in the place of its swap entry; the new entry, or 0 when the page
 * cannot be charged. With `write` the entry is writable if the page is, or thereby becomes, this mapping's own.
 */
export function mapFromSwapCache(vma: Vma, page: number, word: number, frame: number, write: boolean): number {
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
  const { mm } = vma;
  const { machine } = mm;
  const swap = swapOf(mm);
  const frame = machine.host.allocate(homeFrameOf(vma.home, page), false);
  if (frame === 0) return false;
  machine.frames.tryLock(frame);
  swap.add(slot, frame);
  try {
    await swap.store.read(slot, machine.zones.bytes(frame));
    machine.lru.add(frame);
  } catch (error) {
    swap.remove(frame);
    throw error;
  } finally {
    machine.pageLocks.unlock(frame);
    // The entry may have been given up meanwhile, which could not take the locked page out of the cache.
    if ((machine.frames.flags(frame) & PG_SWAPCACHE) !== 0) swap.releaseUnmapped(frame);
    machine.put(frame);
  }
  return true;
}
