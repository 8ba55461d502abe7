/**
 * Where the pages of an array are in host memory. What may be larger than the host budget has no home of its own: a home frame, once touched, is memory that the
 * process never gives back, so pages that come and go share as many frames as the budget has.
 */

import type { HomeRange } from "../../mm/host/home-range.js";
import type { Machine } from "../../mm/machine.js";

export function reserveHome({ host, swap }: Machine, pages: number, mapped: boolean): HomeRange {
  const { limit } = host.charge;
  const outgrows = swap !== null || (mapped && pages > limit);
  return outgrows && limit < Infinity ? host.preferShared(pages) : host.reserveHome(pages);
}
