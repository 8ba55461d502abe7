/**
 * The pages of an array in the engine of this thread.
 *
 * Invariant: what a pin for writing holds counts as written for as long as it is held.
 */

import { accessHost } from "../../access/host-access.js";
import { pinPages, type PinnedPages, tryPinPages, unpinPages } from "../../access/host-pins.js";
import { migrateToHost } from "../../device/migrate-to-host.js";
import { munmap } from "../../mm/space/mapping.js";
import { clearSoftDirtyRange, forEachSoftDirtyRun, markSoftDirty } from "../../mm/space/soft-dirty.js";
import type { Operation } from "../operation-queue.js";
import type { Mapping, PinnedRange, UsePages } from "../pager.js";
import { prefetchFromStores } from "./array-home.js";
import { type ArrayPlace, snapshotPages } from "./array-place.js";
import type { Engine } from "./engine.js";

export class LocalMapping implements Mapping {
  readonly pins = new Set<PinnedRange>();
  readonly #engine: Engine;
  readonly #pages: number;
  readonly #place: ArrayPlace;
  #page = -1;

  constructor(engine: Engine, pages: number, place: ArrayPlace) {
    this.#engine = engine;
    this.#pages = pages;
    this.#place = place;
  }

  get page(): number {
    return this.#page;
  }

  get readOnly(): boolean {
    return this.#place.readOnly;
  }

  async map(): Promise<void> {
    this.#page = await this.#place.map();
  }

  leave(): void {
    this.#place.leave?.();
  }

  async unmap(): Promise<void> {
    const { mm, machine } = this.#engine;
    const { pageSize } = machine;
    if (this.#page >= 0) await munmap(mm, this.#page * pageSize, this.#pages * pageSize);
    // Pages that only the LRU's batch keeps alive go now, not when the batch is full.
    machine.lru.drain();
    this.#place.leave?.();
    if (this.#place.home !== null) machine.host.releaseHome(this.#place.home);
    this.#page = -1;
  }

  async access(first: number, end: number, write: boolean, use: UsePages, { checkpoint }: Operation): Promise<void> {
    const { attached, mm } = this.#engine;
    const origin = this.#page;
    const useRun = (bytes: Uint8Array, page: number): void => use(bytes, page - origin);
    await accessHost(attached, mm, origin + first, origin + end, write, useRun, checkpoint);
  }

  async pin(range: PinnedRange, { checkpoint }: Operation): Promise<PinnedPages> {
    const { attached, mm } = this.#engine;
    const write = range.mode === "write";
    const pages = await pinPages(attached, mm, this.#page + range.first, this.#page + range.end, write, checkpoint);
    this.#hold(range);
    return pages;
  }

  tryPin(range: PinnedRange): PinnedPages | null {
    const write = range.mode === "write";
    const pages = tryPinPages(this.#engine.mm, this.#page + range.first, this.#page + range.end, write);
    if (pages !== null) this.#hold(range);
    return pages;
  }

  unpin(range: PinnedRange, pages: PinnedPages): void {
    unpinPages(this.#engine.mm, pages, range.mode === "write");
    this.pins.delete(range);
  }

  bytesOf(frame: number, count: number): Uint8Array {
    return this.#engine.machine.zones.run(frame, count);
  }

  mayHold({ buffer, byteOffset, byteLength }: Uint8Array): boolean {
    const { zones, pageSize } = this.#engine.machine;
    const home = this.#place.home?.shared ?? this.#place.home;
    if (home === null) return false;
    const zone = zones.of(home.first);
    if (zone.bytes?.buffer !== buffer) return false;
    const first = zone.bytes.byteOffset + (home.first - zone.first) * pageSize;
    return byteOffset < first + home.pages * pageSize && first < byteOffset + byteLength;
  }

  async prefetch(to: "device" | "host", from: number, until: number, { checkpoint }: Operation): Promise<void> {
    const { attached, mm, residency } = this.#engine;
    const first = this.#page + from;
    const end = this.#page + until;
    if (to === "host") {
      await migrateToHost(attached, mm, first, end, "prefetch", checkpoint);
      await prefetchFromStores(mm, first, end, checkpoint);
    } else await residency.prefetch(first, Math.min(end, first + residency.frames), checkpoint);
  }

  snapshot(): Mapping {
    const place = snapshotPages(this.#engine, () => this.#page, this.#pages);
    return new LocalMapping(this.#engine, this.#pages, place);
  }

  async writtenRuns({ checkpoint }: Operation): Promise<number[]> {
    checkpoint();
    const origin = this.#page;
    const runs: number[] = [];
    forEachSoftDirtyRun(this.#engine.mm, origin, origin + this.#pages, (first, end) =>
      runs.push(first - origin, end - origin),
    );
    return runs;
  }

  async clearWritten({ checkpoint }: Operation): Promise<void> {
    checkpoint();
    await clearSoftDirtyRange(this.#engine.mm, this.#page, this.#page + this.#pages);
    for (const { mode, first, end } of this.pins) if (mode === "write") this.markWritten(first, end);
  }

  markWritten(first: number, end: number): void {
    markSoftDirty(this.#engine.mm, this.#page + first, this.#page + end);
  }

  /** From now on whoever has the pin may write the pages. */
  #hold(range: PinnedRange): void {
    this.pins.add(range);
    if (range.mode === "write") this.markWritten(range.first, range.end);
  }
}
