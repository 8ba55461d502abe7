/**
 * A memory with views whose process is software, for tests: threads are whoever loads and stores at addresses of windows, and a
 * fault is told of when the environment has it so.
 */

import assert from "node:assert/strict";
import { FaultServer } from "../../../src/access/transparent/fault-server.js";
import { ABSENT, GUARDED, OWN, ProcessTable, type ViewedPages } from "../../../src/access/transparent/process-table.js";
import { SoftwarePages } from "../../../src/access/transparent/software-pages.js";
import { AttachedDevice } from "../../../src/device/attached-device.js";
import { type LinkOptions, mirrorDevice } from "../../../src/device/mirror/index.js";
import { Machine } from "../../../src/mm/machine.js";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import { swapOn } from "../../../src/mm/stores.js";
import type { SwapStore } from "../../../src/mm/swap/swap.js";
import {
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
} from "../../../src/mm/table/entry.js";
import { LocalPager } from "../../../src/unified/local/local-pager.js";
import { Sharing } from "../../../src/unified/local/sharing.js";
import type { PagedArray } from "../../../src/unified/paged-array.js";
import { ArrayViews } from "../../../src/unified/transparent/array-views.js";
import { UnifiedMemory } from "../../../src/unified/unified-memory.js";
import { PAGE } from "../../builders.js";
import { TestEnvironment } from "../../environments.js";

export interface ViewedSetup {
  devicePages?: number;
  hostPages?: number;
  swap?: SwapStore;
  link?: LinkOptions;
  kind?: "private" | "coherent";
  environment?: TestEnvironment;
}

export class ViewedMemory {
  readonly memory: UnifiedMemory;
  readonly machine: Machine;
  readonly mm: AddressSpace;
  readonly table: ProcessTable;
  readonly server: FaultServer;
  readonly pages: SoftwarePages;
  /** Why the process would have ended. */
  readonly ends: readonly string[];

  private constructor(
    memory: UnifiedMemory,
    machine: Machine,
    table: ProcessTable,
    server: FaultServer,
    pages: SoftwarePages,
    ends: readonly string[],
  ) {
    this.memory = memory;
    this.ends = ends;
    this.machine = machine;
    this.table = table;
    this.server = server;
    this.pages = pages;
    const [mm] = machine.addressSpaces;
    assert.ok(mm !== undefined);
    this.mm = mm;
  }

  static async open(setup: ViewedSetup = {}): Promise<ViewedMemory> {
    const {
      devicePages = 8,
      hostPages = Infinity,
      environment = new TestEnvironment(),
      kind = "private",
      swap,
      link = {},
    } = setup;
    const machine = new Machine({
      pageSize: PAGE,
      hostBudget: hostPages * PAGE,
      environment,
      shared: true,
      debug: true,
    });
    if (swap !== undefined) swapOn(machine, swap);
    const attached = await AttachedDevice.attach(machine, mirrorDevice({ budget: devicePages * PAGE, kind, link }));
    const pager = new LocalPager(machine, attached, (mm) => new Sharing(mm));
    const ends: string[] = [];
    // The process does not end here: who waits, waits for ever.
    const end = (reason: string): never => ends.push(reason) as never;
    const pages = new SoftwarePages(PAGE, (address, write) =>
      environment.schedule(() => server.answer(address, write)),
    );
    let table!: ProcessTable;
    let server!: FaultServer;
    await pager.openViews((engine) =>
      ArrayViews.open(
        engine,
        (mm, surroundings) => {
          table = new ProcessTable(mm, pages, (error) => end(String(error)));
          server = new FaultServer(table, surroundings);
          return { table, server, idle: null, privilege: "none", descriptor: null, close: async () => table.destroy() };
        },
        end,
      ),
    );
    return new ViewedMemory(new UnifiedMemory(pager, true), machine, table, server, pages, ends);
  }

  /** Where the elements of an array of bytes are, for threads of the process. */
  async addressOf(array: PagedArray<"u8">): Promise<number> {
    await array.view();
    const view = this.table.views.find(({ first }) => first === array.firstPage);
    assert.ok(view !== undefined);
    return view.window.address;
  }

  /** What the window of each page of an array is. */
  statesOf(array: PagedArray): number[] {
    return [...(this.#viewOf(array)?.states ?? [])];
  }

  #viewOf(array: PagedArray): ViewedPages | undefined {
    return this.table.views.find(({ first }) => first === array.firstPage);
  }

  /** Fails unless the process's table agrees with the engine's: the invariants of `ProcessTable`. */
  checkTable(): void {
    for (const { first, pages, states, frames, present } of this.table.views) {
      let there = 0;
      for (let index = 0; index < pages; index++) {
        if (states[index] === ABSENT) continue;
        there++;
        const word = this.mm.pageTable.read(first + index);
        const what = `page ${index} is ${states[index]} with entry ${word.toString(16)}`;
        assert.ok((word & PTE_PRESENT) !== 0, what);
        assert.equal(word >>> PTE_FRAME_SHIFT, frames[index], what);
        if (states[index] === OWN || states[index] === GUARDED) assert.ok((word & PTE_EXCLUSIVE) !== 0, what);
        const written = PTE_WRITE | PTE_DIRTY | PTE_SOFT_DIRTY;
        if (states[index] === OWN) assert.equal(word & written, written, what);
      }
      assert.equal(there, present);
    }
  }
}
