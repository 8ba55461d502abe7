/**
 * The part of the engine for pages that are elsewhere than in memory: swap, and files with their page caches. A machine has
 * it from the first store on.
 *
 * Counterpart: `swapon`; `mm/filemap.c` and `mm/vmscan.c` as a whole.
 */

import { MemoryError } from "./errors.js";
import { dropFileCopy } from "./file/file-copy.js";
import { faultFile } from "./file/file-fault.js";
import { type FileBacking, PageCache } from "./file/page-cache.js";
import { makeOwn, readIn, readInForDevice, readInForWrite, tryMakeOwn } from "./file/read-in.js";
import type { Machine } from "./machine.js";
import { ALL_IN_MEMORY, type Paging } from "./paging.js";
import { Reclaim } from "./swap/reclaim.js";
import { faultSwapped, readIntoSwapCache } from "./swap/swap-in.js";
import { Swap, type SwapStore } from "./swap/swap.js";

class StorePaging extends Reclaim implements Paging {
  readonly readIn = readIn;
  readonly readInForWrite = readInForWrite;
  readonly readInForDevice = readInForDevice;
  readonly tryMakeOwn = tryMakeOwn;
  readonly makeOwn = makeOwn;
  readonly dropFileCopy = dropFileCopy;
  readonly faultSwapped = faultSwapped;
  readonly faultFile = faultFile;
  readonly swapIn = readIntoSwapCache;
}

/** Pages of the machine can be paged out to the store from now on. EINVAL for its number of slots, EBUSY for a second store. */
export function swapOn(machine: Machine, store: SwapStore): void {
  if (machine.swap !== null) throw new MemoryError("EBUSY", "the machine swaps to another store");
  machine.swap = new Swap(store, machine.frames, (frame) => machine.put(frame));
  usePaging(machine);
}

/** A shared memory object of `length` pages, or the cache of a file with `backing`; the caller holds it. */
export function createPageCache(machine: Machine, length: number, backing: FileBacking | null = null): PageCache {
  usePaging(machine);
  return machine.addPageCache((id) => new PageCache(machine, id, length, backing));
}

function usePaging(machine: Machine): void {
  if (machine.paging === ALL_IN_MEMORY) machine.paging = new StorePaging(machine);
}
