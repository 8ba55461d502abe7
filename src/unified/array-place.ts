/**
 * Where the pages of an array come from: memory of its own, with a home in host memory, or the pages of another array as
 * they are when a snapshot's turn comes.
 */

import type { HomeRange } from "../mm/home-range.js";
import { mmap } from "../mm/mapping.js";
import { snapshotRange } from "../mm/snapshot.js";
import type { MemoryCore } from "./memory-core.js";

export interface ArrayPlace {
  /** Reserved for the array, and given back by it. */
  readonly home: HomeRange | null;
  readonly readOnly: boolean;
  /** Maps the pages; the number of the first. Called once, when the array's turn comes. */
  map(): Promise<number>;
}

/** Pages that are 0 until they are written. ENOMEM when no home can be reserved. */
export function ownPages({ machine, mm }: MemoryCore, pages: number): ArrayPlace {
  const home = machine.host.reserveHome(pages);
  const { pageSize } = machine;
  return { home, readOnly: false, map: async () => (await mmap(mm, { length: pages * pageSize, home })) / pageSize };
}

/** The pages from `firstPage` on, asked for when the turn comes: copy-on-write, and never written here. */
export function snapshotPages({ machine, mm }: MemoryCore, firstPage: () => number, pages: number): ArrayPlace {
  const { pageSize } = machine;
  const map = async (): Promise<number> =>
    (await snapshotRange(mm, firstPage() * pageSize, pages * pageSize)) / pageSize;
  return { home: null, readOnly: true, map };
}
