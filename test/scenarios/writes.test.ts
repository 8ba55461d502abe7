// A device writes memory of the system, in place.

import assert from "node:assert/strict";
import { EINVAL, EPERM } from "../../src/cli/conform/errno.js";
import { PROT_READ, PROT_WRITE, VM_HUGETLB } from "../../src/mm/space/vma-flags.js";
import { done } from "./region.js";
import { PAGES, scenario } from "./scenario.js";

scenario("anon_write", "a device writes memory that the CPU never touched", async ({ process }) => {
  const region = await process.map(PAGES);
  assert.deepEqual(await region.deviceWrite(40), done(PAGES, 1));
  await region.holds(40);
});

scenario(
  "anon_write_prot",
  "a device cannot write what the mapping protects, and can when it allows it",
  async ({ process }) => {
    const region = await process.map(PAGES, { protection: PROT_READ });
    assert.deepEqual(await region.part(0).deviceRead(), done(1, 1));
    assert.deepEqual(await region.deviceWrite(40), { rc: -EPERM });
    await region.part(0).holds(0);
    await region.protect(PROT_READ | PROT_WRITE);
    assert.deepEqual(await region.deviceWrite(40), done(PAGES, 1));
    await region.holds(40);
  },
);

// The engine has no pool of huge pages set apart: a mapping of that kind holds ordinary pages. What the scenario is about
// is as in Linux all the same: a device uses the memory where it is, and the protocol refuses to move it.
scenario("anon_write_hugetlbfs", "a device writes memory that cannot migrate, where it is", async ({ process }) => {
  const region = await process.map(PAGES, { flags: VM_HUGETLB });
  assert.deepEqual(await region.deviceWrite(40), done(PAGES, 1));
  await region.holds(40);
  assert.deepEqual(await region.toDevice(), { rc: -EINVAL });
  assert.deepEqual(new Set(region.seenBy()), new Set(["system, write"]));
  await region.holds(40);
});

scenario("file_write", "what a device writes to a file, everybody who maps the file sees", async (stage) => {
  const file = stage.createFile(PAGES, 0);
  const region = await stage.process.map(PAGES, { file, shared: true });
  const elsewhere = await stage.start().map(PAGES, { file, shared: true });
  await elsewhere.holds(0);
  assert.deepEqual(await region.deviceWrite(300), done(PAGES, 1));
  await region.holds(300);
  await elsewhere.holds(300);
  await region.unmap();
  await elsewhere.unmap();
  const again = await stage.process.map(PAGES, { file });
  await again.holds(300);
});
