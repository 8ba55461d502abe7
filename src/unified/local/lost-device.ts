/**
 * What follows when a memory's device is lost: its pages are taken off it, between two operations; pages that are written as
 * a whole are there again; and another device takes its place.
 */

import { touch } from "../../access/cpu.js";
import type { UseRun } from "../../access/host-access.js";
import { AttachedDevice } from "../../device/attached-device.js";
import type { DeviceDriver } from "../../device/driver.js";
import { outOfHostMemory } from "../../device/out-of-host-memory.js";
import { recoverPages } from "../../device/recover-pages.js";
import { replaceLostPage } from "../../mm/memory-failure.js";
import { assert, MemoryError } from "../../mm/errors.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { isPoisonMarker } from "../../mm/table/entry.js";
import type { Checkpoint, Operation } from "../operation-queue.js";
import { deviceEngine } from "./device-engine.js";
import type { DeviceModule } from "./device-module.js";
import { driverOf } from "./driver-of.js";
import type { Engine } from "./engine.js";
import type { LocalMapping } from "./local-mapping.js";

/** First and end, from a mapping's first page, of each run of its pages that are lost, in ascending order. */
export type LostRuns = ReadonlyMap<LocalMapping, readonly number[]>;

/** Takes all pages off the lost device. Nothing else of the engine runs meanwhile. */
export async function recover(engine: Engine): Promise<LostRuns> {
  const { attached, mm } = engine;
  // What a program has bound is no more: it finds that released.
  engine.bound?.letGoOf();
  const lost = new Set<number>();
  await recoverPages(attached, (space, page) => {
    if (space === mm) lost.add(page);
  });
  const runs = new Map<LocalMapping, readonly number[]>();
  if (lost.size > 0)
    for (const mapping of engine.mappings) if (mapping.page >= 0) runs.set(mapping, runsOf(mapping, lost));
  return runs;
}

function runsOf({ page: origin, pages }: LocalMapping, lost: ReadonlySet<number>): number[] {
  const runs: number[] = [];
  for (let page = 0; page < pages; page++) {
    if (!lost.has(origin + page)) continue;
    if (runs.at(-1) === page) runs[runs.length - 1] = page + 1;
    else runs.push(page, page + 1);
  }
  return runs;
}

/**
 * Stores to pages from `start` on, below `end`, that are lost, all of each; returns the page after the last. What `use` has
 * not written when `checkpoint` throws is lost still. ENOMEM when there is no memory for a page.
 */
export async function rewriteLost(
  mm: AddressSpace,
  start: number,
  end: number,
  use: UseRun,
  checkpoint: Checkpoint,
): Promise<number> {
  const { machine, mmapLock, pageTable } = mm;
  for (let page = start; page < end; page++) {
    for (let starved = false; isPoisonMarker(pageTable.read(page));) {
      checkpoint();
      await mmapLock.read();
      let written = false;
      try {
        const vma = mm.vmaAt(page);
        assert(vma !== undefined, `page ${page} is lost and not mapped`);
        written = replaceLostPage(vma, page) !== 0;
        // Until now nobody else could look, and what they see next is what is stored.
        if (written) use(machine.zones.bytes(touch(mm, page, true)), page, 1);
      } finally {
        mmapLock.readUnlock();
      }
      if (written) break;
      if (starved || !(await machine.paging.makeRoom(1))) throw outOfHostMemory(machine, page);
      starved = true;
    }
  }
  return end;
}

/**
 * Puts another device into the place of the lost one. EINVAL while that is there; what opening throws, or why it was given up,
 * leaves the memory without a device as it was.
 */
export async function replace(
  engine: Engine,
  device: DeviceDriver | DeviceModule,
  { outside }: Operation,
): Promise<void> {
  const { attached, machine } = engine;
  if (attached.lost === null)
    throw new MemoryError("EINVAL", `${attached.driver.name} is not lost: only a lost device is replaced`);
  const attaching = (async () => AttachedDevice.attach(machine, await driverOf(device), attached.counters))();
  try {
    engine.attached = await outside(attaching);
  } catch (error) {
    attaching.then(dispose).catch(() => {});
    throw error;
  }
  engine.residency = null;
  deviceEngine(engine);
}

/** It came too late. */
async function dispose({ device, machine, zone }: AttachedDevice): Promise<void> {
  machine.removeDeviceMemory(zone);
  await device.close();
}
