/**
 * Where the pages of an array come from: memory of its own, with a home in host memory, or the pages of another array as
 * they are when a snapshot's turn comes.
 */

import { MemoryError } from "../../mm/errors.js";
import type { HomeRange } from "../../mm/host/home-range.js";
import type { Machine } from "../../mm/machine.js";
import { MAX_FRAMES } from "../../mm/table/entry.js";
import { mmap } from "../../mm/space/mapping.js";
import { snapshotRange } from "../../mm/copy/snapshot.js";
import { reserveHome } from "./array-home.js";
import type { Engine } from "./engine.js";
import { loadOnDemand } from "./load-on-demand.js";

export interface ArrayPlace {
  /** Reserved for the array, and given back by it. */
  readonly home: HomeRange | null;
  readonly readOnly: boolean;
  /** Maps the pages; the number of the first. Called once, when the array's turn comes. */
  map(): Promise<number>;
  /** The pages are mapped no more, or never will be. */
  leave?(): void;
}

/** ENOMEM when the machine's page tables could not name so many pages more. */
export function checkRoom({ frames }: Machine, pages: number): void {
  const left = MAX_FRAMES - frames.count;
  if (pages > left) throw new MemoryError("ENOMEM", `an array of ${pages} pages exceeds the ${left} that are left`);
}

/** Pages that are 0 until they are written. ENOMEM when no home can be reserved. */
export function ownPages({ machine, mm }: Engine, pages: number): ArrayPlace {
  const home = reserveHome(machine, pages, false);
  const { pageSize } = machine;
  return { home, readOnly: false, map: async () => (await mmap(mm, { length: pages * pageSize, home })) / pageSize };
}

/** The pages from `firstPage` on, asked for when the turn comes: copy-on-write, and never written here. */
export function snapshotPages(engine: Engine, firstPage: () => number, pages: number): ArrayPlace {
  const { machine, mm } = engine;
  const { pageSize } = machine;
  const { host } = machine;
  const take = async (): Promise<number> => {
    const first = firstPage();
    const page = (await snapshotRange(mm, first * pageSize, pages * pageSize)) / pageSize;
    const held = engine.bound?.within(first, first + pages) ?? [];
    if (held.length === 0) return page;
    const { leaveBoundPages } = await loadOnDemand("GPU buffers");
    return leaveBoundPages(engine, held, page, pages);
  };
  const map = async (): Promise<number> => {
    try {
      return await take();
    } catch (error) {
      // Pages that are pinned are copied at once, for which there may be room after all.
      const isFull = error instanceof MemoryError && error.code === "ENOMEM" && machine.paging.isPossible;
      if (!isFull || host.available >= pages) throw error;
      await machine.paging.makeRoom(Math.min(pages, host.charge.limit));
      return take();
    }
  };
  return { home: null, readOnly: true, map };
}
