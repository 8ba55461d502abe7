/**
 * Which pages of a memory are on the device: loads what a step needs, evicts what was used longest ago by the
 * device-range functions, and holds what is in use. Contiguous pages get contiguous frames wherever that is possible.
 *
 * Invariant: a held frame is referenced, so the protocol itself refuses to move it.
 */

import type { AttachedDevice } from "../../device/attached-device.js";
import { evictFrames } from "../../device/migrate-to-host.js";
import { migrateToDevice } from "../../device/migrate-to-device.js";
import { outOfHostMemory } from "../../device/out-of-host-memory.js";
import type { DevicePageTable } from "../../device/page-table.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { LostPagesError } from "../../mm/lost-pages-error.js";
import {
  isPoisonMarker,
  mapsFrame,
  pteFrame,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
} from "../../mm/table/entry.js";
import { assert, MemoryError } from "../../mm/errors.js";
import { PG_FILE_COPY } from "../../mm/frames/frames.js";
import type { ToDeviceCause } from "../../trace/counters.js";
import type { Checkpoint } from "../operation-queue.js";
import { FREE, FREE_BESIDE_OTHERS, HELD, leastRecentlyUsedRun } from "./window-policy.js";

/** In a list of frames: the page is not on the device. */
const MISSING = -1;

/** Of an entry: what a kernel that writes the page leaves. */
const WRITTEN = PTE_WRITE | PTE_SOFT_DIRTY;

/** How often a load looks for another place when pages refuse to go. */
const ATTEMPTS = 4;

/** How the pages of a load are used. */
export interface PageUse {
  /** What is pinned in host memory is read there. Default false. */
  readonly inPlace?: boolean;
  /** By a kernel, or by whoever binds them. Default false. */
  readonly written?: boolean;
}

export class Residency {
  readonly #attached: AttachedDevice;
  readonly #mm: AddressSpace;
  /** Frames in one buffer of the device: a run never goes from one into the next. */
  readonly runFrames: number;
  /** When each frame was last used, in steps. */
  readonly #lastUse: Float64Array;
  /** Steps that use each frame now. */
  readonly #holds: Uint16Array;
  /** Host frames that steps read in place, and how many steps do. */
  readonly #inPlace = new Map<number, number>();
  /** Of each frame, 1 if its page is written on the device, and not only read. */
  readonly #written: Uint8Array;
  /** What the policy is asked with. */
  readonly #uses: Float64Array;
  #clock = 0;
  /** When the present load began: what it has found or placed does not give way to what it still has to place. */
  #loading = 0;

  constructor(attached: AttachedDevice, mm: AddressSpace) {
    this.#attached = attached;
    this.#mm = mm;
    const { frames, runFrames = frames } = attached.device;
    this.runFrames = runFrames;
    this.#lastUse = new Float64Array(frames);
    this.#holds = new Uint16Array(frames);
    this.#written = new Uint8Array(frames);
    this.#uses = new Float64Array(frames);
  }

  get frames(): number {
    return this.#holds.length;
  }

  /**
   * Makes pages `[start, end)` resident and returns their frames, by number within the device. With `inPlace`, a page that
   * is pinned in host memory stays there and is returned as `-1 - frame`. What is written and what is only read comes to
   * lie in different buffers, as long as frames are free there: a device may let a kernel have one buffer for one of both.
   * Throws ENOMEM when the device or, for what has to leave it, the host has no room, EBUSY when a page does not let itself
   * be moved, EIO for contents that are lost.
   */
  async load(
    start: number,
    end: number,
    cause: ToDeviceCause,
    checkpoint: Checkpoint,
    { inPlace = false, written = false }: PageUse = {},
  ): Promise<Int32Array> {
    if (this.#attached.lost !== null) throw this.#attached.lost;
    const frames = new Int32Array(end - start);
    this.#loading = ++this.#clock;
    let missing = this.#lookUp(start, frames, inPlace);
    if (missing === 0 && !isScattered(frames, this.runFrames)) return frames;
    if (this.#mm.machine.hasLostPages) this.#refuseLost(start, frames);
    if (missing < frames.length) missing = await this.#gatherApart(start, frames, missing, checkpoint);
    for (let attempt = 0; missing > 0 && attempt < ATTEMPTS; attempt++) {
      for (let i = 0; i < frames.length;) {
        if (frames[i] !== MISSING) {
          i++;
          continue;
        }
        const run = runOfMissing(frames, i);
        i += await this.#place(start + i, run, cause, checkpoint, written);
      }
      missing = this.#lookUp(start, frames, inPlace);
    }
    if (missing > 0) {
      const page = start + frames.indexOf(MISSING);
      throw new MemoryError(
        "EBUSY",
        `the page at ${page * this.#mm.machine.pageSize} is in use and cannot move to the device`,
      );
    }
    return frames;
  }

  /** Begins a load: the frames of pages from `start` on, -1 of those that are not on the device; how many those are. */
  beginLoad(start: number, frames: Int32Array): number {
    if (this.#attached.lost !== null) throw this.#attached.lost;
    this.#loading = ++this.#clock;
    const missing = this.#lookUp(start, frames, false);
    if (missing > 0 && this.#mm.machine.hasLostPages) this.#refuseLost(start, frames);
    return missing;
  }

  /** Where so many pages can lie side by side: what is there was used longest ago. -1 where what is held leaves no such place. */
  placeForRun(count: number): number {
    this.#rankFrames(FREE);
    return leastRecentlyUsedRun(this.#uses, count, this.runFrames);
  }

  /** How often a frame is held, by its number within the device. */
  holdsOf(frame: number): number {
    return this.#holds[frame];
  }

  /** Frames that nothing holds. */
  get freeable(): number {
    let frames = 0;
    for (const holds of this.#holds) if (holds === 0) frames++;
    return frames;
  }

  /**
   * Loads what can be loaded, ahead of its use. Pages that do not let themselves be moved stay; for those that are pinned, or
   * lost, nothing has to leave the device.
   */
  async prefetch(start: number, end: number, checkpoint: Checkpoint): Promise<void> {
    for (let page = start; page < end;) {
      let next = page;
      while (next < end && this.#stayingHostFrame(next) === 0 && !isPoisonMarker(this.#mm.pageTable.read(next))) next++;
      if (next > page) await this.#prefetchRun(page, next, checkpoint);
      page = next + 1;
    }
  }

  async #prefetchRun(start: number, end: number, checkpoint: Checkpoint): Promise<void> {
    try {
      await this.load(start, end, "prefetch", checkpoint);
    } catch (error) {
      if (!(error instanceof MemoryError && error.code === "EBUSY")) throw error;
    }
  }

  /** The frame of a page, as `load` returns it; -1 of one that is not resident. */
  frameOf(page: number, inPlace: boolean): number {
    const table = this.#attached.table(this.#mm);
    const { first } = this.#attached.zone;
    let frame = table.lookup(page, false);
    if (frame < 0) frame = this.#enter(table, page);
    if (frame >= first && frame < first + this.frames) return frame - first;
    return inPlace ? -1 - this.#stayingHostFrame(page) : MISSING;
  }

  /** A step begins to use the frames. */
  hold(frames: Int32Array): void {
    this.keep(frames);
    this.use(frames);
  }

  /** The frames stay, until `release`, whether they are used or not. */
  keep(frames: Int32Array): void {
    const { machine, zone } = this.#attached;
    for (const frame of frames) {
      if (frame < 0) {
        this.#holdInPlace(-1 - frame);
        continue;
      }
      machine.frames.get(zone.first + frame);
      this.#holds[frame]++;
    }
  }

  use(frames: Int32Array): void {
    const now = ++this.#clock;
    for (const frame of frames) if (frame >= 0) this.#lastUse[frame] = now;
  }

  release(frames: Int32Array): void {
    const { machine, zone } = this.#attached;
    for (const frame of frames) {
      if (frame < 0) {
        this.#releaseInPlace(-1 - frame);
        continue;
      }
      this.#holds[frame]--;
      machine.put(zone.first + frame);
    }
  }

  /**
   * The step may write the pages from `start` on, in these frames, which are their mapping's own: their entries say so from
   * now on, and that they were written. So whatever becomes of a page afterwards (it is evicted, dropped, written again), it
   * is known to have changed.
   */
  grantWrite(start: number, frames: Int32Array): void {
    const { pageTable } = this.#mm;
    const table = this.#attached.table(this.#mm);
    for (let i = 0; i < frames.length; i++) {
      const page = start + i;
      const frame = this.#attached.zone.first + frames[i];
      const word = pageTable.read(page);
      assert(mapsFrame(word, frame) && (word & PTE_EXCLUSIVE) !== 0, `page ${page} is not the writing kernel's own`);
      this.#written[frames[i]] = 1;
      if ((word & WRITTEN) === WRITTEN) continue;
      const dirty = (word & PTE_PRESENT) === 0 ? 0 : PTE_DIRTY;
      this.#attached.machine.frames.clearFlags(frame, PG_FILE_COPY);
      pageTable.exchange(page, word | WRITTEN | dirty);
      table.set(page, frame, true);
    }
  }

  /** The step writes the frames: what the host retains of them is stale from now on. Throws when the device is lost: it keeps that. */
  willWrite(frames: Int32Array): void {
    const { lost, machine, zone } = this.#attached;
    if (lost !== null) throw lost;
    for (const frame of frames) machine.host.retained.wrote(zone.first + frame);
  }

  /** Fills in, and marks as used, the frames of pages that are resident; returns how many are missing. */
  #lookUp(start: number, frames: Int32Array, inPlace: boolean): number {
    const table = this.#attached.table(this.#mm);
    const { first } = this.#attached.zone;
    let missing = 0;
    for (let i = 0; i < frames.length; i++) {
      let frame = table.lookup(start + i, false);
      if (frame < 0) frame = this.#enter(table, start + i);
      const own = frame >= first && frame < first + this.frames;
      const staying = inPlace && !own ? this.#stayingHostFrame(start + i) : 0;
      frames[i] = own ? frame - first : -1 - staying;
      if (own) this.#lastUse[frame - first] = this.#loading;
      else if (staying === 0) missing++;
    }
    return missing;
  }

  #refuseLost(start: number, frames: Int32Array): void {
    for (let i = 0; i < frames.length; i++) {
      if (frames[i] === MISSING && isPoisonMarker(this.#mm.pageTable.read(start + i)))
        throw LostPagesError.at(this.#mm, start + i);
    }
  }

  /** Enters a page that is on the device although its table does not say so, as after a change of permission. */
  #enter(table: DevicePageTable, page: number): number {
    const { first } = this.#attached.zone;
    const word = this.#mm.pageTable.read(page);
    const frame = pteFrame(word);
    if (frame < first || frame >= first + this.frames || !mapsFrame(word, frame)) return -1;
    table.set(page, frame, (word & PTE_WRITE) !== 0);
    return frame;
  }

  /**
   * The frame of a page that a pin holds in host memory, or that a pin held when the step before began to read it there; 0
   * for any other.
   */
  #stayingHostFrame(page: number): number {
    const word = this.#mm.pageTable.read(page);
    const frame = (word & PTE_PRESENT) === 0 ? 0 : pteFrame(word);
    const stays = this.#inPlace.has(frame) || this.#attached.machine.frames.maybeDmaPinned(frame);
    return frame !== 0 && stays ? frame : 0;
  }

  #holdInPlace(frame: number): void {
    this.#attached.machine.frames.get(frame);
    this.#inPlace.set(frame, (this.#inPlace.get(frame) ?? 0) + 1);
  }

  #releaseInPlace(frame: number): void {
    const steps = this.#inPlace.get(frame) ?? 0;
    if (steps > 1) this.#inPlace.set(frame, steps - 1);
    else this.#inPlace.delete(frame);
    this.#attached.machine.put(frame);
  }

  /**
   * Pages that lie apart on the device leave it, unless a step uses them, so that the whole comes back side by side:
   * a kernel over one run needs no gathering. Where there is no room for the whole side by side they stay.
   */
  async #gatherApart(start: number, frames: Int32Array, missing: number, checkpoint: Checkpoint): Promise<number> {
    for (const frame of frames) if (frame < MISSING || this.#holds[frame] > 0) return missing;
    this.#rankFrames(FREE);
    if (leastRecentlyUsedRun(this.#uses, frames.length, this.runFrames) < 0) return missing;
    for (let i = 0; i < frames.length;) {
      const run = sideBySide(frames, i);
      if (frames[i] >= 0) await evictFrames(this.#attached, frames[i], run, checkpoint);
      i += run;
    }
    return this.#lookUp(start, frames, false);
  }

  /** Brings up to `count` pages from `page` on to the device; returns how many were tried. */
  async #place(
    page: number,
    count: number,
    cause: ToDeviceCause,
    checkpoint: Checkpoint,
    written: boolean,
  ): Promise<number> {
    this.#rankFrames(HELD, written);
    let length = Math.min(count, this.runFrames);
    let first = leastRecentlyUsedRun(this.#uses, length, this.runFrames);
    while (first < 0 && length > 1) {
      length = length >>> 1;
      first = leastRecentlyUsedRun(this.#uses, length, this.runFrames);
    }
    if (first < 0) {
      throw new MemoryError(
        "ENOMEM",
        `all ${this.frames * this.#mm.machine.pageSize} bytes of device memory are in use by running steps or held by bindings`,
      );
    }
    await this.placeAt(page, first, length, cause, checkpoint);
    if (written) this.#written.fill(1, first, first + length);
    return length;
  }

  /** Brings pages from `page` on into frames from `first` on, which nothing holds. */
  async placeAt(
    page: number,
    first: number,
    length: number,
    cause: ToDeviceCause,
    checkpoint: Checkpoint,
  ): Promise<void> {
    const { allocator } = this.#attached;
    await this.vacate(first, length, checkpoint);
    const placement = (moving: number): number => {
      const frame = first + (moving - page);
      this.#lastUse[frame] = this.#loading;
      this.#written[frame] = 0;
      return allocator.isFree(frame) ? this.#attached.allocateAt(frame) : 0;
    };
    const { paging } = this.#mm.machine;
    const part = paging.pagesAtOnce(length);
    for (let from = page; from < page + length; from += part) {
      const to = Math.min(from + part, page + length);
      const homeless = await paging.readInForDevice(this.#mm, from, to);
      if (homeless >= 0) throw outOfHostMemory(this.#mm.machine, homeless);
      await migrateToDevice(this.#attached, this.#mm, from, to, cause, placement, checkpoint);
    }
  }

  /** Fills in what the policy is asked with, for pages that are used so, or in any way; frames of the present load count as `own`. */
  #rankFrames(own: number, written: boolean | null = null): void {
    const { allocator } = this.#attached;
    const divides = written !== null && this.runFrames < this.frames;
    let free = FREE;
    for (let frame = 0; frame < this.frames; frame++) {
      if (divides && frame % this.runFrames === 0)
        free = this.#isUsedOtherwise(frame, written) ? FREE_BESIDE_OTHERS : FREE;
      const lastUse = this.#lastUse[frame];
      if (allocator.isFree(frame)) this.#uses[frame] = free;
      else if (this.#holds[frame] > 0) this.#uses[frame] = HELD;
      else this.#uses[frame] = lastUse === this.#loading ? own : lastUse;
    }
  }

  /** Has the buffer that begins with frame `first` a page that is written, where `written` is false, or one that is only read? */
  #isUsedOtherwise(first: number, written: boolean): boolean {
    const { allocator } = this.#attached;
    const end = Math.min(first + this.runFrames, this.frames);
    for (let frame = first; frame < end; frame++)
      if (!allocator.isFree(frame) && this.#written[frame] !== Number(written)) return true;
    return false;
  }

  /** Evicts those of pages `[start, end)` that are here and that nothing holds. */
  async evictUnused(start: number, end: number, checkpoint: Checkpoint): Promise<void> {
    const frames = Int32Array.from({ length: end - start }, (_, i) => {
      const frame = this.frameOf(start + i, false);
      return frame >= 0 && this.#holds[frame] > 0 ? MISSING : frame;
    });
    for (let i = 0; i < frames.length;) {
      const run = sideBySide(frames, i);
      if (frames[i] >= 0) await evictFrames(this.#attached, frames[i], run, checkpoint);
      i += run;
    }
  }

  /** Evicts what is in frames `[first, first + count)`. Throws when the host has no room for it. */
  async vacate(first: number, count: number, checkpoint: Checkpoint): Promise<void> {
    const { allocator, machine } = this.#attached;
    for (let frame = first; frame < first + count; frame++) {
      if (allocator.isFree(frame)) continue;
      let run = 1;
      while (frame + run < first + count && !allocator.isFree(frame + run)) run++;
      const moved = await evictFrames(this.#attached, frame, run, checkpoint);
      const { charge } = machine.host;
      if (moved < run && charge.usage >= charge.limit) {
        throw new MemoryError(
          "ENOMEM",
          `the host budget of ${charge.limit * machine.pageSize} bytes has no room for ${(run - moved) * machine.pageSize} bytes that have to leave the device`,
        );
      }
      frame += run;
    }
  }
}

export function isScattered(frames: Int32Array, runFrames: number): boolean {
  for (let i = 1; i < frames.length; i++) if (frames[i] !== frames[0] + i || frames[i] % runFrames === 0) return true;
  return false;
}

/** Pages from `from` on that are in frames side by side. */
export function sideBySide(frames: Int32Array, from: number): number {
  let end = from + 1;
  while (end < frames.length && frames[from] >= 0 && frames[end] === frames[from] + end - from) end++;
  return end - from;
}

function runOfMissing(frames: Int32Array, from: number): number {
  let end = from;
  while (end < frames.length && frames[end] === MISSING) end++;
  return end - from;
}
