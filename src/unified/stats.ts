/** A snapshot of budgets and of what has moved; plain data, the caller's own. */

import type { MigrationCounters } from "../trace/counters.js";

/** What a memory uses and has done, at the moment of asking; bytes and pages as each says. */
export interface Stats {
  readonly pageSize: number;
  readonly device: {
    readonly name: string;
    readonly kind: "private" | "coherent";
    readonly budgetBytes: number;
    readonly usedBytes: number;
    /** There is no device: this one is lost, and has no memory any more. */
    readonly lost: boolean;
  };
  /** `budgetBytes` is Infinity without a budget; `retainedBytes` are part of `usedBytes`. */
  readonly host: {
    readonly budgetBytes: number;
    readonly usedBytes: number;
    readonly retainedBytes: number;
    readonly reclaimedPages: number;
  };
  /** What is in swap now, and what went there and back; null without swap. `budgetBytes` is what the store takes at most. */
  readonly swap: {
    readonly budgetBytes: number;
    readonly usedBytes: number;
    readonly writtenBytes: number;
    readonly readBytes: number;
  } | null;
  /** Bytes read from what arrays are mapped from. */
  readonly files: { readonly readBytes: number };
  readonly migrations: Pick<MigrationCounters, "toDevice" | "toHost">;
  /** Pages that left the device without a copy, since nothing had written them there. */
  readonly droppedClean: MigrationCounters["droppedClean"];
  readonly evictions: number;
  /** Faults of the CPU; those that found their page on the device; those that had to wait for a migration. */
  readonly faults: { readonly cpu: number; readonly device: number; readonly waited: number };
  /** Pages copied because they were shared when one of their arrays was written, and because they were pinned for a snapshot. */
  readonly copies: { readonly onWrite: number; readonly pinned: number };
  /**
   * By port, what the thread behind it has done without the pager: pages that it pinned, references that it gave back because
   * the page had moved while it took them, pins that it left to the pager. Empty where the memory is not shared.
   */
  readonly threads: readonly {
    readonly label: string;
    readonly pins: number;
    readonly retries: number;
    readonly misses: number;
  }[];
  /**
   * Of a memory with transparent access: how the process's page table is written, and by which privilege; faults of threads that
   * touched a view, and pages that came with them. Else null.
   */
  readonly views: {
    readonly method: string;
    readonly privilege: string;
    readonly faults: number;
    readonly pages: number;
    readonly releasedBytes: number;
  } | null;
  /** Milliseconds. */
  readonly time: MigrationCounters["time"];
}
