/** Takes the figures of a memory from the engine's own counters. */

import type { Swap } from "../../mm/swap/swap.js";
import type { MigrationCounters } from "../../trace/counters.js";
import type { Stats } from "../stats.js";
import type { Engine } from "./engine.js";

export function takeStats({ machine, attached, sources, sharing, views }: Engine): Stats {
  const { pageSize, host, swap, counters } = machine;
  const { driver, device, usedFrames } = attached;
  const lost = attached.lost !== null;
  const { toDevice, toHost, droppedClean, evictions, time } = structuredCopy(attached.counters);
  return {
    pageSize,
    device: {
      name: driver.name,
      kind: driver.kind,
      budgetBytes: lost ? 0 : device.frames * pageSize,
      usedBytes: lost ? 0 : usedFrames * pageSize,
      lost,
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
    threads: Array.from(sharing?.ports ?? [], ({ name, counters: counted }) => ({ label: name, ...counted })),
    views: views && views.stats,
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
