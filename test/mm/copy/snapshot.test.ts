// Snapshots of a range: the same pages a second time in the same address space, until the range is written.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPageCache } from "../../../src/mm/stores.js";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import {
  isDevicePrivateEntry,
  isSwapEntry,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
} from "../../../src/mm/table/entry.js";
import type { AllocationSite } from "../../../src/mm/environment.js";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { DMA_PIN, pinPage } from "../../../src/mm/fault/gup.js";
import { dontNeed, exitAddressSpace, madvise, mprotect, munmap } from "../../../src/mm/space/mapping.js";
import { TABLE_WORDS } from "../../../src/mm/table/page-table.js";
import { pageOut } from "../../../src/mm/swap/pageout.js";
import { snapshotRange } from "../../../src/mm/copy/snapshot.js";
import { clearSoftDirty } from "../../../src/mm/space/soft-dirty.js";
import { PROT_READ, VM_IO, VM_WRITE } from "../../../src/mm/space/vma.js";
import {
  createMachine,
  frameAt,
  load,
  mapPages,
  type MachineSetup,
  memoryError,
  PAGE,
  store,
  TestSwapStore,
  word,
} from "../../builders.js";
import type { TestEnvironment } from "../../environments.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

async function createPages(pages = 3, setup: MachineSetup<TestEnvironment> = {}) {
  const { machine, environment } = createMachine({ swap: new TestSwapStore(), ...setup });
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, { home: true });
  const home = mm.vmas[0].home ?? assert.fail();
  for (let i = 0; i < pages; i++) await store(mm, page + i, 10 + i);
  machine.lru.drain();
  return { machine, environment, mm, page, home };
}

async function snapshot(mm: AddressSpace, page: number, pages: number): Promise<number> {
  return (await snapshotRange(mm, page * PAGE, pages * PAGE)) / PAGE;
}

async function bytes(mm: AddressSpace, page: number, pages = 3): Promise<number[]> {
  const read: number[] = [];
  for (let i = 0; i < pages; i++) read.push(await load(mm, page + i));
  return read;
}

function frames(mm: AddressSpace, page: number, pages = 3): number[] {
  return Array.from({ length: pages }, (_, i) => frameAt(mm, page + i));
}

describe("a snapshot", () => {
  test("has the pages themselves, which neither may write now, and copies nothing", async () => {
    const { machine, mm, page, home } = await createPages();
    const used = machine.host.charge.usage;
    const copy = await snapshot(mm, page, 3);
    assert.deepEqual(frames(mm, copy), frames(mm, page));
    for (const at of [page, copy]) assert.equal(word(mm, at) & (PTE_WRITE | PTE_EXCLUSIVE), 0);
    assert.equal(machine.host.charge.usage, used);
    assert.equal(mm.resident.usage, 6);
    checkInvariants(machine);
    assert.equal(mm.vmaAt(copy)?.home, null);
    assert.equal(frameAt(mm, page), home.first);
  });

  test("is taken within the call when nobody holds the address space", async () => {
    const { machine, mm, page } = await createPages();
    const taking = snapshotRange(mm, page * PAGE, 3 * PAGE);
    assert.equal(machine.frames.mapcount(frameAt(mm, page)), 2);
    await taking;
  });

  test("keeps what was, while the range is written in its home frames", async () => {
    const { machine, mm, page, home } = await createPages();
    const copy = await snapshot(mm, page, 3);
    for (let i = 0; i < 3; i++) await store(mm, page + i, 20 + i);
    assert.deepEqual(await bytes(mm, page), [20, 21, 22]);
    assert.deepEqual(await bytes(mm, copy), [10, 11, 12]);
    assert.deepEqual(frames(mm, page), [home.first, home.first + 1, home.first + 2]);
    assert.equal(machine.counters.copiedOnWrite, 3);
    assert.equal(mm.resident.usage, 6);
    checkInvariants(machine);
  });

  test("shows zeros where nothing was, whatever is written there later", async () => {
    const { machine, mm } = await createPages();
    const empty = await mapPages(mm, 2, { home: true });
    await load(mm, empty);
    const copy = await snapshot(mm, empty, 2);
    await store(mm, empty, 5);
    await store(mm, empty + 1, 6);
    assert.deepEqual(await bytes(mm, copy, 2), [0, 0]);
    checkInvariants(machine);
  });

  test("cannot be written", async () => {
    const { mm, page } = await createPages();
    const copy = await snapshot(mm, page, 3);
    assert.equal((mm.vmaAt(copy)?.flags ?? VM_WRITE) & VM_WRITE, 0);
    await assert.rejects(store(mm, copy, 1), memoryError("EFAULT", /may not be accessed/));
  });

  test("has a copy of what is pinned, which the pin goes on changing", async () => {
    const { machine, mm, page } = await createPages();
    const frame = await pinPage(mm, page + 1, true, DMA_PIN);
    const copy = await snapshot(mm, page, 3);
    assert.equal(machine.counters.copiedPinned, 1);
    assert.notEqual(frameAt(mm, copy + 1), frame);
    machine.zones.bytes(frame).fill(77);
    assert.deepEqual(await bytes(mm, copy), [10, 11, 12]);
    assert.deepEqual(await bytes(mm, page), [10, 77, 12]);
    assert.equal(word(mm, page + 1) & PTE_WRITE, PTE_WRITE);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
  });

  test("can be taken of a snapshot, and of a part", async () => {
    const { machine, mm, page } = await createPages();
    const first = await snapshot(mm, page, 3);
    await store(mm, page + 1, 21);
    const part = await snapshot(mm, first + 1, 2);
    await store(mm, page + 2, 22);
    const second = await snapshot(mm, page + 1, 1);
    await store(mm, page + 1, 31);
    assert.deepEqual(await bytes(mm, page), [10, 31, 22]);
    assert.deepEqual(await bytes(mm, first), [10, 11, 12]);
    assert.deepEqual(await bytes(mm, part, 2), [11, 12]);
    assert.deepEqual(await bytes(mm, second, 1), [21]);
    assert.equal(frameAt(mm, part), frameAt(mm, first + 1));
    assert.equal(frameAt(mm, part + 1), frameAt(mm, first + 2));
    checkInvariants(machine);
  });

  test("spans mappings that lie side by side", async () => {
    const { machine, mm, page } = await createPages();
    await mprotect(mm, (page + 1) * PAGE, PAGE, PROT_READ);
    const copy = await snapshot(mm, page, 3);
    await store(mm, page, 20);
    assert.deepEqual(await bytes(mm, copy), [10, 11, 12]);
    checkInvariants(machine);
  });

  test("is found by eviction to swap, once the other is gone", async () => {
    const { machine, mm, page } = await createPages();
    await pageOut(mm, page * PAGE, PAGE);
    const copy = await snapshot(mm, page, 3);
    assert.ok(isSwapEntry(word(mm, copy)));
    await store(mm, page, 20);
    assert.deepEqual([await load(mm, page), await load(mm, copy)], [20, 10]);
    await munmap(mm, page * PAGE, 3 * PAGE);
    await pageOut(mm, copy * PAGE, 3 * PAGE);
    assert.ok(isSwapEntry(word(mm, copy + 2)));
    assert.deepEqual(await bytes(mm, copy), [10, 11, 12]);
    checkInvariants(machine);
  });

  test("goes with a fork, which shares it", async () => {
    const { machine, mm, page } = await createPages();
    const copy = await snapshot(mm, page, 3);
    const child = await forkAddressSpace(mm);
    await store(mm, page, 20);
    await store(child, page, 30);
    for (const each of [mm, child]) assert.deepEqual(await bytes(each, copy), [10, 11, 12]);
    assert.equal(machine.frames.mapcount(frameAt(mm, copy)), 2);
    checkInvariants(machine);
    await exitAddressSpace(mm);
    assert.deepEqual(await bytes(child, copy), [10, 11, 12]);
    checkInvariants(machine);
  });

  test("of a page on a private device is there too; only the write of the range brings it home", async () => {
    const { machine, mm, page, home } = await createPages();
    const device = new TestDevice(machine, "private", 3);
    await device.migrateToDevice(mm, page);
    const listener = new Listener(mm);
    const copy = await snapshot(mm, page, 3);
    assert.deepEqual(listener.take(), [["protection", page, page + 3]], "devices forget that they may write");
    assert.ok(isDevicePrivateEntry(word(mm, copy)));
    assert.equal(frameAt(mm, copy), frameAt(mm, page));
    for (const at of [page, copy]) assert.equal(word(mm, at) & (PTE_WRITE | PTE_EXCLUSIVE), 0);
    checkInvariants(machine);
    await store(mm, page, 20);
    assert.equal(frameAt(mm, page), home.first);
    assert.deepEqual(await bytes(mm, copy), [10, 11, 12]);
    assert.equal(device.freeFrames, 3);
    checkInvariants(machine);
  });

  test("of huge pages has huge entries too, in whole blocks, and the bytes that were", async () => {
    const { machine, mm } = await createPages();
    const huge = await mapPages(mm, 2 * TABLE_WORDS, { at: 8 * TABLE_WORDS });
    await madvise(mm, huge * PAGE, 2 * TABLE_WORDS * PAGE, "hugepage");
    for (const block of [0, TABLE_WORDS]) await store(mm, huge + block + 5, 7);
    const copy = await snapshot(mm, huge, 2 * TABLE_WORDS);
    assert.equal(mm.pageTable.huge(copy) >>> PTE_FRAME_SHIFT, mm.pageTable.huge(huge) >>> PTE_FRAME_SHIFT);
    const part = await snapshot(mm, huge + 3, TABLE_WORDS);
    await store(mm, huge + 5, 8);
    assert.deepEqual([await load(mm, huge + 5), await load(mm, copy + 5), await load(mm, part + 2)], [8, 7, 7]);
    assert.equal(await load(mm, copy + TABLE_WORDS + 5), 7);
    checkInvariants(machine);
    for (const [at, pages] of [
      [huge, 2],
      [copy, 2],
      [part, 1],
    ])
      await munmap(mm, at * PAGE, pages * TABLE_WORDS * PAGE);
    checkInvariants(machine);
  });

  test("says which pages were written when it was taken", async () => {
    const { machine, mm, page } = await createPages(4);
    const device = new TestDevice(machine, "private", 3);
    await clearSoftDirty(mm);
    await store(mm, page, 20);
    await store(mm, page + 1, 21);
    await device.migrateToDevice(mm, page + 1);
    const pinned = await pinPage(mm, page + 2, false, DMA_PIN);
    const copy = await snapshot(mm, page, 4);
    assert.deepEqual(
      [0, 1, 2, 3].map((i) => word(mm, copy + i) & PTE_SOFT_DIRTY),
      [PTE_SOFT_DIRTY, PTE_SOFT_DIRTY, 0, 0],
    );
    assert.equal(word(mm, page + 1) & PTE_SOFT_DIRTY, PTE_SOFT_DIRTY);
    machine.put(pinned, DMA_PIN);
  });
});

describe("a snapshot and its range are unmapped in either order", () => {
  for (const first of ["range", "snapshot"] as const) {
    test(`the ${first} first`, async () => {
      const { machine, mm, page, home } = await createPages();
      const copy = await snapshot(mm, page, 3);
      await store(mm, page + 1, 21);
      const [gone, left] = first === "range" ? [page, copy] : [copy, page];
      await munmap(mm, gone * PAGE, 3 * PAGE);
      if (first === "range") machine.host.releaseHome(home);
      checkInvariants(machine);
      assert.deepEqual(await bytes(mm, left), first === "range" ? [10, 11, 12] : [10, 21, 12]);
      if (first === "snapshot") {
        const before = frames(mm, page);
        for (let i = 0; i < 3; i++) await store(mm, page + i, 30 + i);
        assert.deepEqual(frames(mm, page), before, "nobody else has them, so nothing is copied");
      }
      await munmap(mm, left * PAGE, 3 * PAGE);
      machine.lru.drain();
      assert.equal(machine.host.charge.usage, 0);
      assert.equal(mm.resident.usage, 0);
      assert.equal(machine.anonVmaCount, 0);
      checkInvariants(machine);
    });
  }

  test("a released home range is free when the last snapshot of it has gone, page by page", async () => {
    const { machine, mm, page, home } = await createPages(600);
    const copies = [await snapshot(mm, page, 600), await snapshot(mm, page, 600)];
    await munmap(mm, page * PAGE, 600 * PAGE);
    machine.host.releaseHome(home);
    for (let i = 599; i >= 0; i -= 2) for (const copy of copies) await dontNeed(mm, (copy + i) * PAGE, PAGE);
    machine.lru.drain();
    checkInvariants(machine);
    for (const copy of copies) await munmap(mm, copy * PAGE, 600 * PAGE);
    machine.lru.drain();
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(machine.host.reserveHome(600).first, home.first);
  });
});

describe("a snapshot that cannot be had", () => {
  test("of special or shared mappings, of holes, and of bounds within pages", async () => {
    const { machine, mm, page } = await createPages();
    const special = await mapPages(mm, 1, { flags: VM_IO });
    await assert.rejects(snapshot(mm, special, 1), memoryError("EINVAL", /special or a shared/));
    const file = createPageCache(machine, 1);
    const shared = await mapPages(mm, 1, { file, shared: true });
    await assert.rejects(snapshot(mm, shared, 1), memoryError("EINVAL", /special or a shared/));
    await assert.rejects(snapshot(mm, page, 4), memoryError("ENOMEM", /is not mapped/));
    await assert.rejects(snapshotRange(mm, page * PAGE + 1, PAGE), memoryError("EINVAL", /not a multiple/));
    assert.equal(mm.vmas.length, 3);
    checkInvariants(machine);
    file.release();
  });

  for (const site of ["frame", "charge", "anon-vma", "table"] satisfies AllocationSite[]) {
    test(`for want of a ${site}, leaves the range as it was and nothing else`, async () => {
      let failures = 0;
      for (let n = 0; ; n++) {
        const { machine, environment, mm, page } = await createPages();
        const far = await mapPages(mm, 600);
        await store(mm, far, 1);
        const pinned = await pinPage(mm, page + 1, true, DMA_PIN);
        const before = [machine.host.charge.usage, machine.anonVmaCount, machine.swap?.used, mm.resident.usage];
        environment.refuse(site, n);
        const copy = await snapshot(mm, page, 3).catch((error: unknown) => error);
        environment.recover();
        if (typeof copy === "number") {
          machine.put(pinned, DMA_PIN);
          break;
        }
        failures++;
        memoryError("ENOMEM", /snapshot of 3 pages/)(copy);
        assert.equal(mm.vmas.length, 2);
        checkInvariants(machine, { references: [[pinned, DMA_PIN]] });
        assert.deepEqual(
          [machine.host.charge.usage, machine.anonVmaCount, machine.swap?.used, mm.resident.usage],
          before,
        );
        for (let i = 0; i < 3; i++) await store(mm, page + i, 20 + i);
        assert.deepEqual(await bytes(mm, page), [20, 21, 22]);
        assert.equal(machine.counters.copiedOnWrite, 0);
        machine.put(pinned, DMA_PIN);
      }
      assert.ok(failures > 0, "the site was never asked");
    });
  }
});
