/**
 * The lock bit of pages, and those who wait for it. A waiter never owns the lock when it wakes: it starts again from the
 * page table, since the page may have moved. Counterpart: `folio_lock`, `folio_unlock`, `migration_entry_wait`.
 */

import type { Environment } from "../environment.js";
import { InvariantError } from "../errors.js";
import * as frameTable from "./frames.js";
import type { Frames } from "./frames.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const PG_LOCKED = frameTable.PG_LOCKED;
const PG_WAITERS = frameTable.PG_WAITERS;

export class PageLocks {
  readonly #frames: Frames;
  readonly #environment: Environment;
  readonly #waiters = new Map<number, (() => void)[]>();

  constructor(frames: Frames, environment: Environment) {
    this.#frames = frames;
    this.#environment = environment;
  }

  unlock(frame: number): void {
    const words = this.#frames.words;
    const at = frame << FRAME_SHIFT;
    const flags = words[at];
    if ((flags & PG_LOCKED) === 0) throw new InvariantError(`page frame ${frame} is unlocked but was not locked`);
    words[at] = flags & ~(PG_LOCKED | PG_WAITERS);
    if ((flags & PG_WAITERS) !== 0) this.#wake(frame);
  }

  /** Resolves once the page's lock has been let go, at once when nobody holds it. Takes nothing. */
  wait(frame: number): Promise<void> {
    if ((this.#frames.flags(frame) & PG_LOCKED) === 0) return Promise.resolve();
    this.#frames.setFlags(frame, PG_WAITERS);
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(frame);
      if (waiters === undefined) this.#waiters.set(frame, [resolve]);
      else waiters.push(resolve);
    });
  }

  get waiting(): number {
    let waiting = 0;
    for (const waiters of this.#waiters.values()) waiting += waiters.length;
    return waiting;
  }

  #wake(frame: number): void {
    const waiters = this.#waiters.get(frame);
    this.#waiters.delete(frame);
    for (const waiter of waiters ?? []) this.#environment.schedule(waiter);
  }
}
