/** The pages of an array whose pager is in another thread. */

import type { UserPin } from "../../access/user-mode/user-machine.js";
import type { PinnedPages } from "../../access/host-pins.js";
import type { Operation } from "../operation-queue.js";
import {
  GONE,
  type Mapping,
  type PinnedRange,
  type SharedMapping,
  UNMAPPED,
  type UseBytes,
  type WindowBytes,
} from "../pager.js";
import type { ResidentRange } from "../resident-range.js";
import { frameAt, sideBySide } from "../pinned-runs.js";
import type { Connection } from "./connection.js";
import type { RemotePager } from "./remote-pager.js";

/** Bytes that are pinned, or asked for, at once. */
const PART_BYTES = 1024 * 1024;

export class RemoteMapping implements Mapping {
  readonly pins = new Set<PinnedRange>();
  readonly shared: SharedMapping;
  readonly #pager: RemotePager;
  readonly #connection: Connection;
  readonly #pages: number;
  readonly #map: ((operation: Operation) => Promise<void>) | null;
  /** Pins that the pager has taken for this thread. */
  readonly #heldByPager = new Map<PinnedRange, number>();
  /** Where this thread sees the pages, once it has asked. */
  #window: WindowBytes | null = null;
  /** The pager could not map the pages. */
  #failed = false;

  /** `map` asks the pager to map the pages; null for a mapping that another thread has made. */
  constructor(
    pager: RemotePager,
    connection: Connection,
    pages: number,
    shared: SharedMapping,
    map: ((operation: Operation) => Promise<void>) | null,
  ) {
    this.#pager = pager;
    this.#connection = connection;
    this.#pages = pages;
    this.shared = shared;
    this.#map = map;
  }

  get readOnly(): boolean {
    return this.shared.readOnly;
  }

  get page(): number {
    return this.#failed ? UNMAPPED : Atomics.load(this.shared.page, 0);
  }

  async map(operation: Operation): Promise<void> {
    try {
      await this.#map?.(operation);
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  async found(operation: Operation): Promise<void> {
    if (this.page === UNMAPPED)
      await this.#connection.ask("found", { shared: this.shared, pages: this.#pages }, { operation });
  }

  async unmap(operation: Operation): Promise<void> {
    if (this.page !== GONE) await this.#connection.ask("unmap", { mapping: this.shared.number }, { operation });
  }

  async access(at: number, length: number, write: boolean, use: UseBytes, operation: Operation): Promise<void> {
    // A page that is written whole is written at once.
    const part = Math.max(PART_BYTES, this.#pager.pageSize);
    for (let done = 0; done < length;) {
      operation.checkpoint();
      const from = at + done;
      const next = Math.min(at + length, (Math.floor(from / part) + 1) * part);
      if (!this.#accessInPlace(from, next - from, write, use, done))
        await this.#accessByMessage(from, next - from, write, use, done, operation);
      done += next - from;
    }
  }

  async pin(range: PinnedRange, operation: Operation): Promise<PinnedPages> {
    const own = this.tryPin(range);
    if (own !== null) return own;
    if (this.#pager.isTransparent) await this.window(operation);
    const pin = this.#pager.nextPin();
    try {
      const pages = await this.#connection.ask("pin", { mapping: this.shared.number, range, pin }, { operation });
      this.#heldByPager.set(range, pin);
      this.pins.add(range);
      // In the window they lie side by side wherever they are.
      return this.#window === null ? pages : { first: range.first, count: pages.count, frames: null };
    } catch (error) {
      // Aborted, it may have been granted all the same.
      this.#connection.tell({ note: "unpin", pin });
      throw error;
    }
  }

  tryPin(range: PinnedRange): PinnedPages | null {
    const pages = this.#tryPin(range.first, range.end, range.mode === "write", false);
    if (pages !== null) this.pins.add(range);
    return pages;
  }

  unpin(range: PinnedRange, pages: PinnedPages): void {
    this.pins.delete(range);
    // The pager has let it go when this thread has left.
    if (this.#connection.ended !== null) return;
    const pin = this.#heldByPager.get(range);
    if (pin === undefined) return this.#pager.view.unpin(pages as UserPin, range.mode === "write");
    this.#heldByPager.delete(range);
    this.#connection.tell({ note: "unpin", pin });
  }

  bytesOf(frame: number, count: number): Uint8Array {
    if (this.#window === null) return this.#pager.view.bytes(frame, count);
    const { pageSize } = this.#pager;
    return new Uint8Array(this.#window.buffer, this.#window.byteOffset + frame * pageSize, count * pageSize);
  }

  async window(operation: Operation): Promise<WindowBytes> {
    this.#window ??= await this.#connection.ask("window", { mapping: this.shared.number }, { operation });
    return this.#window;
  }

  mayHold({ buffer }: Uint8Array): boolean {
    return typeof SharedArrayBuffer === "function" && buffer instanceof SharedArrayBuffer;
  }

  async prefetch(to: "device" | "host", first: number, end: number, operation: Operation): Promise<void> {
    await this.#connection.ask("prefetch", { mapping: this.shared.number, to, first, end }, { operation });
  }

  snapshot(): Mapping {
    return this.#pager.snapshot(this.shared, this.#pages);
  }

  residency(perPage: number, length: number): Promise<ResidentRange[]> {
    return this.#connection.ask("residency", { mapping: this.shared.number, perPage, length });
  }

  async writtenRuns(operation: Operation): Promise<number[]> {
    return this.#connection.ask("writtenRuns", { mapping: this.shared.number }, { operation });
  }

  async clearWritten(operation: Operation): Promise<void> {
    await this.#connection.ask("clearWritten", { mapping: this.shared.number }, { operation });
  }

  markWritten(first: number, end: number): void {
    this.#connection.tell({ note: "mark written", mapping: this.shared.number, first, end });
  }

  /** Uses bytes where they are, if their pages let themselves be pinned for that. */
  #accessInPlace(at: number, length: number, write: boolean, use: UseBytes, done: number): boolean {
    const { pageSize, view } = this.#pager;
    const first = Math.floor(at / pageSize);
    const pages = this.#tryPin(first, Math.ceil((at + length) / pageSize), write, true);
    if (pages === null) return false;
    try {
      for (let i = 0; i < pages.count;) {
        const count = sideBySide(pages, i);
        const from = Math.max(at, (first + i) * pageSize);
        const to = Math.min(at + length, (first + i + count) * pageSize);
        const bytes = view.bytes(frameAt(pages, i), count);
        const offset = from - (first + i) * pageSize;
        use(bytes.subarray(offset, offset + to - from), done + from - at);
        i += count;
      }
    } finally {
      view.unpin(pages, write);
    }
    return true;
  }

  /** The pager copies, and makes the pages ready for the next time. */
  async #accessByMessage(
    at: number,
    length: number,
    write: boolean,
    use: UseBytes,
    done: number,
    operation: Operation,
  ): Promise<void> {
    const mapping = this.shared.number;
    if (!write) return use(await this.#connection.ask("read", { mapping, at, length }, { operation }), done);
    const bytes = new Uint8Array(length);
    use(bytes, done);
    await this.#connection.ask("write", { mapping, at, bytes }, { operation, transfer: [bytes.buffer] });
  }

  #tryPin(first: number, end: number, write: boolean, transient: boolean): UserPin | null {
    const { page } = this;
    if (page < 0 || this.#connection.ended !== null || this.#pager.isTransparent) return null;
    const { view } = this.#pager;
    const pages = view.tryPin(page + first, end - first, write, transient);
    // Unmapped meanwhile, they may be the pages of another array.
    if (pages === null || this.page === page) return pages;
    view.unpin(pages, false);
    return null;
  }
}
