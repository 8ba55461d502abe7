/**
 * What fills a page now, wherever it is: in host or device memory, in swap, in the file behind it. A page that is about to
 * move still is where it was; one that is being read still is where it comes from.
 */

import assert from "node:assert/strict";
import type { AttachedDevice } from "../../../src/device/attached-device.js";
import { isSwapEntry, PTE_FRAME_SHIFT } from "../../../src/mm/table/entry.js";
import type { Machine } from "../../../src/mm/machine.js";
import { ZONE_PRIVATE } from "../../../src/mm/frames/zone.js";
import type { SimulatedSwapStore } from "../../simulation/simulated-swap-store.js";
import type { SimulatedTransfers } from "../../simulation/simulated-transfer.js";
import { valueOf } from "./page-contents.js";
import type { SharedObject } from "./shared-object.js";
import type { Space } from "./space.js";

export class Contents {
  readonly #machine: Machine;
  readonly #devices: readonly AttachedDevice[];
  readonly #store: SimulatedSwapStore | null;
  readonly #transfers: SimulatedTransfers;
  /** Frames whose bytes are being read: they hold nothing yet. */
  readonly #filling = new Set<number>();

  constructor(
    machine: Machine,
    devices: readonly AttachedDevice[],
    store: SimulatedSwapStore | null,
    transfers: SimulatedTransfers,
  ) {
    this.#machine = machine;
    this.#devices = devices;
    this.#store = store;
    this.#transfers = transfers;
  }

  /** To be called before pages are looked at, whenever something may have happened. */
  refresh(): void {
    this.#filling.clear();
    for (const { site, bytes } of this.#transfers.underWay)
      if (site !== "swap-write") this.#filling.add(this.frameOf(bytes));
  }

  page({ mm, shadow }: Space, page: number): number {
    const word = mm.pageTable.read(page);
    const behind = shadow.behind(page);
    if (word === 0 && behind !== null) return this.object(behind.object, behind.index);
    const named = word >>> PTE_FRAME_SHIFT;
    if (!isSwapEntry(word)) return this.frame(named);
    const cached = this.#machine.swap?.cached(named) ?? 0;
    return cached === 0 || this.#filling.has(cached) ? this.#slot(named) : this.frame(cached);
  }

  object({ cache, behind }: SharedObject, index: number): number {
    const frame = cache.page(index);
    if (frame !== 0 && !this.#filling.has(frame)) return this.frame(frame);
    const slot = cache.slots.get(index);
    return slot === undefined ? behind[index] : this.#slot(slot);
  }

  /** The zero page, and what is none, is full of zeros. */
  frame(frame: number): number {
    return frame === 0 ? 0 : valueOf(this.bytes(frame));
  }

  bytes(frame: number): Uint8Array {
    const zone = this.#machine.zones.of(frame);
    if (zone.kind !== ZONE_PRIVATE) return this.#machine.zones.bytes(frame);
    const device = this.#devices.find((candidate) => candidate.zone === zone);
    const bytes = device?.device.run(frame - zone.first, 1);
    assert.ok(bytes !== undefined && bytes !== null, `page frame ${frame} belongs to no device`);
    return bytes;
  }

  /** The frame that a view of one page shows. */
  frameOf(view: Uint8Array): number {
    for (const { bytes, first } of this.#machine.zones.list) {
      if (bytes === null || bytes.buffer !== view.buffer) continue;
      return first + (view.byteOffset - bytes.byteOffset) / this.#machine.pageSize;
    }
    throw new Error("a view shows no page of the machine");
  }

  #slot(slot: number): number {
    const bytes = this.#store?.pages.get(slot);
    assert.ok(bytes !== undefined, `swap slot ${slot} is named and holds no page`);
    return valueOf(bytes);
  }
}
