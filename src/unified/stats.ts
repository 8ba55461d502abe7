/** A snapshot of budgets and of what has moved; plain data, the caller's own. */

import type { Swap } from "../mm/swap/swap.js";
import type { MigrationCounters } from "../trace/counters.js";
import type { MemoryCore } from "./memory-core.js";

/** What a memory uses and has done, at the moment of asking; bytes and pages as each says. */
export interface Stats {
  readonly pageSize: number;
  readonly device: {
    readonly name: string;
    readonly kind: "private" | "coherent";
    readonly budgetBytes: number;
    readonly usedBytes: number;
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
  /** Milliseconds. */
  readonly time: MigrationCounters["time"];
}

export function takeStats({ machine, attached, sources }: MemoryCore): Stats {
  const { pageSize, host, swap, counters } = machine;
  const { driver, device, usedFrames } = attached;
  const { toDevice, toHost, droppedClean, evictions, time } = structuredCopy(attached.counters);
  return {
    pageSize,
    device: {
      name: driver.name,
      kind: driver.kind,
      budgetBytes: device.frames * pageSize,
      usedBytes: usedFrames * pageSize,
    },
    host: {
      budgetBytes: host.charge.limit * pageSize,
      usedBytes: host.charge.usage * pageSize,
      retainedBytes: host.retained.list.length * pageSize,
      reclaimedPages: host.retained.reclaimed,
    },
    swap: swap === null ? null : swapStats(swap, pageSize),
    files: { readBytes: sources.readBytes },
    migrations: { toDevice, toHost },
    droppedClean,
    evictions,
    faults: { cpu: counters.faults, device: counters.deviceFaults, waited: counters.waits },
    copies: { onWrite: counters.copiedOnWrite, pinned: counters.copiedPinned },
    time,
  };
}

function swapStats({ store, used, written, filled }: Swap, pageSize: number): NonNullable<Stats["swap"]> {
  return {
    budgetBytes: store.slots * pageSize,
    usedBytes: used * pageSize,
    writtenBytes: written * pageSize,
    readBytes: filled * pageSize,
  };
}

/** Counters hold plain numbers only. */
function structuredCopy(counters: MigrationCounters): MigrationCounters {
  return JSON.parse(JSON.stringify(counters)) as MigrationCounters;
}
