// A device reads memory of the system, in place.

import assert from "node:assert/strict";
import { PROT_NONE, PROT_READ, VM_MIXEDMAP } from "../../src/mm/space/vma-flags.js";
import { EFAULT, EPERM } from "../../src/cli/conform/errno.js";
import { done } from "./region.js";
import { PAGES, scenario } from "./scenario.js";

scenario(
  "anon_read",
  "a device reads what the CPU wrote, a page that it only read, and one that it never touched",
  async ({ process }) => {
    const region = await process.map(PAGES);
    const [untouched, zeros, written] = [region.part(0), region.part(1), region.part(2, PAGES - 2)];
    await written.fill(2);
    await region.protect(PROT_READ);
    await zeros.holds(0);
    assert.deepEqual(await region.deviceRead(), done(PAGES, 1));
    await untouched.deviceHolds(0);
    await zeros.deviceHolds(0);
    await written.deviceHolds(2);
    assert.deepEqual(untouched.seenBy(), ["zero page, read"]);
  },
);

scenario(
  "anon_read_prot",
  "a device cannot read what the mapping hides, and can when it is shown again",
  async ({ process }) => {
    const region = await process.map(PAGES);
    await region.fill(7);
    await region.protect(PROT_NONE);
    assert.deepEqual(await region.deviceRead(), { rc: -EFAULT });
    assert.equal(region.reachedBy(0), 0);
    await region.protect(PROT_READ);
    await region.holds(7);
    assert.deepEqual(await region.deviceRead(), done(PAGES, 1));
    await region.deviceHolds(7);
  },
);

scenario(
  "anon_read_multiple",
  "a device reads one new mapping after the other, never an old one's pages",
  async ({ process }) => {
    const addresses = await process.map(PAGES);
    for (let round = 0; round < 32; round++) {
      const region = round === 0 ? addresses : await process.map(PAGES, { over: addresses });
      await region.fill(round);
      assert.deepEqual(await region.deviceRead(), done(PAGES, 1));
      await region.deviceHolds(round);
      await region.unmap();
      assert.equal(region.reachedBy(0), 0);
    }
  },
);

scenario("file_read", "a device reads the pages of a file", async (stage) => {
  const region = await stage.process.map(PAGES, {
    file: stage.createFile(PAGES, 500),
    shared: true,
    protection: PROT_READ,
  });
  assert.deepEqual(await region.deviceRead(), done(PAGES, 1));
  await region.deviceHolds(500);
});

scenario(
  "mixedmap",
  "a device sees the pages that a driver mapped of its own memory, and reads them",
  async (stage) => {
    const options = { shared: true, protection: PROT_READ, flags: VM_MIXEDMAP };
    const region = await stage.process.map(PAGES, { file: stage.createFile(PAGES, 70), ...options });
    assert.deepEqual(region.part(0).seenBy(), ["nothing"]);
    await region.holds(70);
    assert.deepEqual(new Set(region.seenBy()), new Set(["system, read"]));
    assert.deepEqual(await region.deviceRead(), done(PAGES, 1));
    await region.deviceHolds(70);
    assert.deepEqual(await region.deviceWrite(0), { rc: -EPERM });
  },
);
