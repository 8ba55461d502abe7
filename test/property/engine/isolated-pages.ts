/**
 * Pages that somebody has taken off the LRU, with a reference to each: migrations, which tell which, and paging out,
 * which does not. Found by listening to the LRU.
 */

import type { Machine } from "../../../src/mm/machine.js";

/** The set is kept right from now on. */
export function watchIsolatedPages({ lru, host }: Machine): ReadonlySet<number> {
  const isolated = new Set<number>();
  const [isolate, putback, free, retain] = [
    lru.isolate.bind(lru),
    lru.putback.bind(lru),
    host.free.bind(host),
    host.retain.bind(host),
  ];
  lru.isolate = (frame) => {
    const taken = isolate(frame);
    if (taken) isolated.add(frame);
    return taken;
  };
  lru.putback = (frame) => {
    isolated.delete(frame);
    putback(frame);
  };
  host.free = (frame) => {
    isolated.delete(frame);
    free(frame);
  };
  host.retain = (frame, device) => {
    isolated.delete(frame);
    retain(frame, device);
  };
  return isolated;
}
