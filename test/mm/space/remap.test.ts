// Moving a mapping to other addresses: its pages are where they were, and everybody finds them at the new place.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPageCache } from "../../../src/mm/stores.js";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import { makeDeviceExclusiveRange } from "../../../src/mm/fault/device-exclusive.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isSwapEntry,
  isZeroPageEntry,
  PTE_SOFT_DIRTY,
} from "../../../src/mm/table/entry.js";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { splitHugePage } from "../../../src/mm/huge/huge-page.js";
import { exitAddressSpace } from "../../../src/mm/space/mapping.js";
import { pageOut } from "../../../src/mm/swap/pageout.js";
import { TABLE_WORDS } from "../../../src/mm/table/page-table.js";
import { mremap } from "../../../src/mm/space/remap.js";
import { clearSoftDirty } from "../../../src/mm/space/soft-dirty.js";
import { PROT_READ, VM_HUGEPAGE, VM_SOFTDIRTY } from "../../../src/mm/space/vma.js";
import {
  createMachine,
  everybodyWaits,
  frameAt,
  Gate,
  load,
  mapPages,
  memoryError,
  PAGE,
  store,
  TestSwapStore,
  word,
} from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

/** Far from everything else, and so placed that no leaf table moves as a whole. */
const ELSEWHERE = 100 * TABLE_WORDS + 7;

async function createPages(pages = 4) {
  const { machine, environment } = createMachine({ swap: new TestSwapStore() });
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages);
  for (let i = 0; i < pages; i++) await store(mm, page + i, 10 + i);
  machine.lru.drain();
  checkInvariants(machine);
  return { machine, environment, mm, page };
}

async function move(mm: AddressSpace, page: number, pages: number, to?: number): Promise<number> {
  return (await mremap(mm, page * PAGE, pages * PAGE, to === undefined ? undefined : to * PAGE)) / PAGE;
}

async function bytes(mm: AddressSpace, page: number, pages = 4): Promise<number[]> {
  const read: number[] = [];
  for (let i = 0; i < pages; i++) read.push(await load(mm, page + i));
  return read;
}

function frames(mm: AddressSpace, page: number, pages = 4): number[] {
  return Array.from({ length: pages }, (_, i) => frameAt(mm, page + i));
}

function areas(mm: AddressSpace): [start: number, end: number, offset: number][] {
  return mm.vmas.map(({ start, end, offset }) => [start, end, offset]);
}

describe("a mapping that moves", () => {
  test("has its pages at the new addresses, in the same frames, and nothing is left at the old ones", async () => {
    const { machine, mm, page } = await createPages();
    const before = frames(mm, page);
    assert.equal(await move(mm, page, 4, ELSEWHERE), ELSEWHERE);
    assert.deepEqual(frames(mm, ELSEWHERE), before);
    assert.deepEqual(areas(mm), [[ELSEWHERE, ELSEWHERE + 4, page]]);
    checkInvariants(machine);
    assert.deepEqual(await bytes(mm, ELSEWHERE), [10, 11, 12, 13]);
    await assert.rejects(load(mm, page), memoryError("EFAULT", /may not be accessed/));
  });

  test("goes to a free place when none is named", async () => {
    const { machine, mm, page } = await createPages();
    const to = await move(mm, page, 4);
    assert.notEqual(to, page);
    assert.deepEqual(await bytes(mm, to), [10, 11, 12, 13]);
    checkInvariants(machine);
  });

  test("takes over from what was mapped there", async () => {
    const { machine, mm, page } = await createPages();
    await mapPages(mm, 6, { at: ELSEWHERE - 1 });
    for (let i = -1; i < 5; i++) await store(mm, ELSEWHERE + i, 99);
    await move(mm, page, 4, ELSEWHERE);
    assert.deepEqual(await bytes(mm, ELSEWHERE - 1, 6), [99, 10, 11, 12, 13, 99]);
    checkInvariants(machine);
  });

  test("may be a part of a VMA, also one that moves onto another part of it", async () => {
    const { machine, mm, page } = await createPages(8);
    await move(mm, page + 2, 2, page + 6);
    assert.deepEqual(areas(mm), [
      [page, page + 2, page],
      [page + 4, page + 6, page + 4],
      [page + 6, page + 8, page + 2],
    ]);
    assert.deepEqual(await bytes(mm, page + 4), [14, 15, 12, 13]);
    assert.deepEqual(await bytes(mm, page, 2), [10, 11]);
    checkInvariants(machine);
  });

  test("goes over several leaf tables, some missing, that begin elsewhere at the new place", async () => {
    const { machine, mm } = await createPages();
    const page = await mapPages(mm, 4 * TABLE_WORDS, { at: 200 * TABLE_WORDS + 9 });
    const touched = [0, TABLE_WORDS - 10, TABLE_WORDS - 9, TABLE_WORDS, 3 * TABLE_WORDS, 4 * TABLE_WORDS - 1];
    for (const i of touched) await store(mm, page + i, i % 251);
    await move(mm, page, 4 * TABLE_WORDS, ELSEWHERE);
    checkInvariants(machine);
    for (const i of touched) assert.equal(await load(mm, ELSEWHERE + i), i % 251);
    assert.equal(word(mm, ELSEWHERE + 2 * TABLE_WORDS), 0);
  });

  test("counts as soft-dirty, page by page, and its new neighbours do not", async () => {
    const { machine, mm, page } = await createPages();
    await mapPages(mm, 1, { at: page + 4 });
    await load(mm, page + 4);
    await clearSoftDirty(mm);
    await move(mm, page, 5, ELSEWHERE);
    for (let i = 0; i < 5; i++) assert.notEqual(word(mm, ELSEWHERE + i) & PTE_SOFT_DIRTY, 0);
    assert.equal(isZeroPageEntry(word(mm, ELSEWHERE + 4)), true);
    assert.equal(mm.vmas[0].flags & VM_SOFTDIRTY, 0);
    checkInvariants(machine);
  });

  test("is told to devices: all of the old range", async () => {
    const { mm, page } = await createPages();
    const listener = new Listener(mm);
    await move(mm, page + 1, 2, ELSEWHERE);
    assert.deepEqual(new Set(listener.take().map(String)), new Set([`unmap,${page + 1},${page + 3}`]));
  });

  test("keeps its protection, and its pages go on being shared over a fork", async () => {
    const { machine, mm, page } = await createPages();
    const child = await forkAddressSpace(mm);
    await move(mm, page, 4, ELSEWHERE);
    checkInvariants(machine);
    const device = new TestDevice(machine, "private", 8);
    assert.deepEqual(await device.migrateToDevice(mm, ELSEWHERE, 4), [true, true, true, true]);
    assert.deepEqual(frames(child, page), frames(mm, ELSEWHERE));
    await store(mm, ELSEWHERE, 77);
    assert.deepEqual(await bytes(mm, ELSEWHERE), [77, 11, 12, 13]);
    assert.deepEqual(await bytes(child, page), [10, 11, 12, 13]);
    checkInvariants(machine);
    await exitAddressSpace(child);
    checkInvariants(machine);
  });

  test("of a file goes on mapping the same part of it", async () => {
    const { machine, mm } = await createPages();
    const file = createPageCache(machine, 4);
    for (let i = 0; i < 4; i++) file.write(i, new Uint8Array(PAGE).fill(20 + i));
    for (const shared of [true, false]) {
      const page = await mapPages(mm, 4, { file, shared, protection: PROT_READ });
      await load(mm, page + 2);
      const to = await move(mm, page + 1, 3);
      assert.deepEqual(await bytes(mm, to, 3), [21, 22, 23]);
      checkInvariants(machine);
    }
    file.release();
  });
});

describe("an entry that moves", () => {
  for (const kind of ["private", "coherent"] as const) {
    test(`of a page on a ${kind} device stays one, and the page comes home to the new place`, async () => {
      const { machine, mm, page } = await createPages();
      const device = new TestDevice(machine, kind, 8);
      await device.migrateToDevice(mm, page, 4);
      const before = frames(mm, page);
      await move(mm, page, 4, ELSEWHERE);
      assert.deepEqual(frames(mm, ELSEWHERE), before);
      assert.equal(isDevicePrivateEntry(word(mm, ELSEWHERE)), kind === "private");
      checkInvariants(machine);
      assert.equal(await load(mm, ELSEWHERE), 10);
      assert.deepEqual(await device.migrateToHost(mm, ELSEWHERE + 1, 1), [true]);
      await device.evict();
      assert.equal(device.freeFrames, 8);
      assert.deepEqual(await bytes(mm, ELSEWHERE), [10, 11, 12, 13]);
      checkInvariants(machine);
    });
  }

  test("of a page that is swapped out brings it back at the new place", async () => {
    const { machine, mm, page } = await createPages();
    await pageOut(mm, page * PAGE, 4 * PAGE);
    await move(mm, page, 4, ELSEWHERE);
    assert.equal(isSwapEntry(word(mm, ELSEWHERE)), true);
    checkInvariants(machine);
    assert.deepEqual(await bytes(mm, ELSEWHERE), [10, 11, 12, 13]);
    checkInvariants(machine);
  });

  test("of a page that a device has for itself is taken back at the new place", async () => {
    const { machine, mm, page } = await createPages();
    const owned = new Int32Array(1);
    assert.equal(await makeDeviceExclusiveRange(mm, page, owned, null), 1);
    machine.pageLocks.unlock(owned[0]);
    machine.put(owned[0]);
    await move(mm, page, 4, ELSEWHERE);
    assert.equal(isDeviceExclusiveEntry(word(mm, ELSEWHERE)), true);
    checkInvariants(machine);
    await store(mm, ELSEWHERE, 55);
    assert.deepEqual(await bytes(mm, ELSEWHERE), [55, 11, 12, 13]);
    checkInvariants(machine);
  });

  test("of a page that is on its way ends at the new place", async () => {
    const { machine, mm, page } = await createPages();
    const device = new TestDevice(machine, "private", 8);
    await device.migrateToDevice(mm, page, 4);
    const gate = new Gate();
    device.pause = () => gate.pass();
    const emptied = device.evict();
    await gate.reached;
    await move(mm, page, 4, ELSEWHERE);
    checkInvariants(machine, { inFlight: device.inFlight });
    const reading = load(mm, ELSEWHERE + 3);
    await everybodyWaits();
    gate.open();
    await emptied;
    assert.equal(await reading, 13);
    assert.equal(device.freeFrames, 8);
    assert.deepEqual(await bytes(mm, ELSEWHERE), [10, 11, 12, 13]);
    checkInvariants(machine);
  });

  test("is none when there was none", async () => {
    const { machine, environment, mm } = await createPages();
    const page = await mapPages(mm, 4);
    environment.exhaust("table");
    await move(mm, page, 4, ELSEWHERE);
    environment.recover();
    assert.equal(word(mm, ELSEWHERE), 0);
    assert.equal(await load(mm, ELSEWHERE), 0);
    checkInvariants(machine);
  });
});

describe("a huge page that moves", () => {
  const BLOCK = 300 * TABLE_WORDS;

  async function createBlocks(blocks: number) {
    const { machine, environment } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, blocks * TABLE_WORDS, { flags: VM_HUGEPAGE });
    for (let i = 0; i < blocks; i++) await store(mm, page + i * TABLE_WORDS + 1, 1 + i);
    assert.notEqual(mm.pageTable.huge(page), 0);
    return { machine, environment, mm, page };
  }

  test("to the place of a block stays one entry, soft-dirty", async () => {
    const { machine, mm, page } = await createBlocks(3);
    await clearSoftDirty(mm);
    const before = mm.pageTable.huge(page + TABLE_WORDS);
    await move(mm, page + TABLE_WORDS, TABLE_WORDS, BLOCK);
    assert.equal(mm.pageTable.huge(BLOCK), before | PTE_SOFT_DIRTY);
    assert.equal(mm.pageTable.huge(page + TABLE_WORDS), 0);
    checkInvariants(machine);
    assert.equal(await load(mm, BLOCK + 1), 2);
    await store(mm, BLOCK + 511, 9);
    assert.equal(await load(mm, page + 2 * TABLE_WORDS + 1), 3);
    checkInvariants(machine);
  });

  test("takes the zero page along as one entry", async () => {
    const { machine, mm } = await createBlocks(1);
    const page = await mapPages(mm, TABLE_WORDS, { flags: VM_HUGEPAGE });
    assert.equal(await load(mm, page), 0);
    const before = mm.pageTable.huge(page);
    await move(mm, page, TABLE_WORDS, BLOCK);
    assert.equal(mm.pageTable.huge(BLOCK), before | PTE_SOFT_DIRTY);
    assert.equal(await load(mm, BLOCK + 100), 0);
    checkInvariants(machine);
  });

  test("between two blocks is mapped part by part, and can be split into pages there", async () => {
    const { machine, mm, page } = await createBlocks(2);
    const head = frameAt(mm, page);
    await move(mm, page, 2 * TABLE_WORDS, BLOCK + 5);
    assert.equal(mm.pageTable.huge(BLOCK), 0);
    assert.equal(frameAt(mm, BLOCK + 5), head);
    assert.equal(machine.frames.isCompound(head), true);
    checkInvariants(machine);
    assert.equal(await load(mm, BLOCK + 6), 1);
    assert.equal(await load(mm, BLOCK + 6 + TABLE_WORDS), 2);
    assert.equal(splitHugePage(machine, head), true);
    assert.equal(await load(mm, BLOCK + 6), 1);
    checkInvariants(machine);
  });

  test("in part is split, and its parts are at both places", async () => {
    const { machine, mm, page } = await createBlocks(1);
    const head = frameAt(mm, page);
    await move(mm, page, 256, BLOCK);
    assert.equal(frameAt(mm, BLOCK), head);
    assert.equal(frameAt(mm, page + 256), head + 256);
    assert.equal(machine.frames.isCompound(head), true);
    checkInvariants(machine);
    assert.equal(await load(mm, BLOCK + 1), 1);
    await assert.rejects(load(mm, page), memoryError("EFAULT", /may not be accessed/));
  });

  test("to between two blocks goes on being shared with another process, where it is one entry until it is split", async () => {
    const { machine, mm, page } = await createBlocks(2);
    const head = frameAt(mm, page);
    const child = await forkAddressSpace(mm);
    await move(mm, page, 2 * TABLE_WORDS, BLOCK + 5);
    checkInvariants(machine);
    assert.notEqual(child.pageTable.huge(page), 0);
    assert.equal(splitHugePage(machine, head), true);
    assert.equal(child.pageTable.huge(page), 0);
    await store(mm, BLOCK + 6, 8);
    assert.deepEqual([await load(child, page + 1), await load(mm, BLOCK + 6)], [1, 8]);
    checkInvariants(machine);
  });

  test("is as before when a page table cannot be had", async () => {
    const { machine, environment, mm, page } = await createBlocks(2);
    const before = [mm.pageTable.huge(page), mm.pageTable.huge(page + TABLE_WORDS)];
    for (const to of [BLOCK, BLOCK + 5]) {
      environment.exhaust("table");
      await assert.rejects(move(mm, page, 2 * TABLE_WORDS, to), memoryError("ENOMEM", /page tables/));
      environment.recover();
      checkInvariants(machine);
    }
    assert.deepEqual([mm.pageTable.huge(page), mm.pageTable.huge(page + TABLE_WORDS)], before);
  });
});

describe("the VMA at the new place", () => {
  test("becomes one with its neighbour when it has no pages yet", async () => {
    const { machine, mm } = await createPages();
    const neighbour = await mapPages(mm, 4, { at: ELSEWHERE - 4 });
    await store(mm, neighbour, 1);
    const page = await mapPages(mm, 4);
    await move(mm, page, 4, ELSEWHERE);
    assert.deepEqual(areas(mm).at(-1), [neighbour, neighbour + 8, neighbour]);
    await store(mm, ELSEWHERE, 2);
    checkInvariants(machine);
  });

  test("stays by itself when its pages have another offset", async () => {
    const { machine, mm, page } = await createPages();
    await mapPages(mm, 4, { at: ELSEWHERE - 4 });
    await move(mm, page, 4, ELSEWHERE);
    assert.deepEqual(areas(mm), [
      [ELSEWHERE - 4, ELSEWHERE, ELSEWHERE - 4],
      [ELSEWHERE, ELSEWHERE + 4, page],
    ]);
    checkInvariants(machine);
  });

  test("becomes one with what it came from, when it comes back", async () => {
    const { machine, mm, page } = await createPages();
    await move(mm, page + 1, 2, ELSEWHERE);
    assert.equal(areas(mm).length, 3);
    await move(mm, ELSEWHERE, 2, page + 1);
    assert.deepEqual(areas(mm), [[page, page + 4, page]]);
    checkInvariants(machine);
    const device = new TestDevice(machine, "private", 4);
    await device.migrateToDevice(mm, page, 4);
    assert.deepEqual(await device.evict(), [true, true, true, true]);
    assert.deepEqual(await bytes(mm, page), [10, 11, 12, 13]);
    checkInvariants(machine);
  });

  test("stays by itself beside a neighbour without pages, which the reverse map does not know", async () => {
    const { machine, mm, page } = await createPages();
    await move(mm, page, 4, ELSEWHERE);
    await mapPages(mm, 4, { at: page - 4 });
    await move(mm, ELSEWHERE, 4, page);
    assert.deepEqual(areas(mm), [
      [page - 4, page, page - 4],
      [page, page + 4, page],
    ]);
    checkInvariants(machine);
  });

  test("grows out of the old one when it is beside it, and the old addresses are free", async () => {
    const { machine, mm } = await createPages();
    const page = await mapPages(mm, 4);
    await move(mm, page, 4, page + 4);
    assert.deepEqual(areas(mm).at(-1), [page + 4, page + 8, page + 4]);
    assert.equal(mm.vmaAt(page), undefined);
    checkInvariants(machine);
  });
});

describe("a move is refused", () => {
  test("for a range that does not lie in one VMA", async () => {
    const { machine, mm, page } = await createPages();
    await mapPages(mm, 2, { at: page + 4, protection: PROT_READ });
    for (const [first, pages] of [
      [page - 1, 2],
      [page + 3, 2],
      [page + 5, 2],
    ]) {
      await assert.rejects(move(mm, first, pages), memoryError("EFAULT", /do not lie in one mapping/));
    }
    assert.deepEqual(await bytes(mm, page), [10, 11, 12, 13]);
    checkInvariants(machine);
  });

  test("onto itself, even in part", async () => {
    const { machine, mm, page } = await createPages();
    for (const distance of [-3, 0, 3]) {
      await assert.rejects(move(mm, page, 4, page + distance), memoryError("EINVAL", /cannot be moved to/));
    }
    assert.deepEqual(await bytes(mm, page), [10, 11, 12, 13]);
    checkInvariants(machine);
  });

  test("for bounds that are not page-aligned, and for no page", async () => {
    const { mm, page } = await createPages();
    await assert.rejects(mremap(mm, page * PAGE + 1, PAGE), memoryError("EINVAL", /not a multiple/));
    await assert.rejects(mremap(mm, page * PAGE, 0), memoryError("EINVAL", /no pages/));
    await assert.rejects(mremap(mm, page * PAGE, PAGE, 5), memoryError("EINVAL", /not a multiple/));
  });

  test("for pages that have home frames", async () => {
    const { machine, mm } = await createPages();
    const page = await mapPages(mm, 2, { home: true });
    await assert.rejects(move(mm, page, 2, ELSEWHERE), memoryError("EINVAL", /home frames/));
    checkInvariants(machine);
  });

  test("when a page table cannot be had, and the mapping is as before", async () => {
    const { machine, environment, mm, page } = await createPages();
    for (const later of [0, 1]) {
      environment.refuse("table", later);
      await assert.rejects(move(mm, page, 4, ELSEWHERE + 2 ** 20 * later), memoryError("ENOMEM", /page tables/));
      checkInvariants(machine);
    }
    assert.deepEqual(await bytes(mm, page), [10, 11, 12, 13]);
    assert.deepEqual(areas(mm), [[page, page + 4, page]]);
  });
});
