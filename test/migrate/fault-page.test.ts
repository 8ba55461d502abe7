// The page whose fault a migration serves: it carries one reference more, of the faulter, and its neighbours may come
// home with it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isDevicePrivateEntry } from "../../src/mm/table/entry.js";
import type { DeviceFault } from "../../src/mm/frames/zone.js";
import { MIGRATE_PFN_MIGRATE, MIGRATE_VMA_SELECT_DEVICE_PRIVATE } from "../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../src/migrate/finalize.js";
import { migrateVmaPages } from "../../src/migrate/pages.js";
import { migrateVmaSetup } from "../../src/migrate/setup.js";
import {
  createMachine,
  frameAt,
  load,
  mapPages,
  memoryError,
  migration,
  offerHostFrames,
  reading,
  store,
  word,
} from "../builders.js";
import { checkInvariants } from "../invariants.js";
import { TestDevice } from "../test-device.js";

async function createPages(pages: number) {
  const { machine } = createMachine();
  const device = new TestDevice(machine, "private", 8);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages);
  for (let i = 0; i < pages; i++) await store(mm, page + i, i + 1);
  await device.migrateToDevice(mm, page, pages);
  return { machine, device, mm, page };
}

describe("a fault on a device page", () => {
  test("may bring its neighbours home in the same migration", async () => {
    const { machine, device, mm, page } = await createPages(4);
    const faults: DeviceFault[] = [];
    assert.ok(device.zone.pageMap !== null);
    device.zone.pageMap.ops.migrateToRam = (fault) => {
      faults.push(fault);
      const args = migration(mm, page, 4, {
        flags: MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
        owner: device.owner,
        faultPage: fault.frame,
      });
      migrateVmaSetup(args);
      assert.equal(args.cpages, 4);
      checkInvariants(machine, { inFlight: [args], references: [[fault.frame, 1]], busy: true });
      offerHostFrames(args);
      device.copy(args);
      migrateVmaPages(args);
      assert.ok(args.src.every((each) => (each & MIGRATE_PFN_MIGRATE) !== 0));
      migrateVmaFinalize(args);
      return Promise.resolve();
    };
    const frame = frameAt(mm, page + 2);
    assert.equal(await load(mm, page + 2), 3);
    assert.deepEqual(
      faults.map((fault) => [fault.mm, fault.vma, fault.page, fault.frame]),
      [[mm, mm.vmas[0], page + 2, frame]],
    );
    for (let i = 0; i < 4; i++) {
      assert.equal(isDevicePrivateEntry(word(mm, page + i)), false);
      assert.equal(await load(mm, page + i), i + 1);
    }
    assert.equal(faults.length, 1);
    assert.equal(device.freeFrames, 8);
    checkInvariants(machine);
  });

  test("frees the device's frame when the faulter lets go of it, not before", async () => {
    const { machine, device, mm, page } = await createPages(1);
    const frame = frameAt(mm, page);
    machine.frames.get(frame);
    await reading(mm, () => {
      const args = migration(mm, page, 1, { flags: device.select, owner: device.owner, faultPage: frame });
      migrateVmaSetup(args);
      offerHostFrames(args);
      device.copy(args);
      migrateVmaPages(args);
      migrateVmaFinalize(args);
    });
    assert.deepEqual(device.freed, []);
    assert.equal(machine.frames.refcount(frame), 1);
    assert.equal(machine.frames.tryLock(frame), true);
    machine.pageLocks.unlock(frame);
    machine.put(frame);
    assert.deepEqual(device.freed, [frame]);
    assert.equal(await load(mm, page), 1);
    checkInvariants(machine);
  });

  test("of a migration that does not say which page it serves is refused: the faulter's reference is a stray one", async () => {
    const { machine, device, mm, page } = await createPages(1);
    const frame = frameAt(mm, page);
    machine.frames.get(frame);
    assert.deepEqual(await device.migrateToHost(mm, page), [false]);
    assert.equal(frameAt(mm, page), frame);
    checkInvariants(machine, { references: [[frame, 1]] });
  });

  test("is no fault page on coherent memory, which the CPU reaches", async () => {
    const { machine } = createMachine();
    const device = new TestDevice(machine, "coherent", 1);
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 1);
    await device.migrateToDevice(mm, page);
    await reading(mm, () => {
      const args = migration(mm, page, 1, {
        flags: device.select,
        owner: device.owner,
        faultPage: frameAt(mm, page),
      });
      assert.throws(() => migrateVmaSetup(args), memoryError("EINVAL", /fault page \d+ is not private to a device/));
    });
    assert.equal(await load(mm, page), 1);
    assert.equal(device.faults, 0);
    checkInvariants(machine);
  });
});
