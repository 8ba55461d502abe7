// A part of a huge page that is treated apart: the entry is split, the page stays one. Only migration and paging out split
// the page itself, and only if nobody holds any part of it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pinLongTerm } from "../../../src/access/long-term-pin.js";
import { makeDeviceExclusiveRange } from "../../../src/mm/fault/device-exclusive.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isSwapEntry,
  PTE_DIRTY,
  PTE_SOFT_DIRTY,
} from "../../../src/mm/table/entry.js";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE } from "../../../src/mm/fault/gup.js";
import { HMM_HUGE, hmmSnapshot } from "../../../src/mm/fault/hmm.js";
import { splitHugePage } from "../../../src/mm/huge/huge-page.js";
import { dontNeed, exitAddressSpace, mmap, mprotect, munmap } from "../../../src/mm/space/mapping.js";
import { pageOut } from "../../../src/mm/swap/pageout.js";
import { PROT_READ } from "../../../src/mm/space/vma.js";
import { PAGE, TestSwapStore } from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";
import { adviseHuge, BLOCK, createHugeSpace, frameOf, get, isPart, mappedBy, permission, put } from "./huge-space.js";

async function writtenBlock(blocks = 1, setup: Parameters<typeof createHugeSpace>[1] = {}) {
  const space = await createHugeSpace(blocks, setup);
  for (let i = 0; i < blocks * BLOCK; i++) await put(space.mm, space.page + i, i + 1);
  return space;
}

describe("a part of a huge page", () => {
  for (const [what, act] of [
    ["unmapped", (mm, page) => munmap(mm, (page + 5) * PAGE, 3 * PAGE)],
    ["given up", (mm, page) => dontNeed(mm, (page + 5) * PAGE, 3 * PAGE)],
    ["protected", (mm, page) => mprotect(mm, (page + 5) * PAGE, 3 * PAGE, PROT_READ)],
  ] as const satisfies readonly [string, (mm: Parameters<typeof munmap>[0], page: number) => Promise<void>][]) {
    test(`that is ${what} splits the entry and not the page; devices hear of the block`, async () => {
      const { machine, mm, page } = await writtenBlock();
      const listener = new Listener(mm);
      await act(mm, page);
      assert.ok(
        listener.take().some(([event, start, end]) => event === "clear" && start === page && end === page + BLOCK),
      );
      assert.equal(mappedBy(mm, page), "table");
      assert.ok(isPart(mm, page) && isPart(mm, page + 511));
      assert.equal(machine.host.charge.usage, BLOCK, "the memory of a part is the page's");
      assert.deepEqual([await get(mm, page + 4), await get(mm, page + 8)], [5, 9]);
      checkInvariants(machine);
    });
  }

  test("keeps what the huge entry knew: writable, exclusive, dirty and soft-dirty", async () => {
    const { machine, mm, page } = await writtenBlock();
    await mprotect(mm, page * PAGE, PAGE, PROT_READ);
    assert.equal(permission(mm, page + 1), "wx");
    const marks = PTE_DIRTY | PTE_SOFT_DIRTY;
    assert.equal(mm.pageTable.read(page + 1) & marks, marks);
    checkInvariants(machine);
  });

  test("does not migrate, while another block of the mapping does", async () => {
    const { machine, mm, page } = await writtenBlock(2);
    const device = new TestDevice(machine, "private", 2 * BLOCK);
    await dontNeed(mm, page * PAGE, PAGE);
    assert.deepEqual(await device.migrateToDevice(mm, page + 1, 4), [false, false, false, false]);
    assert.deepEqual(await device.migrateToDevice(mm, page + BLOCK, 4), [true, true, true, true]);
    checkInvariants(machine);
  });

  test("of which the last is unmapped gives all the memory back", async () => {
    const { machine, mm, page } = await writtenBlock();
    await munmap(mm, page * PAGE, 500 * PAGE);
    assert.equal(machine.host.charge.usage, BLOCK);
    await munmap(mm, (page + 500) * PAGE, 12 * PAGE);
    assert.equal(machine.host.charge.usage, 0);
    checkInvariants(machine);
  });

  test("is copied by a write while others map other parts, and reused when it alone is left", async () => {
    const { machine, mm, page } = await writtenBlock();
    const child = await forkAddressSpace(mm);
    await munmap(child, page * PAGE, 511 * PAGE);
    await exitAddressSpace(mm);
    assert.equal(machine.host.charge.usage, BLOCK);
    const frame = frameOf(child, page + 511);
    await put(child, page + 511, 1);
    assert.equal(frameOf(child, page + 511), frame, "one reference is left");
    checkInvariants(machine);
  });
});

describe("unmapping a whole block", () => {
  test("takes its table away, so that what is mapped there next can be huge", async () => {
    const { machine, mm, page } = await writtenBlock();
    await mprotect(mm, page * PAGE, PAGE, PROT_READ);
    await munmap(mm, page * PAGE, BLOCK * PAGE);
    assert.equal(mappedBy(mm, page), "nothing");
    await mmap(mm, { address: page * PAGE, length: BLOCK * PAGE });
    await adviseHuge(mm, page, BLOCK);
    assert.equal(await get(mm, page), 0);
    assert.equal(mappedBy(mm, page), "huge entry");
    checkInvariants(machine);
  });

  test("leaves the table while another mapping lies in the block", async () => {
    const { machine, mm, page } = await writtenBlock();
    await mprotect(mm, (page + 511) * PAGE, PAGE, PROT_READ);
    await munmap(mm, page * PAGE, 511 * PAGE);
    assert.equal(mappedBy(mm, page), "table");
    assert.equal(await get(mm, page + 511), 512);
    checkInvariants(machine);
  });
});

describe("migration", () => {
  test("splits the page, moves what was asked for, and leaves the rest in place as single pages", async () => {
    const { machine, mm, page } = await writtenBlock();
    const device = new TestDevice(machine, "private", BLOCK);
    const frame = frameOf(mm, page);
    assert.deepEqual(await device.migrateToDevice(mm, page + 5, 3), [true, true, true]);
    assert.equal(isDevicePrivateEntry(mm.pageTable.read(page + 5)), true);
    assert.deepEqual([isPart(mm, page), frameOf(mm, page), permission(mm, page)], [false, frame, "wx"]);
    assert.equal(machine.host.charge.usage, BLOCK - 3);
    for (let i = 0; i < BLOCK; i++) assert.equal(await get(mm, page + i), i + 1);
    checkInvariants(machine);
  });

  test("of the zero page of a block splits the entry and inserts pages", async () => {
    const { machine, mm, page } = await createHugeSpace();
    const device = new TestDevice(machine, "private", BLOCK);
    await get(mm, page);
    assert.deepEqual(await device.migrateToDevice(mm, page + 1, 2), [true, true]);
    assert.equal(device.cleared, 2);
    assert.deepEqual([permission(mm, page), await get(mm, page + 1)], ["r", 0]);
    checkInvariants(machine);
  });

  for (const [what, references] of [
    ["referenced", SHORT_REFERENCE],
    ["pinned for DMA", DMA_PIN],
  ] as const) {
    test(`is refused for all of a page of which one part is ${what}: nothing is split, and it goes when it is free`, async () => {
      const { machine, mm, page } = await writtenBlock();
      const device = new TestDevice(machine, "private", BLOCK);
      const frame = await pinPage(mm, page + 300, true, references);
      const listener = new Listener(mm);
      assert.deepEqual(await device.migrateToDevice(mm, page, 3), [false, false, false]);
      assert.deepEqual(listener.take(), [["migrate", page, page + 3]]);
      assert.equal(mappedBy(mm, page), "huge entry");
      checkInvariants(machine, { references: [[frame, references]] });
      machine.put(frame, references);
      assert.deepEqual(await device.migrateToDevice(mm, page, 3), [true, true, true]);
      checkInvariants(machine);
    });
  }

  test("is refused for a page that somebody has locked", async () => {
    const { machine, mm, page } = await writtenBlock();
    const device = new TestDevice(machine, "private", BLOCK);
    const head = frameOf(mm, page);
    machine.frames.tryLock(head);
    assert.deepEqual(await device.migrateToDevice(mm, page + 5), [false]);
    checkInvariants(machine, { locked: [head] });
    machine.pageLocks.unlock(head);
    assert.deepEqual(await device.migrateToDevice(mm, page + 5), [true]);
    checkInvariants(machine);
  });

  test("of a shared page splits it for all who share it, and unmaps it from all", async () => {
    const { machine, mm, page } = await writtenBlock();
    const child = await forkAddressSpace(mm);
    const device = new TestDevice(machine, "private", BLOCK);
    assert.deepEqual(await device.migrateToDevice(mm, page + 5), [true]);
    assert.deepEqual([mappedBy(mm, page), mappedBy(child, page)], ["table", "table"]);
    assert.ok(isDevicePrivateEntry(child.pageTable.read(page + 5)));
    assert.deepEqual([await get(child, page + 5), await get(mm, page + 4)], [6, 5]);
    checkInvariants(machine);
  });
});

describe("splitting a page", () => {
  test("frees the parts that nobody maps", async () => {
    const { machine, mm, page } = await writtenBlock();
    await dontNeed(mm, page * PAGE, 100 * PAGE);
    assert.equal(machine.host.charge.usage, BLOCK);
    assert.ok(splitHugePage(machine, frameOf(mm, page + 200)));
    assert.equal(machine.host.charge.usage, BLOCK - 100);
    checkInvariants(machine);
  });

  test("and freeing the pages gives the block back: memory does not grow from one to the next", async () => {
    const { machine, mm, page } = await createHugeSpace();
    let reserved = 0;
    for (let round = 0; round < 20; round++) {
      await put(mm, page, round);
      assert.equal(mappedBy(mm, page), "huge entry");
      assert.ok(splitHugePage(machine, frameOf(mm, page)));
      await munmap(mm, page * PAGE, BLOCK * PAGE);
      await mmap(mm, { address: page * PAGE, length: BLOCK * PAGE });
      await adviseHuge(mm, page, BLOCK);
      checkInvariants(machine);
      if (round === 0) reserved = machine.host.reservedBytes;
    }
    assert.equal(machine.host.reservedBytes, reserved);
  });
});

describe("paging out", () => {
  test("a whole block splits the page and swaps all of it", async () => {
    const swap = new TestSwapStore(BLOCK);
    const { machine, mm, page } = await writtenBlock(1, { swap });
    await pageOut(mm, page * PAGE, BLOCK * PAGE);
    assert.equal(swap.written.length, BLOCK);
    assert.equal(machine.host.charge.usage, 0);
    checkInvariants(machine);
    for (let i = 0; i < BLOCK; i += 17) assert.equal(await get(mm, page + i), i + 1);
    checkInvariants(machine);
  });

  test("a part of a block splits the page and swaps the part", async () => {
    const swap = new TestSwapStore(BLOCK);
    const { machine, mm, page } = await writtenBlock(1, { swap });
    await pageOut(mm, (page + 10) * PAGE, 3 * PAGE);
    assert.deepEqual(
      [9, 10, 12, 13].map((i) => isSwapEntry(mm.pageTable.read(page + i))),
      [false, true, true, false],
    );
    assert.equal(isPart(mm, page), false);
    checkInvariants(machine);
  });

  test("a part that is mapped by itself splits the page it is part of", async () => {
    const swap = new TestSwapStore(BLOCK);
    const { machine, mm, page } = await writtenBlock(1, { swap });
    await dontNeed(mm, page * PAGE, PAGE);
    await pageOut(mm, (page + 10) * PAGE, 2 * PAGE);
    assert.deepEqual([isPart(mm, page + 20), isSwapEntry(mm.pageTable.read(page + 10))], [false, true]);
    assert.equal(machine.host.charge.usage, BLOCK - 3);
    checkInvariants(machine);
  });

  test("leaves alone what is shared, held, or the zero page", async () => {
    const swap = new TestSwapStore(BLOCK);
    const { machine, mm, page } = await writtenBlock(1, { swap });
    const frame = await pinPage(mm, page + 3, false, SHORT_REFERENCE);
    await pageOut(mm, page * PAGE, BLOCK * PAGE);
    assert.equal(mappedBy(mm, page), "huge entry");
    machine.put(frame);
    const child = await forkAddressSpace(mm);
    await pageOut(mm, page * PAGE, BLOCK * PAGE);
    assert.equal(mappedBy(mm, page), "huge entry");
    await exitAddressSpace(child);
    await dontNeed(mm, page * PAGE, BLOCK * PAGE);
    await get(mm, page);
    await pageOut(mm, page * PAGE, BLOCK * PAGE);
    assert.equal(mappedBy(mm, page), "huge entry");
    assert.equal(swap.written.length, 0);
    checkInvariants(machine);
  });
});

describe("device-exclusive access", () => {
  test("to the first part makes the whole page exclusive, and counts the first part only", async () => {
    const { machine, mm, page } = await writtenBlock();
    const frames = new Int32Array(3);
    const referenced = await makeDeviceExclusiveRange(mm, page, frames, null);
    assert.equal(referenced, 3);
    assert.deepEqual(
      [frames[0], frames[1], frames[2]].map((frame) => frame >= 0),
      [true, false, false],
    );
    assert.ok(isDeviceExclusiveEntry(mm.pageTable.read(page + 511)));
    checkInvariants(machine, { references: [[frames[0], 1]], locked: [frames[0]] });
    machine.pageLocks.unlock(frames[0]);
    machine.put(frames[0]);
    for (let i = 0; i < BLOCK; i++) assert.equal(await get(mm, page + i), i + 1);
    assert.equal(permission(mm, page + 511), "wx");
    checkInvariants(machine);
  });

  test("to later parts splits the entry and is refused", async () => {
    const { machine, mm, page } = await writtenBlock();
    const frames = new Int32Array(2);
    assert.equal(await makeDeviceExclusiveRange(mm, page + 7, frames, null), 2);
    assert.deepEqual([...frames], [-1, -1]);
    assert.equal(mappedBy(mm, page), "table");
    checkInvariants(machine);
  });
});

describe("pins and devices", () => {
  test("a long-term pin of a range holds the page whole, and lets it go", async () => {
    const { machine, mm, page } = await writtenBlock();
    const frames = await pinLongTerm(mm, page + 1, page + 5, true);
    assert.deepEqual(
      frames.map((frame) => frame - frameOf(mm, page)),
      [1, 2, 3, 4],
    );
    assert.ok(machine.frames.maybeDmaPinned(frameOf(mm, page + 400)));
    assert.equal(splitHugePage(machine, frames[0]), false);
    checkInvariants(machine, { references: frames.map((frame) => [frame, DMA_PIN]) });
    for (const frame of frames) machine.put(frame, DMA_PIN);
    assert.ok(splitHugePage(machine, frames[0]));
    checkInvariants(machine);
  });

  test("a device sees that a page is mapped by a huge entry", async () => {
    const { mm, page } = await writtenBlock(2);
    await mprotect(mm, page * PAGE, PAGE, PROT_READ);
    const pfns = new Int32Array(2 * BLOCK);
    hmmSnapshot(mm, page, page + 2 * BLOCK, {}, pfns);
    assert.deepEqual([pfns[1] & HMM_HUGE, pfns[BLOCK] & HMM_HUGE], [0, HMM_HUGE]);
  });
});
