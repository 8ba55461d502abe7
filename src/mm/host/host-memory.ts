/**
 * Host memory: regions of page-aligned, lazily touched bytes, handed out frame by frame within a budget.
 *
 * A region is one `WebAssembly.Memory` of fixed size (engines allow about a hundred, so regions double in size), cut
 * into home ranges and into chunks of the pool. A page takes its home frame when that is free, else one of the pool.
 * The budget counts the frames that are used or retained; reserving a home range costs nothing.
 *
 * Invariants: usage equals the frames with references plus the retained ones; a home frame is given to its own page only.
 *
 * Counterpart: `mm/page_alloc.c`.
 */

import { Charge } from "./charge.js";
import type { Environment } from "../environment.js";
import { assert, InvariantError, MemoryError } from "../errors.js";
import * as frameTable from "../frames/frames.js";
import type { Frames } from "../frames/frames.js";
import { FrameList } from "../frames/frame-list.js";
import { FreeRuns } from "./free-runs.js";
import type { HomeRange } from "./home-range.js";
import { HostBlocks } from "./host-blocks.js";
import { RetainedFrames } from "./retained.js";
import { allocateRegion, WASM_PAGE } from "../shared-memory.js";
import { storeWord } from "../shared-word.js";
import * as memoryZones from "../frames/zone.js";
import type { Zone, Zones } from "../frames/zone.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const FLAGS = frameTable.FLAGS;
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const FRAME_WORDS = frameTable.FRAME_WORDS;
const INDEX = frameTable.INDEX;
const MAPCOUNT = frameTable.MAPCOUNT;
const MAPPING = frameTable.MAPPING;
const PG_HOME = frameTable.PG_HOME;
const PG_RETAINED = frameTable.PG_RETAINED;
const PG_TOUCHED = frameTable.PG_TOUCHED;
const PRIVATE = frameTable.PRIVATE;
const REFCOUNT = frameTable.REFCOUNT;
const BLOCK_FRAMES = memoryZones.BLOCK_FRAMES;
const ZONE_SYSTEM = memoryZones.ZONE_SYSTEM;

/** Bytes that one `WebAssembly.Memory` can hold. */
const MAX_REGION_BYTES = 65_536 * WASM_PAGE;
/** Small, since a region costs the engine's collector as if all of it were used; later ones double. */
const FIRST_REGION_BYTES = 2 * 1024 * 1024;
const POOL_CHUNK_FRAMES = 64;
/** Frames that are shared by preference at most; a larger budget takes what is beyond from the pool. */
const MAX_SHARED_FRAMES = 1 << 20;

interface DyingHome {
  readonly home: HomeRange;
  /** The frames before it are free, for good: nobody allocates there any more. So they are looked at once. */
  next: number;
}

export class HostMemory {
  readonly charge: Charge;
  readonly retained: RetainedFrames;
  readonly #frames: Frames;
  readonly #zones: Zones;
  readonly #environment: Environment;
  readonly #pageSize: number;
  /** Between threads. */
  readonly #isShared: boolean;
  readonly #pool: FrameList;
  /** Gives the references of the LRU batch back: a page that only these keep is free. */
  readonly #drainBatch: () => void;
  readonly #runs: FreeRuns;
  readonly #blocks: HostBlocks;
  /** Released home ranges with pages that are still referenced. */
  readonly #dying: DyingHome[] = [];
  #regionBytes = FIRST_REGION_BYTES;
  #shared: { readonly first: number; readonly pages: number } | null = null;
  /** Where in the shared frames the next range begins. */
  #nextShared = 0;

  constructor(
    frames: Frames,
    zones: Zones,
    environment: Environment,
    pageSize: number,
    budgetPages: number,
    drainBatch: () => void,
    shared: boolean,
  ) {
    this.#frames = frames;
    this.#zones = zones;
    this.#environment = environment;
    this.#pageSize = pageSize;
    this.#drainBatch = drainBatch;
    this.#isShared = shared;
    this.#pool = new FrameList(frames);
    this.#runs = new FreeRuns(zones, Math.floor(MAX_REGION_BYTES / pageSize));
    this.#blocks = new HostBlocks(frames, this.#runs, this.#pool);
    this.charge = new Charge(budgetPages);
    this.retained = new RetainedFrames(frames, this.charge);
  }

  /** Reserves a contiguous run of host frames; over 4 GiB it spans regions, which are neighbours by frame number. */
  reserveHome(pages: number): HomeRange {
    if (!Number.isInteger(pages) || pages < 1)
      throw new MemoryError("EINVAL", `a home range of ${pages} pages has no frames`);
    const first = this.#takeRun(pages);
    for (let frame = first; frame < first + pages; frame++) this.#frames.setFlags(frame, PG_HOME);
    return { first, pages, page: -1 };
  }

  /**
   * A preferred place for pages that are more than host memory may hold: as many frames as the budget has, shared by all
   * who ask, so that the process never touches more memory than that. Needs a budget. Reserves nothing for these pages.
   */
  preferShared(pages: number): HomeRange {
    const { limit } = this.charge;
    assert(limit < Infinity, "frames are shared where there is no budget");
    if (this.#shared === null) {
      const frames = Math.min(limit, MAX_SHARED_FRAMES);
      const run = this.#takeRun(frames);
      for (let frame = run + frames - 1; frame >= run; frame--) this.#pool.pushFront(frame);
      this.#shared = { first: run, pages: frames };
    }
    const first = this.#shared.first + this.#nextShared;
    this.#nextShared = (this.#nextShared + pages) % this.#shared.pages;
    return { first, pages, page: -1, shared: this.#shared };
  }

  /** Pages that can be allocated: the budget that is left, and what is retained. */
  get available(): number {
    return this.charge.limit - this.charge.usage + this.retained.list.length;
  }

  /** Gives a home range back. Nothing is mapped there any more; pages that are still pinned keep it until they go. */
  releaseHome(home: HomeRange): void {
    if (home.shared !== undefined) return;
    for (let frame = home.first; frame < home.first + home.pages; frame++) {
      if ((this.#frames.flags(frame) & PG_RETAINED) !== 0) this.retained.drop(frame);
    }
    const dying = { home, next: home.first };
    if (this.#isIdle(dying)) this.#returnHome(home);
    else this.#dying.push(dying);
  }

  /**
   * A frame with one reference and no identity, `home` itself if that is free; 0 when the budget or the memory is
   * exhausted. The bytes are unspecified unless `zero` is asked for. Retained frames give way.
   */
  allocate(home: number, zero: boolean): number {
    if (!this.#environment.mayAllocate("frame")) return 0;
    const words = this.#frames.words;
    if (home !== 0 && this.#isFree(home) && this.#environment.mayUseHome()) {
      // What it keeps is another page's where that is asked for zeros: a fork's, that is still on the device.
      if ((words[home << FRAME_SHIFT] & PG_RETAINED) !== 0) this.retained.take(home);
      else if (!this.#tryCharge(1)) return 0;
      if ((words[home << FRAME_SHIFT] & PG_HOME) === 0) this.#pool.remove(home);
      return this.#handOut(home, zero);
    }
    if (!this.#tryCharge(1)) return 0;
    const frame = this.#pool.popFront() || this.#growPool();
    if (frame === 0) {
      this.charge.uncharge(1);
      return 0;
    }
    return this.#handOut(frame, zero);
  }

  /** A retained frame, for the page whose bytes it has: with one reference. It needs no room. */
  takeRetained(home: number): number {
    this.retained.take(home);
    return this.#handOut(home, false);
  }

  /**
   * A block of 512 frames for a compound page, the home frames from `home` on if they are one and free; the first, with
   * one reference and no identity, or 0. The bytes are zeros.
   */
  allocateBlock(home: number): number {
    if (!this.#environment.mayAllocate("frame") || !this.#tryCharge(BLOCK_FRAMES)) return 0;
    const first = this.#isFreeBlock(home) ? home : this.#blocks.take() || this.#growBlocks();
    if (first === 0) {
      this.charge.uncharge(BLOCK_FRAMES);
      return 0;
    }
    const { words } = this.#frames;
    for (let frame = first; frame < first + BLOCK_FRAMES; frame++) {
      if ((words[frame << FRAME_SHIFT] & PG_RETAINED) !== 0) this.retained.drop(frame);
      this.#handOut(frame, true, frame === first ? 1 : 0);
    }
    return first;
  }

  /** The last reference to a compound page has gone. */
  freeBlock(first: number): void {
    this.charge.uncharge(BLOCK_FRAMES);
    const home = (this.#frames.flags(first) & PG_HOME) !== 0;
    for (let frame = first; frame < first + BLOCK_FRAMES; frame++) {
      this.#frames.words[(frame << FRAME_SHIFT) + PRIVATE] = 0;
      this.#clear(frame);
    }
    if (!home) this.#blocks.give(first);
    else if (this.#dying.length > 0) this.#buryIdle();
  }

  /** A compound page has become 512 pages, which are freed one by one. */
  splitBlock(first: number): void {
    if ((this.#frames.flags(first) & PG_HOME) === 0) this.#blocks.wasSplit(first);
  }

  /** The last reference to a host frame has gone. */
  free(frame: number): void {
    this.charge.uncharge(1);
    this.#clear(frame);
    this.retained.idle?.add(frame);
    if ((this.#frames.flags(frame) & PG_HOME) === 0) this.#pool.pushFront(frame);
    else if (this.#dying.length > 0) this.#buryIdle();
  }

  /** The last reference to a home frame has gone, and its page is now in `device`, byte for byte. */
  retain(frame: number, device: number): void {
    // After a fork a page may live in a home range whose mapping is gone: no page comes back there.
    if (this.#dying.some(({ home }) => frame >= home.first && frame < home.first + home.pages)) return this.free(frame);
    this.#clear(frame);
    this.retained.add(frame, device);
  }

  /** Bytes of address space reserved in regions, touched or not. */
  get reservedBytes(): number {
    return this.#zones.list.reduce(
      (sum, zone) => sum + (zone.kind === ZONE_SYSTEM ? (zone.bytes?.byteLength ?? 0) : 0),
      0,
    );
  }

  #tryCharge(pages: number): boolean {
    if (this.charge.tryCharge(pages)) return true;
    this.#drainBatch();
    const missing = pages - (this.charge.limit - this.charge.usage);
    if (missing > this.retained.list.length) return false;
    this.retained.reclaim(missing);
    return this.charge.tryCharge(pages);
  }

  /** Are the frames from `home` on a block of which nothing is in use? */
  #isFreeBlock(home: number): boolean {
    if (home === 0 || home % BLOCK_FRAMES !== 0 || (this.#frames.flags(home) & PG_HOME) === 0) return false;
    if (!this.#environment.mayUseHome()) return false;
    this.#drainBatch();
    for (let frame = home; frame < home + BLOCK_FRAMES; frame++) {
      if (this.#frames.refcount(frame) !== 0) return false;
    }
    return true;
  }

  #growBlocks(): number {
    try {
      this.#addRegions(BLOCK_FRAMES);
    } catch (error) {
      if (error instanceof MemoryError) return 0;
      throw error;
    }
    return this.#blocks.take();
  }

  #isFree(home: number): boolean {
    if (this.#frames.refcount(home) === 0) return true;
    this.#drainBatch();
    return this.#frames.refcount(home) === 0;
  }

  #handOut(frame: number, zero: boolean, references = 1): number {
    const words = this.#frames.words;
    const at = frame << FRAME_SHIFT;
    if ((words[at] & PG_TOUCHED) === 0) this.retained.idle?.touched();
    else if (zero) this.#zones.fill(frame, 1, 0);
    words[at + FLAGS] = (words[at] & PG_HOME) | PG_TOUCHED;
    storeWord(words, at + REFCOUNT, references);
    return frame;
  }

  #clear(frame: number): void {
    const words = this.#frames.words;
    const at = frame << FRAME_SHIFT;
    if (words[at + MAPCOUNT] !== 0) throw new InvariantError(`page frame ${frame} is freed while it is mapped`);
    words[at + FLAGS] &= PG_HOME | PG_TOUCHED;
    words[at + MAPPING] = 0;
    words[at + INDEX] = 0;
  }

  #growPool(): number {
    let first: number;
    try {
      first = this.#takeRun(POOL_CHUNK_FRAMES);
    } catch (error) {
      if (error instanceof MemoryError) return 0;
      throw error;
    }
    for (let i = POOL_CHUNK_FRAMES - 1; i > 0; i--) this.#pool.pushFront(first + i);
    return first;
  }

  #takeRun(pages: number): number {
    const taken = this.#runs.take(pages);
    if (taken !== 0) return taken;
    this.#addRegions(pages);
    const first = this.#runs.take(pages);
    assert(first !== 0, `no run of ${pages} host frames after regions were added`);
    return first;
  }

  #addRegions(pages: number): void {
    let bytes = Math.ceil((pages * this.#pageSize) / this.#regionAlignment) * this.#regionAlignment;
    bytes = Math.max(bytes, this.#regionBytes);
    for (let added = 0; added < bytes; added += MAX_REGION_BYTES) {
      const zone = this.#addRegion(Math.min(bytes - added, MAX_REGION_BYTES));
      this.#runs.give(zone.first, zone.frames);
    }
    this.#regionBytes = Math.min(this.#regionBytes * 2, MAX_REGION_BYTES);
  }

  /** Regions hold whole blocks of 512 frames, so that neighbours are neighbours by frame number too. */
  get #regionAlignment(): number {
    return Math.max(WASM_PAGE, 512 * this.#pageSize);
  }

  #addRegion(bytes: number): Zone {
    let region: Uint8Array;
    try {
      region = this.#environment.allocateRegion?.(bytes, this.#pageSize) ?? allocateRegion(bytes, this.#isShared);
    } catch (cause) {
      throw new MemoryError("ENOMEM", `the JavaScript engine gave no region of ${bytes} bytes of host memory`, {
        cause,
      });
    }
    return this.#zones.add(ZONE_SYSTEM, bytes / this.#pageSize, region, null);
  }

  #isIdle(dying: DyingHome): boolean {
    const end = dying.home.first + dying.home.pages;
    while (dying.next < end && this.#frames.refcount(dying.next) === 0) dying.next++;
    return dying.next === end;
  }

  #returnHome(home: HomeRange): void {
    const end = home.first + home.pages;
    for (let frame = home.first; frame < end; frame++) this.#frames.clearFlags(frame, PG_HOME);
    for (let first = home.first; first < end;) {
      const zone = this.#zones.of(first);
      const next = Math.min(end, zone.first + zone.frames);
      this.#runs.give(first, next - first);
      first = next;
    }
  }

  #buryIdle(): void {
    for (let i = this.#dying.length - 1; i >= 0; i--) {
      const dying = this.#dying[i];
      if (!this.#isIdle(dying)) continue;
      this.#dying.splice(i, 1);
      this.#returnHome(dying.home);
    }
  }

  /** Bytes of the frame table per frame. */
  static readonly recordBytes = FRAME_WORDS * 4;
}
