/**
 * One batch of a migration by the recording driver, from setup to finalize: to the device, back to the system, and the
 * eviction of a whole device. Copies are made at once, so nothing comes between the steps.
 */

import {
  migrateDeviceFinalize,
  migrateDevicePages,
  migrateDeviceRange,
  migratePfn,
  migratePfnToFrame,
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_VALID,
  MIGRATE_PFN_WRITE,
  MIGRATE_VMA_SELECT_SYSTEM,
  type MigrateVma,
  migrateVmaFinalize,
  migrateVmaPages,
  migrateVmaSetup,
} from "../../migrate/index.js";
import { assert } from "../../mm/errors.js";
import { type Machine, type Vma, vmaFlags } from "../../mm/index.js";
import type { MirrorTable } from "./mirror-table.js";
import type { RecordedDevice } from "./recorded-device.js";

/** Moves system pages `[first, end)` of the VMA to the device and enters them in its table for the process. */
export function sendBatch(
  device: RecordedDevice,
  batch: MigrateVma,
  table: MirrorTable,
  vma: Vma,
  first: number,
  end: number,
): void {
  const { src, dst } = batch;
  setUp(device, batch, MIGRATE_VMA_SELECT_SYSTEM, vma, first, end);
  for (let i = 0; i < batch.npages; i++) {
    if ((src[i] & MIGRATE_PFN_MIGRATE) === 0) continue;
    const source = migratePfnToFrame(src[i]);
    const frame = device.allocate(table);
    if (source >= 0) device.bytes(frame).set(device.bytes(source));
    else device.bytes(frame).fill(0);
    const writable = source >= 0 ? (src[i] & MIGRATE_PFN_WRITE) !== 0 : (vma.flags & vmaFlags.VM_WRITE) !== 0;
    dst[i] = migratePfn(frame) | (writable ? MIGRATE_PFN_WRITE : 0);
  }
  migrateVmaPages(batch);
  for (let i = 0; i < batch.npages; i++) {
    const frame = migratePfnToFrame(dst[i]);
    if ((src[i] & MIGRATE_PFN_MIGRATE) === 0 || frame < 0) continue;
    table.enter(first + i, frame, (dst[i] & MIGRATE_PFN_WRITE) !== 0);
  }
  migrateVmaFinalize(batch);
}

/** Moves pages `[first, end)` of the VMA from the device to the system; how many moved. */
export function bringBack(
  device: RecordedDevice,
  batch: MigrateVma,
  table: MirrorTable,
  vma: Vma,
  first: number,
  end: number,
): number {
  const { src, dst } = batch;
  setUp(device, batch, device.selection, vma, first, end);
  for (let i = 0; i < batch.npages; i++) {
    if ((src[i] & (MIGRATE_PFN_MIGRATE | MIGRATE_PFN_VALID)) !== (MIGRATE_PFN_MIGRATE | MIGRATE_PFN_VALID)) continue;
    table.remove(first + i);
    dst[i] = copyToSystem(device, src[i]);
  }
  migrateVmaPages(batch);
  let moved = 0;
  for (let i = 0; i < batch.npages; i++) {
    if ((src[i] & MIGRATE_PFN_VALID) !== 0 && (src[i] & MIGRATE_PFN_MIGRATE) !== 0) moved++;
  }
  migrateVmaFinalize(batch);
  return moved;
}

/** Empties the device's memory, whoever's pages are there. */
export function evict(device: RecordedDevice): void {
  const { machine } = device;
  for (const { zone } of device.chunks) {
    const src = new Int32Array(zone.frames);
    const dst = new Int32Array(zone.frames);
    migrateDeviceRange(machine, src, zone.first, zone.frames);
    for (let i = 0; i < zone.frames; i++) {
      if ((src[i] & MIGRATE_PFN_MIGRATE) !== 0) dst[i] = copyToSystem(device, src[i]);
    }
    migrateDevicePages(machine, src, dst, zone.frames);
    migrateDeviceFinalize(machine, src, dst, zone.frames);
  }
}

function setUp(device: RecordedDevice, batch: MigrateVma, flags: number, vma: Vma, first: number, end: number): void {
  const { pageSize } = device.machine;
  batch.vma = vma;
  batch.start = first * pageSize;
  batch.end = end * pageSize;
  batch.flags = flags;
  batch.owner = device;
  migrateVmaSetup(batch);
}

/** A locked page of host memory with the bytes of the page that `source` names, as a word of `dst`. */
function copyToSystem(device: RecordedDevice, source: number): number {
  const frame = allocateHostFrame(device.machine);
  device.machine.zones.bytes(frame).set(device.bytes(migratePfnToFrame(source)));
  return migratePfn(frame) | (source & MIGRATE_PFN_WRITE);
}

function allocateHostFrame(machine: Machine): number {
  const frame = machine.host.allocate(0, false);
  assert(frame > 0, "host memory ran out, which it never did for the recorder");
  assert(machine.frames.tryLock(frame), `page frame ${frame} is handed out while it is locked`);
  return frame;
}
