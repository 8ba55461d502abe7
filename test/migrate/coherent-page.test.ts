// One page of coherent memory moves to the host, for a pin that lasts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { forkAddressSpace } from "../../src/mm/copy/fork.js";
import { exitAddressSpace, mprotect, munmap } from "../../src/mm/space/mapping.js";
import { PROT_READ } from "../../src/mm/space/vma.js";
import { migrateDeviceCoherentPage } from "../../src/migrate/device-range.js";
import { createMachine, frameAt, load, mapPages, memoryError, PAGE, store, word } from "../builders.js";
import { SeededEnvironment } from "../environments.js";
import { checkInvariants } from "../invariants.js";
import { TestDevice } from "../test-device.js";

async function createPage(options: Parameters<typeof mapPages>[2] = {}) {
  const { machine, environment } = createMachine();
  const device = new TestDevice(machine, "coherent", 2);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, 1, options);
  await store(mm, page, 5);
  await device.migrateToDevice(mm, page);
  const frame = frameAt(mm, page);
  // The reference that the move consumes.
  machine.frames.get(frame);
  return { machine, environment, device, mm, page, frame };
}

describe("moving a page off a coherent device", () => {
  test("takes it to the host, with its bytes and permission, and consumes the caller's reference", async () => {
    const { machine, device, mm, page, frame } = await createPage();
    const before = word(mm, page) & 0xff;
    await migrateDeviceCoherentPage(machine, frame);
    assert.equal(device.holds(frameAt(mm, page)), false);
    assert.equal(word(mm, page) & 0xff, before);
    assert.equal(await load(mm, page), 5);
    assert.deepEqual(device.freed, [frame]);
    checkInvariants(machine);
  });

  test("takes it to its home", async () => {
    const { machine, mm, page, frame } = await createPage({ home: true });
    await migrateDeviceCoherentPage(machine, frame);
    assert.equal(frameAt(mm, page), mm.vmas[0].home?.first);
    checkInvariants(machine);
  });

  test("takes it there for all processes that map it", async () => {
    const { machine, mm, page, frame } = await createPage();
    const child = await forkAddressSpace(mm);
    await migrateDeviceCoherentPage(machine, frame);
    assert.equal(frameAt(mm, page), frameAt(child, page));
    assert.deepEqual([await load(mm, page), await load(child, page)], [5, 5]);
    checkInvariants(machine);
  });

  test("is refused, as busy, when somebody else refers to the page twice: lock and reference are gone", async () => {
    const { machine, device, mm, page, frame } = await createPage();
    const before = word(mm, page);
    machine.frames.get(frame);
    machine.frames.get(frame);
    await assert.rejects(migrateDeviceCoherentPage(machine, frame), memoryError("EBUSY", /is in use/));
    assert.equal(word(mm, page), before);
    checkInvariants(machine, { references: [[frame, 2]] });
    machine.put(frame, 2);
    assert.equal(device.freeFrames, 1);
    checkInvariants(machine);
  });

  test("is refused, as busy, when somebody else refers to it once, by the exact count of the pages step", async () => {
    const { machine, mm, page, frame } = await createPage();
    const before = word(mm, page);
    machine.frames.get(frame);
    await assert.rejects(migrateDeviceCoherentPage(machine, frame), memoryError("EBUSY", /is in use/));
    assert.equal(word(mm, page), before);
    assert.equal(machine.host.charge.usage, 0, "the host frame was given back");
    checkInvariants(machine, { references: [[frame, 1]] });
  });

  test("without a system page does not happen; the error names the reason (Linux: EBUSY)", async () => {
    const { machine, environment, mm, page, frame } = await createPage();
    const before = word(mm, page);
    environment.refuse("frame");
    await assert.rejects(migrateDeviceCoherentPage(machine, frame), memoryError("ENOMEM", /no host memory/));
    assert.equal(word(mm, page), before);
    assert.equal(await load(mm, page), 5);
    checkInvariants(machine);
  });

  test("is for coherent memory alone", async () => {
    const { machine, mm, frame } = await createPage();
    const hostPage = await mapPages(mm, 1);
    await store(mm, hostPage, 1);
    await assert.rejects(
      migrateDeviceCoherentPage(machine, frameAt(mm, hostPage)),
      memoryError("EINVAL", /is not coherent device memory/),
    );
    checkInvariants(machine, { references: [[frame, 1]] });
  });

  test("waits for the page's lock", async () => {
    const environment = new SeededEnvironment(5);
    const { machine } = createMachine({ environment });
    const device = new TestDevice(machine, "coherent", 2);
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 5);
    await device.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    machine.frames.get(frame);
    machine.frames.tryLock(frame);
    const move = migrateDeviceCoherentPage(machine, frame);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(machine.pageLocks.waiting, 1);
    machine.pageLocks.unlock(frame);
    await environment.settle(move);
    assert.equal(await load(mm, page), 5);
    checkInvariants(machine);
  });

  for (const [what, meet] of [
    ["is unmapped", ({ mm, page }) => munmap(mm, page * PAGE, PAGE)],
    ["becomes read-only", ({ mm, page }) => mprotect(mm, page * PAGE, PAGE, PROT_READ)],
    ["loses its process", ({ mm }) => exitAddressSpace(mm)],
  ] satisfies [string, (scene: Awaited<ReturnType<typeof createPage>>) => Promise<void>][]) {
    test(`of a page that ${what} while the lock is waited for leaves nothing behind`, async () => {
      const scene = await createPage();
      const { machine, device, mm, frame } = scene;
      machine.frames.tryLock(frame);
      const move = migrateDeviceCoherentPage(machine, frame).catch((error: unknown) => error);
      await meet(scene);
      machine.pageLocks.unlock(frame);
      const outcome = await move;
      if (outcome !== undefined) memoryError("EBUSY", /is in use/)(outcome);
      machine.lru.drain();
      assert.equal(device.freeFrames, 2);
      if (machine.addressSpaces.has(mm)) await exitAddressSpace(mm);
      machine.lru.drain();
      assert.equal(machine.host.charge.usage, 0);
      checkInvariants(machine);
    });
  }
});
