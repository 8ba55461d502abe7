/**
 * An environment whose every decision a seed makes: which of the tasks that could run runs next (so copies complete and
 * waiters wake in any order), which allocations fail, which pages are kept from their home frames. A seed replays a run.
 *
 * Nothing runs by itself: whoever drives the simulation lets promises settle, then runs one task, and so on.
 */

import type { AllocationSite, Environment } from "../../src/mm/environment.js";
import { seededRandom } from "../environments.js";
import { type FailurePlan, NoFailures } from "./failure-plan.js";

/** Tasks that a run may need before it counts as a livelock. */
const MOST_TASKS = 100_000;

export interface Simulation {
  readonly seed: number;
  readonly failures?: FailurePlan;
  /** Share of the pages whose free home frame is refused to them. Default 0. */
  readonly awayFromHome?: number;
}

export class SimulatedEnvironment implements Environment {
  readonly failures: FailurePlan;
  /** Pages that could have had their home frame, and those of them that did not get it. */
  homesAsked = 0;
  homesRefused = 0;
  readonly #random: () => number;
  readonly #awayFromHome: number;
  readonly #tasks: (() => void)[] = [];
  /** What threads do: whatever they take in time, it is waited for where the seed says that it ends. */
  readonly #elsewhere = new Set<Promise<unknown>>();
  #time = 0;

  constructor({ seed, failures = new NoFailures(), awayFromHome = 0 }: Simulation) {
    this.#random = seededRandom(seed);
    this.failures = failures;
    this.#awayFromHome = awayFromHome;
  }

  now(): number {
    return this.#time;
  }

  schedule(task: () => void): void {
    this.#tasks.push(task);
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.schedule(() => {
        this.#time += milliseconds;
        resolve();
      });
    });
  }

  mayAllocate(site: AllocationSite): boolean {
    return !this.failures.fails(site);
  }

  mayUseHome(): boolean {
    this.homesAsked++;
    if (this.#random() >= this.#awayFromHome) return true;
    this.homesRefused++;
    return false;
  }

  /** The same as `work`, which a thread does: it ends when the seed says so, and until it really has, nothing else runs. */
  async elsewhere<T>(work: Promise<T>): Promise<T> {
    const ended = work.then(
      () => {},
      () => {},
    );
    await this.sleep(1);
    this.#elsewhere.add(ended);
    try {
      return await work;
    } finally {
      this.#elsewhere.delete(ended);
    }
  }

  /** Tasks that could run now. */
  get runnable(): number {
    return this.#tasks.length;
  }

  /** Runs one of the tasks that could run, and what follows from it at once; false when there is none. */
  async runOne(): Promise<boolean> {
    const last = this.#tasks.length - 1;
    if (last < 0) return false;
    const chosen = Math.floor(this.#random() * (last + 1));
    const task = this.#tasks[chosen];
    this.#tasks[chosen] = this.#tasks[last];
    this.#tasks.pop();
    task();
    await letPromisesSettle();
    while (this.#elsewhere.size > 0) {
      await Promise.all(this.#elsewhere);
      await letPromisesSettle();
    }
    return true;
  }

  /** Runs tasks until none is left, with `between` after each. */
  async runAll(between: () => void = () => {}): Promise<void> {
    for (let tasks = 0; await this.runOne(); tasks++) {
      between();
      if (tasks === MOST_TASKS) throw new Error(`livelock: not quiescent after ${MOST_TASKS} tasks`);
    }
  }
}

/** Resolves when everything that does not wait for a task has gone as far as it can. */
export function letPromisesSettle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
