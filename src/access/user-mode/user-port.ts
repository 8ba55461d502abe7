/**
 * One thread in user mode, as the pager sees it: what of the machine the thread knows, what it has pinned by itself, and the
 * last puts that it leaves to the pager.
 *
 * Invariant: a reference that a thread took is in a slot or in the ring (or on its way from one to the other) until it is put.
 */

import { ZONE_SYSTEM } from "../../mm/frames/zone.js";
import { DMA_PIN } from "../../mm/fault/gup.js";
import type { LastPuts } from "../../mm/machine.js";
import { allocateWords } from "../../mm/shared-memory.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { markPageWritten } from "../../mm/space/soft-dirty.js";
import {
  MISSES,
  PINS,
  PORT_WORDS,
  RETRIES,
  RING,
  RING_MASK,
  RING_PUT,
  RING_READ,
  SLOT_COUNT,
  SLOT_FRAME,
  SLOT_HELD,
  SLOT_PAGE,
  SLOT_PAGES,
  SLOT_STATE,
  SLOT_TRANSIENT,
  SLOT_WORDS,
  SLOT_WRITE,
  SLOTS,
} from "./port-words.js";
import type { SharedGrowth, SharedRegion, SharedView } from "./shared-view.js";
import type { UserCounters } from "./user-machine.js";

/** Pages `[page, page + pages)` that a thread has pinned, or is about to. */
export interface HeldRun {
  readonly page: number;
  readonly pages: number;
  readonly write: boolean;
  /** It lasts no longer than a copy. */
  readonly transient: boolean;
}

/** A thread in user mode, in the pager's hands. */
export class UserPort implements LastPuts {
  readonly name: string;
  readonly #mm: AddressSpace;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #onClose: () => void;
  /** What the thread has been told of. */
  #knownFrames = 0;
  #knownChunks = 0;
  #knownZones = 0;

  /** Made by `UserPorts`. */
  constructor(mm: AddressSpace, control: Int32Array<SharedArrayBuffer>, name: string, onClose: () => void) {
    this.name = name;
    this.#mm = mm;
    this.#control = control;
    this.#onClose = onClose;
    this.#words = allocateWords(PORT_WORDS, true) as Int32Array<SharedArrayBuffer>;
    mm.machine.lastPuts.add(this);
  }

  /** What the thread makes its `UserMachine` from. */
  view(): SharedView {
    const { machine, pageTable } = this.#mm;
    this.#knownFrames = this.#knownChunks = this.#knownZones = 0;
    return {
      pageShift: machine.pageShift,
      root: pageTable.root,
      control: this.#control.buffer,
      port: this.#words.buffer,
      parts: this.#news(),
    };
  }

  /** What was added to the machine since the thread was told last; null when nothing was. */
  growth(): SharedGrowth | null {
    const { frames, tables, zones } = this.#mm.machine;
    const known =
      frames.words.length === this.#knownFrames &&
      tables.chunks.length === this.#knownChunks &&
      zones.list.length === this.#knownZones;
    return known ? null : this.#news();
  }

  /** Makes the last puts that the thread has left. */
  collect(): void {
    const words = this.#words;
    const put = Atomics.load(words, RING_PUT);
    for (let read = words[RING_READ]; read !== put;) {
      const word = words[RING + (read & RING_MASK)];
      read = (read + 1) | 0;
      Atomics.store(words, RING_READ, read);
      this.#put(word);
    }
  }

  /** The same for those that found the ring full, and were posted (`UserMachine.takeOwed`). */
  collectOwed(owed: readonly number[]): void {
    for (const word of owed) this.#put(word);
  }

  /** What the thread holds by itself, or is about to hold. */
  *runs(): Generator<HeldRun> {
    for (let slot = SLOTS; slot < PORT_WORDS; slot += SLOT_WORDS) {
      const state = Atomics.load(this.#words, slot + SLOT_STATE);
      if (state === 0) continue;
      const write = (state & SLOT_WRITE) !== 0;
      const transient = (state & SLOT_TRANSIENT) !== 0;
      yield { page: this.#words[slot + SLOT_PAGE], pages: this.#words[slot + SLOT_PAGES], write, transient };
    }
  }

  get counters(): UserCounters {
    const words = this.#words;
    return {
      pins: Atomics.load(words, PINS),
      retries: Atomics.load(words, RETRIES),
      misses: Atomics.load(words, MISSES),
    };
  }

  /** Calls `each` with every frame of which the thread has references, a frame once for each. For tests, while it is idle. */
  forEachHeld(each: (frame: number) => void): void {
    for (let slot = SLOTS; slot < PORT_WORDS; slot += SLOT_WORDS) {
      for (let i = 0; i < this.#words[slot + SLOT_HELD]; i++) each(this.#words[slot + SLOT_FRAME] + i);
    }
    for (let read = this.#words[RING_READ]; read !== this.#words[RING_PUT]; read = (read + 1) | 0) {
      each(this.#words[RING + (read & RING_MASK)] >>> 1);
    }
  }

  /**
   * The thread has ended, or will not use the port again: what it still holds is given back. A page that it was pinning for
   * writing counts as written.
   */
  close(): void {
    const words = this.#words;
    this.collect();
    for (let slot = SLOTS; slot < SLOTS + SLOT_COUNT * SLOT_WORDS; slot += SLOT_WORDS) {
      const written = (words[slot + SLOT_STATE] & SLOT_WRITE) !== 0 ? 1 : 0;
      for (; words[slot + SLOT_HELD] > 0; words[slot + SLOT_HELD]--) {
        this.#put(((words[slot + SLOT_FRAME] + words[slot + SLOT_HELD] - 1) << 1) | written);
      }
      words[slot + SLOT_STATE] = 0;
    }
    this.#mm.machine.lastPuts.delete(this);
    this.#onClose();
  }

  #put(word: number): void {
    const { machine } = this.#mm;
    const frame = word >>> 1;
    if ((word & 1) !== 0) markPageWritten(machine, frame);
    machine.put(frame, DMA_PIN);
  }

  #news(): SharedGrowth {
    const { frames, tables, zones, pageSize } = this.#mm.machine;
    const frameTable = frames.words.length === this.#knownFrames ? null : (frames.words.buffer as SharedArrayBuffer);
    const chunks = tables.chunks.slice(this.#knownChunks).map((chunk) => chunk.buffer as SharedArrayBuffer);
    const regions: SharedRegion[] = [];
    for (const { kind, first, frames: count, bytes } of zones.list.slice(this.#knownZones)) {
      // The zero page, frame 0, is nobody's to pin.
      if (kind !== ZONE_SYSTEM || first === 0 || bytes === null) continue;
      const buffer = bytes.buffer as SharedArrayBuffer;
      regions.push({
        first,
        frames: Math.min(count, bytes.byteLength / pageSize),
        buffer,
        byteOffset: bytes.byteOffset,
      });
    }
    this.#knownFrames = frames.words.length;
    this.#knownChunks = tables.chunks.length;
    this.#knownZones = zones.list.length;
    return { frameTable, tables: chunks, regions };
  }
}
