/**
 * The views of a memory whose arrays are typed arrays to all threads: a window for each array that somebody has asked to see. In
 * the pager's thread.
 *
 * Invariant: an array's window is opened once it is mapped, and closed before its pages are unmapped.
 */

import type { IdleMemory } from "../../access/transparent/idle-memory.js";
import type { FaultServer, FaultSurroundings } from "../../access/transparent/fault-server.js";
import type { ProcessTable, ViewedPages } from "../../access/transparent/process-table.js";
import { MemoryError } from "../../mm/errors.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { aloneAtOnce, type Engine, isAlone } from "../local/engine.js";
import type { LocalMapping } from "../local/local-mapping.js";
import type { Operation } from "../operation-queue.js";
import type { WindowBytes } from "../pager.js";
import type { Stats } from "../stats.js";

/** Faults look after themselves: they are not aborted. */
const FAULT: Operation = { checkpoint: () => {}, outside: (wait) => wait, signal: undefined };

/** A typed array has so many bytes at most. */
const MOST_BYTES = 2 ** 32;

/** How threads of the process reach pages, opened for an address space. */
export interface OpenedAccess {
  readonly table: ProcessTable;
  readonly server: FaultServer;
  /** null where memory is not given back. */
  readonly idle: IdleMemory | null;
  readonly privilege: string;
  /** Of the process, by which threads wait; null of one in software. */
  readonly descriptor: number | null;
  /** Nothing faults any more; what is there is taken back. */
  close(): Promise<void>;
}

/** Opens it. What `fail` is told of cannot be answered. */
export type OpenAccess = (mm: AddressSpace, surroundings: FaultSurroundings) => OpenedAccess | Promise<OpenedAccess>;

export class ArrayViews {
  readonly #access: OpenedAccess;
  readonly #pageSize: number;
  readonly #views = new Map<LocalMapping, ViewedPages>();

  private constructor(access: OpenedAccess, pageSize: number) {
    this.#access = access;
    this.#pageSize = pageSize;
  }

  /** ENOTSUP for a device whose memory the CPU reaches, and what `open` throws. `fail` ends the process. */
  static async open(engine: Engine, open: OpenAccess, fail: (reason: string) => never): Promise<ArrayViews> {
    const { driver } = engine.attached;
    if (driver.kind !== "private") {
      throw new MemoryError(
        "ENOTSUP",
        `cpuAccess: "transparent" needs a device with memory of its own: ${driver.name} is ${driver.kind}`,
      );
    }
    let views: ArrayViews | null = null;
    const access = await open(engine.mm, {
      mm: engine.mm,
      attached: () => engine.attached,
      alone: (work) => aloneAtOnce(engine, FAULT, work),
      isAlone: () => isAlone(engine),
      fail: (view, page, write, error) => fail(views?.describe(view, page, write, error) ?? String(error)),
    });
    views = new ArrayViews(access, engine.machine.pageSize);
    engine.views = views;
    return views;
  }

  get descriptor(): number | null {
    return this.#access.descriptor;
  }

  get stats(): NonNullable<Stats["views"]> {
    const { server, privilege, table, idle } = this.#access;
    const { method } = table.pages;
    return { method, privilege, faults: server.served, pages: server.entered, releasedBytes: idle?.released ?? 0 };
  }

  /** Where threads see the pages of a mapping, which is mapped. ENOMEM for want of addresses. */
  bytesOf(mapping: LocalMapping): WindowBytes {
    let view = this.#views.get(mapping);
    if (mapping.page < 0) throw new MemoryError("EINVAL", "the array is destroyed");
    if (view === undefined) {
      const bytes = mapping.pages * this.#pageSize;
      if (bytes > MOST_BYTES) {
        throw new MemoryError(
          "ENOMEM",
          `a view of ${bytes} bytes exceeds the ${MOST_BYTES} that a typed array can have`,
        );
      }
      view = this.#access.table.open(mapping.page, mapping.pages);
      this.#views.set(mapping, view);
    }
    const { buffer, byteOffset, bytes } = view.window;
    return { buffer, byteOffset, byteLength: bytes };
  }

  /** The pages of a mapping are about to be unmapped. */
  close(mapping: LocalMapping): void {
    const view = this.#views.get(mapping);
    if (view === undefined) return;
    this.#views.delete(mapping);
    this.#access.server.forget(view);
    this.#access.table.close(view);
  }

  async destroy(): Promise<void> {
    this.#views.clear();
    await this.#access.close();
  }

  /** What could not be done, and why. */
  describe(view: ViewedPages, page: number, write: boolean, error: unknown): string {
    const [mapping] = [...this.#views].find(([, other]) => other === view) ?? [];
    const from = page * this.#pageSize;
    const what = write ? "store to" : "load from";
    const where = `bytes ${from} to ${from + this.#pageSize} of the view of an array`;
    if (write && mapping?.readOnly === true) return `a ${what} ${where} that is a snapshot, which cannot be written`;
    return `a ${what} ${where} failed: ${error instanceof Error ? error.message : String(error)}`;
  }
}
