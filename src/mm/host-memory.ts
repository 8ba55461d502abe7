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
import type { Environment } from "./environment.js";
import { assert, InvariantError, MemoryError } from "./errors.js";
import * as frameTable from "./frames.js";
import type { Frames } from "./frames.js";
import { FrameList } from "./frame-list.js";
import type { HomeRange } from "./home-range.js";
import { RetainedFrames } from "./retained.js";
import * as sharedWord from "./shared-word.js";
import * as memoryZones from "./zone.js";
import type { Zone, Zones } from "./zone.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const { FLAGS, FRAME_SHIFT, FRAME_WORDS, INDEX, MAPCOUNT, MAPPING, PG_HOME, PG_RETAINED, PG_TOUCHED, REFCOUNT } =
  frameTable;
const { ZONE_SYSTEM } = memoryZones;
const { storeWord } = sharedWord;

/** Known to every engine, but its types come with the DOM, which this layer does not know. */
declare const WebAssembly: {
  Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

const WASM_PAGE = 65_536;
/** Bytes that one `WebAssembly.Memory` can hold. */
const MAX_REGION_BYTES = 65_536 * WASM_PAGE;
/** Small, since a region costs the engine's collector as if all of it were used; later ones double. */
const FIRST_REGION_BYTES = 2 * 1024 * 1024;
const POOL_CHUNK_FRAMES = 64;
/** Frames that are shared by preference at most; a larger budget takes what is beyond from the pool. */
const MAX_SHARED_FRAMES = 1 << 20;

interface FreeRun {
  first: number;
  pages: number;
}

export class HostMemory {
  readonly charge: Charge;
  readonly retained: RetainedFrames;
  readonly #frames: Frames;
  readonly #zones: Zones;
  readonly #environment: Environment;
  readonly #pageSize: number;
  readonly #pool: FrameList;
  /** Gives the references of the LRU batch back: a page that only these keep is free. */
  readonly #drainBatch: () => void;
  /** Unreserved runs of frames, sorted; neighbours of the same region merged, so that a run is contiguous bytes too. */
  readonly #runs: FreeRun[] = [];
  /** Released home ranges with pages that are still referenced. */
  readonly #dying: HomeRange[] = [];
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
  ) {
    this.#frames = frames;
    this.#zones = zones;
    this.#environment = environment;
    this.#pageSize = pageSize;
    this.#drainBatch = drainBatch;
    this.#pool = new FrameList(frames);
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
    if (this.#isIdle(home)) this.#returnHome(home);
    else this.#dying.push(home);
  }

  /**
   * A frame with one reference and no identity, `home` itself if that is free; 0 when the budget or the memory is
   * exhausted. The bytes are unspecified unless `zero` is asked for. Retained frames give way.
   */
  allocate(home: number, zero: boolean): number {
    if (!this.#environment.mayAllocate("frame")) return 0;
    const words = this.#frames.words;
    if (home !== 0 && this.#isFree(home) && this.#environment.mayUseHome()) {
      const retained = (words[home << FRAME_SHIFT] & PG_RETAINED) !== 0;
      if (retained) this.retained.take(home);
      else if (!this.#tryCharge()) return 0;
      if ((words[home << FRAME_SHIFT] & PG_HOME) === 0) this.#pool.remove(home);
      return this.#handOut(home, zero);
    }
    if (!this.#tryCharge()) return 0;
    const frame = this.#pool.popFront() || this.#growPool();
    if (frame === 0) {
      this.charge.uncharge(1);
      return 0;
    }
    return this.#handOut(frame, zero);
  }

  /** The last reference to a host frame has gone. */
  free(frame: number): void {
    this.charge.uncharge(1);
    this.#clear(frame);
    if ((this.#frames.flags(frame) & PG_HOME) === 0) this.#pool.pushFront(frame);
    else if (this.#dying.length > 0) this.#buryIdle();
  }

  /** The last reference to a home frame has gone, and its page is now in `device`, byte for byte. */
  retain(frame: number, device: number): void {
    // After a fork a page may live in a home range whose mapping is gone: no page comes back there.
    if (this.#dying.some((home) => frame >= home.first && frame < home.first + home.pages)) return this.free(frame);
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

  #tryCharge(): boolean {
    if (this.charge.tryCharge(1)) return true;
    this.#drainBatch();
    return this.charge.tryCharge(1) || (this.retained.reclaim(1) === 1 && this.charge.tryCharge(1));
  }

  #isFree(home: number): boolean {
    if (this.#frames.refcount(home) === 0) return true;
    this.#drainBatch();
    return this.#frames.refcount(home) === 0;
  }

  #handOut(frame: number, zero: boolean): number {
    const words = this.#frames.words;
    const at = frame << FRAME_SHIFT;
    const touched = (words[at] & PG_TOUCHED) !== 0;
    if (zero && touched) this.#zones.fill(frame, 1, 0);
    words[at + FLAGS] = (words[at] & PG_HOME) | PG_TOUCHED;
    storeWord(words, at + REFCOUNT, 1);
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

  /** Takes a run of frames: within one region, unless it is larger than a region can be. */
  #takeRun(pages: number): number {
    let index = this.#findRun(pages);
    if (index < 0) {
      this.#addRegions(pages);
      index = this.#findRun(pages);
      assert(index >= 0, `no run of ${pages} host frames after regions were added`);
    }
    const { first } = this.#runs[index];
    for (let left = pages; left > 0;) {
      const run = this.#runs[index];
      const taken = Math.min(left, run.pages);
      run.first += taken;
      run.pages -= taken;
      left -= taken;
      if (run.pages === 0) this.#runs.splice(index, 1);
    }
    return first;
  }

  /** Index of the first run that is long enough, by itself or, for what no region could hold, with those that follow it. */
  #findRun(pages: number): number {
    const spans = pages * this.#pageSize > MAX_REGION_BYTES;
    return this.#runs.findIndex((run, index) => {
      let length = run.pages;
      let next = this.#runs[index + 1];
      for (let i = index + 1; spans && length < pages && next?.first === run.first + length; next = this.#runs[++i]) {
        length += next.pages;
      }
      return length >= pages;
    });
  }

  #addRegions(pages: number): void {
    let bytes = Math.ceil((pages * this.#pageSize) / this.#regionAlignment) * this.#regionAlignment;
    bytes = Math.max(bytes, this.#regionBytes);
    for (let added = 0; added < bytes; added += MAX_REGION_BYTES) {
      const zone = this.#addRegion(Math.min(bytes - added, MAX_REGION_BYTES));
      this.#returnRun(zone.first, zone.frames);
    }
    this.#regionBytes = Math.min(this.#regionBytes * 2, MAX_REGION_BYTES);
  }

  /** Regions hold whole blocks of 512 frames, so that neighbours are neighbours by frame number too. */
  get #regionAlignment(): number {
    return Math.max(WASM_PAGE, 512 * this.#pageSize);
  }

  #addRegion(bytes: number): Zone {
    const wasmPages = bytes / WASM_PAGE;
    let memory: { readonly buffer: ArrayBuffer };
    try {
      memory = new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages });
    } catch (cause) {
      throw new MemoryError("ENOMEM", `the JavaScript engine gave no region of ${bytes} bytes of host memory`, {
        cause,
      });
    }
    return this.#zones.add(ZONE_SYSTEM, bytes / this.#pageSize, new Uint8Array(memory.buffer), null);
  }

  /** Gives back frames of one region. */
  #returnRun(first: number, pages: number): void {
    const index = this.#runs.findIndex((run) => run.first > first);
    const place = index < 0 ? this.#runs.length : index;
    const before = this.#runs[place - 1];
    const after = this.#runs[place];
    const region = this.#zones.of(first);
    const joinsBefore =
      before !== undefined && before.first + before.pages === first && this.#zones.of(before.first) === region;
    const joinsAfter = after !== undefined && first + pages === after.first && this.#zones.of(after.first) === region;
    if (joinsBefore && joinsAfter) {
      before.pages += pages + after.pages;
      this.#runs.splice(place, 1);
    } else if (joinsBefore) before.pages += pages;
    else if (joinsAfter) {
      after.first = first;
      after.pages += pages;
    } else this.#runs.splice(place, 0, { first, pages });
  }

  #isIdle(home: HomeRange): boolean {
    for (let frame = home.first; frame < home.first + home.pages; frame++) {
      if (this.#frames.refcount(frame) !== 0) return false;
    }
    return true;
  }

  #returnHome(home: HomeRange): void {
    const end = home.first + home.pages;
    for (let frame = home.first; frame < end; frame++) this.#frames.clearFlags(frame, PG_HOME);
    for (let first = home.first; first < end;) {
      const zone = this.#zones.of(first);
      const next = Math.min(end, zone.first + zone.frames);
      this.#returnRun(first, next - first);
      first = next;
    }
  }

  #buryIdle(): void {
    for (let i = this.#dying.length - 1; i >= 0; i--) {
      const home = this.#dying[i];
      if (!this.#isIdle(home)) continue;
      this.#dying.splice(i, 1);
      this.#returnHome(home);
    }
  }

  /** Bytes of the frame table per frame. */
  static readonly recordBytes = FRAME_WORDS * 4;
}
