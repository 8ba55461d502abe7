/**
 * The views of a memory whose arrays are typed arrays to all threads: a window for each array that somebody has asked to see. In
 * the pager's thread.
 *
 * Invariant: an array's window is opened once it is mapped, and closed when its pages are unmapped.
 */

import { type LinuxAccess, openLinuxAccess } from "../../access/transparent/linux/index.js";
import type { ViewedPages } from "../../access/transparent/process-table.js";
import { MemoryError } from "../../mm/errors.js";
import { alone, type Engine } from "../local/engine.js";
import type { LocalMapping } from "../local/local-mapping.js";
import { loadOnDemand } from "../local/load-on-demand.js";
import type { Operation } from "../operation-queue.js";
import type { TransparentOptions, WindowBytes } from "../pager.js";

/** Faults look after themselves: they are not aborted. */
const FAULT: Operation = { checkpoint: () => {}, outside: (wait) => wait, signal: undefined };

/** A typed array has so many bytes at most. */
const MOST_BYTES = 2 ** 32;

export class ArrayViews {
  readonly #access: LinuxAccess;
  readonly #pageSize: number;
  readonly #views = new Map<LocalMapping, ViewedPages>();

  private constructor(access: LinuxAccess, pageSize: number) {
    this.#access = access;
    this.#pageSize = pageSize;
  }

  /** ENOTSUP, saying what is missing, where views cannot be had. */
  static async open(engine: Engine, koffi: string, options: TransparentOptions): Promise<ArrayViews> {
    const { driver } = engine.attached;
    if (driver.kind !== "private")
      throw new MemoryError("ENOTSUP", `cpuAccess: "transparent" needs a device with memory of its own: ${driver.name} is ${driver.kind}`);
    // Nothing is read from files once threads may wait for pages: the threads that would do it may be waiting.
    await loadOnDemand("transparent access");
    let views: ArrayViews | null = null;
    const describe = (view: ViewedPages, page: number, write: boolean): string =>
      `${write ? "a store to" : "a load from"} page ${page} of ${views?.nameOf(view) ?? "an array"} failed`;
    const access = await openLinuxAccess(
      koffi,
      engine.mm,
      { attached: () => engine.attached, alone: (work) => alone(engine, FAULT, work) },
      describe,
      options,
    );
    views = new ArrayViews(access, engine.machine.pageSize);
    return views;
  }

  get method(): string {
    return this.#access.method;
  }

  get privilege(): string {
    return this.#access.privilege;
  }

  get descriptor(): number {
    return this.#access.descriptor;
  }

  get served(): number {
    return this.#access.server.served;
  }

  get entered(): number {
    return this.#access.server.entered;
  }

  /** Where threads see the pages of a mapping, which is mapped. ENOMEM for want of addresses. */
  bytesOf(mapping: LocalMapping): WindowBytes {
    let view = this.#views.get(mapping);
    if (view === undefined) {
      const bytes = mapping.pages * this.#pageSize;
      if (bytes > MOST_BYTES)
        throw new MemoryError("ENOMEM", `a view of ${bytes} bytes exceeds the ${MOST_BYTES} that a typed array can have`);
      view = this.#access.table.open(mapping.page, mapping.pages);
      this.#views.set(mapping, view);
    }
    const { buffer, byteOffset, bytes } = view.window;
    return { buffer, byteOffset, byteLength: bytes };
  }

  /** The pages of a mapping are unmapped. */
  close(mapping: LocalMapping): void {
    const view = this.#views.get(mapping);
    if (view === undefined) return;
    this.#views.delete(mapping);
    this.#access.server.forget(view);
    this.#access.table.close(view);
  }

  destroy(): void {
    this.#views.clear();
    this.#access.close();
  }

  nameOf(view: ViewedPages): string {
    for (const [mapping, other] of this.#views)
      if (other === view) return mapping.readOnly ? "a snapshot, which cannot be written," : "an array";
    return "an array that is destroyed";
  }
}
