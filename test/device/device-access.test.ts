// Loads and stores of a device through its own page table: they see what the CPU sees, and obey the mapping.

import assert from "node:assert/strict";
import { test } from "node:test";
import { deviceRead, deviceWrite } from "../../src/device/device-access.js";
import type { DeviceDriver } from "../../src/device/driver.js";
import { migrateToDevice } from "../../src/device/migrate-to-device.js";
import { evictFrames, migrateToHost } from "../../src/device/migrate-to-host.js";
import { mprotect, munmap } from "../../src/mm/space/mapping.js";
import { PROT_READ } from "../../src/mm/space/vma.js";
import { byteOf, load, memoryError, PAGE, store, pageBytes } from "../builders.js";
import { between, pick, withSeeds } from "../unified/random-operands.js";
import { alteredDriver } from "./ledger-driver.js";
import { mirroredMachine } from "./mirrored-machine.js";

const pagesOf = (bytes: Uint8Array): number[] =>
  Array.from({ length: bytes.length / PAGE }, (_, i) => byteOf(bytes.subarray(i * PAGE, (i + 1) * PAGE)));

test("device, CPU and a plain shadow agree, wherever pages are and whatever moves between", async (t) => {
  for (const kind of ["private", "coherent"] as const) {
    await withSeeds(t, 25, async (random) => {
      const mirrored = await mirroredMachine({ devicePages: 10, kind });
      const { device, mm } = mirrored;
      const other = await mirrored.attach({ devicePages: 5, kind: pick(random, ["private", "coherent"] as const) });
      const pages = 14;
      const first = await mirrored.mapFilled(pages, 9);
      const shadow = Array.from({ length: pages }, (_, i) => (i < 9 ? i + 1 : 0));
      for (let step = 0; step < 40; step++) {
        const from = between(random, 0, pages - 1);
        const count = between(random, 1, pages - from);
        const actor = random() < 0.7 ? device : other;
        const kindOfStep = random();
        const byte = between(random, 1, 255);
        if (kindOfStep < 0.25) {
          const values = Array.from({ length: count }, (_, i) => (byte + i) & 0xff);
          await deviceWrite(actor, mm, first + from, pageBytes(...values));
          for (const [i, value] of values.entries()) shadow[from + i] = value;
        } else if (kindOfStep < 0.5) {
          const seen = pagesOf(await deviceRead(actor, mm, first + from, first + from + count));
          assert.deepEqual(seen, shadow.slice(from, from + count));
        } else if (kindOfStep < 0.6) {
          await store(mm, first + from, byte);
          shadow[from] = byte;
        } else if (kindOfStep < 0.7) assert.equal(await load(mm, first + from), shadow[from]);
        else if (kindOfStep < 0.85) await migrateToDevice(actor, mm, first + from, first + from + count, "prefetch");
        else if (kindOfStep < 0.95) await migrateToHost(actor, mm, first + from, first + from + count, "access");
        else await evictFrames(actor, 0, actor.zone.frames);
        mirrored.check();
      }
      for (let i = 0; i < pages; i++) assert.equal(await load(mm, first + i), shadow[i]);
    });
  }
});

test("a store by the device makes the copy that the host retained void", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm, machine } = mirrored;
  const first = await mirrored.mapFilled(2);
  await migrateToDevice(device, mm, first, first + 2, "prefetch");
  assert.equal(machine.host.retained.list.length, 2);
  await deviceWrite(device, mm, first, pageBytes(77));
  assert.equal(machine.host.retained.list.length, 1);
  assert.equal(await load(mm, first), 77);
  assert.equal(await load(mm, first + 1), 2);
  mirrored.check();
});

test("a store by the device to a page on its way, there or back, waits for it and is not lost", async () => {
  for (const kind of ["private", "coherent"] as const) {
    // Between the copy and its end a store to the old page would be too late.
    let copied = false;
    const late = (driver: DeviceDriver): DeviceDriver =>
      alteredDriver(driver, (device) => {
        const afterwards = async (copying: Promise<void> | undefined): Promise<void> => {
          await copying;
          copied = true;
          for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
        };
        return {
          upload: (copies) => afterwards(device.upload(copies)),
          download: (copies) => afterwards(device.download(copies)),
        };
      });
    const mirrored = await mirroredMachine({ kind, alter: late });
    const { device, mm } = mirrored;
    const first = await mirrored.mapFilled(3);
    await deviceWrite(device, mm, first, pageBytes(11, 12, 13));
    for (const [round, move] of [migrateToDevice, migrateToHost, migrateToDevice].entries()) {
      copied = false;
      const moving = move(device, mm, first, first + 3, "prefetch");
      while (!copied) await Promise.resolve();
      const values = [round, round + 1, round + 2].map((value) => 20 + 10 * value);
      await Promise.all([deviceWrite(device, mm, first, pageBytes(...values)), moving]);
      assert.deepEqual(mirrored.bytesAt(first, 3), values);
      mirrored.check();
    }
  }
});

test("a device may read what is read-only, and a write there is EPERM and changes nothing", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(3);
  await mprotect(mm, first * PAGE, 2 * PAGE, PROT_READ);
  assert.deepEqual(pagesOf(await deviceRead(device, mm, first, first + 3)), [1, 2, 3]);
  await assert.rejects(
    deviceWrite(device, mm, first, pageBytes(9, 9)),
    memoryError("EPERM", /write of pages .* by mirror \(private, software\): the mapping is read-only/),
  );
  await migrateToDevice(device, mm, first, first + 2, "prefetch");
  await assert.rejects(
    deviceWrite(device, mm, first, pageBytes(9, 9)),
    memoryError("EPERM", /the mapping is read-only/),
  );
  assert.deepEqual(pagesOf(await deviceRead(device, mm, first, first + 3)), [1, 2, 3]);
  mirrored.check();
});

test("what is not mapped, or may not be accessed, is EFAULT for the device too", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(4);
  await munmap(mm, (first + 1) * PAGE, PAGE);
  await mprotect(mm, (first + 3) * PAGE, PAGE, 0);
  for (const page of [first + 1, first + 3]) {
    await assert.rejects(deviceRead(device, mm, page, page + 1), memoryError("EFAULT", /read of pages .*: no access/));
    await assert.rejects(
      deviceWrite(device, mm, page, pageBytes(1)),
      memoryError("EFAULT", /write of pages .*: no access/),
    );
  }
  assert.deepEqual(pagesOf(await deviceRead(device, mm, first, first + 1)), [1]);
  mirrored.check();
});

test("a write of part of a page is refused", async () => {
  const mirrored = await mirroredMachine();
  const first = await mirrored.mapFilled(1);
  await assert.rejects(
    deviceWrite(mirrored.device, mirrored.mm, first, new Uint8Array(100)),
    memoryError("EINVAL", /100 bytes are not a multiple of the page size 4096/),
  );
});
