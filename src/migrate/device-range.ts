/**
 * Migration by physical range: how a driver empties its device, or a part of it. No address space is named; the reverse
 * map finds the mappings, of whatever process, and between the steps they may be unmapped, protected or exit.
 *
 * Counterpart: `migrate_device_range`, `migrate_device_coherent_page`.
 */

import { isMigrationEntry, mapsFrame, pteFrame } from "../mm/table/entry.js";
import { MemoryError } from "../mm/errors.js";
import { FRAME_SHIFT, INDEX, PG_LOCKED } from "../mm/frames/frames.js";
import { homeFrameOf } from "../mm/host/home-range.js";
import type { Machine } from "../mm/machine.js";
import { assertNotInCallback } from "../mm/space/notifier.js";
import { anonVmaOf } from "../mm/frames/rmap.js";
import { ZONE_COHERENT, ZONE_SYSTEM } from "../mm/frames/zone.js";
import { MIGRATE_PFN_MIGRATE, MIGRATE_PFN_SHIFT, MIGRATE_PFN_VALID, migratePfn } from "./entry.js";
import { migrateDeviceFinalize } from "./finalize.js";
import { migrateDevicePages } from "./pages.js";
import { unmapCollected } from "./unmap.js";

/**
 * Prepares the pages in frames `[first, first + npages)` of one device. `src[i]` is 0 afterwards where the frame is free,
 * locked, or in use by somebody who cannot be asked to let go. Returns how many may migrate.
 */
export function migrateDeviceRange(machine: Machine, src: Int32Array, first: number, npages: number): number {
  assertNotInCallback();
  if (npages > src.length)
    throw new MemoryError("EINVAL", `${npages} pages exceed the ${src.length} that the array holds`);
  checkDeviceRange(machine, first, npages);
  const { frames } = machine;
  for (let i = 0; i < npages; i++) {
    const frame = first + i;
    src[i] = 0;
    if (!frames.tryGet(frame, 1)) continue;
    if (frames.tryLock(frame)) src[i] = (frame << MIGRATE_PFN_SHIFT) | MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE;
    else machine.put(frame);
  }
  return unmapCollected(machine, src, npages, -1);
}

function checkDeviceRange({ frames, zones }: Machine, first: number, npages: number): void {
  const zone = Number.isInteger(first) && first >= 0 && first < frames.count ? zones.of(first) : undefined;
  const within = zone !== undefined && zone.kind !== ZONE_SYSTEM && first + npages <= zone.first + zone.frames;
  if (!within || !Number.isInteger(npages) || npages < 0) {
    throw new MemoryError("EINVAL", `frames ${first} to ${first + npages} are not within one device`);
  }
}

/** The host frame where a page would be at home, 0 when none is known: for the choice of a destination. */
export function homeOfPage(machine: Machine, frame: number): number {
  const root = anonVmaOf(machine, frame);
  if (root === undefined) return 0;
  const index = machine.frames.words[(frame << FRAME_SHIFT) + INDEX];
  for (const vma of root.vmas) {
    const page = vma.pageOfIndex(index);
    if (page < 0 || vma.home === null) continue;
    // A VMA of the same root that does not map this page may have a page of its own coming home there.
    const word = vma.mm.pageTable.read(page);
    if (mapsFrame(word, frame) || (isMigrationEntry(word) && pteFrame(word) === frame))
      return homeFrameOf(vma.home, page);
  }
  return 0;
}

/**
 * Moves one page of coherent device memory to host memory, for a pin that will last. Waits for the page's lock. The
 * caller holds one reference to the page, which is consumed; it pins the address again afterwards.
 *
 * Throws EINVAL, with the reference still the caller's, for any other frame; EBUSY when somebody else uses the page, ENOMEM when there is no host memory for it.
 */
export async function migrateDeviceCoherentPage(machine: Machine, frame: number): Promise<void> {
  const { frames, pageLocks, zones } = machine;
  if (frame >= frames.count || zones.of(frame).kind !== ZONE_COHERENT)
    throw new MemoryError("EINVAL", `page frame ${frame} is not coherent device memory`);
  while (!frames.tryLock(frame)) await pageLocks.wait(frame);
  const src = new Int32Array([(frame << MIGRATE_PFN_SHIFT) | MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE]);
  const dst = new Int32Array(1);
  const home = homeOfPage(machine, frame);
  unmapCollected(machine, src, 1, -1);
  if ((src[0] & MIGRATE_PFN_MIGRATE) === 0)
    throw new MemoryError("EBUSY", `page frame ${frame} of coherent memory is in use`);
  const destination = machine.host.allocate(home, false);
  if (destination > 0) {
    frames.setFlags(destination, PG_LOCKED);
    dst[0] = migratePfn(destination);
  }
  migrateDevicePages(machine, src, dst, 1);
  const moved = (src[0] & MIGRATE_PFN_MIGRATE) !== 0;
  if (moved) zones.copy(destination, frame);
  migrateDeviceFinalize(machine, src, dst, 1);
  if (destination === 0) throw new MemoryError("ENOMEM", `no host memory for page frame ${frame} of coherent memory`);
  if (!moved) throw new MemoryError("EBUSY", `page frame ${frame} of coherent memory is in use`);
}
