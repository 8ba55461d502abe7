// What becomes of the pages of a device that is lost: those that the host still has are there again, the others fail every
// access, in every mapping, until they are written anew.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AccessFault, loadWord, storeWord } from "../../src/access/cpu.js";
import { accessHost } from "../../src/access/host-access.js";
import { AttachedDevice } from "../../src/device/attached-device.js";
import { deviceRead, deviceWrite } from "../../src/device/device-access.js";
import { migrateToDevice } from "../../src/device/migrate-to-device.js";
import { migrateToHost } from "../../src/device/migrate-to-host.js";
import { mirrorDevice } from "../../src/device/mirror/index.js";
import { recoverPages } from "../../src/device/recover-pages.js";
import { forkAddressSpace } from "../../src/mm/copy/fork.js";
import { snapshotRange } from "../../src/mm/copy/snapshot.js";
import { faultIn, FAULT_HWPOISON, FAULT_WRITE } from "../../src/mm/fault/fault.js";
import { DMA_PIN, tryPinPage } from "../../src/mm/fault/gup.js";
import { LostPagesError } from "../../src/mm/lost-pages-error.js";
import { replaceLostPage } from "../../src/mm/memory-failure.js";
import { mmap, mprotect, munmap } from "../../src/mm/space/mapping.js";
import { mremap } from "../../src/mm/space/remap.js";
import { clearSoftDirty, clearSoftDirtyRange, forEachSoftDirtyRun } from "../../src/mm/space/soft-dirty.js";
import { PROT_READ, PROT_WRITE } from "../../src/mm/space/vma.js";
import { isPoisonMarker, PTE_FRAME_SHIFT } from "../../src/mm/table/entry.js";
import { load, mapPages, memoryError, PAGE, store } from "../builders.js";
import { LosableDriver } from "./losable-driver.js";
import { type MirroredMachine, type MirroredSetup, mirroredMachine } from "./mirrored-machine.js";

interface Losable {
  readonly mirrored: MirroredMachine;
  readonly device: AttachedDevice;
  readonly driver: LosableDriver;
  /** Loses the device and takes its pages off it. */
  readonly lose: () => Promise<void>;
}

async function losable(setup: MirroredSetup = {}): Promise<Losable> {
  let driver: LosableDriver | undefined;
  const mirrored = await mirroredMachine({
    ...setup,
    alter: (inner) => {
      driver = new LosableDriver(inner);
      return driver;
    },
  });
  const { device } = mirrored;
  assert.ok(driver !== undefined);
  const made = driver;
  return {
    mirrored,
    device,
    driver: made,
    lose: async () => {
      made.lose();
      await device.device.lost;
      await recoverPages(device);
    },
  };
}

function isLost({ mm }: MirroredMachine, page: number): boolean {
  return isPoisonMarker(mm.pageTable.read(page));
}

test("pages that nothing wrote on the device are at home again, without a copy", async () => {
  const { mirrored, device, driver, lose } = await losable();
  const { mm, machine } = mirrored;
  const first = await mirrored.mapFilled(4);
  const frames = [0, 1, 2, 3].map((i) => mirrored.frameAt(first + i));
  await migrateToDevice(device, mm, first, first + 4, "prefetch");
  mirrored.check();
  const before = driver.operations;
  await lose();
  assert.deepEqual(
    [0, 1, 2, 3].map((i) => mirrored.frameAt(first + i)),
    frames,
    "in their home frames",
  );
  assert.deepEqual(mirrored.bytesAt(first, 4), [1, 2, 3, 4]);
  assert.equal(driver.operations, before);
  assert.equal(machine.hasLostPages, false);
  assert.equal(device.usedFrames, 0);
  assert.deepEqual(device.counters.droppedClean, { pages: 4, bytes: 4 * PAGE });
  mirrored.check();
});

test("pages that the device wrote are lost: every access fails, whoever asks, and the neighbours are as they were", async () => {
  const { mirrored, device, lose } = await losable();
  const { mm } = mirrored;
  const first = await mirrored.mapFilled(4);
  await migrateToDevice(device, mm, first, first + 4, "kernel");
  await deviceWrite(device, mm, first + 1, new Uint8Array(2 * PAGE).fill(9));
  mirrored.check();
  await lose();
  mirrored.check();
  assert.deepEqual(
    [0, 1, 2, 3].map((i) => isLost(mirrored, first + i)),
    [false, true, true, false],
  );
  assert.equal(await load(mm, first), 1);
  assert.equal(await load(mm, first + 3), 4);
  const sigbus = (error: unknown): boolean => error instanceof AccessFault && error.signal === "SIGBUS";
  await assert.rejects(loadWord(mm, (first + 1) * PAGE), sigbus);
  await assert.rejects(storeWord(mm, (first + 2) * PAGE, 1), sigbus);
  assert.equal(await faultIn(mm, first + 1, 0), FAULT_HWPOISON);
  assert.equal(await faultIn(mm, first + 1, FAULT_WRITE), FAULT_HWPOISON);
  assert.equal(tryPinPage(mm, first + 1, false, DMA_PIN), -1);
  const named = (error: unknown): boolean =>
    error instanceof LostPagesError && error.code === "EIO" && error.first === first + 1 && error.end === first + 3;
  await assert.rejects(
    accessHost(device, mm, first, first + 4, false, () => {}),
    named,
  );
  mirrored.check();
});

test("zeros that were only made on the device are zeros again; once written there they are lost", async () => {
  const { mirrored, device, lose } = await losable();
  const { mm } = mirrored;
  const first = await mirrored.mapFilled(3, 0);
  assert.equal(await load(mm, first), 0, "a mapping of the zero page");
  await migrateToDevice(device, mm, first, first + 3, "kernel");
  mirrored.check();
  await deviceWrite(device, mm, first + 2, new Uint8Array(PAGE).fill(0));
  await lose();
  assert.deepEqual([0, 1, 2].map((i) => mm.pageTable.read(first + i)).slice(0, 2), [0, 0]);
  assert.ok(isLost(mirrored, first + 2));
  assert.equal(await load(mm, first + 1), 0);
  assert.equal(mm.resident.usage, 0);
  mirrored.check();
});

test("what the host budget took back of the retained frames is lost with the device", async () => {
  const { mirrored, device, lose } = await losable({ hostPages: 6 });
  const { mm } = mirrored;
  const first = await mirrored.mapFilled(4);
  await migrateToDevice(device, mm, first, first + 4, "prefetch");
  const other = await mapPages(mm, 4, {});
  for (let i = 0; i < 4; i++) await store(mm, other + i, 7);
  await lose();
  mirrored.check();
  const lost = [0, 1, 2, 3].filter((i) => isLost(mirrored, first + i));
  assert.equal(lost.length, 2, "two of six frames were all that was left to retain");
  for (let i = 0; i < 4; i++) if (!lost.includes(i)) assert.equal(await load(mm, first + i), i + 1);
});

test("coherent memory goes with all its pages", async () => {
  const { mirrored, device, lose } = await losable({ kind: "coherent" });
  const { mm } = mirrored;
  const first = await mirrored.mapFilled(2);
  const hole = await mapPages(mm, 1, { home: true });
  await migrateToDevice(device, mm, first, first + 1, "kernel");
  await migrateToDevice(device, mm, hole, hole + 1, "kernel");
  assert.equal(await load(mm, hole), 0);
  await lose();
  mirrored.check();
  assert.ok(isLost(mirrored, first));
  assert.ok(isLost(mirrored, hole), "the CPU may have written it");
  assert.equal(await load(mm, first + 1), 2);
});

test("every mapping that shares a page gets its answer: a fork, a snapshot, and a page that one of them has copied", async () => {
  const { mirrored, device, lose } = await losable();
  const { mm, machine } = mirrored;
  const first = await mirrored.mapFilled(3);
  await migrateToDevice(device, mm, first, first + 3, "kernel");
  await deviceWrite(device, mm, first, new Uint8Array(2 * PAGE).fill(9));
  const snapshot = (await snapshotRange(mm, first * PAGE, 3 * PAGE)) / PAGE;
  const child = await forkAddressSpace(mm);
  assert.equal(await load(child, first + 1), 9);
  await migrateToDevice(device, child, first + 1, first + 2, "kernel");
  await store(mm, first + 1, 5);
  await lose();
  mirrored.check();
  for (const [space, page] of [
    [mm, first],
    [mm, snapshot],
    [child, first],
  ] as const) {
    assert.ok(isPoisonMarker(space.pageTable.read(page)));
    assert.equal(await load(space, page + 2), 3);
  }
  assert.equal(await load(mm, first + 1), 5, "its own since it was written");
  const again = await forkAddressSpace(mm);
  assert.ok(isPoisonMarker(again.pageTable.read(first)), "a fork has the marker, too");
  const second = (await snapshotRange(mm, first * PAGE, 3 * PAGE)) / PAGE;
  assert.equal(await faultIn(mm, second, 0), FAULT_HWPOISON);
  mirrored.check();
  machine.lru.drain();
  await munmap(mm, first * PAGE, 3 * PAGE);
  mirrored.check();
});

test("a lost page is protected, moved, cleared and unmapped like any other, and stays lost", async () => {
  const { mirrored, device, lose } = await losable();
  const { mm } = mirrored;
  const address = await mmap(mm, { length: 3 * PAGE });
  const first = address / PAGE;
  for (let i = 0; i < 3; i++) await store(mm, first + i, i + 1);
  await migrateToDevice(device, mm, first, first + 3, "kernel");
  await deviceWrite(device, mm, first + 1, new Uint8Array(PAGE).fill(9));
  await lose();
  assert.ok(
    [0, 1, 2].every((i) => isLost(mirrored, first + i)),
    "without home frames the host has retained nothing",
  );
  await mprotect(mm, address, 3 * PAGE, PROT_READ);
  await mprotect(mm, address, 3 * PAGE, PROT_READ | PROT_WRITE);
  const moved = (await mremap(mm, address, 3 * PAGE)) / PAGE;
  await clearSoftDirty(mm);
  await clearSoftDirtyRange(mm, moved, moved + 3);
  forEachSoftDirtyRun(mm, moved, moved + 3, () => assert.fail("cleared"));
  mirrored.check();
  assert.ok([0, 1, 2].every((i) => isLost(mirrored, moved + i)));
  await munmap(mm, moved * PAGE, PAGE);
  mirrored.check();
  assert.ok(isLost(mirrored, moved + 1));
});

test("a lost page goes to no device, and a device that reads it is told", async () => {
  const { mirrored, device, lose } = await losable();
  const { mm } = mirrored;
  const first = await mirrored.mapFilled(3);
  const other = await mirrored.attach({});
  await migrateToDevice(device, mm, first, first + 3, "kernel");
  await deviceWrite(device, mm, first + 1, new Uint8Array(PAGE).fill(9));
  await lose();
  assert.equal(await migrateToDevice(other, mm, first, first + 3, "kernel"), 2);
  mirrored.check();
  await assert.rejects(
    deviceRead(other, mm, first, first + 3),
    (error) => error instanceof LostPagesError && error.code === "EIO",
  );
  await assert.rejects(
    deviceWrite(other, mm, first + 1, new Uint8Array(PAGE)),
    memoryError("EIO", /pages \d+ to \d+ were only on a device/),
  );
  assert.deepEqual([...(await deviceRead(other, mm, first, first + 1)).subarray(0, 1)], [1]);
  await assert.rejects(
    migrateToDevice(device, mm, first, first + 1, "kernel"),
    memoryError("ENODEV", /is lost \(unknown\): unplugged/),
  );
  await assert.rejects(deviceRead(device, mm, first, first + 1), memoryError("ENODEV", /unplugged/));
});

test("new memory in the place of a lost page is the mapping's own, at home, zero and soft-dirty", async () => {
  const { mirrored, device, lose } = await losable();
  const { mm } = mirrored;
  const first = await mirrored.mapFilled(2);
  const home = mirrored.frameAt(first);
  await migrateToDevice(device, mm, first, first + 2, "kernel");
  await deviceWrite(device, mm, first, new Uint8Array(2 * PAGE).fill(9));
  await clearSoftDirty(mm);
  await lose();
  const vma = mm.vmaAt(first);
  assert.ok(vma !== undefined);
  assert.equal(replaceLostPage(vma, first), home);
  assert.equal(await load(mm, first), 0);
  await store(mm, first, 3);
  const runs: number[] = [];
  forEachSoftDirtyRun(mm, first, first + 2, (from, end) => runs.push(from, end));
  assert.deepEqual(runs, [first, first + 1]);
  assert.ok(isLost(mirrored, first + 1));
  mirrored.check();
});

test("a migration under way is waited for, whichever way it goes, and nothing of it is left", async () => {
  for (const direction of ["upload", "download", "fault"] as const) {
    const { mirrored, device, driver } = await losable({ link: {} });
    const { mm } = mirrored;
    const first = await mirrored.mapFilled(2);
    const hole = await mirrored.mapFilled(1, 0);
    if (direction !== "upload") {
      await migrateToDevice(device, mm, first, first + 2, "kernel");
      await deviceWrite(device, mm, first, new Uint8Array(PAGE).fill(9));
    }
    driver.latency = 5;
    const pending = driver.operations + (direction === "upload" ? 2 : 1);
    const moving =
      direction === "upload"
        ? Promise.all([
            migrateToDevice(device, mm, first, first + 2, "kernel"),
            migrateToDevice(device, mm, hole, hole + 1, "kernel"),
          ])
        : direction === "download"
          ? migrateToHost(device, mm, first, first + 2, "access")
          : load(mm, first);
    moving.catch(() => {});
    while (driver.operations < pending) await new Promise((resolve) => setImmediate(resolve));
    driver.lose("destroyed", "by its owner");
    await device.device.lost;
    const recovered = recoverPages(device);
    await assert.rejects(moving, memoryError("ENODEV", /is lost \(destroyed\): by its owner/));
    await recovered;
    mirrored.check();
    assert.equal(isLost(mirrored, first), direction !== "upload", direction);
    assert.equal(await load(mm, first + 1), 2);
    assert.equal(await load(mm, hole), 0);
    assert.equal(device.usedFrames, 0);
  }
});

test("a reference that somebody still holds keeps the frame, not the page, and the frame's number for a while", async () => {
  const { mirrored, device, lose } = await losable();
  const { mm, machine } = mirrored;
  const first = await mirrored.mapFilled(2);
  await migrateToDevice(device, mm, first, first + 2, "kernel");
  const frame = mirrored.frameAt(first);
  machine.frames.get(frame);
  await lose();
  assert.deepEqual(mirrored.bytesAt(first, 2), [1, 2]);
  mirrored.check({ references: [[frame, 1]] });
  const next = await AttachedDevice.attach(machine, mirrorDevice({ budget: 16 * PAGE }));
  assert.notEqual(next.zone.first, device.zone.first);
  machine.put(frame);
  mirrored.check();
  const third = await AttachedDevice.attach(machine, mirrorDevice({ budget: 16 * PAGE }));
  assert.equal(third.zone.first, device.zone.first);
});

test("a machine outlives any number of devices, of either kind and any size: their numbers are used again", async () => {
  const mirrored = await mirroredMachine();
  const { machine, mm } = mirrored;
  const first = await mirrored.mapFilled(3);
  let zones = 0;
  let frames = 0;
  for (let i = 0; i < 300; i++) {
    const kind = i % 3 === 0 ? "coherent" : "private";
    const driver = new LosableDriver(mirrorDevice({ budget: (3 + (i % 7) * 100) * PAGE, kind }));
    const device = await AttachedDevice.attach(machine, driver);
    assert.equal(await migrateToDevice(device, mm, first, first + 3, "kernel"), 3);
    assert.equal(mirrored.frameAt(first), device.zone.first);
    if (kind === "coherent") await migrateToHost(device, mm, first, first + 3, "access");
    driver.lose();
    await device.device.lost;
    await recoverPages(device);
    if (i === 7) [zones, frames] = [machine.zones.list.length, machine.frames.count];
  }
  assert.equal(machine.zones.list.length, zones);
  assert.equal(machine.frames.count, frames);
  assert.deepEqual(mirrored.bytesAt(first, 3), [1, 2, 3]);
  assert.equal(mm.pageTable.read(first) >>> PTE_FRAME_SHIFT !== 0, true);
  mirrored.check();
});
