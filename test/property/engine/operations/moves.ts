/** Migrations: by address to a device and back, and by physical range, in one go or step by step. */

import type { AttachedDevice } from "../../../../src/device/attached-device.js";
import { migrateToDevice } from "../../../../src/device/migrate-to-device.js";
import { evictFrames, migrateToHost } from "../../../../src/device/migrate-to-host.js";
import { PG_LOCKED } from "../../../../src/mm/frames/frames.js";
import { homeOfPage, migrateDeviceRange } from "../../../../src/migrate/device-range.js";
import { MIGRATE_PFN_MIGRATE, MIGRATE_PFN_SHIFT, migratePfn } from "../../../../src/migrate/entry.js";
import { migrateDeviceFinalize } from "../../../../src/migrate/finalize.js";
import { migrateDevicePages } from "../../../../src/migrate/pages.js";
import type { Steps, World } from "../world.js";
import { access, type Target } from "./target.js";

const NOWHERE = { space: null, start: 0, end: 0 };

export function toDevice(world: World, device: AttachedDevice, target: Target): void {
  const { space, start, end } = target;
  access(world, "toDevice", `migrate to ${device.driver.kind} device`, target, 0, async () => {
    await migrateToDevice(device, space.mm, start, end, "prefetch");
  });
}

export function toHost(world: World, device: AttachedDevice, target: Target): void {
  const { space, start, end } = target;
  access(world, "toHost", `migrate to host from ${device.driver.kind} device`, target, 0, async () => {
    await migrateToHost(device, space.mm, start, end, "prefetch");
  });
}

export function evict(world: World, device: AttachedDevice, first: number, count: number): void {
  const what = `evict ${count} frames from ${first} of ${device.driver.kind} device`;
  world.begin("evict", what, NOWHERE, async () => {
    await evictFrames(device, first, count);
  });
}

/**
 * Empties a device step by step, with time between all steps, in which mappings may be changed, forked and left, since
 * nobody's mmap lock is held.
 */
export function emptyDevice(world: World, device: AttachedDevice): void {
  const { machine, environment } = world;
  const { zone, driver } = device;
  world.begin("emptyDevice", `empty ${driver.kind} device`, NOWHERE, async () => {
    const npages = zone.frames;
    const steps: Steps = { src: new Int32Array(npages), dst: new Int32Array(npages), npages };
    const { src, dst } = steps;
    migrateDeviceRange(machine, src, zone.first, npages);
    world.inFlight.add(steps);
    await environment.sleep(1);
    copyHome(world, steps);
    await environment.sleep(1);
    migrateDevicePages(machine, src, dst, npages);
    for (const word of src) if ((word & MIGRATE_PFN_MIGRATE) !== 0) world.emptiedPages++;
    await environment.sleep(1);
    migrateDeviceFinalize(machine, src, dst, npages);
    world.inFlight.delete(steps);
  });
}

function copyHome({ machine, contents }: World, { src, dst, npages }: Steps): void {
  for (let i = 0; i < npages; i++) {
    if ((src[i] & MIGRATE_PFN_MIGRATE) === 0) continue;
    const frame = src[i] >>> MIGRATE_PFN_SHIFT;
    // Setup tolerates one reference of somebody else, who could store after the copy and be gone before the pages step.
    if (machine.frames.refcount(frame) !== 1) continue;
    const destination = machine.host.allocate(homeOfPage(machine, frame), false);
    if (destination === 0) continue;
    machine.frames.setFlags(destination, PG_LOCKED);
    machine.zones.bytes(destination).set(contents.bytes(frame));
    dst[i] = migratePfn(destination);
  }
}
