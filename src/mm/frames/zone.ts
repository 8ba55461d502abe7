/**
 * A zone: a run of frames of one kind. Host memory is zones of kind "system"; each device brings one of kind "private"
 * (the CPU cannot reach it) or "coherent" (the CPU maps it like memory of its own), with the page map's callbacks.
 *
 * Zones start at multiples of 512 frames, so that a byte per block of 512 finds a frame's zone.
 *
 * Counterpart: `include/linux/memremap.h` (`struct dev_pagemap`, `MEMORY_DEVICE_PRIVATE`, `MEMORY_DEVICE_COHERENT`).
 */

import type { AddressSpace } from "../space/address-space.js";
import { InvariantError, MemoryError } from "../errors.js";
import type { Frames } from "./frames.js";
import * as tableShape from "../table/table-shape.js";
import type { Vma } from "../space/vma.js";

export { BLOCK_FRAMES, BLOCK_SHIFT } from "../table/table-shape.js";

// A module's own constants become part of its code; imported and exported ones are looked up at every use.
const BLOCK_FRAMES = tableShape.BLOCK_FRAMES;
const BLOCK_SHIFT = tableShape.BLOCK_SHIFT;

export const ZONE_SYSTEM = 0;
export const ZONE_PRIVATE = 1;
export const ZONE_COHERENT = 2;
export type ZoneKind = typeof ZONE_SYSTEM | typeof ZONE_PRIVATE | typeof ZONE_COHERENT;

/** A CPU access that met a page private to a device. The mmap lock is held for reading, the page is referenced. */
export interface DeviceFault {
  readonly mm: AddressSpace;
  readonly vma: Vma;
  /** Page number of the access. */
  readonly page: number;
  /** The device frame that is to come home: `fault_page` of the migration. */
  readonly frame: number;
}

export interface PageMapOps {
  /** The last reference to a device frame has gone: the frame is the driver's again. Synchronous; calls nothing of the engine. */
  pageFree(frame: number): void;
  /**
   * Brings the page home. Runs `migrateVmaSetup` before its first `await`. Resolves also when the page could not move
   * (the access is tried again); a rejection makes the access fail and leaves the page where it was.
   */
  migrateToRam(fault: DeviceFault): Promise<void>;
}

export interface PageMap {
  /** Tells the drivers apart: only pages of its own owner are selected by a migration. Any object; compared by identity. */
  readonly owner: object;
  readonly ops: PageMapOps;
}

export class Zone {
  constructor(
    readonly kind: ZoneKind,
    readonly first: number,
    readonly frames: number,
    /** The bytes of the zone's frames, in order, where the CPU can reach them. */
    readonly bytes: Uint8Array | null,
    readonly pageMap: PageMap | null,
    /** Frame numbers that are kept for the zone: whole blocks. */
    readonly capacity: number,
  ) {}
}

export class Zones {
  readonly list: Zone[] = [];
  readonly #frames: Frames;
  readonly #pageSize: number;
  /** Of devices that are gone: their places in the list. */
  readonly #retired = new Set<number>();
  #zoneOfBlock = new Uint8Array(8);
  #kindOfBlock = new Uint8Array(8);

  constructor(frames: Frames, pageSize: number) {
    this.#frames = frames;
    this.#pageSize = pageSize;
  }

  add(kind: ZoneKind, frames: number, bytes: Uint8Array | null, pageMap: PageMap | null): Zone {
    const capacity = Math.ceil(frames / BLOCK_FRAMES) * BLOCK_FRAMES;
    const place = kind === ZONE_SYSTEM ? -1 : this.#takeRetired(capacity);
    if (place >= 0) {
      const retired = this.list[place];
      return this.#enter(place, new Zone(kind, retired.first, frames, bytes, pageMap, retired.capacity));
    }
    if (this.list.length === 256) throw new MemoryError("ENOMEM", "a machine has at most 256 zones of memory");
    const first = this.#frames.add(capacity);
    const blocks = (first + capacity) >>> BLOCK_SHIFT;
    if (blocks > this.#zoneOfBlock.length) {
      const length = Math.max(blocks, this.#zoneOfBlock.length * 2);
      this.#zoneOfBlock = grown(this.#zoneOfBlock, length);
      this.#kindOfBlock = grown(this.#kindOfBlock, length);
    }
    return this.#enter(this.list.length, new Zone(kind, first, frames, bytes, pageMap, capacity));
  }

  /** A device is gone: its frame numbers may be given to another one, once nobody has a reference to any of them. */
  retire(zone: Zone): void {
    this.#retired.add(this.list.indexOf(zone));
  }

  #enter(place: number, zone: Zone): Zone {
    const { kind, first, capacity } = zone;
    this.#zoneOfBlock.fill(place, first >>> BLOCK_SHIFT, (first + capacity) >>> BLOCK_SHIFT);
    this.#kindOfBlock.fill(kind, first >>> BLOCK_SHIFT, (first + capacity) >>> BLOCK_SHIFT);
    this.list[place] = zone;
    return zone;
  }

  /** The place of the first retired zone that is large enough and in nobody's use, -1 when there is none. */
  #takeRetired(capacity: number): number {
    for (const place of this.#retired) {
      const retired = this.list[place];
      if (retired.capacity < capacity || this.#isReferenced(retired)) continue;
      this.#retired.delete(place);
      return place;
    }
    return -1;
  }

  #isReferenced({ first, frames }: Zone): boolean {
    for (let frame = first; frame < first + frames; frame++) if (this.#frames.refcount(frame) !== 0) return true;
    return false;
  }

  of(frame: number): Zone {
    return this.list[this.#zoneOfBlock[frame >>> BLOCK_SHIFT]];
  }

  /** The kind of the frame's zone (`ZoneKind`), which is all that most steps of the protocol ask for. */
  kindOf(frame: number): number {
    return this.#kindOfBlock[frame >>> BLOCK_SHIFT];
  }

  /** The bytes of one frame that the CPU can reach. */
  bytes(frame: number): Uint8Array {
    return this.run(frame, 1);
  }

  /** The bytes of `count` neighbouring frames of one zone. */
  run(frame: number, count: number): Uint8Array {
    const zone = this.of(frame);
    const offset = (frame - zone.first) * this.#pageSize;
    return reachable(zone, frame).subarray(offset, offset + count * this.#pageSize);
  }

  /** Fills `count` neighbouring frames of one zone with a byte. */
  fill(frame: number, count: number, byte: number): void {
    const zone = this.of(frame);
    const offset = (frame - zone.first) * this.#pageSize;
    reachable(zone, frame).fill(byte, offset, offset + count * this.#pageSize);
  }

  /** Copies one frame to another, both within the CPU's reach. */
  copy(destination: number, source: number): void {
    const zone = this.of(destination);
    reachable(zone, destination).set(this.bytes(source), (destination - zone.first) * this.#pageSize);
  }
}

function grown(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const longer = new Uint8Array(length);
  longer.set(bytes);
  return longer;
}

function reachable(zone: Zone, frame: number): Uint8Array {
  if (zone.bytes === null)
    throw new InvariantError(`the CPU cannot reach page frame ${frame}, which is private to a device`);
  return zone.bytes;
}
