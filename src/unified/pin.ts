/**
 * A pin of an array: its pages held in host memory, and the views over them. Released once, however often it is asked.
 */

/// <reference lib="esnext.disposable" preserve="true" />

import type { PinnedPages } from "../access/host-pins.js";
import { type ElementType, strideOf, type View, viewOf } from "../device/element.js";
import { MemoryError } from "../mm/errors.js";
import type { Mapping, PinnedRange } from "./pager.js";
import { frameAt, sideBySide } from "./pinned-runs.js";

/** What a pin is for: a "write" pin makes the pages dirty. */
export type PinMode = "read" | "write";

/** Elements that lie side by side in memory. */
export interface Run<T extends ElementType, B extends ArrayBufferLike = ArrayBuffer> {
  /** Index in the array of the first element. */
  readonly start: number;
  readonly view: View<T, B>;
}

/** Where the pinned elements are. */
export interface PinPlace<T extends ElementType> extends PinnedRange {
  readonly mapping: Mapping;
  readonly pageSize: number;
  readonly type: T;
}

/** Pages of an array, held in host memory until `release`. */
export class Pin<T extends ElementType = ElementType, B extends ArrayBufferLike = ArrayBuffer> implements Disposable {
  readonly mode: PinMode;
  /** First element that is pinned, and how many are. */
  readonly start: number;
  readonly length: number;
  readonly #place: PinPlace<T>;
  readonly #pages: PinnedPages;
  readonly #onRelease: () => void;
  #view: ArrayBufferView | null = null;
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
  get view(): View<T, B> {
    if (this.#view !== null) return this.#view as View<T, B>;
    this.#assertHeld();
    const { first, count } = this.#pages;
    if (first < 0)
      throw new MemoryError("EINVAL", `the ${count} pinned pages do not lie side by side: use runs instead of view`);
    const { mapping, type } = this.#place;
    const bytes = mapping.bytesOf(first, count);
    const view = viewOf<T, B>(type, bytes.buffer, bytes.byteOffset + this.#offset, this.length);
    this.#view = view;
    return view;
  }

  /** The pinned elements in stretches that lie side by side, in order. */
  get runs(): readonly Run<T, B>[] {
    this.#assertHeld();
    const { frames, first } = this.#pages;
    if (frames === null && first >= 0) return [{ start: this.start, view: this.view }];
    const runs: Run<T, B>[] = [];
    for (let i = 0; i < this.#pages.count;) {
      const count = sideBySide(this.#pages, i);
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

  #runOf(page: number, count: number): Run<T, B> {
    const { mapping, pageSize, type } = this.#place;
    const stride = strideOf(type);
    const offset = this.#offset;
    // Bytes from the first pinned page's start to the first and past the last element of this run.
    const from = Math.max(offset, page * pageSize);
    const to = Math.min(offset + this.length * stride, (page + count) * pageSize);
    const bytes = mapping.bytesOf(frameAt(this.#pages, page), count);
    const byteOffset = bytes.byteOffset + from - page * pageSize;
    return {
      start: this.start + (from - offset) / stride,
      view: viewOf<T, B>(type, bytes.buffer, byteOffset, (to - from) / stride),
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
