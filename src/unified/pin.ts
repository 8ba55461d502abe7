/**
 * A pin of an array: its pages held in host memory, and the views over them. Released once, however often it is asked.
 */

/// <reference lib="esnext.disposable" preserve="true" />

import type { PinnedPages } from "../access/host-pins.js";
import { type ElementType, strideOf, type View, viewOf } from "../device/element.js";
import { MemoryError } from "../mm/errors.js";
import { BLOCK_FRAMES } from "../mm/frames/zone.js";
import type { Mapping, PinnedRange } from "./pager.js";

/** What a pin is for: a "write" pin makes the pages dirty. */
export type PinMode = "read" | "write";

/** Elements that lie side by side in memory. */
export interface Run<T extends ElementType> {
  /** Index in the array of the first element. */
  readonly start: number;
  readonly view: View<T, ArrayBuffer>;
}

/** Where the pinned elements are. */
export interface PinPlace<T extends ElementType> extends PinnedRange {
  readonly mapping: Mapping;
  readonly pageSize: number;
  readonly type: T;
}

/** Pages of an array, held in host memory until `release`. */
export class Pin<T extends ElementType = ElementType> implements Disposable {
  readonly mode: PinMode;
  /** First element that is pinned, and how many are. */
  readonly start: number;
  readonly length: number;
  readonly #place: PinPlace<T>;
  readonly #pages: PinnedPages;
  readonly #onRelease: () => void;
  #view: View<T, ArrayBuffer> | null = null;
  #released = false;

  constructor(place: PinPlace<T>, pages: PinnedPages, onRelease: () => void) {
    this.mode = place.mode;
    this.start = place.start;
    this.length = place.length;
    this.#place = place;
    this.#pages = pages;
    this.#onRelease = onRelease;
  }

  /**
   * The pinned elements as one typed array over the pages themselves. Throws EINVAL when they do not lie side by side
   * (use `runs`) or the pin has been released. JavaScript cannot take a view back: do not use it after `release`.
   */
  get view(): View<T, ArrayBuffer> {
    if (this.#view !== null) return this.#view;
    this.#assertHeld();
    const { first, count } = this.#pages;
    if (first < 0)
      throw new MemoryError("EINVAL", `the ${count} pinned pages do not lie side by side: use runs instead of view`);
    const { mapping, type } = this.#place;
    const bytes = mapping.bytesOf(first, count);
    this.#view = viewOf(type, bytes.buffer, bytes.byteOffset + this.#offset, this.length);
    return this.#view;
  }

  /** The pinned elements in stretches that lie side by side, in order. */
  get runs(): readonly Run<T>[] {
    this.#assertHeld();
    const { frames, first } = this.#pages;
    if (frames === null && first >= 0) return [{ start: this.start, view: this.view }];
    const runs: Run<T>[] = [];
    for (let i = 0; i < this.#pages.count;) {
      const count = this.#sideBySide(i);
      runs.push(this.#runOf(i, count));
      i += count;
    }
    return runs;
  }

  /** Lets the pages go; a second call does nothing. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#view = null;
    this.#place.mapping.unpin(this.#place, this.#pages);
    this.#onRelease();
  }

  get released(): boolean {
    return this.#released;
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #frameAt(i: number): number {
    const { frames, first } = this.#pages;
    return frames === null ? first + i : frames[i];
  }

  #sideBySide(from: number): number {
    let count = 1;
    while (from + count < this.#pages.count) {
      const frame = this.#frameAt(from + count);
      if (frame !== this.#frameAt(from) + count || (frame & (BLOCK_FRAMES - 1)) === 0) break;
      count++;
    }
    return count;
  }

  #runOf(page: number, count: number): Run<T> {
    const { mapping, pageSize, type } = this.#place;
    const stride = strideOf(type);
    const offset = this.#offset;
    // Bytes from the first pinned page's start to the first and past the last element of this run.
    const from = Math.max(offset, page * pageSize);
    const to = Math.min(offset + this.length * stride, (page + count) * pageSize);
    const bytes = mapping.bytesOf(this.#frameAt(page), count);
    const byteOffset = bytes.byteOffset + from - page * pageSize;
    return {
      start: this.start + (from - offset) / stride,
      view: viewOf(type, bytes.buffer, byteOffset, (to - from) / stride),
    };
  }

  /** Bytes of the first pinned page before the first element. */
  get #offset(): number {
    return (this.start * strideOf(this.#place.type)) % this.#place.pageSize;
  }

  #assertHeld(): void {
    if (this.#released) throw new MemoryError("EINVAL", "the pin has been released");
  }
}
