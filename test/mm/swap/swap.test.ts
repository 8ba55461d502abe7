// Swap: pages leave host memory for a store, and come back through the swap cache. No byte is lost when the store fails.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  isSwapEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
} from "../../../src/mm/table/entry.js";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { PG_SWAPCACHE } from "../../../src/mm/frames/frames.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE } from "../../../src/mm/fault/gup.js";
import { HMM_FAULT, hmmRangeFault } from "../../../src/mm/fault/hmm.js";
import type { Machine } from "../../../src/mm/machine.js";
import { swapOn } from "../../../src/mm/stores.js";
import { dontNeed, exitAddressSpace, mprotect, munmap } from "../../../src/mm/space/mapping.js";
import { pageOut } from "../../../src/mm/swap/pageout.js";
import { clearSoftDirty } from "../../../src/mm/space/soft-dirty.js";
import { MAX_SWAP_SLOTS } from "../../../src/mm/swap/swap.js";
import { MemorySwapStore } from "../../../src/mm/swap/swap-store.js";
import { PROT_READ, PROT_WRITE, VM_PFNMAP } from "../../../src/mm/space/vma.js";
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

async function mapSwappable(pages = 4, swap = new TestSwapStore(), options: Parameters<typeof mapPages>[2] = {}) {
  const { machine, environment } = createMachine({ swap });
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, options);
  for (let i = 0; i < pages; i++) await store(mm, page + i, 10 + i);
  const slots = machine.swap;
  assert.ok(slots !== null);
  return { machine, environment, swap, slots, mm, page };
}

/** One page that is in swap and nowhere else. */
async function swappedPage(options: Parameters<typeof mapPages>[2] = {}) {
  const scene = await mapSwappable(1, new TestSwapStore(), options);
  await pageOut(scene.mm, scene.page * PAGE, PAGE);
  assert.ok(isSwapEntry(word(scene.mm, scene.page)));
  return scene;
}

function isSwapped(mm: Parameters<typeof word>[0], page: number): boolean {
  return isSwapEntry(word(mm, page));
}

function checkEmpty(machine: Machine): void {
  machine.lru.drain();
  assert.equal(machine.host.charge.usage, 0, "host pages in use");
  assert.equal(machine.swap?.used, 0, "swap slots in use");
  checkInvariants(machine);
}

describe("paging out", () => {
  test("writes pages to swap, frees their frames, and an access brings them back", async () => {
    const { machine, swap, slots, mm, page } = await mapSwappable();
    await pageOut(mm, page * PAGE, 4 * PAGE);
    assert.deepEqual(swap.written, [1, 2, 3, 4]);
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(mm.resident.usage, 0);
    assert.equal(slots.used, 4);
    checkInvariants(machine);
    for (let i = 0; i < 4; i++) assert.equal(await load(mm, page + i), 10 + i);
    assert.equal(mm.resident.usage, 4);
    checkInvariants(machine);
  });

  test("keeps soft-dirty and the exclusive mark in the swap entry", async () => {
    const { machine, mm, page } = await mapSwappable(2);
    await clearSoftDirty(mm);
    await store(mm, page, 1);
    await pageOut(mm, page * PAGE, 2 * PAGE);
    const kept = PTE_SOFT_DIRTY | PTE_EXCLUSIVE;
    assert.deepEqual([word(mm, page) & kept, word(mm, page + 1) & kept], [kept, PTE_EXCLUSIVE]);
    checkInvariants(machine);
  });

  test("tells the notifiers of each page", async () => {
    const { mm, page } = await mapSwappable(2);
    const listener = new Listener(mm);
    await pageOut(mm, page * PAGE, 2 * PAGE);
    assert.deepEqual(listener.take(), [
      ["clear", page, page + 1],
      ["clear", page + 1, page + 2],
    ]);
  });

  test("ignores the young bit, holes, the zero page and pages on a device", async () => {
    const { machine, swap, mm, page } = await mapSwappable(5);
    const device = new TestDevice(machine, "coherent", 1);
    machine.lru.drain();
    await device.migrateToDevice(mm, page);
    await dontNeed(mm, (page + 1) * PAGE, 2 * PAGE);
    await load(mm, page + 1);
    await pageOut(mm, page * PAGE, 5 * PAGE);
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((i) => isSwapped(mm, page + i)),
      [false, false, false, true, true],
    );
    assert.equal(swap.written.length, 2);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [10, 0]);
    checkInvariants(machine);
  });

  test("leaves a page that two address spaces map, until one of them lets go", async () => {
    const { machine, mm, page } = await mapSwappable(1);
    const child = await forkAddressSpace(mm);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(isSwapped(mm, page), false);
    await exitAddressSpace(child);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(isSwapped(mm, page), true);
    checkInvariants(machine);
  });

  test("leaves a page that is pinned for DMA, and its permission", async () => {
    const { machine, swap, mm, page } = await mapSwappable(1);
    const frame = await pinPage(mm, page, true, DMA_PIN);
    const before = word(mm, page);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(word(mm, page), before);
    assert.deepEqual(swap.written, []);
    assert.equal(machine.swap?.used, 0);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
    machine.put(frame, DMA_PIN);
    checkInvariants(machine);
  });

  test("leaves a page that somebody has locked", async () => {
    const { machine, mm, page } = await mapSwappable(1);
    machine.frames.tryLock(frameAt(mm, page));
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(isSwapped(mm, page), false);
    machine.pageLocks.unlock(frameAt(mm, page));
    checkInvariants(machine);
  });

  test("unmaps a page that is referenced and keeps it in the swap cache, where the next access finds it", async () => {
    const { machine, swap, slots, mm, page } = await mapSwappable(1);
    const frame = await pinPage(mm, page, true, SHORT_REFERENCE);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(isSwapped(mm, page), true);
    assert.deepEqual(swap.written, [], "whoever refers to it may still write it");
    assert.equal(slots.cached(word(mm, page) >>> PTE_FRAME_SHIFT), frame);
    checkInvariants(machine, { references: [[frame, 1]] });
    machine.zones.bytes(frame).fill(99);
    assert.equal(await load(mm, page), 99);
    assert.deepEqual(swap.filled, []);
    machine.put(frame);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(await load(mm, page), 99);
    checkInvariants(machine);
  });

  test("acts on the mapped parts of a range with holes, then says that there are holes", async () => {
    const { machine, mm, page } = await mapSwappable(3);
    await munmap(mm, (page + 1) * PAGE, PAGE);
    await assert.rejects(pageOut(mm, page * PAGE, 3 * PAGE), memoryError("ENOMEM", /not mapped/));
    assert.deepEqual([isSwapped(mm, page), isSwapped(mm, page + 2)], [true, true]);
    checkInvariants(machine);
  });

  test("refuses bounds off the page, and special mappings", async () => {
    const { machine, mm, page } = await mapSwappable(1);
    await assert.rejects(pageOut(mm, page * PAGE + 1, PAGE), memoryError("EINVAL", /multiple|aligned/));
    const special = await mapPages(mm, 1, { flags: VM_PFNMAP });
    await assert.rejects(pageOut(mm, special * PAGE, PAGE), memoryError("EINVAL", /special mapping/));
    assert.equal(mm.mmapLock.free, true);
    checkInvariants(machine);
  });

  test("stops at nothing when slots run out: the others stay", async () => {
    const { machine, mm, page } = await mapSwappable(4, new TestSwapStore(2));
    await pageOut(mm, page * PAGE, 4 * PAGE);
    assert.deepEqual(
      [0, 1, 2, 3].map((i) => isSwapped(mm, page + i)),
      [true, true, false, false],
    );
    checkInvariants(machine);
    for (let i = 0; i < 4; i++) assert.equal(await load(mm, page + i), 10 + i);
    await exitAddressSpace(mm);
    checkEmpty(machine);
  });

  test("does nothing on a machine without swap", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 3);
    const before = word(mm, page);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(word(mm, page), before);
    checkInvariants(machine);
  });

  test("that cannot write loses no byte: the page stays in the swap cache, and is written the next time", async () => {
    const { machine, swap, mm, page } = await mapSwappable(2);
    swap.failsWrites = true;
    await pageOut(mm, page * PAGE, 2 * PAGE);
    checkInvariants(machine);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [10, 11]);
    assert.deepEqual(swap.filled, []);
    checkInvariants(machine);
    swap.failsWrites = false;
    await pageOut(mm, page * PAGE, 2 * PAGE);
    machine.lru.drain();
    assert.equal(machine.host.charge.usage, 0);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [10, 11]);
    checkInvariants(machine);
  });

  test("a page again that was only read since does not write it again", async () => {
    const { machine, swap, mm, page } = await swappedPage();
    assert.equal(await load(mm, page), 10);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(isSwapped(mm, page), true);
    assert.deepEqual(swap.written, [1]);
    checkInvariants(machine);
    await load(mm, page);
    await store(mm, page, 44);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(swap.written.length, 2);
    assert.equal(await load(mm, page), 44);
    checkInvariants(machine);
  });

  test("makes an access wait for the page while it is written", async () => {
    const { machine, swap, mm, page } = await mapSwappable(1);
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const paging = pageOut(mm, page * PAGE, PAGE);
    await gate.reached;
    const reader = load(mm, page);
    await everybodyWaits();
    assert.equal(machine.pageLocks.waiting, 1);
    gate.open();
    await paging;
    assert.equal(await reader, 10);
    checkInvariants(machine);
  });

  test("makes a fork wait, which then shares the slots", async () => {
    const { machine, swap, slots, mm, page } = await mapSwappable(1);
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const paging = pageOut(mm, page * PAGE, PAGE);
    await gate.reached;
    const forking = forkAddressSpace(mm);
    await everybodyWaits();
    assert.equal(machine.addressSpaces.size, 1);
    gate.open();
    await paging;
    const child = await forking;
    assert.equal(slots.count(1), 2);
    checkInvariants(machine);
    assert.deepEqual([await load(mm, page), await load(child, page)], [10, 10]);
    checkInvariants(machine);
  });

  for (const failsWrites of [false, true]) {
    test(`a page that is given up while it is written${failsWrites ? ", which fails," : ""} leaves nothing behind`, async () => {
      const { machine, swap, mm, page } = await mapSwappable(2);
      const gate = new Gate();
      swap.pause = () => gate.pass();
      swap.failsWrites = failsWrites;
      const paging = pageOut(mm, page * PAGE, 2 * PAGE);
      await gate.reached;
      // One is in the cache and written, the other isolated and still mapped.
      await dontNeed(mm, page * PAGE, 2 * PAGE);
      gate.open();
      await paging;
      assert.equal(await load(mm, page), 0);
      checkEmpty(machine);
    });
  }

  test("a page that is referenced and given up meanwhile leaves nothing behind", async () => {
    const { machine, swap, mm, page } = await mapSwappable(2);
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const frame = await pinPage(mm, page + 1, false, SHORT_REFERENCE);
    const paging = pageOut(mm, page * PAGE, 2 * PAGE);
    await gate.reached;
    await dontNeed(mm, page * PAGE, 2 * PAGE);
    gate.open();
    await paging;
    machine.lru.drain();
    checkInvariants(machine, { references: [[frame, 1]] });
    assert.equal(machine.zones.bytes(frame)[0], 11);
    machine.put(frame);
    checkEmpty(machine);
  });
});

describe("an access to a page in swap", () => {
  test("that reads leaves the page in the swap cache, exclusive and read-only", async () => {
    const { machine, slots, mm, page } = await swappedPage();
    assert.equal(await load(mm, page), 10);
    const entry = word(mm, page);
    assert.equal(entry & (PTE_WRITE | PTE_DIRTY | PTE_EXCLUSIVE), PTE_EXCLUSIVE);
    assert.notEqual(machine.frames.flags(frameAt(mm, page)) & PG_SWAPCACHE, 0);
    assert.equal(slots.used, 1);
    checkInvariants(machine);
  });

  test("that writes takes the page out of the swap cache and frees the slot", async () => {
    const { machine, swap, slots, mm, page } = await swappedPage();
    await store(mm, page, 20);
    const entry = word(mm, page);
    const owned = PTE_WRITE | PTE_DIRTY | PTE_SOFT_DIRTY | PTE_EXCLUSIVE;
    assert.equal(entry & owned, owned);
    assert.equal(machine.frames.flags(frameAt(mm, page)) & PG_SWAPCACHE, 0);
    assert.equal(slots.used, 0);
    assert.equal(swap.pages.size, 0, "the store was told");
    checkInvariants(machine);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(await load(mm, page), 20);
    checkInvariants(machine);
  });

  test("that writes after a read reuses the page, which stays in the swap cache", async () => {
    const { machine, mm, page } = await swappedPage();
    await load(mm, page);
    const frame = frameAt(mm, page);
    await store(mm, page, 21);
    assert.equal(frameAt(mm, page), frame);
    assert.notEqual(machine.frames.flags(frame) & PG_SWAPCACHE, 0);
    checkInvariants(machine);
  });

  test("leaves a page of the swap cache that does not migrate to a device", async () => {
    const { machine, mm, page } = await swappedPage();
    const device = new TestDevice(machine, "private", 1);
    await load(mm, page);
    machine.lru.drain();
    assert.deepEqual(await device.migrateToDevice(mm, page), [false]);
    checkInvariants(machine);
    await store(mm, page, 22);
    assert.deepEqual(await device.migrateToDevice(mm, page), [false], "also not after a later write that reuses it");
    assert.equal(await load(mm, page), 22);
    checkInvariants(machine);
  });

  test("that writes leaves a page that migrates to a device again", async () => {
    const { machine, mm, page } = await swappedPage();
    const device = new TestDevice(machine, "private", 1);
    await store(mm, page, 22);
    machine.lru.drain();
    assert.deepEqual(await device.migrateToDevice(mm, page), [true]);
    assert.equal(await load(mm, page), 22);
    checkInvariants(machine);
  });

  test("keeps soft-dirty as it was when it reads, and sets it when it writes", async () => {
    const { machine, mm, page } = await mapSwappable(2);
    await clearSoftDirty(mm);
    await pageOut(mm, page * PAGE, 2 * PAGE);
    await load(mm, page);
    await store(mm, page + 1, 5);
    assert.deepEqual([word(mm, page) & PTE_SOFT_DIRTY, word(mm, page + 1) & PTE_SOFT_DIRTY], [0, PTE_SOFT_DIRTY]);
    checkInvariants(machine);
  });

  test("brings it to its home frame, when that is free", async () => {
    const { machine, environment, mm, page } = await swappedPage({ home: true });
    await load(mm, page);
    assert.equal(frameAt(mm, page), mm.vmas[0].home?.first);
    await pageOut(mm, page * PAGE, PAGE);
    environment.homes = false;
    await load(mm, page);
    assert.notEqual(frameAt(mm, page), mm.vmas[0].home?.first);
    checkInvariants(machine);
  });

  test("twice at once reads the slot once: the second waits for the first", async () => {
    const { machine, swap, slots, mm, page } = await swappedPage();
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const reader = load(mm, page);
    await gate.reached;
    const writer = store(mm, page, 12);
    const another = load(mm, page);
    await everybodyWaits();
    assert.equal(machine.pageLocks.waiting, 2);
    const frame = slots.cached(1);
    checkInvariants(machine, { locked: [frame], references: [[frame, 1]], busy: true });
    gate.open();
    await Promise.all([reader, writer, another]);
    assert.deepEqual(swap.filled, [1]);
    assert.equal(await load(mm, page), 12);
    checkInvariants(machine);
  });

  test("by parent and child at once reads the slot once, and a write copies", async () => {
    const { machine, swap, slots, mm, page } = await swappedPage();
    const child = await forkAddressSpace(mm);
    assert.equal(word(mm, page) & PTE_EXCLUSIVE, 0);
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const stores = [store(mm, page, 1), store(child, page, 2)];
    await gate.reached;
    await everybodyWaits();
    gate.open();
    await Promise.all(stores);
    assert.deepEqual(swap.filled, [1]);
    assert.deepEqual([await load(mm, page), await load(child, page)], [1, 2]);
    machine.lru.drain();
    checkInvariants(machine);
    await exitAddressSpace(mm);
    await exitAddressSpace(child);
    assert.equal(slots.used, 0);
    checkEmpty(machine);
  });

  test("that cannot read rejects with the store's error; the slot keeps its bytes, and nothing else is left", async () => {
    const { machine, swap, slots, mm, page } = await swappedPage();
    swap.failsReads = true;
    await assert.rejects(load(mm, page), /slot 1 cannot be read/);
    machine.lru.drain();
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(slots.used, 1);
    assert.equal(mm.mmapLock.free, true);
    checkInvariants(machine);
    swap.failsReads = false;
    assert.equal(await load(mm, page), 10);
    checkInvariants(machine);
  });

  test("that waits for a read which fails tries the read itself", async () => {
    const { machine, swap, mm, page } = await swappedPage();
    const gate = new Gate();
    swap.pause = () => gate.pass();
    swap.failsReads = true;
    const first = load(mm, page).catch((error: unknown) => error);
    await gate.reached;
    const second = load(mm, page);
    await everybodyWaits();
    const again = new Gate();
    swap.pause = () => again.pass();
    gate.open();
    assert.match(String(await first), /cannot be read/);
    swap.failsReads = false;
    again.open();
    assert.equal(await second, 10);
    checkInvariants(machine);
  });

  for (const site of ["frame", "charge"] as const) {
    test(`fails without a ${site}, with the page still in swap`, async () => {
      const { machine, environment, mm, page } = await swappedPage();
      for (const access of [() => load(mm, page), () => store(mm, page, 1)]) {
        environment.refuse(site);
        await assert.rejects(access(), memoryError("ENOMEM", /no memory for page/));
        assert.equal(isSwapped(mm, page), true);
        assert.equal(mm.resident.usage, 0);
        checkInvariants(machine);
      }
      assert.equal(await load(mm, page), 10);
      checkInvariants(machine);
    });
  }

  test("that a device makes reads it too, and fails when there is no memory or no bytes", async () => {
    const { machine, environment, swap, mm, page } = await swappedPage();
    const listener = new Listener(mm);
    const range = () => ({
      mm,
      interval: listener,
      sequence: mm.notifiers.readBegin(listener),
      start: page,
      end: page + 1,
      pfns: new Int32Array(1),
      fault: "write" as const,
      owner: {},
    });
    environment.refuse("frame");
    assert.equal(await hmmRangeFault(range()), HMM_FAULT);
    swap.failsReads = true;
    await assert.rejects(hmmRangeFault(range()), /cannot be read/);
    checkInvariants(machine);
    swap.failsReads = false;
    assert.equal(await hmmRangeFault(range()), 0);
    assert.equal(word(mm, page) & (PTE_PRESENT | PTE_WRITE), PTE_PRESENT | PTE_WRITE);
    checkInvariants(machine);
  });

  test("makes munmap wait, which then finds the page gone from everywhere", async () => {
    const { machine, swap, mm, page } = await swappedPage();
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const reader = load(mm, page);
    await gate.reached;
    let unmapped = false;
    const unmap = munmap(mm, page * PAGE, PAGE).then(() => (unmapped = true));
    await everybodyWaits();
    assert.equal(unmapped, false);
    gate.open();
    await assert.rejects(reader, memoryError("EFAULT", /may not be accessed/));
    await unmap;
    checkEmpty(machine);
  });

  test("makes exit wait", async () => {
    const { machine, swap, mm, page } = await swappedPage();
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const reader = load(mm, page);
    await gate.reached;
    const exit = exitAddressSpace(mm);
    gate.open();
    await assert.rejects(reader, memoryError("EFAULT", /may not be accessed/));
    await exit;
    checkEmpty(machine);
  });

  for (const failsReads of [false, true]) {
    test(`that is given up while it is read${failsReads ? ", which fails," : ""} leaves nothing behind`, async () => {
      const { machine, swap, mm, page } = await swappedPage();
      const gate = new Gate();
      swap.pause = () => gate.pass();
      swap.failsReads = failsReads;
      const reader = load(mm, page).catch((error: unknown) => error);
      await gate.reached;
      await dontNeed(mm, page * PAGE, PAGE);
      gate.open();
      const seen = await reader;
      if (failsReads) assert.match(String(seen), /cannot be read/);
      else assert.equal(seen, 0);
      checkEmpty(machine);
    });
  }

  test("in the child alone, while the parent reads it and exits, loses nothing", async () => {
    const { machine, swap, mm, page } = await swappedPage();
    const child = await forkAddressSpace(mm);
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const reader = load(mm, page).catch((error: unknown) => error);
    await gate.reached;
    const exit = exitAddressSpace(mm);
    gate.open();
    memoryError("EFAULT", /may not be accessed/)(await reader);
    await exit;
    checkInvariants(machine);
    assert.equal(await load(child, page), 10);
    await store(child, page, 3);
    checkInvariants(machine);
    await exitAddressSpace(child);
    checkEmpty(machine);
  });

  test("that the mapping forbids is refused without reading, and protection survives swap", async () => {
    const { machine, swap, mm, page } = await swappedPage();
    await mprotect(mm, page * PAGE, PAGE, PROT_READ);
    await assert.rejects(store(mm, page, 1), memoryError("EFAULT", /may not be accessed/));
    assert.deepEqual(swap.filled, []);
    assert.equal(await load(mm, page), 10);
    assert.equal(word(mm, page) & PTE_WRITE, 0);
    await mprotect(mm, page * PAGE, PAGE, PROT_READ | PROT_WRITE);
    await store(mm, page, 2);
    assert.equal(await load(mm, page), 2);
    checkInvariants(machine);
  });
});

describe("swap slots", () => {
  test("are freed when what they belong to is given up, unmapped or exits", async () => {
    const { machine, slots, mm, page } = await mapSwappable(6);
    await pageOut(mm, page * PAGE, 6 * PAGE);
    // Two of them in the swap cache as well.
    await load(mm, page);
    await load(mm, page + 2);
    await dontNeed(mm, page * PAGE, 2 * PAGE);
    machine.lru.drain();
    assert.equal(slots.used, 4);
    checkInvariants(machine);
    await munmap(mm, (page + 2) * PAGE, 2 * PAGE);
    machine.lru.drain();
    assert.equal(slots.used, 2);
    checkInvariants(machine);
    await exitAddressSpace(mm);
    checkEmpty(machine);
  });

  test("are used again", async () => {
    const { slots, mm, page } = await swappedPage();
    await store(mm, page, 1);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(slots.highest, 1);
  });

  test("count the entries of all address spaces", async () => {
    const { machine, slots, mm, page } = await swappedPage();
    const child = await forkAddressSpace(mm);
    const grandchild = await forkAddressSpace(child);
    assert.equal(slots.count(1), 3);
    checkInvariants(machine);
    await load(child, page);
    assert.equal(slots.count(1), 2);
    await exitAddressSpace(mm);
    await exitAddressSpace(grandchild);
    assert.equal(slots.count(1), 0);
    checkInvariants(machine);
    await store(child, page, 6);
    assert.equal(slots.used, 0, "the last user made the page its own");
    checkInvariants(machine);
  });

  test("of a page that is shared stay until the last mapping of it is written", async () => {
    const { machine, slots, mm, page } = await swappedPage();
    const child = await forkAddressSpace(mm);
    assert.deepEqual([await load(mm, page), await load(child, page)], [10, 10]);
    assert.equal(frameAt(mm, page), frameAt(child, page));
    await store(child, page, 11);
    assert.equal(slots.used, 1);
    checkInvariants(machine);
    await store(mm, page, 12);
    assert.equal(slots.used, 0);
    assert.deepEqual([await load(mm, page), await load(child, page)], [12, 11]);
    checkInvariants(machine);
  });

  test("number from 1 to what an entry can name", () => {
    for (const slots of [0, -1, 1.5, MAX_SWAP_SLOTS + 1, Number.NaN])
      assert.throws(
        () => swapOn(createMachine().machine, new MemorySwapStore(slots)),
        memoryError("EINVAL", new RegExp(`: ${slots} swap slots are not from 1 to ${MAX_SWAP_SLOTS}`)),
      );
  });

  test("are of one store: a machine takes no second one", () => {
    const { machine } = createMachine({ swap: new MemorySwapStore(8) });
    const { swap } = machine;
    assert.throws(() => swapOn(machine, new MemorySwapStore(8)), memoryError("EBUSY", /swaps to another store/));
    assert.equal(machine.swap, swap);
  });
});

describe("swap in memory", () => {
  test("keeps a copy of what was written until it is discarded", async () => {
    const swap = new MemorySwapStore(2);
    const bytes = new Uint8Array(PAGE).fill(1);
    await swap.write(1, bytes);
    bytes.fill(2);
    await swap.write(2, bytes);
    const into = new Uint8Array(PAGE);
    await swap.read(1, into);
    assert.deepEqual([into[0], into[PAGE - 1]], [1, 1]);
    swap.discard(1);
    await assert.rejects(async () => swap.read(1, into), /slot 1 is read and was never written/);
    await swap.read(2, into);
    assert.equal(into[0], 2);
  });

  test("serves a machine", async () => {
    const { machine } = createMachine({ swap: new MemorySwapStore(8) });
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 8);
    for (let i = 0; i < 8; i++) await store(mm, page + i, i);
    await pageOut(mm, page * PAGE, 8 * PAGE);
    assert.equal(machine.host.charge.usage, 0);
    for (let i = 0; i < 8; i++) assert.equal(await load(mm, page + i), i);
    checkInvariants(machine);
  });
});
