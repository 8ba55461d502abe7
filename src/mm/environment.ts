/**
 * What the engine takes from outside, so that a seeded test can decide it: time, the order in which waiters wake and
 * copies complete, and which allocations fail. The same engine code runs in production and under simulation.
 */

/** Where an allocation is asked for; an environment may let it fail there. */
export type AllocationSite = "frame" | "table" | "anon-vma" | "charge" | "device-frame";

export interface Environment {
  /** Milliseconds from an arbitrary start. */
  now(): number;
  /** Runs `task` later, never within this call. Waiters that became ready are passed here one by one. */
  schedule(task: () => void): void;
  /** Resolves after `milliseconds`; what a link with a latency waits for. */
  sleep(milliseconds: number): Promise<void>;
  /** May the allocation go ahead? `false` makes it fail as if memory had run out. */
  mayAllocate(site: AllocationSite): boolean;
  /** May a page take its free home frame? `false` sends it to the pool, as if the home frame were busy. */
  mayUseHome(): boolean;
  /** Copies bytes of shared memory, as many: for a process that has a quicker way than `set`. */
  copy?(to: Uint8Array, from: Uint8Array): void;
  /**
   * Memory for frames of so many bytes each, shared and page-aligned, which is not there until it is touched: for a process that
   * knows how it is best backed. Throws where there is none.
   */
  allocateRegion?(bytes: number, pageSize: number): Uint8Array;
}

declare const performance: { now(): number };
declare function queueMicrotask(task: () => void): void;
declare function setTimeout(task: () => void, milliseconds: number): unknown;

/** Looked up once: the global is a getter in Node, and what it gives a dictionary. */
const now = performance.now.bind(performance);

export const realEnvironment: Environment = {
  now,
  schedule: (task) => queueMicrotask(task),
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
  mayAllocate: () => true,
  mayUseHome: () => true,
};
