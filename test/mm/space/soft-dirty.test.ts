// Clearing soft-dirty: every entry is write-protected, so that the next write marks it again; pinned pages stay dirty.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPageCache } from "../../../src/mm/stores.js";
import { makeDeviceExclusiveRange } from "../../../src/mm/fault/device-exclusive.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isMigrationEntry,
  isSwapEntry,
  isZeroPageEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
} from "../../../src/mm/table/entry.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE } from "../../../src/mm/fault/gup.js";
import { madvise, mprotect } from "../../../src/mm/space/mapping.js";
import { ADDRESS_SPACE_PAGES, TABLE_WORDS } from "../../../src/mm/table/page-table.js";
import { pageOut } from "../../../src/mm/swap/pageout.js";
import {
  clearSoftDirty,
  clearSoftDirtyRange,
  forEachSoftDirtyRun,
  markSoftDirty,
} from "../../../src/mm/space/soft-dirty.js";
import { PROT_READ, PROT_WRITE, VM_PFNMAP, VM_SOFTDIRTY } from "../../../src/mm/space/vma.js";
import {
  createMachine,
  everybodyWaits,
  frameAt,
  Gate,
  load,
  mapPages,
  PAGE,
  store,
  TestSwapStore,
  word,
} from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

const TRACKED = PTE_WRITE | PTE_SOFT_DIRTY;

async function createPages(pages = 2) {
  const { machine } = createMachine({ swap: new TestSwapStore() });
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages);
  for (let i = 0; i < pages; i++) await store(mm, page + i, 10 + i);
  machine.lru.drain();
  return { machine, mm, page };
}

describe("clearing soft-dirty", () => {
  test("write-protects every page and takes its mark, and that of the VMA; dirty and exclusive stay", async () => {
    const { machine, mm, page } = await createPages();
    assert.notEqual(mm.vmas[0].flags & VM_SOFTDIRTY, 0, "a new mapping is marked");
    await clearSoftDirty(mm);
    for (const i of [0, 1]) {
      assert.equal(word(mm, page + i) & TRACKED, 0);
      const kept = PTE_DIRTY | PTE_EXCLUSIVE;
      assert.equal(word(mm, page + i) & kept, kept);
    }
    assert.equal(mm.vmas[0].flags & VM_SOFTDIRTY, 0);
    checkInvariants(machine);
  });

  test("tells the notifiers once of everything", async () => {
    const { mm } = await createPages();
    await mapPages(mm, 1);
    const listener = new Listener(mm);
    await clearSoftDirty(mm);
    assert.deepEqual(listener.take(), [["soft-dirty", 0, ADDRESS_SPACE_PAGES]]);
  });

  test("makes the next write mark its page and no other, and takes no new page", async () => {
    const { machine, mm, page } = await createPages();
    const frame = frameAt(mm, page);
    await clearSoftDirty(mm);
    await load(mm, page);
    assert.equal(word(mm, page) & TRACKED, 0, "a read marks nothing");
    await store(mm, page, 1);
    assert.equal(word(mm, page) & TRACKED, TRACKED);
    assert.equal(word(mm, page + 1) & TRACKED, 0);
    assert.equal(frameAt(mm, page), frame);
    checkInvariants(machine);
  });

  test("keeps protection from making a page writable at once, which would go unnoticed", async () => {
    const { machine, mm, page } = await createPages();
    await clearSoftDirty(mm);
    await mprotect(mm, page * PAGE, 2 * PAGE, PROT_READ);
    await mprotect(mm, page * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
    assert.equal(word(mm, page) & PTE_WRITE, 0);
    await store(mm, page, 1);
    assert.equal(word(mm, page) & TRACKED, TRACKED);
    checkInvariants(machine);
  });

  test("leaves a page that is pinned for DMA marked and writable", async () => {
    const { machine, mm, page } = await createPages();
    const frame = await pinPage(mm, page, true, DMA_PIN);
    const before = word(mm, page);
    await clearSoftDirty(mm);
    assert.equal(word(mm, page), before);
    assert.equal(word(mm, page + 1) & TRACKED, 0);
    machine.put(frame, DMA_PIN);
    await clearSoftDirty(mm);
    assert.equal(word(mm, page) & TRACKED, 0);
    checkInvariants(machine);
  });

  test("clears a page that is pinned and may not be written by this mapping", async () => {
    const { machine, mm, page } = await createPages();
    const frame = await pinPage(mm, page, true, DMA_PIN);
    await mprotect(mm, page * PAGE, PAGE, PROT_READ);
    await clearSoftDirty(mm);
    assert.equal(word(mm, page) & TRACKED, 0);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
  });

  test("clears a page with a short reference", async () => {
    const { machine, mm, page } = await createPages();
    const frame = await pinPage(mm, page, true, SHORT_REFERENCE);
    await clearSoftDirty(mm);
    assert.equal(word(mm, page) & TRACKED, 0);
    checkInvariants(machine, { references: [[frame, 1]] });
  });

  test("clears a pinned page of shared memory all the same", async () => {
    const { machine, mm } = await createPages();
    const file = createPageCache(machine, 1);
    const page = await mapPages(mm, 1, { file, shared: true });
    await store(mm, page, 1);
    const frame = await pinPage(mm, page, true, DMA_PIN);
    await clearSoftDirty(mm);
    assert.equal(word(mm, page) & TRACKED, 0);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
  });

  test("clears the mark, and nothing else, of entries in swap, on devices and exclusive to one", async () => {
    const { machine, mm, page } = await createPages(3);
    const device = new TestDevice(machine, "private", 1);
    await device.migrateToDevice(mm, page);
    await pageOut(mm, (page + 1) * PAGE, PAGE);
    const frames = new Int32Array(1);
    await makeDeviceExclusiveRange(mm, page + 2, frames, null);
    machine.pageLocks.unlock(frames[0]);
    machine.put(frames[0]);
    const before = [0, 1, 2].map((i) => word(mm, page + i));
    assert.deepEqual(
      [isDevicePrivateEntry(before[0]), isSwapEntry(before[1]), isDeviceExclusiveEntry(before[2])],
      [true, true, true],
    );
    assert.ok(before.every((entry) => (entry & PTE_SOFT_DIRTY) !== 0));
    await clearSoftDirty(mm);
    assert.deepEqual(
      [0, 1, 2].map((i) => word(mm, page + i)),
      before.map((entry) => entry & ~PTE_SOFT_DIRTY),
    );
    checkInvariants(machine);
    assert.deepEqual(await Promise.all([0, 1, 2].map((i) => load(mm, page + i))), [10, 11, 12]);
    checkInvariants(machine);
  });

  test("clears the mark of a migration entry, and the page that comes back has none", async () => {
    const { machine, mm, page } = await createPages(1);
    const device = new TestDevice(machine, "private", 1);
    await device.migrateToDevice(mm, page);
    const gate = new Gate();
    device.pause = () => gate.pass();
    const evicting = device.evict();
    await gate.reached;
    await clearSoftDirty(mm);
    assert.ok(isMigrationEntry(word(mm, page)));
    assert.equal(word(mm, page) & PTE_SOFT_DIRTY, 0);
    checkInvariants(machine, { inFlight: device.inFlight, busy: true });
    device.pause = null;
    gate.open();
    await evicting;
    assert.equal(word(mm, page) & PTE_SOFT_DIRTY, 0);
    checkInvariants(machine);
  });

  test("waits for a migration that holds the mmap lock", async () => {
    const { machine, mm, page } = await createPages(1);
    const device = new TestDevice(machine, "private", 1);
    const gate = new Gate();
    device.pause = () => gate.pass();
    const moving = device.migrateToDevice(mm, page);
    await gate.reached;
    const clearing = clearSoftDirty(mm);
    await everybodyWaits();
    assert.notEqual(word(mm, page) & PTE_SOFT_DIRTY, 0);
    gate.open();
    assert.deepEqual(await moving, [true]);
    await clearing;
    assert.equal(word(mm, page) & PTE_SOFT_DIRTY, 0);
    assert.ok(isDevicePrivateEntry(word(mm, page)));
    assert.equal(mm.mmapLock.free, true);
    checkInvariants(machine);
  });

  test("leaves the zero page and holes as they are", async () => {
    const { machine, mm } = await createPages();
    const page = await mapPages(mm, 2);
    await load(mm, page);
    await clearSoftDirty(mm);
    assert.ok(isZeroPageEntry(word(mm, page)));
    assert.equal(word(mm, page + 1), 0);
    checkInvariants(machine);
  });

  test("skips page tables that do not exist and reaches those after them", async () => {
    const { machine, mm } = await createPages();
    const pages = 3 * TABLE_WORDS;
    const page = await mapPages(mm, pages);
    await store(mm, page + pages - 1, 1);
    const tables = machine.tables.used;
    await clearSoftDirty(mm);
    assert.equal(word(mm, page + pages - 1) & TRACKED, 0);
    assert.equal(machine.tables.used, tables);
    checkInvariants(machine);
  });

  test("leaves special mappings' entries alone and clears their flag", async () => {
    const { machine, mm } = await createPages();
    const page = await mapPages(mm, 1, { flags: VM_PFNMAP });
    await clearSoftDirty(mm);
    assert.equal((mm.vmaAt(page)?.flags ?? 0) & VM_SOFTDIRTY, 0);
    checkInvariants(machine);
  });

  test("does not keep neighbours apart: a new mapping marks the VMA that it joins", async () => {
    const { machine, mm, page } = await createPages();
    await clearSoftDirty(mm);
    await mapPages(mm, 1, { at: page + 2 });
    assert.equal(mm.vmas.length, 1);
    assert.notEqual(mm.vmas[0].flags & VM_SOFTDIRTY, 0);
    checkInvariants(machine);
  });
});

describe("soft-dirty of a range", () => {
  function runs(mm: Parameters<typeof load>[0], start: number, end: number): (readonly [number, number])[] {
    const found: (readonly [number, number])[] = [];
    forEachSoftDirtyRun(mm, start, end, (first, next) => found.push([first - start, next - start]));
    return found;
  }

  test("is found in runs, across tables, and not in holes", async () => {
    const { mm } = await createPages();
    const page = await mapPages(mm, 1100);
    assert.deepEqual(runs(mm, page, page + 1100), []);
    for (const written of [0, 1, 3, 511, 512, 1099]) await store(mm, page + written, 1);
    await load(mm, page + 2);
    const expected = [
      [0, 2],
      [3, 4],
      [511, 513],
      [1099, 1100],
    ];
    assert.deepEqual(runs(mm, page, page + 1100), expected);
    assert.deepEqual(runs(mm, page + 1, page + 512), [
      [0, 1],
      [2, 3],
      [510, 511],
    ]);
  });

  test("is cleared there and nowhere else, and the devices hear of the range", async () => {
    const { machine, mm, page } = await createPages(3);
    const listener = new Listener(mm);
    await clearSoftDirtyRange(mm, page + 1, page + 2);
    assert.deepEqual(listener.take(), [["soft-dirty", page + 1, page + 2]]);
    assert.deepEqual(runs(mm, page, page + 3), [
      [0, 1],
      [2, 3],
    ]);
    await store(mm, page + 1, 1);
    assert.deepEqual(runs(mm, page, page + 3), [[0, 3]]);
    checkInvariants(machine);
  });

  test("is cleared of pinned pages too, which whoever pinned them marks again", async () => {
    const { machine, mm, page } = await createPages();
    const frame = await pinPage(mm, page, true, DMA_PIN);
    await clearSoftDirtyRange(mm, page, page + 2);
    assert.deepEqual(runs(mm, page, page + 2), []);
    markSoftDirty(mm, page, page + 1);
    assert.deepEqual(runs(mm, page, page + 2), [[0, 1]]);
    await store(mm, page, 5);
    assert.equal(frameAt(mm, page), frame);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
  });

  test("a page on a device may not be written there unnoticed, nor after it has come home", async () => {
    const { machine, mm, page } = await createPages();
    const device = new TestDevice(machine, "private", 2);
    await device.migrateToDevice(mm, page);
    await clearSoftDirtyRange(mm, page, page + 2);
    assert.ok(isDevicePrivateEntry(word(mm, page)));
    assert.equal(word(mm, page) & (PTE_WRITE | PTE_EXCLUSIVE), PTE_EXCLUSIVE);
    checkInvariants(machine);
    await load(mm, page);
    assert.deepEqual(runs(mm, page, page + 2), []);
    await store(mm, page, 1);
    assert.deepEqual(runs(mm, page, page + 2), [[0, 1]]);
    checkInvariants(machine);
  });

  test("of a huge entry is that of its pages, which count one by one once a part is cleared", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 2 * TABLE_WORDS, { at: 4 * TABLE_WORDS });
    await madvise(mm, page * PAGE, 2 * TABLE_WORDS * PAGE, "hugepage");
    for (const block of [0, TABLE_WORDS]) await store(mm, page + block, 1);
    assert.notEqual(mm.pageTable.huge(page), 0);
    assert.deepEqual(runs(mm, page, page + 2 * TABLE_WORDS), [[0, 2 * TABLE_WORDS]]);
    await clearSoftDirtyRange(mm, page, page + 3);
    assert.deepEqual(runs(mm, page, page + 2 * TABLE_WORDS), [[3, 2 * TABLE_WORDS]]);
    assert.notEqual(mm.pageTable.huge(page + TABLE_WORDS), 0, "the other block is as it was");
    await store(mm, page + 1, 2);
    assert.deepEqual(runs(mm, page, page + 5), [
      [1, 2],
      [3, 5],
    ]);
    checkInvariants(machine);
  });

  test("what has no contents cannot be marked", async () => {
    const { machine, mm } = await createPages();
    const page = await mapPages(mm, 2);
    markSoftDirty(mm, page, page + 2);
    assert.deepEqual(runs(mm, page, page + 2), []);
    checkInvariants(machine);
  });
});
