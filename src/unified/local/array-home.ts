/**
 * Where the pages of an array are in host memory, and how they get there ahead of their use when they are in swap or in a
 * file. What may be larger than the host budget has no home of its own: a home frame, once touched, is memory that the
 * process never gives back, so pages that come and go share as many frames as the budget has.
 */

import type { AddressSpace } from "../../mm/space/address-space.js";
import type { HomeRange } from "../../mm/host/home-range.js";
import type { Machine } from "../../mm/machine.js";
import type { Checkpoint } from "../operation-queue.js";

export function reserveHome({ host, swap }: Machine, pages: number, mapped: boolean): HomeRange {
  const { limit } = host.charge;
  const outgrows = swap !== null || (mapped && pages > limit);
  return outgrows && limit < Infinity ? host.preferShared(pages) : host.reserveHome(pages);
}

/** Reads pages of a range into host memory, from the first on, as many as fit into the budget at once. */
export async function prefetchFromStores(
  mm: AddressSpace,
  start: number,
  end: number,
  checkpoint: Checkpoint,
): Promise<void> {
  const { paging, host } = mm.machine;
  if (!paging.isPossible) return;
  const until = Math.min(end, start + host.charge.limit);
  for (let page = start; page < until;) {
    checkpoint();
    const next = Math.min(until, page + paging.pagesAtOnce(until - page));
    await paging.readIn(mm, page, next);
    page = next;
  }
}
