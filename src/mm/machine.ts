/**
 * A machine: physical frames, host memory, page tables and the page locks of one pager. One JavaScript thread owns it;
 * code between two `await`s is atomic, which is what spinlocks are for in the kernel.
 *
 * Sizes and addresses are bytes at the interface and page numbers inside.
 */

import { AddressSpace } from "./space/address-space.js";
import { type Environment, realEnvironment } from "./environment.js";
import { assert, MemoryError } from "./errors.js";
import * as frameTable from "./frames/frames.js";
import { Frames } from "./frames/frames.js";
import { HostMemory } from "./host/host-memory.js";
import { type HugePages, NO_HUGE_PAGES } from "./huge/huge-pages.js";
import { Lru } from "./frames/lru.js";
import { enterCallback, leaveCallback } from "./space/notifier.js";
import type { PageCache } from "./file/page-cache.js";
import { PageLocks } from "./frames/page-lock.js";
import { ALL_IN_MEMORY, type Paging } from "./paging.js";
import type { Swap } from "./swap/swap.js";
import { TablePool } from "./table/page-table.js";
import { assertShareable } from "./shared-memory.js";
import { addToWord, shareWords } from "./shared-word.js";
import { AnonVma } from "./space/vma.js";
import * as memoryZones from "./frames/zone.js";
import { type PageMap, type Zone, Zones } from "./frames/zone.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const FLAGS = frameTable.FLAGS;
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const INDEX = frameTable.INDEX;
const MAPPING = frameTable.MAPPING;
const PG_COMPOUND = frameTable.PG_COMPOUND;
const PG_LRU = frameTable.PG_LRU;
const PRIVATE = frameTable.PRIVATE;
const REFCOUNT = frameTable.REFCOUNT;
const BLOCK_FRAMES = memoryZones.BLOCK_FRAMES;
const ZONE_COHERENT = memoryZones.ZONE_COHERENT;
const ZONE_PRIVATE = memoryZones.ZONE_PRIVATE;
const ZONE_SYSTEM = memoryZones.ZONE_SYSTEM;

export const DEFAULT_PAGE_SIZE = 65_536;
const MIN_PAGE_SIZE = 4096;
const MAX_PAGE_SIZE = 1 << 21;
/** What a frame that was given back is filled with under `debug`. */
const POISON = 0xdb;

export interface MachineOptions {
  /** Bytes a page: a power of two from 4 KiB to 2 MiB. Default 64 KiB. */
  pageSize?: number;
  /** Bytes of host memory that pages may use. Default: no limit of its own. */
  hostBudget?: number;
  environment?: Environment;
  /** Keep words and host memory where other threads can reach them too. Default: this thread alone. */
  shared?: boolean;
  /** Overwrite frames of host memory that are given back, so that a use after that is seen. */
  debug?: boolean;
}

/** Counts since the machine was made; any layer may read them. */
export interface MachineCounters {
  /** Faults of the CPU that changed a page table. */
  faults: number;
  /** Of these, faults on pages private to a device. */
  deviceFaults: number;
  /** Faults that had to wait for a migration entry or a page lock. */
  waits: number;
  /** Pages that were copied because they were shared, or a file's, when one mapping wrote or pinned them. */
  copiedOnWrite: number;
  /** Pages that a fork or a snapshot copied at once because they were pinned for DMA. */
  copiedPinned: number;
}

/** Last references to pages, dropped by another thread and not yet put. */
export interface LastPuts {
  collect(): void;
}

export class Machine {
  readonly pageSize: number;
  readonly pageShift: number;
  readonly debug: boolean;
  readonly shared: boolean;
  readonly environment: Environment;
  readonly frames: Frames;
  readonly zones: Zones;
  readonly host: HostMemory;
  readonly lru: Lru;
  readonly pageLocks: PageLocks;
  /** Where pages can be paged out to, by `swapOn`; null for nowhere. */
  swap: Swap | null;
  paging: Paging;
  hugePages: HugePages;
  /** Somewhere there is, or was, a page whose contents are lost (`memoryFailure`). */
  hasLostPages = false;
  readonly tables: TablePool;
  readonly addressSpaces = new Set<AddressSpace>();
  /** Where threads in user mode leave the last puts of pages, which are the pager's to make. */
  readonly lastPuts = new Set<LastPuts>();
  readonly counters: MachineCounters = {
    faults: 0,
    deviceFaults: 0,
    waits: 0,
    copiedOnWrite: 0,
    copiedPinned: 0,
  };
  readonly #anonVmas = new Map<number, AnonVma>();
  readonly #pageCaches = new Map<number, PageCache>();
  #nextAnonVma = 1;
  #nextPageCache = 1;
  /** The root found last: neighbouring pages have the same one. */
  #foundAnonVma: AnonVma | undefined;
  #nextAddressSpace = 1;

  constructor(options: MachineOptions = {}) {
    const {
      pageSize = DEFAULT_PAGE_SIZE,
      hostBudget = Infinity,
      environment = realEnvironment,
      debug = false,
      shared = false,
    } = options;
    if (shared) assertShareable();
    if (
      !Number.isSafeInteger(pageSize) ||
      !Number.isInteger(Math.log2(pageSize)) ||
      pageSize < MIN_PAGE_SIZE ||
      pageSize > MAX_PAGE_SIZE
    ) {
      throw new MemoryError(
        "EINVAL",
        `page size ${pageSize} is not a power of two from ${MIN_PAGE_SIZE} to ${MAX_PAGE_SIZE}`,
      );
    }
    if (typeof hostBudget !== "number" || !(hostBudget >= pageSize)) {
      throw new MemoryError("EINVAL", `host budget of ${hostBudget} bytes is less than one page of ${pageSize} bytes`);
    }
    this.pageSize = pageSize;
    this.pageShift = Math.log2(pageSize);
    this.environment = environment;
    this.debug = debug;
    this.shared = shared;
    if (shared) shareWords();
    this.frames = new Frames(shared);
    this.zones = new Zones(this.frames, pageSize);
    this.host = new HostMemory(
      this.frames,
      this.zones,
      environment,
      pageSize,
      Math.floor(hostBudget / pageSize),
      () => this.#drain(),
      shared,
    );
    this.lru = new Lru(this.frames, (frame) => this.#free(frame));
    this.pageLocks = new PageLocks(this.frames, environment);
    this.tables = new TablePool(environment, shared);
    this.swap = null;
    this.paging = ALL_IN_MEMORY;
    this.hugePages = NO_HUGE_PAGES;
    // Frame 0, the zero page: never written, never freed.
    const zeros = shared ? new SharedArrayBuffer(pageSize) : new ArrayBuffer(pageSize);
    this.zones.add(ZONE_SYSTEM, 1, new Uint8Array(zeros), null);
    this.frames.get(0);
  }

  createAddressSpace(): AddressSpace {
    const mm = new AddressSpace(this, this.#nextAddressSpace++);
    this.addressSpaces.add(mm);
    return mm;
  }

  /**
   * Adds the memory of a device. `bytes` is its memory where the CPU can reach it: required for coherent memory, null
   * for private memory.
   */
  addDeviceMemory(kind: "private" | "coherent", frames: number, bytes: Uint8Array | null, pageMap: PageMap): Zone {
    if (!Number.isInteger(frames) || frames < 1)
      throw new MemoryError("EINVAL", `a device of ${frames} page frames has no memory`);
    if ((kind === "coherent") !== (bytes !== null)) {
      throw new MemoryError(
        "EINVAL",
        `${kind} device memory ${bytes === null ? "needs" : "takes no"} bytes that the CPU can reach`,
      );
    }
    if (bytes !== null && bytes.byteLength < frames * this.pageSize) {
      throw new MemoryError(
        "EINVAL",
        `${bytes.byteLength} bytes are too few for ${frames} page frames of ${this.pageSize} bytes`,
      );
    }
    return this.zones.add(kind === "private" ? ZONE_PRIVATE : ZONE_COHERENT, frames, bytes, pageMap);
  }

  /** The memory of a device is gone, and no entry names its frames any more. Their numbers will be those of another device. */
  removeDeviceMemory(zone: Zone): void {
    this.zones.retire(zone);
  }

  /** Drops a reference; the last one frees the page (`put_page`). */
  put(frame: number, references = 1): void {
    const before = addToWord(this.frames.words, (frame << FRAME_SHIFT) + REFCOUNT, -references);
    if (before <= references) this.#putLast(frame, before, references);
  }

  /** The same for `count` neighbouring frames. */
  putRun(first: number, count: number, references: number): void {
    for (let frame = first; frame < first + count; frame++) {
      const before = addToWord(this.frames.words, (frame << FRAME_SHIFT) + REFCOUNT, -references);
      if (before <= references) this.#putLast(frame, before, references);
    }
  }

  #putLast(frame: number, before: number, references: number): void {
    if (before === references) return this.#free(frame);
    // A part of a compound page has no references of its own.
    const head = this.frames.head(frame);
    assert(head !== frame, "a reference to a page frame is dropped that nobody held");
    addToWord(this.frames.words, (frame << FRAME_SHIFT) + REFCOUNT, references);
    this.put(head, references);
  }

  /** A root for the mappings of anonymous pages, under the one that it is forked from; null when none can be had. */
  createAnonVma(parent: AnonVma | null = null): AnonVma | null {
    if (!this.environment.mayAllocate("anon-vma")) return null;
    const anonVma = new AnonVma(this.#nextAnonVma++, parent);
    this.#anonVmas.set(anonVma.id, anonVma);
    return anonVma;
  }

  /** A new page cache, made with the number that its pages will name it by. */
  addPageCache(create: (id: number) => PageCache): PageCache {
    const cache = create(this.#nextPageCache++);
    this.#pageCaches.set(cache.id, cache);
    return cache;
  }

  pageCache(id: number): PageCache | undefined {
    return this.#pageCaches.get(id);
  }

  get hasPageCaches(): boolean {
    return this.#pageCaches.size > 0;
  }

  get pageCaches(): Iterable<PageCache> {
    return this.#pageCaches.values();
  }

  forgetPageCache(cache: PageCache): void {
    this.#pageCaches.delete(cache.id);
  }

  /** The root with this number, undefined once no VMA is linked to it any more. */
  anonVma(id: number): AnonVma | undefined {
    const found = this.#foundAnonVma;
    if (found !== undefined && found.id === id) return found;
    this.#foundAnonVma = this.#anonVmas.get(id);
    return this.#foundAnonVma;
  }

  forgetAnonVma(anonVma: AnonVma): void {
    this.#anonVmas.delete(anonVma.id);
    this.#foundAnonVma = undefined;
  }

  get anonVmaCount(): number {
    return this.#anonVmas.size;
  }

  /** Puts what other threads have left to be put. */
  collectLastPuts(): void {
    for (const puts of this.lastPuts) puts.collect();
  }

  /** Puts what is only waiting to be put. */
  #drain(): void {
    this.collectLastPuts();
    this.lru.drain();
  }

  #free(frame: number): void {
    const zone = this.zones.of(frame);
    const words = this.frames.words;
    const at = frame << FRAME_SHIFT;
    if (zone.kind === ZONE_SYSTEM) {
      if ((words[at] & PG_LRU) !== 0) this.lru.forget(frame);
      const compound = (words[at] & PG_COMPOUND) !== 0;
      if (this.debug) this.zones.fill(frame, compound ? BLOCK_FRAMES : 1, POISON);
      if (compound) this.host.freeBlock(frame);
      else this.host.free(frame);
      return;
    }
    if (words[at + PRIVATE] !== 0) this.host.retained.drop(words[at + PRIVATE]);
    words[at + FLAGS] = 0;
    words[at + MAPPING] = 0;
    words[at + INDEX] = 0;
    enterCallback();
    try {
      zone.pageMap?.ops.pageFree(frame);
    } finally {
      leaveCallback();
    }
  }
}
