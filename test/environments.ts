/**
 * Environments for tests: which allocations fail, whether pages find their homes, and, with a seed, in which order
 * waiters wake and copies complete. A seed replays a run.
 */

import type { AllocationSite, Environment } from "../src/mm/environment.js";

/** Waits as little as possible; fails what it is told to fail. */
export class TestEnvironment implements Environment {
  /** Set to false, every page goes to the pool, as if its home frame were busy. */
  homes = true;
  /** Allocations asked for so far, by site. */
  readonly asked: Record<AllocationSite, number> = { frame: 0, table: 0, "anon-vma": 0, charge: 0, "device-frame": 0 };
  readonly #refused = new Set<string>();
  readonly #exhausted = new Set<AllocationSite>();

  /** Makes one allocation at the site fail: the next one, or the one after `later` others. */
  refuse(site: AllocationSite, later = 0): void {
    this.#refused.add(`${site} ${this.asked[site] + later}`);
  }

  /** Makes all further allocations at the site fail. */
  exhaust(site: AllocationSite): void {
    this.#exhausted.add(site);
  }

  /** Lets all allocations go ahead again. */
  recover(): void {
    this.#exhausted.clear();
    this.#refused.clear();
  }

  mayAllocate(site: AllocationSite): boolean {
    return !this.#refused.has(`${site} ${this.asked[site]++}`) && !this.#exhausted.has(site);
  }

  mayUseHome(): boolean {
    return this.homes;
  }

  now(): number {
    return 0;
  }

  schedule(task: () => void): void {
    queueMicrotask(task);
  }

  sleep(_milliseconds: number): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs whatever is scheduled one by one, in an order that the seed decides. */
export class SeededEnvironment extends TestEnvironment {
  readonly random: () => number;
  #time = 0;
  readonly #tasks: (() => void)[] = [];

  constructor(seed: number) {
    super();
    this.random = seededRandom(seed);
  }

  override now(): number {
    return this.#time;
  }

  override schedule(task: () => void): void {
    this.#tasks.push(task);
  }

  override sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.schedule(() => {
        this.#time += milliseconds;
        resolve();
      });
    });
  }

  /**
   * Runs scheduled tasks until the promise has settled, with `between` after each. Fails when nothing is left to run
   * (a deadlock) or when `steps` tasks were not enough (a livelock).
   */
  async settle<T>(promise: Promise<T>, between: () => void = () => {}, steps = 10_000): Promise<T> {
    let settled = false;
    void promise
      .finally(() => {
        settled = true;
      })
      .catch(() => {});
    for (let step = 0; ; step++) {
      await new Promise((resolve) => setImmediate(resolve));
      between();
      if (settled) return promise;
      if (this.#tasks.length === 0) throw new Error("deadlock: everybody waits and nothing is scheduled");
      if (step === steps) throw new Error(`livelock: not done after ${steps} tasks`);
      const [task] = this.#tasks.splice(Math.floor(this.random() * this.#tasks.length), 1);
      task?.();
    }
  }
}
