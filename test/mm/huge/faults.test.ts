// Faults on blocks of a mapping that asks for huge pages: one entry for all of a block where that can be.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PTE_DIRTY, PTE_SOFT_DIRTY, PTE_YOUNG } from "../../../src/mm/table/entry.js";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { DMA_PIN, pinPage } from "../../../src/mm/fault/gup.js";
import { dontNeed, madvise, mprotect, munmap } from "../../../src/mm/space/mapping.js";
import { clearSoftDirty } from "../../../src/mm/space/soft-dirty.js";
import { PROT_READ, PROT_WRITE } from "../../../src/mm/space/vma.js";
import { createMachine, mapPages, memoryError, PAGE } from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { Listener } from "../../test-device.js";
import { adviseHuge, BLOCK, createHugeSpace, frameOf, get, isPart, mappedBy, permission, put } from "./huge-space.js";

describe("an empty block", () => {
  test("that is read maps the zero page everywhere by one entry, and costs no memory", async () => {
    const { machine, mm, page } = await createHugeSpace();
    assert.equal(await get(mm, page + 100), 0);
    assert.equal(mappedBy(mm, page), "huge entry");
    assert.deepEqual([frameOf(mm, page), frameOf(mm, page + 511)], [0, 0]);
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(mm.resident.usage, 0);
    assert.notEqual(mm.vmaAt(page)?.anonVma, null, "as in Linux, the root is there before a page of it");
    checkInvariants(machine);
  });

  test("that is written becomes one page of 512 frames, zero but for what was written", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page + 100, 7);
    assert.equal(mappedBy(mm, page), "huge entry");
    assert.equal(permission(mm, page + 511), "wx");
    assert.equal(frameOf(mm, page + 511), frameOf(mm, page) + 511);
    assert.deepEqual([await get(mm, page + 99), await get(mm, page + 100)], [0, 7]);
    assert.equal(machine.host.charge.usage, BLOCK);
    assert.equal(mm.resident.usage, BLOCK);
    assert.equal(machine.counters.faults, 1);
    checkInvariants(machine);
  });

  test("that its mapping does not cover is filled page by page", async () => {
    const { machine, mm, page } = await createHugeSpace(2);
    await munmap(mm, page * PAGE, PAGE);
    await put(mm, page + 5, 1);
    await put(mm, page + BLOCK, 2);
    assert.deepEqual([mappedBy(mm, page + 5), mappedBy(mm, page + BLOCK)], ["table", "huge entry"]);
    checkInvariants(machine);
  });

  for (const advice of ["none", "nohugepage"] as const) {
    test(`of a mapping with advice "${advice}" is filled page by page`, async () => {
      const { machine } = createMachine();
      const mm = machine.createAddressSpace();
      const page = await mapPages(mm, BLOCK);
      if (advice !== "none") await madvise(mm, page * PAGE, BLOCK * PAGE, advice);
      await put(mm, page, 1);
      assert.equal(mappedBy(mm, page), "table");
      checkInvariants(machine);
    });
  }

  test("in which a page was touched before the advice stays a table", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, BLOCK);
    await put(mm, page, 1);
    await adviseHuge(mm, page, BLOCK);
    await put(mm, page + 1, 2);
    assert.equal(mappedBy(mm, page), "table");
    checkInvariants(machine);
  });

  test("takes its home frames as one block, so that the array stays contiguous", async () => {
    const { machine, mm, page } = await createHugeSpace(2, { home: true });
    await put(mm, page + BLOCK, 1);
    await put(mm, page, 2);
    const home = mm.vmaAt(page)?.home;
    assert.deepEqual([frameOf(mm, page), frameOf(mm, page + BLOCK)], [home?.first, (home?.first ?? 0) + BLOCK]);
    checkInvariants(machine);
  });

  test("is filled page by page when the host budget has no room for all of it", async () => {
    const { machine, mm, page } = await createHugeSpace(1, { hostPages: 100 });
    await put(mm, page + 3, 1);
    assert.equal(mappedBy(mm, page), "table");
    assert.equal(machine.host.charge.usage, 1);
    checkInvariants(machine);
  });

  test("is filled page by page when the address space may not grow so far", async () => {
    const { machine, mm, page } = await createHugeSpace();
    mm.resident.limit = 10;
    await put(mm, page + 3, 1);
    assert.equal(mappedBy(mm, page), "table");
    assert.deepEqual([machine.host.charge.usage, mm.resident.usage], [1, 1]);
    checkInvariants(machine);
  });

  for (const site of ["frame", "table", "charge", "anon-vma"] as const) {
    test(`loses nothing when the n-th allocation of a ${site} fails, for every n`, async () => {
      for (let n = 1; ; n++) {
        const { machine, mm, page } = await createHugeSpace();
        let asked = 0;
        const { environment } = machine;
        const usual = environment.mayAllocate.bind(environment);
        environment.mayAllocate = (where) => (where === site && ++asked === n ? false : usual(where));
        const failed = await put(mm, page + 3, 1).then(
          () => false,
          (error: unknown) => memoryError("ENOMEM", /no memory/)(error),
        );
        checkInvariants(machine);
        environment.mayAllocate = usual;
        await put(mm, page + 3, 1);
        assert.equal(await get(mm, page + 3), 1);
        checkInvariants(machine);
        if (asked < n) {
          assert.equal(failed, false);
          assert.ok(n > 1, `no ${site} was ever asked for`);
          return;
        }
      }
    });
  }
});

describe("a write to the zero page of a block", () => {
  test("splits the entry, tells devices of the block, and gives one page", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await get(mm, page);
    const listener = new Listener(mm);
    await put(mm, page + 9, 1);
    assert.deepEqual(listener.take(), [
      ["clear", page, page + BLOCK],
      ["clear", page + 9, page + 10],
    ]);
    assert.equal(mappedBy(mm, page), "table");
    assert.deepEqual([permission(mm, page), permission(mm, page + 9)], ["r", "wx"]);
    assert.equal(machine.host.charge.usage, 1);
    checkInvariants(machine);
  });
});

describe("a compound page that a fork shares", () => {
  test("is one frame range for both, read-only and exclusive to neither", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page, 1);
    const child = await forkAddressSpace(mm);
    assert.equal(mappedBy(child, page), "huge entry");
    assert.equal(frameOf(child, page), frameOf(mm, page));
    assert.deepEqual([permission(mm, page), permission(child, page)], ["r", "r"]);
    assert.deepEqual([machine.host.charge.usage, child.resident.usage], [BLOCK, BLOCK]);
    checkInvariants(machine);
  });

  test("is split for the one who writes, who gets a copy of one page; the other keeps the huge entry", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page + 3, 1);
    const child = await forkAddressSpace(mm);
    await put(child, page + 3, 2);
    assert.deepEqual([mappedBy(mm, page), mappedBy(child, page)], ["huge entry", "table"]);
    assert.deepEqual([await get(mm, page + 3), await get(child, page + 3)], [1, 2]);
    assert.equal(isPart(child, page + 3), false);
    assert.ok(isPart(child, page + 4));
    assert.equal(machine.host.charge.usage, BLOCK + 1);
    checkInvariants(machine);
  });

  test("is reused as a whole by the one who is left", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page, 1);
    const child = await forkAddressSpace(mm);
    await munmap(child, page * PAGE, BLOCK * PAGE);
    await put(mm, page + 1, 2);
    assert.equal(mappedBy(mm, page), "huge entry");
    assert.equal(permission(mm, page), "wx");
    assert.equal(machine.host.charge.usage, BLOCK);
    checkInvariants(machine);
  });

  test("is unshared page by page for a pin that reads", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page + 3, 1);
    const child = await forkAddressSpace(mm);
    const frame = await pinPage(child, page + 3, false, DMA_PIN);
    assert.notEqual(frame, frameOf(mm, page + 3));
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
    machine.put(frame, DMA_PIN);
    checkInvariants(machine);
  });

  test("is copied, as far as it is pinned for DMA: page by page, and at once", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page + 3, 1);
    const frame = await pinPage(mm, page + 3, true, DMA_PIN);
    const child = await forkAddressSpace(mm);
    assert.deepEqual([permission(mm, page + 3), frameOf(mm, page + 3)], ["wx", frame]);
    assert.notEqual(frameOf(child, page + 3), frame);
    await put(mm, page + 3, 2);
    assert.deepEqual([await get(mm, page + 3), await get(child, page + 3)], [2, 1]);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
    machine.put(frame, DMA_PIN);
    checkInvariants(machine);
  });

  test("is not taken for pinned because three processes map each of its parts", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page, 1);
    const children = [await forkAddressSpace(mm), await forkAddressSpace(mm)];
    for (const process of [mm, ...children]) await mprotect(process, page * PAGE, PAGE, PROT_READ);
    assert.equal(machine.frames.refcount(frameOf(mm, page + 1)), 3 * BLOCK);
    assert.equal(machine.frames.maybeDmaPinned(frameOf(mm, page + 1)), false);
    checkInvariants(machine);
  });
});

describe("a huge entry", () => {
  test("loses the permission to write with its protection, and a write that is allowed again faults once", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page, 1);
    await mprotect(mm, page * PAGE, BLOCK * PAGE, PROT_READ);
    assert.equal(permission(mm, page), "rx");
    await assert.rejects(put(mm, page, 2), memoryError("EFAULT", /does not allow/));
    await mprotect(mm, page * PAGE, BLOCK * PAGE, PROT_READ | PROT_WRITE);
    assert.equal(permission(mm, page), "rx");
    await put(mm, page, 2);
    assert.deepEqual([mappedBy(mm, page), permission(mm, page)], ["huge entry", "wx"]);
    checkInvariants(machine);
  });

  test("forbids all access without any protection, and keeps the bytes", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page + 1, 5);
    await mprotect(mm, page * PAGE, BLOCK * PAGE, 0);
    await assert.rejects(get(mm, page + 1), memoryError("EFAULT", /does not allow/));
    checkInvariants(machine);
    await mprotect(mm, page * PAGE, BLOCK * PAGE, PROT_READ);
    assert.equal(await get(mm, page + 1), 5);
    checkInvariants(machine);
  });

  test("is soft-dirty as a whole, cleared as a whole, and dirty again by one write", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page, 1);
    await clearSoftDirty(mm);
    assert.equal(mm.pageTable.huge(page) & PTE_SOFT_DIRTY, 0);
    assert.equal(permission(mm, page), "rx");
    await put(mm, page + 300, 2);
    const marks = PTE_SOFT_DIRTY | PTE_DIRTY | PTE_YOUNG;
    assert.equal(mm.pageTable.huge(page) & marks, marks);
    checkInvariants(machine);
  });

  test("goes as a whole, and the block is empty and huge again", async () => {
    const { machine, mm, page } = await createHugeSpace();
    await put(mm, page, 1);
    const listener = new Listener(mm);
    await dontNeed(mm, page * PAGE, BLOCK * PAGE);
    assert.deepEqual(listener.take(), [["clear", page, page + BLOCK]]);
    assert.equal(mappedBy(mm, page), "nothing");
    assert.deepEqual([machine.host.charge.usage, mm.resident.usage], [0, 0]);
    checkInvariants(machine);
    assert.equal(await get(mm, page), 0);
    assert.equal(mappedBy(mm, page), "huge entry");
    checkInvariants(machine);
  });
});
