/**
 * Pages that other threads have pinned by themselves, as far as dispatches are concerned: a pin that lasts refuses one, by
 * name; one that lasts no longer than a copy is waited for.
 */

import type { UserPorts } from "../../access/user-mode/index.js";
import type { Environment } from "../../mm/environment.js";
import { MemoryError } from "../../mm/errors.js";
import type { Checkpoint } from "../operation-queue.js";
import { eventLoopTurn } from "./turn.js";

/** Turns of the event loop until a page is given up that nobody seems to hold: a look at it is a reference, too. */
const MOST_TURNS = 100;

/** Calls `refuse` for the first pin that lasts of pages `[start, end)`; with `reads`, only for one that may be written. */
export function findThreadPin(
  ports: UserPorts,
  start: number,
  end: number,
  reads: boolean,
  refuse: (mode: "read" | "write", first: number, end: number, thread: string) => never,
): void {
  for (const port of ports) {
    for (const { page, pages, write, transient } of port.runs()) {
      if (transient || (reads && !write) || page >= end || page + pages <= start) continue;
      refuse(write ? "write" : "read", page, page + pages, port.name);
    }
  }
}

/**
 * Loads pages `[start, end)` in spite of copies of other threads: `load` is tried again when those under way are done, and
 * no new ones begin meanwhile. `refusePinned` throws when the pages are pinned for longer.
 */
export async function loadPastCopies<T>(
  ports: UserPorts,
  environment: Environment,
  start: number,
  end: number,
  checkpoint: Checkpoint,
  refusePinned: () => void,
  load: () => Promise<T>,
): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (!isBusy(error)) throw error;
  }
  const letGo = ports.holdOff();
  try {
    for (let turns = 0; ;) {
      refusePinned();
      if (ports.holder(start, end, true) === null) {
        try {
          return await load();
        } catch (error) {
          if (!isBusy(error) || ++turns === MOST_TURNS) throw error;
        }
      }
      await eventLoopTurn(environment);
      checkpoint();
    }
  } finally {
    letGo();
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof MemoryError && error.code === "EBUSY";
}
