// Migrations between host memory and a mirror: what moves, what stays, what is counted, and what a failure leaves.

import assert from "node:assert/strict";
import { test } from "node:test";
import { migrateToDevice } from "../../src/device/migrate-to-device.js";
import { evictFrames, migrateBatchToHost, migrateToHost } from "../../src/device/migrate-to-host.js";
import { PG_LOCKED } from "../../src/mm/frames/frames.js";
import { DMA_PIN, tryPinPage } from "../../src/mm/fault/gup.js";
import { mmap, mprotect, munmap } from "../../src/mm/space/mapping.js";
import { PROT_READ } from "../../src/mm/space/vma.js";
import { deviceWrite } from "../../src/device/device-access.js";
import { load, mapPages, memoryError, migrationEntries, PAGE, pageBytes, store } from "../builders.js";
import { mirroredMachine } from "./mirrored-machine.js";

test("pages go to the device and come home, with their bytes, and are counted by cause", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(10);
  assert.equal(await migrateToDevice(device, mm, first, first + 10, "prefetch"), 10);
  assert.ok(mirrored.onDevice(first, 10).every(Boolean));
  mirrored.check();
  assert.equal(await migrateToHost(device, mm, first + 2, first + 5, "access"), 3);
  assert.deepEqual(mirrored.bytesAt(first, 10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(device.counters.toDevice.prefetch, { pages: 10, bytes: 10 * PAGE });
  assert.deepEqual(device.counters.toHost.access, { pages: 3, bytes: 0 }, "nothing had written them");
  assert.deepEqual(device.counters.droppedClean, { pages: 3, bytes: 3 * PAGE });
  mirrored.check();
});

test("a range of many batches moves whole, and in few transfers", async () => {
  let transfers = 0;
  const mirrored = await mirroredMachine({
    devicePages: 1500,
    link: {
      fails: () => {
        transfers++;
        return false;
      },
    },
  });
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(1300, 1300 % 256);
  for (let page = 20; page < 1300; page++) await store(mm, first + page, page & 0xff);
  assert.equal(await migrateToDevice(device, mm, first, first + 1300, "kernel"), 1300);
  assert.equal(transfers, 3);
  assert.equal(await migrateToHost(device, mm, first, first + 1300, "prefetch"), 1300);
  for (let page = 20; page < 1300; page += 7) assert.equal(await load(mm, first + page), page & 0xff);
  mirrored.check();
});

test("a batch is home when the call returns where nothing has to be waited for, and later elsewhere", async () => {
  const latency = 1;
  for (const link of [{}, { latency }]) {
    const mirrored = await mirroredMachine({ link });
    const { device, mm } = mirrored;
    const first = await mirrored.mapFilled(6);
    await migrateToDevice(device, mm, first, first + 6, "prefetch");
    await deviceWrite(device, mm, first, pageBytes(11, 12, 13, 14, 15, 16));
    const moving = migrateBatchToHost(device, mm, first, first + 2, "access");
    assert.equal(typeof moving, link.latency === latency ? "object" : "number");
    assert.equal(await moving, 2);
    mirrored.check();
    // Somebody changes the mappings, or waits to.
    await mm.mmapLock.write();
    const waiting = migrateBatchToHost(device, mm, first + 2, first + 6, "access");
    assert.ok(waiting instanceof Promise);
    assert.deepEqual(mirrored.onDevice(first, 6), [false, false, true, true, true, true]);
    mm.mmapLock.writeUnlock();
    assert.equal(await waiting, 4);
    assert.deepEqual(mirrored.bytesAt(first, 6), [11, 12, 13, 14, 15, 16]);
    mirrored.check();
  }
});

test("a copy that fails at once leaves its batch on the device, and is the call's error", async () => {
  let broken = true;
  const mirrored = await mirroredMachine({ link: { fails: (direction) => broken && direction === "download" } });
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(3);
  await migrateToDevice(device, mm, first, first + 3, "prefetch");
  await deviceWrite(device, mm, first, pageBytes(11, 12, 13));
  assert.throws(
    () => migrateBatchToHost(device, mm, first, first + 3, "access"),
    memoryError("EIO", /download of 3 pages/),
  );
  assert.ok(mirrored.onDevice(first, 3).every(Boolean));
  mirrored.check();
  broken = false;
  assert.equal(migrateBatchToHost(device, mm, first, first + 3, "access"), 3);
  assert.deepEqual(mirrored.bytesAt(first, 3), [11, 12, 13]);
  assert.throws(
    () => migrateBatchToHost(device, mm, 1, 2, "access"),
    memoryError("EFAULT", /address 4096 is not mapped/),
  );
  assert.ok(mm.mmapLock.tryRead());
  mm.mmapLock.readUnlock();
});

test("of more than one batch the first comes home at once, as far as its mapping goes", async () => {
  const mirrored = await mirroredMachine({ devicePages: 700 });
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(600, 0);
  for (let page = 0; page < 600; page++) await store(mm, first + page, page & 0xff);
  assert.equal(await migrateToDevice(device, mm, first, first + 600, "prefetch"), 600);
  assert.equal(migrateBatchToHost(device, mm, first, first + 600, "access"), 512);
  assert.equal(migrateBatchToHost(device, mm, first + 598, first + 700, "access"), 2);
  for (let page = 0; page < 600; page += 7) assert.equal(await load(mm, first + page), page & 0xff);
  mirrored.check();
});

test("between batches others get their turn at the mappings", async () => {
  const mirrored = await mirroredMachine({ devicePages: 1200 });
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(1100, 0);
  const order: string[] = [];
  const moving = migrateToDevice(device, mm, first, first + 1100, "prefetch").then(() => order.push("moved"));
  const mapping = mmap(mm, { length: PAGE }).then(() => order.push("mapped"));
  await Promise.all([moving, mapping]);
  assert.deepEqual(order, ["mapped", "moved"]);
});

test("pinned, locked and read-only pages: the first two stay, the last moves and stays read-only", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm, machine } = mirrored;
  const first = await mirrored.mapFilled(5);
  const pinned = tryPinPage(mm, first + 1, false, DMA_PIN);
  machine.lru.drain();
  machine.frames.setFlags(mirrored.frameAt(first + 2), PG_LOCKED);
  await mprotect(mm, (first + 3) * PAGE, PAGE, PROT_READ);
  assert.equal(await migrateToDevice(device, mm, first, first + 5, "prefetch"), 3);
  assert.deepEqual(mirrored.onDevice(first, 5), [true, false, false, true, true]);
  assert.equal(device.counters.refused, 2);
  assert.ok(device.table(mm).lookup(first + 3, false) >= 0);
  assert.equal(device.table(mm).lookup(first + 3, true), -1);
  mirrored.check({ references: [[pinned, DMA_PIN]], locked: [mirrored.frameAt(first + 2)] });
  machine.pageLocks.unlock(mirrored.frameAt(first + 2));
  machine.put(pinned, DMA_PIN);
  assert.equal(await migrateToDevice(device, mm, first, first + 5, "prefetch"), 2);
  assert.deepEqual(mirrored.bytesAt(first, 5), [1, 2, 3, 4, 5]);
  mirrored.check();
});

test("what the device has no room for stays", async () => {
  const mirrored = await mirroredMachine({ devicePages: 3 });
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(5);
  assert.equal(await migrateToDevice(device, mm, first, first + 5, "prefetch"), 3);
  assert.equal(device.usedFrames, 3);
  assert.deepEqual(mirrored.bytesAt(first, 5), [1, 2, 3, 4, 5]);
  mirrored.check();
});

test("the caller chooses the frames, page by page, and may leave a page", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(4);
  const places = [9, 2, -1, 5];
  const moved = await migrateToDevice(device, mm, first, first + 4, "prefetch", (page) => {
    const place = places[page - first] ?? -1;
    return place < 0 ? 0 : device.allocateAt(place);
  });
  assert.equal(moved, 3);
  assert.deepEqual(
    [0, 1, 3].map((i) => mirrored.frameAt(first + i) - device.zone.first),
    [9, 2, 5],
  );
  assert.equal(device.allocateAt(9), 0, "which is in use");
  mirrored.check();
});

test("a range that is not mapped is EFAULT; what came before it has moved", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(4);
  await munmap(mm, (first + 2) * PAGE, PAGE);
  const gap = memoryError("EFAULT", new RegExp(`address ${(first + 2) * PAGE} is not mapped`));
  await assert.rejects(migrateToDevice(device, mm, first, first + 4, "prefetch"), gap);
  assert.deepEqual(mirrored.onDevice(first, 4), [true, true, false, false]);
  await assert.rejects(migrateToHost(device, mm, first, first + 4, "access"), gap);
  assert.deepEqual(mirrored.onDevice(first, 4), [false, false, false, false]);
  mirrored.check();
});

test("pages of several mappings move in one call", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm } = mirrored;
  const first = await mapPages(mm, 6);
  for (let i = 0; i < 6; i++) await store(mm, first + i, i + 1);
  await mprotect(mm, (first + 2) * PAGE, 2 * PAGE, PROT_READ);
  assert.ok(mm.vmas.length >= 3);
  assert.equal(await migrateToDevice(device, mm, first, first + 6, "prefetch"), 6);
  assert.equal(await migrateToHost(device, mm, first + 1, first + 5, "prefetch"), 4);
  assert.deepEqual(mirrored.bytesAt(first, 6), [1, 2, 3, 4, 5, 6]);
  mirrored.check();
});

test("an eviction empties frames whoever they belong to; free frames, and frames in use, it leaves", async () => {
  const mirrored = await mirroredMachine({ devicePages: 8 });
  const { device, mm, machine } = mirrored;
  const first = await mirrored.mapFilled(3);
  const other = machine.createAddressSpace();
  const second = await mapPages(other, 2);
  for (let i = 0; i < 2; i++) await store(other, second + i, 50 + i);
  await migrateToDevice(device, mm, first, first + 3, "prefetch");
  await migrateToDevice(device, other, second, second + 2, "prefetch");
  const held = mirrored.frameAt(first + 1);
  machine.frames.get(held);
  assert.equal(await evictFrames(device, 0, 8), 4);
  assert.deepEqual(mirrored.onDevice(first, 3), [false, true, false]);
  assert.equal(device.usedFrames, 1);
  assert.equal(await load(other, second), 50);
  assert.equal(await load(other, second + 1), 51);
  mirrored.check({ references: [[held, 1]] });
  assert.ok(device.table(mm).lookup(first + 1, true) >= 0, "the device still reaches what stayed");
  machine.put(held);
  assert.equal(device.counters.evictions, 1);
  assert.deepEqual(
    device.counters.toHost.eviction,
    { pages: 4, bytes: 2 * PAGE },
    "two had homes that kept their bytes",
  );
  device.forget(other);
  mirrored.check();
});

test("what the host has no room for stays on the device, and is reached there as before", async () => {
  const mirrored = await mirroredMachine({ devicePages: 8, hostPages: 6 });
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(6);
  await migrateToDevice(device, mm, first, first + 6, "prefetch");
  const second = await mirrored.mapFilled(5);
  assert.equal(await evictFrames(device, 0, 8), 1);
  assert.equal(await migrateToHost(device, mm, first, first + 6, "access"), 0);
  const inDevice = mirrored.onDevice(first, 6);
  assert.equal(inDevice.filter(Boolean).length, 5);
  for (const [i, there] of inDevice.entries()) assert.equal(device.table(mm).lookup(first + i, true) >= 0, there);
  assert.deepEqual(mirrored.bytesAt(first, 6), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(mirrored.bytesAt(second, 5), [1, 2, 3, 4, 5]);
  await assert.rejects(load(mm, first + inDevice.indexOf(true)), memoryError("ENOMEM", /24576 of 24576 bytes/));
  mirrored.check();
});

for (const direction of ["upload", "clear", "download", "eviction"] as const) {
  test(`a transfer that fails half way (${direction}) moves nothing of its batch, and loses nothing`, async () => {
    let broken = false;
    const mirrored = await mirroredMachine({ link: { fails: () => broken } });
    const { device, mm } = mirrored;
    const first = await mirrored.mapFilled(6, direction === "clear" ? 0 : 6);
    if (direction === "clear") {
      broken = true;
      await assert.rejects(migrateToDevice(device, mm, first, first + 6, "prefetch"), memoryError("EIO", /clear of 6/));
      assert.ok(mirrored.onDevice(first, 6).every((there) => !there));
      mirrored.check();
      return;
    }
    const expected = [1, 2, 3, 4, 5, 6];
    if (direction === "upload") {
      broken = true;
      await assert.rejects(
        migrateToDevice(device, mm, first, first + 6, "prefetch"),
        memoryError("EIO", /upload of 6/),
      );
      assert.equal(device.usedFrames, 0);
      assert.deepEqual(device.counters.toDevice.prefetch, { pages: 0, bytes: 0 });
    } else {
      await migrateToDevice(device, mm, first, first + 6, "prefetch");
      for (let frame = 0; frame < 16; frame++) device.machine.host.retained.wrote(device.zone.first + frame);
      broken = true;
      const act = (): Promise<number> =>
        direction === "download" ? migrateToHost(device, mm, first, first + 6, "access") : evictFrames(device, 0, 16);
      await assert.rejects(act(), memoryError("EIO", /download of 6/));
      assert.ok(mirrored.onDevice(first, 6).every(Boolean));
      for (let i = 0; i < 6; i++)
        assert.ok(device.table(mm).lookup(first + i, true) >= 0, "the device still reaches it");
    }
    mirrored.check();
    broken = false;
    for (let i = 0; i < 6; i++) assert.equal(await load(mm, first + i), expected[i]);
    mirrored.check();
  });
}

test("a CPU that touches a page meanwhile waits for it, and finds its bytes", async () => {
  const mirrored = await mirroredMachine({ link: { latency: 1 } });
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(4);
  const moving = migrateToDevice(device, mm, first, first + 4, "prefetch");
  while (migrationEntries(mm, first, 4).length < 4) await Promise.resolve();
  const loading = load(mm, first + 2);
  const storing = store(mm, first + 3, 44);
  assert.equal(await loading, 3);
  await storing;
  await moving;
  assert.deepEqual(mirrored.bytesAt(first, 4), [1, 2, 3, 44]);
  assert.ok(mirrored.machine.counters.waits >= 2);
  mirrored.check();
});

test("two devices do not take each other's pages", async () => {
  const mirrored = await mirroredMachine();
  const { mm } = mirrored;
  const one = mirrored.device;
  const two = await mirrored.attach({ name: "second" });
  const first = await mirrored.mapFilled(4);
  await migrateToDevice(one, mm, first, first + 2, "prefetch");
  await migrateToDevice(two, mm, first, first + 4, "prefetch");
  assert.deepEqual(
    [0, 1, 2, 3].map((i) => mirrored.holderOf(first + i)),
    [one, one, two, two],
  );
  assert.equal(await migrateToHost(two, mm, first, first + 4, "access"), 2);
  assert.deepEqual(mirrored.bytesAt(first, 4), [1, 2, 3, 4]);
  mirrored.check();
});
