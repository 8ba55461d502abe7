// The reverse map: from a page to all its mappings, through its root and its index.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { isMigrationEntry } from "../../../src/mm/table/entry.js";
import { FRAME_SHIFT, INDEX, MAPPING, PG_DIRTY } from "../../../src/mm/frames/frames.js";
import { DMA_PIN, pinPage } from "../../../src/mm/fault/gup.js";
import { exitAddressSpace, mprotect, munmap } from "../../../src/mm/space/mapping.js";
import { anonVmaOf, tryToMigrate } from "../../../src/mm/frames/rmap.js";
import { PROT_READ } from "../../../src/mm/space/vma.js";
import { restoreEntries } from "../../../src/migrate/restore.js";
import { createMachine, frameAt, load, mapPages, PAGE, store, word } from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

async function createPage() {
  const { machine } = createMachine();
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, 8);
  await store(mm, page + 3, 5);
  machine.lru.drain();
  return { machine, mm, page: page + 3, base: page, frame: frameAt(mm, page + 3) };
}

describe("the root of a page", () => {
  test("is that of the VMA it was mapped in, and the index is its page number", async () => {
    const { machine, mm, page, frame } = await createPage();
    assert.equal(anonVmaOf(machine, frame), mm.vmas[0].anonVma);
    assert.equal(machine.frames.words[(frame << FRAME_SHIFT) + INDEX], page);
  });

  test("is found after the VMA was split, on either side", async () => {
    const { machine, mm, page, base } = await createPage();
    await store(mm, base, 1);
    await mprotect(mm, (base + 2) * PAGE, 3 * PAGE, PROT_READ);
    checkInvariants(machine);
    await munmap(mm, (base + 1) * PAGE, PAGE);
    checkInvariants(machine);
    assert.equal(await load(mm, page), 5);
  });

  test("is none once all VMAs went, and its number does not come again", async () => {
    const { machine, mm, frame } = await createPage();
    machine.frames.get(frame);
    const id = machine.frames.words[(frame << FRAME_SHIFT) + MAPPING] >>> 2;
    await exitAddressSpace(mm);
    assert.equal(anonVmaOf(machine, frame), undefined);
    const other = machine.createAddressSpace();
    await store(other, await mapPages(other, 1), 1);
    assert.ok((other.vmas[0].anonVma?.id ?? 0) > id);
    assert.equal(anonVmaOf(machine, frame), undefined);
    machine.put(frame);
    checkInvariants(machine);
  });
});

describe("unmapping a locked page everywhere", () => {
  test("puts a migration entry in the place of its mapping, and drops the mapping's reference", async () => {
    const { machine, mm, page, frame } = await createPage();
    machine.frames.get(frame);
    machine.frames.tryLock(frame);
    tryToMigrate(machine, frame);
    assert.equal(isMigrationEntry(word(mm, page)), true);
    assert.equal(machine.frames.mapcount(frame), 0);
    assert.equal(machine.frames.refcount(frame), 1);
    assert.equal(machine.frames.flags(frame) & PG_DIRTY, PG_DIRTY, "a dirty entry makes the page dirty");
    restoreEntries(machine, frame, frame);
    machine.pageLocks.unlock(frame);
    machine.put(frame);
    assert.equal(await load(mm, page), 5);
    checkInvariants(machine);
  });

  test("finds the mappings of all processes, and tells the devices of each of the page", async () => {
    const { machine, mm, page, frame } = await createPage();
    const child = await forkAddressSpace(mm);
    checkInvariants(machine);
    const listeners = [new Listener(mm), new Listener(child)];
    machine.frames.get(frame);
    machine.frames.tryLock(frame);
    tryToMigrate(machine, frame);
    for (const each of [mm, child]) assert.equal(isMigrationEntry(word(each, page)), true);
    for (const listener of listeners) assert.deepEqual(listener.take(), [["clear", page, page + 1]]);
    assert.equal(machine.frames.refcount(frame), 1);
    restoreEntries(machine, frame, frame);
    machine.pageLocks.unlock(frame);
    machine.put(frame);
    for (const each of [mm, child]) assert.equal(await load(each, page), 5);
    checkInvariants(machine);
  });

  test("leaves a page alone that is pinned for DMA", async () => {
    const { machine, mm, page, frame } = await createPage();
    await pinPage(mm, page, true, DMA_PIN);
    const before = word(mm, page);
    machine.frames.tryLock(frame);
    tryToMigrate(machine, frame);
    assert.equal(word(mm, page), before);
    assert.equal(machine.frames.mapcount(frame), 1);
    machine.pageLocks.unlock(frame);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
  });

  test("does not touch the entry of another page at the same index", async () => {
    const { machine, mm, page, frame } = await createPage();
    const child = await forkAddressSpace(mm);
    await store(child, page, 6);
    const copy = word(child, page);
    machine.frames.get(frame);
    machine.frames.tryLock(frame);
    tryToMigrate(machine, frame);
    assert.equal(word(child, page), copy);
    restoreEntries(machine, frame, frame);
    machine.pageLocks.unlock(frame);
    machine.put(frame);
    assert.deepEqual([await load(mm, page), await load(child, page)], [5, 6]);
    checkInvariants(machine);
  });

  test("stops asking devices once no mapping is left", async () => {
    const { machine, mm, page, frame } = await createPage();
    const child = await forkAddressSpace(mm);
    await munmap(child, page * PAGE, PAGE);
    await mapPages(child, 1, { at: page });
    const listener = new Listener(child);
    machine.frames.get(frame);
    machine.frames.tryLock(frame);
    tryToMigrate(machine, frame);
    assert.deepEqual(listener.take(), []);
    restoreEntries(machine, frame, frame);
    machine.pageLocks.unlock(frame);
    machine.put(frame);
    checkInvariants(machine);
  });
});

describe("a page that two processes share", () => {
  for (const kind of ["private", "coherent"] as const) {
    test(`moves to a ${kind} device and home for both at once`, async () => {
      const { machine, mm, page } = await createPage();
      const device = new TestDevice(machine, kind, 2);
      const child = await forkAddressSpace(mm);
      assert.deepEqual(await device.migrateToDevice(mm, page), [true]);
      assert.equal(frameAt(mm, page), frameAt(child, page));
      assert.ok(device.holds(frameAt(child, page)));
      assert.equal(machine.frames.mapcount(frameAt(mm, page)), 2);
      checkInvariants(machine);
      assert.deepEqual(await device.evict(), [true, false]);
      assert.equal(frameAt(mm, page), frameAt(child, page));
      assert.deepEqual([await load(mm, page), await load(child, page)], [5, 5]);
      assert.equal(device.freeFrames, 2);
      checkInvariants(machine);
    });
  }

  test("is copied for the one that writes, and stays the other's", async () => {
    const { machine, mm, page } = await createPage();
    const device = new TestDevice(machine, "private", 2);
    const child = await forkAddressSpace(mm);
    await device.migrateToDevice(mm, page);
    await store(child, page, 6);
    assert.deepEqual([await load(mm, page), await load(child, page)], [5, 6]);
    await store(mm, page, 7);
    assert.deepEqual([await load(mm, page), await load(child, page)], [7, 6]);
    checkInvariants(machine);
  });
});
