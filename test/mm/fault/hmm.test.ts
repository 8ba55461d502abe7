// What a device sees of an address space, and what it faults in when something is missing.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPageCache } from "../../../src/mm/stores.js";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import { isDevicePrivateEntry, PTE_EXCLUSIVE, PTE_WRITE } from "../../../src/mm/table/entry.js";
import {
  HMM_BUSY,
  HMM_DONE,
  HMM_ERROR,
  HMM_FAULT,
  HMM_FRAME_SHIFT,
  HMM_PERM,
  HMM_VALID,
  HMM_WRITE,
  type HmmRange,
  hmmRangeFault,
  hmmSnapshot,
} from "../../../src/mm/fault/hmm.js";
import { mprotect, munmap } from "../../../src/mm/space/mapping.js";
import { TABLE_WORDS } from "../../../src/mm/table/page-table.js";
import { PROT_NONE, PROT_READ, PROT_WRITE, VM_IO, VM_MIXEDMAP, VM_PFNMAP } from "../../../src/mm/space/vma.js";
import { MIGRATE_VMA_SELECT_SYSTEM } from "../../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../../src/migrate/finalize.js";
import { migrateVmaSetup } from "../../../src/migrate/setup.js";
import { createMachine, frameAt, load, mapPages, migration, PAGE, store, word } from "../../builders.js";
import { SeededEnvironment } from "../../environments.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

async function createPages(pages: number, options: Parameters<typeof mapPages>[2] = {}) {
  const { machine, environment } = createMachine();
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, options);
  const device = new TestDevice(machine, "private", 16);
  const listener = new Listener(mm, device.owner);
  const look = (from: number, count: number) => {
    const pfns = new Int32Array(count);
    hmmSnapshot(mm, from, from + count, device.owner, pfns);
    return [...pfns];
  };
  const fault = async (from: number, count: number, how: HmmRange["fault"]) => {
    const range = rangeOf(mm, listener, from, count, how, device.owner);
    const result = await hmmRangeFault(range);
    return { result, pfns: [...range.pfns] };
  };
  return { machine, environment, mm, page, device, listener, look, fault };
}

function rangeOf(
  mm: AddressSpace,
  listener: Listener,
  start: number,
  count: number,
  fault: HmmRange["fault"],
  owner: object,
): HmmRange {
  const sequence = mm.notifiers.readBegin(listener);
  return { mm, interval: listener, sequence, start, end: start + count, pfns: new Int32Array(count), fault, owner };
}

function readable(frame: number): number {
  return (frame << HMM_FRAME_SHIFT) | HMM_VALID;
}

function writable(frame: number): number {
  return readable(frame) | HMM_WRITE;
}

describe("looking at a range", () => {
  test("reports each page with its frame and its entry's permission, and nothing for holes", async () => {
    const { machine, mm, page, look } = await createPages(3);
    await store(mm, page, 1);
    await load(mm, page + 1);
    assert.deepEqual(look(page, 3), [writable(frameAt(mm, page)), readable(0), 0]);
    checkInvariants(machine);
  });

  test("reports what a mapping forbids, and what is not mapped, as errors", async () => {
    const { mm, page, look } = await createPages(2);
    await store(mm, page, 1);
    await mprotect(mm, page * PAGE, PAGE, PROT_NONE);
    assert.deepEqual(look(page - 1, 4), [HMM_ERROR, HMM_ERROR, 0, HMM_ERROR]);
  });

  test("reports memory that cannot be read as an error, also when it can be written", async () => {
    const { page, look } = await createPages(1, { protection: PROT_WRITE });
    assert.deepEqual(look(page, 1), [HMM_ERROR]);
  });

  test("reports a mapping without pages, of a device's registers, as an error", async () => {
    for (const flags of [VM_PFNMAP, VM_IO]) {
      const { page, look, fault } = await createPages(1, { flags });
      assert.deepEqual(look(page, 1), [HMM_ERROR]);
      assert.equal((await fault(page, 1, "read")).result, HMM_FAULT);
    }
  });

  test("reports the pages of a mixed mapping like any other", async () => {
    const { machine, mm, page: elsewhere, look, fault } = await createPages(1);
    const object = createPageCache(machine, 2);
    object.write(0, new Uint8Array(PAGE).fill(7));
    const options = { at: elsewhere + 8, file: object, shared: true, protection: PROT_READ };
    const page = await mapPages(mm, 2, { ...options, flags: VM_MIXEDMAP });
    assert.deepEqual(look(page, 2), [0, 0]);
    const { result, pfns } = await fault(page, 1, "read");
    assert.equal(result, HMM_DONE);
    assert.deepEqual(pfns, [readable(object.page(0))]);
    assert.deepEqual(look(page, 2), [readable(object.page(0)), 0]);
    assert.equal((await fault(page, 1, "write")).result, HMM_PERM);
    checkInvariants(machine);
  });

  test("reports the asking device's own private pages, with the permission that they have", async () => {
    const { mm, page, device, look } = await createPages(2);
    await store(mm, page, 1);
    await store(mm, page + 1, 1);
    mm.pageTable.exchange(page + 1, word(mm, page + 1) & ~PTE_WRITE);
    await device.migrateToDevice(mm, page, 2);
    assert.deepEqual(look(page, 2), [writable(frameAt(mm, page)), readable(frameAt(mm, page + 1))]);
  });

  test("reports nothing where a page is private to another device", async () => {
    const { machine, mm, page, look } = await createPages(1);
    const other = new TestDevice(machine, "private", 1);
    await store(mm, page, 1);
    await other.migrateToDevice(mm, page);
    assert.deepEqual(look(page, 1), [0]);
    assert.equal(isDevicePrivateEntry(word(mm, page)), true);
  });

  test("reports a page on a coherent device like one of the host", async () => {
    const { machine, mm, page, look } = await createPages(1);
    const other = new TestDevice(machine, "coherent", 1);
    await store(mm, page, 1);
    await other.migrateToDevice(mm, page);
    assert.deepEqual(look(page, 1), [writable(frameAt(mm, page))]);
  });

  test("reports nothing where a page migrates, and does not wait", async () => {
    const { mm, page, look } = await createPages(1);
    await store(mm, page, 1);
    await mm.mmapLock.read();
    const args = migration(mm, page, 1, { flags: MIGRATE_VMA_SELECT_SYSTEM });
    migrateVmaSetup(args);
    assert.deepEqual(look(page, 1), [0]);
    migrateVmaFinalize(args);
    mm.mmapLock.readUnlock();
  });

  test("through the asynchronous call gives the same answer and faults nothing", async () => {
    const { mm, page, look, fault } = await createPages(3);
    await store(mm, page, 1);
    const { result, pfns } = await fault(page - 1, 5, "none");
    assert.equal(result, HMM_DONE);
    assert.deepEqual(pfns, look(page - 1, 5));
    assert.equal(word(mm, page + 1), 0);
  });
});

describe("faulting a range in", () => {
  test("for reading maps the zero page into holes", async () => {
    const { machine, page, fault } = await createPages(2);
    const { result, pfns } = await fault(page, 2, "read");
    assert.equal(result, HMM_DONE);
    assert.deepEqual(pfns, [readable(0), readable(0)]);
    checkInvariants(machine);
  });

  test("for writing makes pages of holes", async () => {
    const { machine, mm, page, fault } = await createPages(2);
    const { result, pfns } = await fault(page, 2, "write");
    assert.equal(result, HMM_DONE);
    assert.deepEqual(pfns, [writable(frameAt(mm, page)), writable(frameAt(mm, page + 1))]);
    checkInvariants(machine);
  });

  test("faults nothing when all is there", async () => {
    const { machine, mm, page, fault } = await createPages(2);
    await store(mm, page, 1);
    await store(mm, page + 1, 2);
    const { faults } = machine.counters;
    const before = [word(mm, page), word(mm, page + 1)];
    const { result, pfns } = await fault(page, 2, "write");
    assert.equal(result, HMM_DONE);
    assert.deepEqual(pfns, [writable(frameAt(mm, page)), writable(frameAt(mm, page + 1))]);
    assert.equal(machine.counters.faults, faults);
    assert.deepEqual([word(mm, page), word(mm, page + 1)], before);
  });

  test("brings every page from the first missing one to the end of the part home, own private ones too", async () => {
    const { machine, mm, page, device, fault } = await createPages(5);
    for (const i of [0, 1, 3, 4]) await store(mm, page + i, i + 1);
    await device.migrateToDevice(mm, page, 2);
    await device.migrateToDevice(mm, page + 3, 2);
    const own = frameAt(mm, page);
    const { result, pfns } = await fault(page, 5, "read");
    assert.equal(result, HMM_DONE);
    assert.deepEqual(pfns.slice(0, 2), [writable(own), writable(frameAt(mm, page + 1))], "before the hole they stay");
    assert.equal(pfns[2], readable(0));
    for (const i of [3, 4]) {
      assert.equal(isDevicePrivateEntry(word(mm, page + i)), false, "after the hole they come home");
      assert.equal(pfns[i], writable(frameAt(mm, page + i)));
      assert.equal(await load(mm, page + i), i + 1);
    }
    checkInvariants(machine);
  });

  test("leaves own private pages of the next part alone: parts end with VMA and leaf table", async () => {
    const { mm, page, device, fault } = await createPages(TABLE_WORDS + 1);
    await store(mm, page + TABLE_WORDS, 7);
    await device.migrateToDevice(mm, page + TABLE_WORDS);
    const { result, pfns } = await fault(page + TABLE_WORDS - 2, 3, "read");
    assert.equal(result, HMM_DONE);
    assert.equal(isDevicePrivateEntry(word(mm, page + TABLE_WORDS)), true);
    assert.equal(pfns[2], writable(frameAt(mm, page + TABLE_WORDS)));

    const other = await mapPages(mm, 2);
    await mprotect(mm, (other + 1) * PAGE, PAGE, PROT_READ | 4);
    await mprotect(mm, (other + 1) * PAGE, PAGE, PROT_READ | PROT_WRITE | 4);
    await store(mm, other + 1, 8);
    await device.migrateToDevice(mm, other + 1);
    await fault(other, 2, "read");
    assert.equal(isDevicePrivateEntry(word(mm, other + 1)), true);
  });

  test("reports an own private page that is read-only as it is, also when a write was asked", async () => {
    const { mm, page, device, fault } = await createPages(1);
    await store(mm, page, 1);
    mm.pageTable.exchange(page, word(mm, page) & ~PTE_WRITE);
    await device.migrateToDevice(mm, page);
    const { result, pfns } = await fault(page, 1, "write");
    assert.equal(result, HMM_DONE);
    assert.deepEqual(pfns, [readable(frameAt(mm, page))]);
    assert.equal(device.faults, 0);
  });

  test("brings a page home that is private to another device, and must be asked again: that was a migration", async () => {
    const { machine, mm, page, fault } = await createPages(1);
    const other = new TestDevice(machine, "private", 1);
    await store(mm, page, 6);
    await other.migrateToDevice(mm, page);
    assert.equal((await fault(page, 1, "read")).result, HMM_BUSY);
    assert.equal((await fault(page, 1, "read")).result, HMM_DONE);
    assert.equal(other.faults, 1);
    assert.equal(await load(mm, page), 6);
    checkInvariants(machine);
  });

  test("for writing a mapping that is read-only is not permitted, unless nothing is missing before", async () => {
    const { machine, page, fault } = await createPages(2, { protection: PROT_READ });
    assert.equal((await fault(page, 2, "write")).result, HMM_PERM);
    assert.equal((await fault(page, 2, "read")).result, HMM_DONE);
    assert.equal((await fault(page, 2, "write")).result, HMM_PERM);
    checkInvariants(machine);
  });

  test("where nothing may be accessed, or nothing is mapped, fails", async () => {
    const { mm, page, fault } = await createPages(2);
    assert.equal((await fault(page - 1, 1, "read")).result, HMM_FAULT);
    assert.equal((await fault(page + 2, 1, "write")).result, HMM_FAULT);
    await mprotect(mm, page * PAGE, 2 * PAGE, PROT_NONE);
    assert.equal((await fault(page, 1, "read")).result, HMM_FAULT);
  });

  test("that fails has made the faults before the failure", async () => {
    const { machine, mm, page, fault } = await createPages(2);
    assert.equal((await fault(page, 3, "write")).result, HMM_FAULT);
    assert.notEqual(word(mm, page), 0);
    assert.notEqual(word(mm, page + 1), 0);
    checkInvariants(machine);
  });

  test("without memory fails, and leaves the hole", async () => {
    const { machine, environment, mm, page, fault } = await createPages(2);
    environment.refuse("frame", 1);
    assert.equal((await fault(page, 2, "write")).result, HMM_FAULT);
    assert.equal(word(mm, page + 1), 0);
    assert.equal(mm.mmapLock.free, true);
    checkInvariants(machine);
  });

  test("with the driver's error when another device does not give a page back", async () => {
    const { machine, mm, page, fault } = await createPages(1);
    const other = new TestDevice(machine, "private", 1);
    await store(mm, page, 6);
    await other.migrateToDevice(mm, page);
    other.pause = () => Promise.reject(new Error("the link is down"));
    await assert.rejects(fault(page, 1, "read"), /the link is down/);
    assert.equal(mm.mmapLock.free, true);
  });
});

describe("the notifier's sequence", () => {
  test("that has moved on before the look makes it begin again", async () => {
    const { mm, page, device, listener } = await createPages(1);
    const range = rangeOf(mm, listener, page, 1, "read", device.owner);
    mm.notifiers.notify("clear", page, page + 1, null);
    assert.equal(await hmmRangeFault(range), HMM_BUSY);
    range.sequence = mm.notifiers.readBegin(listener);
    assert.equal(await hmmRangeFault(range), HMM_DONE);
  });

  test("moves on when a fault copies a page, so that the device looks again and sees the copy", async () => {
    const { machine, mm, page, fault } = await createPages(1);
    await store(mm, page, 1);
    machine.frames.get(frameAt(mm, page));
    mm.pageTable.exchange(page, word(mm, page) & ~(PTE_WRITE | PTE_EXCLUSIVE));
    assert.equal((await fault(page, 1, "write")).result, HMM_BUSY);
    const { result, pfns } = await fault(page, 1, "write");
    assert.equal(result, HMM_DONE);
    assert.deepEqual(pfns, [writable(frameAt(mm, page))]);
  });

  test("tells of an unmap that came while the fault waited for a page that migrates", async () => {
    const environment = new SeededEnvironment(3);
    const { machine } = createMachine({ environment });
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 1);
    const owner = {};
    const listener = new Listener(mm, owner);
    await mm.mmapLock.read();
    const args = migration(mm, page, 1, { flags: MIGRATE_VMA_SELECT_SYSTEM, owner });
    migrateVmaSetup(args);
    const range = rangeOf(mm, listener, page, 1, "read", owner);
    const fault = hmmRangeFault(range);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(machine.pageLocks.waiting, 1);
    const gone = munmap(mm, page * PAGE, PAGE);
    migrateVmaFinalize(args);
    mm.mmapLock.readUnlock();
    await environment.settle(gone);
    assert.equal(await environment.settle(fault), HMM_BUSY);
    checkInvariants(machine);
  });

  test("stays when a page that migrated by the device's own doing is waited for", async () => {
    const environment = new SeededEnvironment(4);
    const { machine } = createMachine({ environment });
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 1);
    const owner = {};
    const listener = new Listener(mm, owner);
    await mm.mmapLock.read();
    const range = rangeOf(mm, listener, page, 1, "read", owner);
    const args = migration(mm, page, 1, { flags: MIGRATE_VMA_SELECT_SYSTEM, owner });
    migrateVmaSetup(args);
    const fault = hmmRangeFault(range);
    await new Promise((resolve) => setImmediate(resolve));
    migrateVmaFinalize(args);
    mm.mmapLock.readUnlock();
    assert.equal(await environment.settle(fault), HMM_DONE);
    assert.deepEqual([...range.pfns], [writable(frameAt(mm, page))]);
    checkInvariants(machine);
  });
});
