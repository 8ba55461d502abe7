import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { snapshotRange } from "../../../src/mm/copy/snapshot.js";
import { DMA_PIN, tryPinPage } from "../../../src/mm/fault/gup.js";
import { PG_DIRTY } from "../../../src/mm/frames/frames.js";
import { mprotect, munmap } from "../../../src/mm/space/mapping.js";
import { clearSoftDirtyRange, forEachSoftDirtyRun } from "../../../src/mm/space/soft-dirty.js";
import { VM_READ } from "../../../src/mm/space/vma.js";
import { PTE_DIRTY, PTE_SOFT_DIRTY, PTE_YOUNG } from "../../../src/mm/table/entry.js";
import { UserPorts } from "../../../src/access/user-mode/user-ports.js";
import { byteOf, createMachine, frameAt, load, mapPages, memoryError, PAGE, store, word } from "../../builders.js";
import { TestDevice } from "../../test-device.js";
import { checkShared, sharedSpace, userThread } from "./threads.js";

describe("a thread in user mode", () => {
  test("pins pages at home as one stretch, sees their bytes, and stores through them", async () => {
    const space = await sharedSpace(600);
    const { mm, ports, page } = space;
    const { user } = userThread(ports);
    const pin = user.tryPin(page, 600, true);
    assert.ok(pin !== null);
    assert.equal(pin.first, frameAt(mm, page));
    assert.equal(pin.frames, null);
    const bytes = user.bytes(pin.first, 600);
    for (let i = 0; i < 600; i++) assert.equal(bytes[i * PAGE], (i + 1) & 255);
    bytes.fill(7);
    checkShared(space);
    user.unpin(pin, true);
    checkShared(space);
    assert.equal(await load(mm, page + 599), 7);
    assert.deepEqual(user.counters, { pins: 600, retries: 0, misses: 0 });
  });

  test("pins pages that are not side by side as frames one by one", async () => {
    const space = await sharedSpace(4);
    const { machine, environment, mm, ports } = space;
    environment.homes = false;
    const scattered = await mapPages(mm, 3);
    for (const i of [2, 0, 1]) await store(mm, scattered + i, 50 + i);
    const { user } = userThread(ports);
    const pin = user.tryPin(scattered, 3, false);
    assert.ok(pin !== null);
    const frames = [0, 1, 2].map((i) => frameAt(mm, scattered + i));
    assert.deepEqual([...(pin.frames ?? [])], frames);
    assert.equal(pin.first, -1);
    assert.equal(byteOf(user.bytes(frames[2], 1)), 52);
    checkShared(space);
    user.unpin(pin, false);
    checkShared(space);
    machine.lru.drain();
    assert.equal(machine.frames.refcount(frames[0]), 1);
  });

  test("a pin marks the pages young, one for writing also dirty, and again when it is released", async () => {
    const space = await sharedSpace(2);
    const { mm, ports, page } = space;
    const { user } = userThread(ports);
    await clearSoftDirtyRange(mm, page, page + 2);
    const read = user.tryPin(page, 2, false);
    assert.ok(read !== null);
    assert.equal(word(mm, page) & (PTE_YOUNG | PTE_DIRTY | PTE_SOFT_DIRTY), PTE_YOUNG);
    user.unpin(read, false);
    assert.equal(user.tryPin(page, 1, true), null, "the entry is not writable until a fault has marked the page");
    await store(mm, page, 9);
    const write = user.tryPin(page, 1, true);
    assert.ok(write !== null);
    assert.equal(word(mm, page) & (PTE_DIRTY | PTE_SOFT_DIRTY), PTE_DIRTY | PTE_SOFT_DIRTY);
    await clearSoftDirtyRange(mm, page, page + 1);
    user.unpin(write, true);
    assert.equal(word(mm, page) & PTE_SOFT_DIRTY, PTE_SOFT_DIRTY);
    checkShared(space);
  });

  test("leaves to the pager what is not there, not its own, not writable, or on a device", async () => {
    const space = await sharedSpace(8);
    const { machine, mm, ports, page } = space;
    const { user } = userThread(ports);
    const hole = await mapPages(mm, 1);
    assert.equal(user.tryPin(hole, 1, false), null, "nothing is there");
    await load(mm, hole);
    assert.equal(user.tryPin(hole, 1, false), null, "the zero page");
    await mprotect(mm, page * PAGE, PAGE, VM_READ);
    assert.equal(user.tryPin(page, 1, true), null, "may not be written");
    assert.ok(user.tryPin(page, 1, false) !== null);
    await snapshotRange(mm, (page + 1) * PAGE, PAGE);
    assert.equal(user.tryPin(page + 1, 1, false), null, "shared with a snapshot");
    const child = await forkAddressSpace(mm);
    assert.equal(user.tryPin(page + 2, 1, false), null, "shared with a child");
    assert.ok(child.pageTable.read(page + 2) !== 0);
    for (const kind of ["private", "coherent"] as const) {
      const device = new TestDevice(machine, kind, 4);
      await store(mm, page + 4, 44);
      await device.migrateToDevice(mm, page + 4, 1);
      assert.ok(device.zone.first <= frameAt(mm, page + 4));
      assert.equal(user.tryPin(page + 4, 1, false), null, `on a ${kind} device`);
      assert.equal(await load(mm, page + 4), 44);
    }
    checkShared(space);
  });

  test("a page that it has pinned does not migrate, and does when the pin is gone", async () => {
    const space = await sharedSpace(3);
    const { machine, mm, ports, page } = space;
    const { user } = userThread(ports);
    const device = new TestDevice(machine, "private", 8);
    const pin = user.tryPin(page + 1, 1, true);
    assert.ok(pin !== null);
    await device.migrateToDevice(mm, page, 3);
    assert.deepEqual(
      [0, 1, 2].map((i) => frameAt(mm, page + i) >= device.zone.first),
      [true, false, true],
    );
    checkShared(space);
    user.unpin(pin, true);
    await device.migrateToDevice(mm, page, 3);
    assert.ok(frameAt(mm, page + 1) >= device.zone.first);
    assert.equal(user.tryPin(page + 1, 1, false), null);
    checkShared(space);
  });

  test("never frees: the last reference to a page goes through the ring, and by message when that is full", async () => {
    const pages = 1300;
    const space = await sharedSpace(pages);
    const { machine, mm, ports, page } = space;
    const { port, user, told } = userThread(ports);
    const frames = Array.from({ length: pages }, (_, i) => frameAt(mm, page + i));
    const pin = user.tryPin(page, pages, false);
    assert.ok(pin !== null);
    await munmap(mm, page * PAGE, pages * PAGE);
    machine.lru.drain();
    user.unpin(pin, false);
    assert.ok(
      frames.every((frame) => machine.frames.refcount(frame) === DMA_PIN),
      "nothing is free before the pager says so",
    );
    assert.equal(told.times, 2, "once for the ring, once for what it had no room for");
    const owed = user.takeOwed();
    assert.equal(owed.length, pages - 1024);
    checkShared(space, { references: owed.map((each) => [each >>> 1, DMA_PIN] as const) });
    port.collectOwed(owed);
    port.collect();
    assert.ok(frames.every((frame) => machine.frames.refcount(frame) === 0));
    assert.deepEqual(user.takeOwed(), []);
    checkShared(space);
  });

  test("what was written through a pin whose page is mapped no more is dirty", async () => {
    const space = await sharedSpace(1);
    const { machine, mm, ports, page } = space;
    const { port, user } = userThread(ports);
    const pin = user.tryPin(page, 1, true);
    assert.ok(pin !== null);
    const frame = frameAt(mm, page);
    const keeps = tryPinPage(mm, page, false, DMA_PIN);
    await munmap(mm, page * PAGE, PAGE);
    machine.lru.drain();
    machine.frames.clearFlags(frame, PG_DIRTY);
    user.unpin(pin, true);
    port.collect();
    assert.equal(machine.frames.flags(frame) & PG_DIRTY, PG_DIRTY);
    machine.put(keeps, DMA_PIN);
    checkShared(space);
  });

  test("a release that finds the entry taken out leaves the mark to the pager, which sets it before it says what was written", async () => {
    const space = await sharedSpace(2);
    const { mm, ports, page } = space;
    const { user } = userThread(ports);
    const pin = user.tryPin(page + 1, 1, true);
    assert.ok(pin !== null);
    const taken = mm.pageTable.exchange(page + 1, 0);
    user.unpin(pin, true);
    mm.pageTable.exchange(page + 1, taken & ~(PTE_DIRTY | PTE_SOFT_DIRTY));
    await clearSoftDirtyRange(mm, page, page + 1);
    const runs: number[][] = [];
    forEachSoftDirtyRun(mm, page, page + 2, (first, end) => runs.push([first, end]));
    assert.deepEqual(runs, [[page + 1, page + 2]]);
    checkShared(space);
  });

  test("a budget that is used up is freed by what the ring holds", async () => {
    const space = await sharedSpace(2, { hostPages: 2 });
    const { machine, mm, ports, page } = space;
    const { user } = userThread(ports);
    const pin = user.tryPin(page, 1, false);
    assert.ok(pin !== null);
    await munmap(mm, page * PAGE, PAGE);
    machine.lru.drain();
    user.unpin(pin, false);
    const other = await mapPages(mm, 1);
    await store(mm, other, 5);
    checkShared(space);
  });

  test("learns of page tables and host memory that were added since, and until then leaves them to the pager", async () => {
    const space = await sharedSpace(1);
    const { mm, ports } = space;
    const { port, user } = userThread(ports);
    assert.equal(port.growth(), null);
    const large = await mapPages(mm, 20_000, { home: true });
    for (let i = 0; i < 20_000; i += 512) await store(mm, large + i, 1 + (i & 127));
    assert.equal(user.tryPin(large + 19_968, 1, false), null);
    const growth = port.growth();
    assert.ok(growth !== null);
    user.grow(structuredClone(growth));
    const pin = user.tryPin(large + 19_968, 1, false);
    assert.ok(pin !== null);
    assert.equal(byteOf(user.bytes(pin.first, 1)), 1 + (19_968 & 127));
    assert.equal(port.growth(), null);
    checkShared(space);
  });

  test("takes no transient pin while the pager waits for them to go, and no pin at all when the machine has ended", async () => {
    const space = await sharedSpace(1);
    const { ports, page } = space;
    const { user } = userThread(ports);
    const goOn = [ports.holdOff(), ports.holdOff()];
    assert.equal(user.tryPin(page, 1, false, true), null);
    assert.ok(user.tryPin(page, 1, false) !== null);
    for (const each of goOn) {
      assert.equal(user.tryPin(page, 1, false, true), null);
      each();
      each();
    }
    assert.ok(user.tryPin(page, 1, false, true) !== null);
    ports.end();
    assert.equal(user.alive, false);
    assert.equal(user.tryPin(page, 1, false), null);
    checkShared(space);
  });

  test("is known by name to hold a page, and when it has ended gives it up", async () => {
    const space = await sharedSpace(6);
    const { machine, mm, ports, page } = space;
    machine.lru.drain();
    const first = userThread(ports, "first");
    const second = userThread(ports, "second");
    assert.ok(first.user.tryPin(page + 1, 2, false) !== null);
    assert.ok(second.user.tryPin(page + 4, 1, true, true) !== null);
    assert.equal(ports.holder(page, page + 1, true), null);
    const holder = ports.holder(page + 2, page + 5, false);
    assert.equal(holder?.port.name, "first");
    assert.deepEqual(holder?.run, { page: page + 1, pages: 2, write: false, transient: false });
    assert.equal(ports.holder(page + 4, page + 5, false), null);
    assert.equal(ports.holder(page + 4, page + 5, true)?.port.name, "second");
    checkShared(space);
    first.port.close();
    second.port.close();
    assert.equal(ports.holder(page, page + 6, true), null);
    for (let i = 0; i < 6; i++) assert.equal(machine.frames.refcount(frameAt(mm, page + i)), 1);
    checkShared(space);
  });

  test("gives up, with nothing pinned, when no slot is left", async () => {
    const space = await sharedSpace(1100);
    const { mm, ports, page } = space;
    const { user } = userThread(ports);
    const pins = [];
    for (let i = 0; ; i++) {
      const pin = user.tryPin(page + i, 1, false);
      if (pin === null) break;
      pins.push(pin);
    }
    assert.equal(pins.length, 1024);
    checkShared(space);
    for (const pin of pins) user.unpin(pin, false);
    assert.ok(user.tryPin(page, 1100, false) !== null);
    assert.equal(mm.machine.frames.refcount(frameAt(mm, page)) >= DMA_PIN, true);
    checkShared(space);
  });
});

describe("ports", () => {
  test("are of shared machines only", () => {
    const { machine } = createMachine({ shared: false });
    assert.throws(() => new UserPorts(machine.createAddressSpace()), memoryError("EINVAL", /shared/));
  });
});
