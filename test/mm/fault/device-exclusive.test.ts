// Pages that a device has for itself: they leave all page tables, and any access of the CPU takes them back.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPageCache } from "../../../src/mm/stores.js";
import { letGoOfExclusivePages, makeDeviceExclusiveRange } from "../../../src/mm/fault/device-exclusive.js";
import {
  isDeviceExclusiveEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../../src/mm/table/entry.js";
import { FAULT_OOM, FAULT_SIGSEGV } from "../../../src/mm/fault/fault.js";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { PG_LOCKED } from "../../../src/mm/frames/frames.js";
import { DMA_PIN, pinPage, tryPinPage } from "../../../src/mm/fault/gup.js";
import type { Machine } from "../../../src/mm/machine.js";
import { dontNeed, exitAddressSpace, mprotect, munmap } from "../../../src/mm/space/mapping.js";
import { pageOut } from "../../../src/mm/swap/pageout.js";
import { clearSoftDirty } from "../../../src/mm/space/soft-dirty.js";
import { PROT_READ, PROT_WRITE } from "../../../src/mm/space/vma.js";
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

async function createPages(pages = 2) {
  const swap = new TestSwapStore();
  const { machine, environment } = createMachine({ swap });
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages);
  for (let i = 0; i < pages; i++) await store(mm, page + i, 10 + i);
  machine.lru.drain();
  return { machine, environment, swap, mm, page };
}

/** Gives a page to a device, which keeps neither lock nor reference. */
async function makeExclusive(mm: Parameters<typeof word>[0], page: number): Promise<number> {
  const frames = new Int32Array(1);
  assert.equal(await makeDeviceExclusiveRange(mm, page, frames, null), 1);
  assert.notEqual(frames[0], -1);
  letGo(mm.machine, frames);
  return frames[0];
}

function letGo(machine: Machine, frames: Int32Array): void {
  for (const frame of frames) {
    if (frame < 0) continue;
    machine.pageLocks.unlock(frame);
    machine.put(frame);
  }
}

function held(frames: Int32Array) {
  const locked = Array.from(frames).filter((frame) => frame >= 0);
  return { locked, references: locked.map((frame) => [frame, 1] as const), busy: true };
}

function checkEmpty(machine: Machine): void {
  machine.lru.drain();
  assert.equal(machine.host.charge.usage, 0, "host pages in use");
  assert.equal(machine.swap?.used, 0, "swap slots in use");
  checkInvariants(machine);
}

describe("making pages exclusive to a device", () => {
  test("takes them out of the page table, locked and referenced for the caller, still charged", async () => {
    const { machine, mm, page } = await createPages();
    const before = [frameAt(mm, page), frameAt(mm, page + 1)];
    const frames = new Int32Array(2);
    assert.equal(await makeDeviceExclusiveRange(mm, page, frames, null), 2);
    assert.deepEqual([...frames], before);
    for (const i of [0, 1]) {
      assert.ok(isDeviceExclusiveEntry(word(mm, page + i)));
      assert.equal(frameAt(mm, page + i), before[i]);
      assert.equal(machine.frames.mapcount(before[i]), 0);
      assert.notEqual(machine.frames.flags(before[i]) & PG_LOCKED, 0);
    }
    assert.equal(mm.resident.usage, 2);
    checkInvariants(machine, held(frames));
    letGo(machine, frames);
    checkInvariants(machine);
  });

  test("keeps write, exclusive, soft-dirty and userfault marks in the entry", async () => {
    const { mm, page } = await createPages();
    const frame = await makeExclusive(mm, page);
    const kept = PTE_WRITE | PTE_EXCLUSIVE | PTE_SOFT_DIRTY;
    assert.equal(word(mm, page) & kept, kept);
    assert.equal(frameAt(mm, page), frame);
  });

  test("tells the notifiers of each page, with the owner, who may ignore it", async () => {
    const { machine, mm, page } = await createPages();
    const owner = {};
    const own = new Listener(mm, owner);
    const sequence = mm.notifiers.readBegin(own);
    const frames = new Int32Array(2);
    await makeDeviceExclusiveRange(mm, page, frames, owner);
    assert.deepEqual(own.take(), [
      ["exclusive", page, page + 1],
      ["exclusive", page + 1, page + 2],
    ]);
    assert.equal(mm.notifiers.readRetry(own, sequence), false);
    letGo(machine, frames);
    await load(mm, page);
    assert.deepEqual(own.take(), [["exclusive", page, page + 1]]);
    assert.equal(mm.notifiers.readRetry(own, sequence), true, "that the CPU takes it back concerns every device");
  });

  test("faults them in for writing first: holes, the zero page, swap, shared pages and pages on a device", async () => {
    const { machine, mm, page } = await createPages(5);
    const device = new TestDevice(machine, "private", 1);
    await dontNeed(mm, page * PAGE, 2 * PAGE);
    await load(mm, page + 1);
    await device.migrateToDevice(mm, page + 2);
    await pageOut(mm, (page + 3) * PAGE, PAGE);
    const child = await forkAddressSpace(mm);
    const frames = new Int32Array(5);
    assert.equal(await makeDeviceExclusiveRange(mm, page, frames, null), 5);
    assert.equal(frames.includes(-1), false);
    checkInvariants(machine, held(frames));
    letGo(machine, frames);
    for (const [i, byte] of [0, 0, 12, 13, 14].entries()) {
      assert.equal(await load(mm, page + i), byte);
      assert.equal(await load(child, page + i), byte);
    }
    checkInvariants(machine);
  });

  test("works for coherent memory", async () => {
    const { machine, mm, page } = await createPages();
    const device = new TestDevice(machine, "coherent", 1);
    await device.migrateToDevice(mm, page);
    const frame = await makeExclusive(mm, page);
    assert.ok(device.holds(frame));
    checkInvariants(machine);
    assert.equal(await load(mm, page), 10);
    checkInvariants(machine);
  });

  test("leaves out pages that somebody has locked, and gives their references back", async () => {
    const { machine, mm, page } = await createPages(3);
    const locked = frameAt(mm, page + 1);
    machine.frames.tryLock(locked);
    const frames = new Int32Array(3);
    assert.equal(await makeDeviceExclusiveRange(mm, page, frames, null), 3);
    assert.deepEqual([...frames], [frameAt(mm, page), -1, frameAt(mm, page + 2)]);
    assert.notEqual(word(mm, page + 1) & PTE_PRESENT, 0);
    machine.pageLocks.unlock(locked);
    checkInvariants(machine, held(frames));
    letGo(machine, frames);
    checkInvariants(machine);
  });

  test("leaves out pages of files", async () => {
    const { machine, mm } = await createPages();
    const file = createPageCache(machine, 1);
    const page = await mapPages(mm, 1, { file, shared: true });
    const frames = new Int32Array(1);
    assert.equal(await makeDeviceExclusiveRange(mm, page, frames, null), 1);
    assert.deepEqual([...frames], [-1]);
    assert.notEqual(word(mm, page) & PTE_PRESENT, 0);
    checkInvariants(machine);
  });

  test("stops at the first page that cannot be accessed, and takes those before it", async () => {
    const { machine, mm, page } = await createPages(3);
    await mprotect(mm, (page + 1) * PAGE, PAGE, PROT_READ);
    const frames = new Int32Array(3).fill(7);
    assert.equal(await makeDeviceExclusiveRange(mm, page, frames, null), 1);
    assert.deepEqual([...frames], [frameAt(mm, page), -1, -1]);
    assert.notEqual(word(mm, page + 2) & PTE_PRESENT, 0);
    checkInvariants(machine, held(frames));
    letGo(machine, frames);
    checkInvariants(machine);
  });

  test("says which fault it was when already the first page cannot be accessed", async () => {
    const { machine, environment, mm, page } = await createPages(1);
    const frames = new Int32Array(1).fill(7);
    assert.equal(await makeDeviceExclusiveRange(mm, page + 1, frames, null), -1 - FAULT_SIGSEGV);
    assert.deepEqual([...frames], [-1]);
    const hole = await mapPages(mm, 1);
    environment.refuse("frame");
    assert.equal(await makeDeviceExclusiveRange(mm, hole, frames, null), -1 - FAULT_OOM);
    checkInvariants(machine);
  });

  test("of no page does nothing", async () => {
    const { machine, mm, page } = await createPages(1);
    assert.equal(await makeDeviceExclusiveRange(mm, page, new Int32Array(0), null), 0);
    checkInvariants(machine);
  });

  test("gives its references back when swap cannot be read", async () => {
    const { machine, swap, mm, page } = await createPages(2);
    await pageOut(mm, (page + 1) * PAGE, PAGE);
    swap.failsReads = true;
    await assert.rejects(makeDeviceExclusiveRange(mm, page, new Int32Array(2), null), /cannot be read/);
    checkInvariants(machine);
  });

  test("leaves out a page that is unmapped while another is waited for", async () => {
    const { machine, swap, mm, page } = await createPages(2);
    await pageOut(mm, (page + 1) * PAGE, PAGE);
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const frames = new Int32Array(2);
    const making = makeDeviceExclusiveRange(mm, page, frames, null);
    await gate.reached;
    await dontNeed(mm, page * PAGE, PAGE);
    gate.open();
    assert.equal(await making, 2);
    assert.deepEqual([...frames], [-1, frameAt(mm, page + 1)]);
    assert.equal(word(mm, page), 0);
    checkInvariants(machine, held(frames));
    letGo(machine, frames);
    checkInvariants(machine);
  });
});

describe("an access to a page that a device has for itself", () => {
  test("that reads restores it: old, dirty and writable as before, and tells the notifiers", async () => {
    const { machine, mm, page } = await createPages();
    const frame = await makeExclusive(mm, page);
    const listener = new Listener(mm);
    machine.zones.bytes(frame).fill(77);
    assert.equal(await load(mm, page), 77);
    const expected = PTE_PRESENT | PTE_WRITE | PTE_DIRTY | PTE_SOFT_DIRTY | PTE_EXCLUSIVE;
    assert.equal(word(mm, page) & 0xff, expected);
    assert.equal(word(mm, page) & PTE_YOUNG, 0);
    assert.equal(frameAt(mm, page), frame);
    assert.deepEqual(listener.take(), [["exclusive", page, page + 1]]);
    checkInvariants(machine);
  });

  test("that writes restores it too", async () => {
    const { machine, mm, page } = await createPages();
    const frame = await makeExclusive(mm, page);
    await store(mm, page, 66);
    assert.equal(frameAt(mm, page), frame);
    assert.equal(await load(mm, page), 66);
    checkInvariants(machine);
  });

  test("is not a lockless pin, but one that faults", async () => {
    const { machine, mm, page } = await createPages();
    const frame = await makeExclusive(mm, page);
    assert.equal(tryPinPage(mm, page, false, 1), -1);
    assert.equal(await pinPage(mm, page, true, DMA_PIN), frame);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
  });

  test("waits while the device has it locked", async () => {
    const { machine, mm, page } = await createPages();
    const frames = new Int32Array(1);
    await makeDeviceExclusiveRange(mm, page, frames, null);
    const reader = load(mm, page);
    const writer = store(mm, page, 5);
    await everybodyWaits();
    assert.equal(machine.pageLocks.waiting, 2);
    assert.ok(isDeviceExclusiveEntry(word(mm, page)));
    checkInvariants(machine, held(frames));
    letGo(machine, frames);
    await Promise.all([reader, writer]);
    assert.equal(await load(mm, page), 5);
    checkInvariants(machine);
  });

  test("that was write-protected meanwhile may only read", async () => {
    const { machine, mm, page } = await createPages();
    await makeExclusive(mm, page);
    await mprotect(mm, page * PAGE, PAGE, PROT_READ);
    assert.equal(word(mm, page) & PTE_WRITE, 0);
    await assert.rejects(store(mm, page, 1), memoryError("EFAULT", /may not be accessed/));
    assert.equal(await load(mm, page), 10);
    assert.equal(word(mm, page) & (PTE_WRITE | PTE_EXCLUSIVE), PTE_EXCLUSIVE);
    await mprotect(mm, page * PAGE, PAGE, PROT_READ | PROT_WRITE);
    await store(mm, page, 1);
    checkInvariants(machine);
  });

  test("keeps userfault write protection", async () => {
    const { machine, mm, page } = await createPages();
    await makeExclusive(mm, page);
    mm.pageTable.exchange(page, word(mm, page) | PTE_UFFD_WP);
    assert.equal(await load(mm, page), 10);
    assert.equal(word(mm, page) & (PTE_UFFD_WP | PTE_WRITE), PTE_UFFD_WP);
    checkInvariants(machine);
  });

  test("keeps soft-dirty cleared, until it is restored as writable", async () => {
    const { machine, mm, page } = await createPages();
    await makeExclusive(mm, page);
    await clearSoftDirty(mm);
    assert.equal(word(mm, page) & PTE_SOFT_DIRTY, 0);
    await load(mm, page);
    assert.equal(word(mm, page) & PTE_SOFT_DIRTY, PTE_SOFT_DIRTY, "making it dirty marks it");
    checkInvariants(machine);
  });
});

describe("a page that a device has for itself", () => {
  for (const [what, giveUp] of [
    ["is given up", (mm, page) => dontNeed(mm, page * PAGE, PAGE)],
    ["is unmapped", (mm, page) => munmap(mm, page * PAGE, PAGE)],
    ["loses its process", (mm) => exitAddressSpace(mm)],
  ] satisfies [string, (mm: Parameters<typeof word>[0], page: number) => Promise<void>][]) {
    test(`and ${what} is freed when the device lets go`, async () => {
      const { machine, mm, page } = await createPages(1);
      const frames = new Int32Array(1);
      await makeDeviceExclusiveRange(mm, page, frames, null);
      await giveUp(mm, page);
      assert.equal(mm.resident.usage, 0);
      checkInvariants(machine, held(frames));
      letGo(machine, frames);
      checkEmpty(machine);
    });

    test(`and ${what} leaves nothing in the swap cache`, async () => {
      const { machine, mm, page } = await createPages(1);
      await pageOut(mm, page * PAGE, PAGE);
      await load(mm, page);
      await makeExclusive(mm, page);
      await giveUp(mm, page);
      checkEmpty(machine);
    });
  }

  test("is not paged out", async () => {
    const { machine, swap, mm, page } = await createPages(1);
    await makeExclusive(mm, page);
    await pageOut(mm, page * PAGE, PAGE);
    assert.ok(isDeviceExclusiveEntry(word(mm, page)));
    assert.deepEqual(swap.written, []);
    checkInvariants(machine);
  });

  test("does not migrate by address", async () => {
    const { machine, mm, page } = await createPages(1);
    const device = new TestDevice(machine, "private", 1);
    await makeExclusive(mm, page);
    assert.deepEqual(await device.migrateToDevice(mm, page), [false]);
    assert.ok(isDeviceExclusiveEntry(word(mm, page)));
    assert.equal(device.freeFrames, 1);
    checkInvariants(machine);
    assert.equal(await load(mm, page), 10);
  });

  for (const locked of [true, false]) {
    test(`and ${locked ? "locked" : "not locked"} stays on a coherent device that is emptied, with nothing leaked`, async () => {
      const { machine, mm, page } = await createPages(2);
      const device = new TestDevice(machine, "coherent", 2);
      await device.migrateToDevice(mm, page, 2);
      const frames = new Int32Array(1);
      await makeDeviceExclusiveRange(mm, page, frames, null);
      if (!locked) letGo(machine, frames);
      const frame = frames[0];
      const moved = await device.evict();
      assert.deepEqual(moved.filter(Boolean), [true], "the other page moves");
      assert.ok(isDeviceExclusiveEntry(word(mm, page)));
      assert.equal(frameAt(mm, page), frame);
      assert.equal(device.freeFrames, 1);
      checkInvariants(machine, locked ? held(frames) : {});
      if (locked) letGo(machine, frames);
      assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [10, 11]);
      checkInvariants(machine);
      await exitAddressSpace(mm);
      assert.equal(device.freeFrames, 2);
      checkEmpty(machine);
    });
  }

  test("is taken back by an access while a coherent device is being emptied, and loses nothing", async () => {
    const { machine, mm, page } = await createPages(1);
    const device = new TestDevice(machine, "coherent", 1);
    await device.migrateToDevice(mm, page);
    await makeExclusive(mm, page);
    const gate = new Gate();
    device.pause = () => gate.pass();
    const evicting = device.evict();
    await gate.reached;
    const reader = load(mm, page);
    await everybodyWaits();
    checkInvariants(machine, { inFlight: device.inFlight, busy: true });
    device.pause = null;
    gate.open();
    await evicting;
    assert.equal(await reader, 10);
    checkInvariants(machine);
  });
});

test("a page of the swap cache that was given up while a device had it locked leaves the cache", async () => {
  const { machine, swap, mm, page } = await createPages(1);
  await pageOut(mm, page * PAGE, PAGE);
  assert.equal(await load(mm, page), 10);
  const frames = new Int32Array(1);
  assert.equal(await makeDeviceExclusiveRange(mm, page, frames, null), 1);
  checkInvariants(machine, held(frames));
  await dontNeed(mm, page * PAGE, PAGE);
  letGoOfExclusivePages(mm, page, frames);
  machine.lru.drain();
  checkInvariants(machine);
  assert.equal(machine.swap?.used, 0);
  assert.equal(machine.host.charge.usage, 0);
  assert.equal(swap.pages.size, 0);
});

test("one that a device has for itself stays in the swap cache when it is unlocked", async () => {
  const { machine, mm, page } = await createPages(1);
  await pageOut(mm, page * PAGE, PAGE);
  assert.equal(await load(mm, page), 10);
  const frames = new Int32Array(1);
  await makeDeviceExclusiveRange(mm, page, frames, null);
  letGoOfExclusivePages(mm, page, frames);
  checkInvariants(machine);
  assert.equal(machine.swap?.used, 1);
  assert.equal(await load(mm, page), 10);
  await exitAddressSpace(mm);
  checkEmpty(machine);
  assert.equal(machine.swap?.used, 0);
});
