// Pages migrate to a device and come back.

import assert from "node:assert/strict";
import { evict } from "../../src/cli/conform/batches.js";
import { EINVAL, ENOENT } from "../../src/cli/conform/errno.js";
import { PROT_NONE, PROT_READ, PROT_WRITE } from "../../src/mm/space/vma-flags.js";
import { done } from "./region.js";
import { PAGES, scenario } from "./scenario.js";

scenario("migrate", "pages move to a device with their contents", async ({ process, by }) => {
  const region = await process.map(PAGES);
  await region.fill(20);
  assert.deepEqual(await region.toDevice(), done(PAGES));
  assert.deepEqual(
    new Set(region.seenBy()),
    new Set([by({ private: "own private, write", coherent: "own coherent, write" })]),
  );
  await region.deviceHolds(20);
});

scenario(
  "migrate_file_private",
  "what a process wrote of a file mapped privately moves, and the file is untouched",
  async (stage) => {
    const { process, by } = stage;
    const file = stage.createFile(PAGES, 500);
    const region = await process.map(PAGES, { file });
    await region.fill(20);
    assert.deepEqual(await region.toDevice(), done(PAGES));
    assert.deepEqual(
      new Set(region.seenBy()),
      new Set([by({ private: "own private, write", coherent: "own coherent, write" })]),
    );
    await region.deviceHolds(20);
    await region.holds(20);
    const unwritten = await process.map(PAGES, { file });
    await unwritten.holds(500);
    assert.deepEqual(await unwritten.toDevice(), { rc: -ENOENT });
    await unwritten.holds(500);
  },
);

scenario(
  "migrate_fault",
  "an access of the CPU brings private pages home, and they can move again",
  async ({ process, by }) => {
    const region = await process.map(PAGES);
    await region.fill(20);
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(await region.toDevice(), done(PAGES));
      await region.deviceHolds(20);
      await region.holds(20);
      const after = by({ private: "system, write", coherent: "own coherent, write" });
      assert.deepEqual(new Set(region.seenBy()), new Set([after]));
      if (after !== "system, write") assert.deepEqual(await region.toSystem(), done(PAGES));
    }
  },
);

scenario(
  "migrate_release",
  "a device that gives its memory back leaves every page in the system",
  async ({ process, devices }) => {
    const region = await process.map(PAGES);
    await region.fill(20);
    assert.deepEqual(await region.toDevice(), done(PAGES));
    await region.deviceHolds(20);
    evict(devices[0]);
    assert.deepEqual(new Set(region.seenBy()), new Set(["system, write"]));
    assert.equal(region.reachedBy(0), 0);
    await region.holds(20);
  },
);

scenario("migrate_shared", "shared memory does not move", async ({ process }) => {
  const region = await process.mapShared(PAGES);
  await region.fill(20);
  assert.deepEqual(await region.toDevice(), { rc: -ENOENT });
  assert.deepEqual(new Set(region.seenBy()), new Set(["system, write"]));
  await region.holds(20);
});

scenario(
  "migrate_mixed",
  "pages of every kind in one range: what can move moves, and the range must be mapped",
  async ({ process, by }) => {
    const region = await process.map(6, { protection: PROT_NONE });
    assert.deepEqual(await region.toDevice(1), { rc: -EINVAL });
    await region.part(1).unmap();
    assert.deepEqual(await region.part(0, 3).toDevice(1), { rc: -EINVAL });
    const [zeros, readOnly, writable, last] = [region.part(2), region.part(3), region.part(4, 2), region.part(5)];
    await zeros.protect(PROT_READ);
    await zeros.holds(0);
    await readOnly.protect(PROT_READ | PROT_WRITE);
    await readOnly.fill(3);
    await readOnly.protect(PROT_READ);
    await writable.protect(PROT_READ | PROT_WRITE);
    await writable.fill(4);
    assert.deepEqual(await region.part(2, 4).toDevice(1), done(4));
    const place = by({ private: "own private", coherent: "own coherent" });
    const seen = [`${place}, read`, `${place}, read`, `${place}, write`, `${place}, write`];
    assert.deepEqual(region.part(2, 4).seenBy(1), seen);
    // It is on the other device.
    assert.deepEqual(await last.toDevice(0), { rc: -ENOENT });
    assert.deepEqual(region.part(2, 4).seenBy(1), seen);
    await zeros.holds(0);
    await readOnly.holds(3);
    await writable.holds(4);
  },
);

scenario("migrate_multiple", "one mapping after the other moves and comes back", async ({ process }) => {
  const addresses = await process.map(PAGES);
  for (let round = 0; round < 32; round++) {
    const region = round === 0 ? addresses : await process.map(PAGES, { over: addresses });
    await region.fill(round);
    assert.deepEqual(await region.toDevice(), done(PAGES));
    await region.deviceHolds(round);
    await region.holds(round);
    await region.unmap();
  }
});
