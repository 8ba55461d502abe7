/**
 * MMU notifiers: how a device's own page table is kept right. Before entries of a range change, every notifier whose
 * interval meets the range is told, synchronously; when its callback returns, the device no longer reaches the range.
 * A callback must not call back into the engine; that is asserted.
 *
 * Each interval counts the invalidations that it took part in, so that whoever looked at the page table can tell whether
 * what it saw still holds (`mmu_interval_read_begin`, `mmu_interval_read_retry`).
 *
 * Counterpart: `mm/mmu_notifier.c`.
 */

import { assert } from "../errors.js";

export type NotifyEvent = "unmap" | "clear" | "protection" | "soft-dirty" | "migrate" | "exclusive" | "release";

/** What changes: pages `[start, end)`. The object is reused: a callback copies what it wants to keep. */
export interface Invalidation {
  event: NotifyEvent;
  start: number;
  end: number;
  /** Of "migrate" and "exclusive": whose migration it is, so that a driver can leave its own entries alone. */
  owner: object | null;
}

export interface MmuInterval {
  /** First page and end of the interval that the notifier follows. */
  readonly start: number;
  readonly end: number;
  /** Returns false if it ignores the event (its own migration): then its sequence stays. */
  invalidate(invalidation: Readonly<Invalidation>): boolean;
}

interface Registered {
  readonly interval: MmuInterval;
  sequence: number;
}

/** Callbacks now running, over all machines of this thread: the engine's entry points assert that there are none. */
let depth = 0;

export function assertNotInCallback(): void {
  assert(depth === 0, "a notifier, page_free or trace callback called back into the memory engine");
}

/** Runs a callback of a driver under the assertion that it does not call back into the engine. */
export function enterCallback(): void {
  depth++;
}

export function leaveCallback(): void {
  depth--;
}

export class MmuNotifiers {
  readonly #registered: Registered[] = [];
  readonly #invalidation: Invalidation = { event: "clear", start: 0, end: 0, owner: null };

  register(interval: MmuInterval): void {
    this.#registered.push({ interval, sequence: 0 });
  }

  unregister(interval: MmuInterval): void {
    const index = this.#registered.findIndex((registered) => registered.interval === interval);
    if (index >= 0) this.#registered.splice(index, 1);
  }

  /** The interval's present sequence number: look at it before looking at the page table. */
  readBegin(interval: MmuInterval): number {
    return this.#find(interval).sequence;
  }

  /** Has the interval been invalidated since `sequence` was read? Then what was seen does not hold any more. */
  readRetry(interval: MmuInterval, sequence: number): boolean {
    return this.#find(interval).sequence !== sequence;
  }

  notify(event: NotifyEvent, start: number, end: number, owner: object | null): void {
    if (this.#registered.length === 0) return;
    const invalidation = this.#invalidation;
    invalidation.event = event;
    invalidation.start = start;
    invalidation.end = end;
    invalidation.owner = owner;
    enterCallback();
    try {
      for (const registered of this.#registered) {
        const { interval } = registered;
        if (interval.start < end && start < interval.end && interval.invalidate(invalidation)) registered.sequence++;
      }
    } finally {
      leaveCallback();
    }
  }

  get count(): number {
    return this.#registered.length;
  }

  #find(interval: MmuInterval): Registered {
    const found = this.#registered.find((registered) => registered.interval === interval);
    assert(found !== undefined, "the MMU interval is not registered with this address space");
    return found;
  }
}
