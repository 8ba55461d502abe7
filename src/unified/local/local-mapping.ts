/**
 * The pages of an array in the engine of this thread.
 *
 * Invariants: what a pin for writing holds counts as written for as long as it is held. In a shared memory the page's number
 * that all threads see says `GONE` before a page is unmapped.
 */

import { accessHost } from "../../access/host-access.js";
import { pinPages, type PinnedPages, tryPinPages, unpinPages } from "../../access/host-pins.js";
import { MemoryError } from "../../mm/errors.js";
import { LostPagesError } from "../../mm/lost-pages-error.js";
import { munmap } from "../../mm/space/mapping.js";
import { clearSoftDirtyRange, forEachSoftDirtyRun, markSoftDirty } from "../../mm/space/soft-dirty.js";
import type { Operation } from "../operation-queue.js";
import {
  GONE,
  type Mapping,
  type MappingInterop,
  type PinnedRange,
  type SharedMapping,
  UNMAPPED,
  type UseBytes,
  type WindowBytes,
} from "../pager.js";
import type { ResidentRange } from "../resident-range.js";
import { type ArrayPlace, snapshotPages } from "./array-place.js";
import { alone, type Engine } from "./engine.js";
import { loadOnDemand } from "./load-on-demand.js";

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class LocalMapping implements Mapping {
  readonly pins = new Set<PinnedRange>();
  readonly shared: SharedMapping | null;
  readonly #engine: Engine;
  readonly #pages: number;
  #place: ArrayPlace | null;
  #page = UNMAPPED;
  /** Those who found the mapping before its pages were mapped. */
  #waiting: Waiting[] = [];

  /** Without a place it waits for its maker, and for `giveWhatToMap`. */
  constructor(engine: Engine, pages: number, place: ArrayPlace | null, shared: SharedMapping | null) {
    this.#engine = engine;
    this.#pages = pages;
    this.#place = place;
    this.shared = shared;
    engine.mappings.add(this);
    if (shared !== null) engine.sharing?.mappings.add(shared.number, this);
  }

  get page(): number {
    return this.#page;
  }

  /** How many. */
  get pages(): number {
    return this.#pages;
  }

  get readOnly(): boolean {
    return this.#place?.readOnly ?? this.shared?.readOnly ?? false;
  }

  get hasPlace(): boolean {
    return this.#place !== null;
  }

  giveWhatToMap(place: ArrayPlace): void {
    this.#place = place;
  }

  async map(operation: Operation): Promise<void> {
    try {
      const page = await alone(this.#engine, operation, () => this.#placeOf().map());
      this.#setPage(page);
      for (const { resolve } of this.#waiting.splice(0)) resolve();
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  /** Resolves when the pages are mapped by whoever made the mapping. */
  async found({ outside }: Operation): Promise<void> {
    if (this.#page === GONE) throw goneError();
    if (this.#page === UNMAPPED) {
      await outside(new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject })));
    }
  }

  /** The pages will never be mapped. */
  fail(reason: unknown = goneError()): void {
    this.#engine.mappings.delete(this);
    if (this.shared !== null) this.#publish(GONE);
    this.#leave();
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }

  async unmap(operation: Operation): Promise<void> {
    if (this.#page === GONE) return;
    const page = this.#page;
    this.#setPage(GONE);
    this.#engine.mappings.delete(this);
    const { bound, mm, machine, views } = this.#engine;
    const { pageSize } = machine;
    views?.close(this);
    if (page >= 0) bound?.letGoOf(page, page + this.#pages);
    if (page >= 0) await alone(this.#engine, operation, () => munmap(mm, page * pageSize, this.#pages * pageSize));
    // Pages that only the LRU's batch keeps alive go now, not when the batch is full.
    machine.lru.drain();
    this.#leave();
    const { home } = this.#placeOf();
    if (home !== null) machine.host.releaseHome(home);
  }

  async access(at: number, length: number, write: boolean, use: UseBytes, operation: Operation): Promise<void> {
    const { mm, machine } = this.#engine;
    const { pageSize } = machine;
    const origin = this.#page;
    const first = origin + Math.floor(at / pageSize);
    const end = origin + Math.ceil((at + length) / pageSize);
    const useRun = (bytes: Uint8Array, page: number): void => {
      const runStart = (page - origin) * pageSize;
      const from = Math.max(at, runStart);
      const to = Math.min(at + length, runStart + bytes.byteLength);
      use(bytes.subarray(from - runStart, to - runStart), from - at);
    };
    const { checkpoint } = operation;
    // Of the first and the last page there may be only a part.
    const [whole, wholeEnd] = [origin + Math.ceil(at / pageSize), origin + Math.floor((at + length) / pageSize)];
    await alone(this.#engine, operation, async () => {
      this.#engine.bound?.refuseCpu(first, end);
      for (let from = first; ;) {
        try {
          return await accessHost(this.#engine.attached, mm, from, end, write, useRun, checkpoint);
        } catch (error) {
          if (!write || !(error instanceof LostPagesError) || error.first < whole || error.first >= wholeEnd)
            throw error;
          const { rewriteLost } = await loadOnDemand("lost pages");
          from = await rewriteLost(mm, error.first, Math.min(error.end, wholeEnd), useRun, checkpoint);
        }
      }
    });
  }

  async pin(range: PinnedRange, operation: Operation): Promise<PinnedPages> {
    const { mm } = this.#engine;
    const write = range.mode === "write";
    const first = this.#page + range.first;
    const end = this.#page + range.end;
    const { checkpoint } = operation;
    const pages = await alone(this.#engine, operation, () => {
      this.#engine.bound?.refuseCpu(first, end);
      return pinPages(this.#engine.attached, mm, first, end, write, checkpoint);
    });
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
    const place = this.#place?.home ?? null;
    const home = place?.shared ?? place;
    if (home === null) return false;
    const zone = zones.of(home.first);
    if (zone.bytes?.buffer !== buffer) return false;
    const first = zone.bytes.byteOffset + (home.first - zone.first) * pageSize;
    return byteOffset < first + home.pages * pageSize && first < byteOffset + byteLength;
  }

  async prefetch(to: "device" | "host", from: number, until: number, operation: Operation): Promise<void> {
    const first = this.#page + from;
    const end = this.#page + until;
    const { checkpoint } = operation;
    const { prefetch } = await loadOnDemand("prefetches");
    await alone(this.#engine, operation, () => prefetch(this.#engine, to, first, end, checkpoint));
  }

  async window(): Promise<WindowBytes> {
    const { windowOf } = await loadOnDemand("views");
    return windowOf(this.#engine, this);
  }

  async interop(): Promise<MappingInterop> {
    const { LocalInterop } = await loadOnDemand("GPU buffers");
    return new LocalInterop(this.#engine, this);
  }

  snapshot(): LocalMapping {
    return new LocalMapping(this.#engine, this.#pages, this.snapshotPlace(), this.#engine.sharing?.next(true) ?? null);
  }

  /** The pages as they are when they are mapped there. */
  snapshotPlace(): ArrayPlace {
    return snapshotPages(this.#engine, () => this.#page, this.#pages);
  }

  async residency(perPage: number, length: number): Promise<ResidentRange[]> {
    const { residentRanges } = await loadOnDemand("residency");
    const { mm } = this.#engine;
    // Not mapped yet or not any more, it has no page anywhere.
    return residentRanges(mm, this.#page, this.#page + (this.#page < 0 ? 0 : this.#pages), perPage, length);
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

  async clearWritten(operation: Operation): Promise<void> {
    operation.checkpoint();
    const { mm } = this.#engine;
    await alone(this.#engine, operation, () => clearSoftDirtyRange(mm, this.#page, this.#page + this.#pages));
    for (const { mode, first, end } of this.pins) if (mode === "write") this.markWritten(first, end);
    for (const { range } of this.#engine.bound?.within(this.#page, this.#page + this.#pages) ?? [])
      if (range.mode === "write") this.markWritten(range.first, range.end);
    const mark = (first: number, end: number): void => markSoftDirty(mm, first, end);
    this.#engine.sharing?.markPinned(this.#page, this.#page + this.#pages, mark);
  }

  markWritten(first: number, end: number): void {
    markSoftDirty(this.#engine.mm, this.#page + first, this.#page + end);
  }

  /** From now on whoever has the pin may write the pages. */
  #hold(range: PinnedRange): void {
    this.pins.add(range);
    if (range.mode === "write") this.markWritten(range.first, range.end);
  }

  #placeOf(): ArrayPlace {
    if (this.#place === null) throw goneError();
    return this.#place;
  }

  #leave(): void {
    this.#place?.leave?.();
  }

  #setPage(page: number): void {
    this.#page = page;
    if (this.shared !== null) this.#publish(page);
  }

  /** What other threads see. */
  #publish(page: number): void {
    const { number, page: word } = this.shared as SharedMapping;
    Atomics.store(word, 0, page);
    if (page === GONE) this.#engine.sharing?.mappings.delete(number);
  }
}

function goneError(): MemoryError {
  return new MemoryError("EINVAL", "the array of this handle is destroyed, or could not be made");
}
