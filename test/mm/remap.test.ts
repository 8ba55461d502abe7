// Moving a mapping to other addresses: its pages are where they were, and everybody finds them at the new place.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressSpace } from "../../src/mm/address-space.js";
import { makeDeviceExclusiveRange } from "../../src/mm/device-exclusive.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isSwapEntry,
  isZeroPageEntry,
  PTE_SOFT_DIRTY,
} from "../../src/mm/entry.js";
import { forkAddressSpace } from "../../src/mm/fork.js";
import { exitAddressSpace } from "../../src/mm/mapping.js";
import { pageOut } from "../../src/mm/pageout.js";
import { TABLE_WORDS } from "../../src/mm/page-table.js";
import { mremap } from "../../src/mm/remap.js";
import { clearSoftDirty } from "../../src/mm/soft-dirty.js";
import { PROT_READ, VM_SOFTDIRTY } from "../../src/mm/vma.js";
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
} from "../builders.js";
import { checkInvariants } from "../invariants.js";
import { Listener, TestDevice } from "../test-device.js";

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
    const file = machine.createPageCache(4);
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
