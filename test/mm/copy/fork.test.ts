// Fork: parent and child share every page until one of them writes. The parent's pages and bytes are as before, also when
// the fork fails.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPageCache } from "../../../src/mm/stores.js";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isMigrationEntry,
  isSwapEntry,
  isZeroPageEntry,
  PTE_EXCLUSIVE,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../../src/mm/table/entry.js";
import { makeDeviceExclusiveRange } from "../../../src/mm/fault/device-exclusive.js";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE } from "../../../src/mm/fault/gup.js";
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
import type { AllocationSite } from "../../../src/mm/environment.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

async function createParent(pages = 2, options: Parameters<typeof mapPages>[2] = {}) {
  const swap = new TestSwapStore();
  const { machine, environment } = createMachine({ swap });
  const parent = machine.createAddressSpace();
  const page = await mapPages(parent, pages, options);
  for (let i = 0; i < pages; i++) await store(parent, page + i, 10 + i);
  machine.lru.drain();
  return { machine, environment, swap, parent, page };
}

function checkEmpty(machine: Machine): void {
  machine.lru.drain();
  assert.equal(machine.addressSpaces.size, 0);
  assert.equal(machine.host.charge.usage, 0, "host pages in use");
  assert.equal(machine.swap?.used, 0, "swap slots in use");
  assert.equal(machine.anonVmaCount, 0);
  assert.equal(machine.tables.used, 0);
  checkInvariants(machine);
}

describe("a forked page", () => {
  test("is the same frame for both, read-only and exclusive to neither, old in the child", async () => {
    const { machine, parent, page } = await createParent();
    const child = await forkAddressSpace(parent);
    assert.equal(frameAt(child, page), frameAt(parent, page));
    assert.equal(word(parent, page) & (PTE_WRITE | PTE_EXCLUSIVE), 0);
    assert.equal(word(parent, page) & PTE_YOUNG, PTE_YOUNG);
    assert.equal(word(child, page), word(parent, page) & ~PTE_YOUNG);
    assert.equal(word(child, page) & PTE_SOFT_DIRTY, PTE_SOFT_DIRTY);
    assert.equal(child.resident.usage, 2);
    checkInvariants(machine);
  });

  for (const first of ["parent", "child"] as const) {
    test(`is copied when the ${first} writes first, and reused when the other does then`, async () => {
      const { machine, parent, page } = await createParent();
      const child = await forkAddressSpace(parent);
      const [writer, other] = first === "parent" ? [parent, child] : [child, parent];
      const frame = frameAt(parent, page);
      await store(writer, page, 50);
      assert.notEqual(frameAt(writer, page), frame);
      assert.equal(await load(other, page), 10);
      machine.lru.drain();
      await store(other, page, 60);
      assert.equal(frameAt(other, page), frame);
      assert.deepEqual([await load(writer, page), await load(other, page)], [50, 60]);
      checkInvariants(machine);
      await exitAddressSpace(parent);
      checkInvariants(machine);
      await exitAddressSpace(child);
      checkEmpty(machine);
    });
  }

  test("tells the parent's devices of each VMA that is copied, and of no other", async () => {
    const { machine, parent, page } = await createParent();
    const untouched = await mapPages(parent, 2);
    await load(parent, untouched);
    const listener = new Listener(parent);
    const child = await forkAddressSpace(parent);
    assert.deepEqual(listener.take(), [["protection", page, page + 2]]);
    assert.equal(word(child, untouched), 0, "a VMA without pages of its own is not copied page by page");
    assert.equal(await load(child, untouched), 0);
    checkInvariants(machine);
  });

  test("that is the zero page stays the zero page", async () => {
    const { machine, parent, page } = await createParent();
    await dontNeed(parent, page * PAGE, PAGE);
    await load(parent, page);
    const child = await forkAddressSpace(parent);
    assert.ok(isZeroPageEntry(word(child, page)));
    assert.equal(word(child, page) & PTE_YOUNG, 0);
    assert.equal(child.resident.usage, 1);
    await store(child, page, 3);
    assert.equal(await load(parent, page), 0);
    checkInvariants(machine);
  });

  test("that is swapped out is named by both, and loses the exclusive mark", async () => {
    const { machine, parent, page } = await createParent();
    await pageOut(parent, page * PAGE, 2 * PAGE);
    const child = await forkAddressSpace(parent);
    assert.ok(isSwapEntry(word(child, page)));
    assert.equal(word(child, page), word(parent, page));
    assert.equal(word(child, page) & PTE_EXCLUSIVE, 0);
    assert.equal(child.resident.usage, 0);
    checkInvariants(machine);
    await store(child, page, 70);
    await store(parent, page + 1, 80);
    assert.deepEqual([await load(parent, page), await load(child, page + 1)], [10, 11]);
    checkInvariants(machine);
    await exitAddressSpace(parent);
    await exitAddressSpace(child);
    checkEmpty(machine);
  });

  test("that a device has privately becomes readable in both; a writable one forgets that it was soft-dirty", async () => {
    const { machine, parent, page } = await createParent(3);
    const device = new TestDevice(machine, "private", 3);
    await mprotect(parent, (page + 1) * PAGE, PAGE, PROT_READ);
    await device.migrateToDevice(parent, page);
    await device.migrateToDevice(parent, page + 1);
    const child = await forkAddressSpace(parent);
    for (const mm of [parent, child]) {
      for (const i of [0, 1]) {
        assert.ok(isDevicePrivateEntry(word(mm, page + i)));
        assert.equal(word(mm, page + i) & (PTE_WRITE | PTE_EXCLUSIVE), 0);
      }
      assert.equal(word(mm, page) & PTE_SOFT_DIRTY, 0);
      assert.equal(word(mm, page + 1) & PTE_SOFT_DIRTY, PTE_SOFT_DIRTY);
    }
    assert.equal(machine.frames.mapcount(frameAt(parent, page)), 2);
    checkInvariants(machine);
    await store(child, page, 90);
    assert.deepEqual([await load(parent, page), await load(child, page)], [10, 90]);
    await exitAddressSpace(parent);
    checkInvariants(machine);
    assert.equal(await load(child, page + 1), 11);
    await exitAddressSpace(child);
    assert.equal(device.freeFrames, 3);
    checkEmpty(machine);
  });

  test("of coherent memory is shared where it is, and copied to the host by a write", async () => {
    const { machine, parent, page } = await createParent();
    const device = new TestDevice(machine, "coherent", 1);
    await device.migrateToDevice(parent, page);
    const child = await forkAddressSpace(parent);
    assert.equal(frameAt(child, page), device.zone.first);
    await store(child, page, 90);
    assert.equal(device.holds(frameAt(child, page)), false);
    assert.deepEqual([await load(parent, page), await load(child, page)], [10, 90]);
    checkInvariants(machine);
  });

  test("that is write-protected by userfault is not in the child, where nobody is registered", async () => {
    const { machine, parent, page } = await createParent();
    parent.pageTable.exchange(page, (word(parent, page) | PTE_UFFD_WP) & ~PTE_WRITE);
    const child = await forkAddressSpace(parent);
    assert.deepEqual([word(parent, page) & PTE_UFFD_WP, word(child, page) & PTE_UFFD_WP], [PTE_UFFD_WP, 0]);
    checkInvariants(machine);
  });

  test("that is shared already is shared by three", async () => {
    const { machine, parent, page } = await createParent();
    const child = await forkAddressSpace(parent);
    const grandchild = await forkAddressSpace(child);
    assert.equal(machine.frames.mapcount(frameAt(parent, page)), 3);
    checkInvariants(machine);
    await store(child, page, 30);
    await store(grandchild, page, 40);
    assert.deepEqual(await Promise.all([parent, child, grandchild].map((mm) => load(mm, page))), [10, 30, 40]);
    await exitAddressSpace(child);
    checkInvariants(machine);
    await exitAddressSpace(parent);
    assert.equal(await load(grandchild, page + 1), 11);
    await exitAddressSpace(grandchild);
    checkEmpty(machine);
  });

  test("of shared memory is the same for both for ever", async () => {
    const { machine, parent } = await createParent();
    const file = createPageCache(machine, 2);
    const shared = await mapPages(parent, 2, { file, shared: true });
    await store(parent, shared, 1);
    const child = await forkAddressSpace(parent);
    file.release();
    assert.equal(word(child, shared), 0, "faulted when it is needed");
    await store(child, shared, 2);
    assert.equal(await load(parent, shared), 2);
    checkInvariants(machine);
    await exitAddressSpace(parent);
    assert.equal(await load(child, shared), 2);
    await exitAddressSpace(child);
    checkEmpty(machine);
  });

  test("of a file that is mapped privately stays the file's until one writes", async () => {
    const { machine, parent } = await createParent();
    const file = createPageCache(machine, 2);
    file.write(0, new Uint8Array(PAGE).fill(7));
    const privately = await mapPages(parent, 2, { file });
    await load(parent, privately);
    await store(parent, privately + 1, 8);
    const child = await forkAddressSpace(parent);
    assert.equal(frameAt(child, privately), file.page(0));
    assert.equal(frameAt(child, privately + 1), frameAt(parent, privately + 1));
    assert.equal(child.resident.usage, 3);
    await store(child, privately, 9);
    assert.deepEqual([await load(parent, privately), await load(child, privately)], [7, 9]);
    checkInvariants(machine);
  });
});

describe("a forked page that is pinned for DMA", () => {
  test("is copied at once: the parent keeps the page that the pin sees, writable", async () => {
    const { machine, parent, page } = await createParent();
    const frame = await pinPage(parent, page, true, DMA_PIN);
    const before = word(parent, page);
    const child = await forkAddressSpace(parent);
    assert.equal(word(parent, page), before);
    assert.notEqual(frameAt(child, page), frame);
    const owned = PTE_WRITE | PTE_EXCLUSIVE | PTE_PRESENT;
    assert.equal(word(child, page) & owned, owned);
    assert.equal(await load(child, page), 10);
    await store(parent, page, 20);
    assert.equal(machine.zones.bytes(frame)[0], 20);
    assert.equal(await load(child, page), 10);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
    machine.put(frame, DMA_PIN);
    checkInvariants(machine);
  });

  test("but may not be written has a copy that may not either", async () => {
    const { machine, parent, page } = await createParent();
    const frame = await pinPage(parent, page, true, DMA_PIN);
    await mprotect(parent, page * PAGE, 2 * PAGE, PROT_READ);
    const child = await forkAddressSpace(parent);
    assert.notEqual(frameAt(child, page), frame);
    assert.equal(word(child, page) & PTE_WRITE, 0);
    await assert.rejects(store(child, page, 1), memoryError("EFAULT", /may not be accessed/));
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
  });

  test("with a short reference only is shared: the reference keeps the page, not the address", async () => {
    const { machine, parent, page } = await createParent();
    const frame = await pinPage(parent, page, true, SHORT_REFERENCE);
    const child = await forkAddressSpace(parent);
    assert.equal(frameAt(child, page), frame);
    await store(parent, page, 20);
    assert.equal(machine.zones.bytes(frame)[0], 10);
    checkInvariants(machine, { references: [[frame, 1]] });
  });
});

describe("a fork that fails", () => {
  /** A parent with pages of all kinds, and what it should read. */
  async function createRich() {
    const scene = await createParent(6);
    const { machine, parent, page } = scene;
    const device = new TestDevice(machine, "private", 1);
    await device.migrateToDevice(parent, page);
    await pageOut(parent, (page + 1) * PAGE, PAGE);
    const pinned = await pinPage(parent, page + 2, true, DMA_PIN);
    const exclusive = new Int32Array(1);
    await makeDeviceExclusiveRange(parent, page + 3, exclusive, null);
    machine.pageLocks.unlock(exclusive[0]);
    machine.put(exclusive[0]);
    const second = await mapPages(parent, 1);
    await store(parent, second, 16);
    const pinnedToo = await pinPage(parent, second, true, DMA_PIN);
    const file = createPageCache(machine, 1);
    const shared = await mapPages(parent, 1, { file, shared: true });
    await store(parent, shared, 17);
    file.release();
    machine.lru.drain();
    const references = [
      [pinned, DMA_PIN],
      [pinnedToo, DMA_PIN],
    ] as const;
    return { ...scene, device, references, pages: [0, 1, 2, 3, 4, 5].map((i) => page + i).concat(second, shared) };
  }

  function allBytes(mm: AddressSpace, pages: number[]): Promise<number[]> {
    return pages.reduce<Promise<number[]>>(
      async (seen, page) => [...(await seen), await load(mm, page)],
      Promise.resolve([]),
    );
  }

  for (const site of ["frame", "charge", "anon-vma", "table"] satisfies AllocationSite[]) {
    test(`for want of a ${site}, whichever it is, leaves the parent as it was and nothing else`, async () => {
      for (let n = 0; ; n++) {
        const { machine, environment, parent, references, pages } = await createRich();
        const before = {
          host: machine.host.charge.usage,
          tables: machine.tables.used,
          anonVmas: machine.anonVmaCount,
          slots: machine.swap?.used,
          resident: parent.resident.usage,
        };
        environment.refuse(site, n);
        const child = await forkAddressSpace(parent).catch((error: unknown) => error);
        environment.recover();
        if (!(child instanceof Error)) {
          assert.ok(n > 0, `a fork allocates no ${site}`);
          checkInvariants(machine, { references });
          return;
        }
        memoryError("ENOMEM", /no memory to fork address space 1|no page table can be allocated/)(child);
        machine.lru.drain();
        checkInvariants(machine, { references });
        assert.equal(machine.addressSpaces.size, 1);
        assert.deepEqual(before, {
          host: machine.host.charge.usage,
          tables: machine.tables.used,
          anonVmas: machine.anonVmaCount,
          slots: machine.swap?.used,
          resident: parent.resident.usage,
        });
        assert.deepEqual(await allBytes(parent, pages), [10, 11, 12, 13, 14, 15, 16, 17]);
        for (const page of pages) await store(parent, page, 99);
        for (const [frame] of references) assert.equal(machine.zones.bytes(frame)[0], 99, "the pin sees the write");
        checkInvariants(machine, { references });
        for (const [frame, count] of references) machine.put(frame, count);
        await exitAddressSpace(parent);
        checkEmpty(machine);
      }
    });
  }

  test("because the address space has exited says so", async () => {
    const { machine, parent } = await createParent();
    await exitAddressSpace(parent);
    await assert.rejects(forkAddressSpace(parent), memoryError("EINVAL", /address space 1 has exited/));
    checkEmpty(machine);
  });
});

describe("a fork that meets something under way", () => {
  test("restores pages that a device has for itself, and shares them", async () => {
    const { machine, parent, page } = await createParent();
    const frames = new Int32Array(2);
    await makeDeviceExclusiveRange(parent, page, frames, null);
    for (const frame of frames) {
      machine.pageLocks.unlock(frame);
      machine.put(frame);
    }
    const child = await forkAddressSpace(parent);
    for (const mm of [parent, child]) {
      assert.equal(isDeviceExclusiveEntry(word(mm, page)), false);
      assert.equal(word(mm, page) & (PTE_PRESENT | PTE_WRITE | PTE_EXCLUSIVE), PTE_PRESENT);
      assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [10, 11]);
    }
    checkInvariants(machine);
  });

  test("waits for a page that a device has for itself and has locked, and does not keep the parent waiting", async () => {
    const { machine, parent, page } = await createParent(3);
    const frames = new Int32Array(2);
    await makeDeviceExclusiveRange(parent, page, frames, null);
    const references = Array.from(frames, (frame) => [frame, 1] as const);
    let forked = false;
    const forking = forkAddressSpace(parent).finally(() => (forked = true));
    await everybodyWaits();
    assert.equal(forked, false);
    assert.equal(machine.addressSpaces.size, 1);
    assert.equal(parent.mmapLock.free, true);
    await store(parent, page + 2, 33);
    checkInvariants(machine, { locked: frames, references, busy: true });
    // The first is let go: the fork restores it and waits for the second.
    machine.pageLocks.unlock(frames[0]);
    machine.put(frames[0]);
    await everybodyWaits();
    assert.equal(forked, false);
    assert.equal(isDeviceExclusiveEntry(word(parent, page)), false);
    machine.pageLocks.unlock(frames[1]);
    machine.put(frames[1]);
    const child = await forking;
    assert.deepEqual([await load(child, page), await load(child, page + 1), await load(child, page + 2)], [10, 11, 33]);
    checkInvariants(machine);
  });

  test("waits for a page that is unmapped meanwhile, and forks what is left", async () => {
    const { machine, parent, page } = await createParent();
    const frames = new Int32Array(1);
    await makeDeviceExclusiveRange(parent, page, frames, null);
    const forking = forkAddressSpace(parent);
    await everybodyWaits();
    await munmap(parent, page * PAGE, PAGE);
    machine.pageLocks.unlock(frames[0]);
    machine.put(frames[0]);
    const child = await forking;
    assert.equal(child.vmaAt(page), undefined);
    assert.equal(await load(child, page + 1), 11);
    checkInvariants(machine);
  });

  test("waits for a page of a parent that exits meanwhile, and fails", async () => {
    const { machine, parent, page } = await createParent();
    const frames = new Int32Array(1);
    await makeDeviceExclusiveRange(parent, page, frames, null);
    const forking = forkAddressSpace(parent);
    await everybodyWaits();
    await exitAddressSpace(parent);
    machine.pageLocks.unlock(frames[0]);
    machine.put(frames[0]);
    await assert.rejects(forking, memoryError("EINVAL", /has exited/));
    checkEmpty(machine);
  });

  test("waits for a migration of the parent", async () => {
    const { machine, parent, page } = await createParent();
    const device = new TestDevice(machine, "private", 2);
    const gate = new Gate();
    device.pause = () => gate.pass();
    const moving = device.migrateToDevice(parent, page, 2);
    await gate.reached;
    const forking = forkAddressSpace(parent);
    await everybodyWaits();
    assert.equal(machine.addressSpaces.size, 1);
    gate.open();
    assert.deepEqual(await moving, [true, true]);
    const child = await forking;
    assert.ok(isDevicePrivateEntry(word(child, page)));
    assert.deepEqual([await load(child, page), await load(parent, page + 1)], [10, 11]);
    checkInvariants(machine);
  });

  for (const fails of [false, true]) {
    test(`copies migration entries as readable ones, and ${fails ? "restores" : "moves"} them in both`, async () => {
      const { machine, parent, page } = await createParent();
      const device = new TestDevice(machine, "private", 2);
      await device.migrateToDevice(parent, page, 2);
      const gate = new Gate();
      device.pause = () => gate.pass();
      device.failsCopy = () => fails;
      const evicting = device.evict();
      await gate.reached;
      const child = await forkAddressSpace(parent);
      for (const mm of [parent, child]) {
        assert.ok(isMigrationEntry(word(mm, page)));
        assert.equal(word(mm, page) & (PTE_WRITE | PTE_EXCLUSIVE), 0);
      }
      checkInvariants(machine, { inFlight: device.inFlight, busy: true });
      device.pause = null;
      gate.open();
      assert.deepEqual(await evicting, [!fails, !fails]);
      device.failsCopy = () => false;
      checkInvariants(machine);
      await store(child, page, 40);
      assert.deepEqual([await load(parent, page), await load(child, page)], [10, 40]);
      assert.deepEqual([await load(parent, page + 1), await load(child, page + 1)], [11, 11]);
      checkInvariants(machine);
      await exitAddressSpace(parent);
      await exitAddressSpace(child);
      assert.equal(device.freeFrames, 2);
      checkEmpty(machine);
    });
  }
});

describe("after a fork", () => {
  test("the child's mappings are its own: it may unmap and protect without the parent", async () => {
    const { machine, parent, page } = await createParent();
    const child = await forkAddressSpace(parent);
    await munmap(child, page * PAGE, PAGE);
    await mprotect(child, (page + 1) * PAGE, PAGE, PROT_READ);
    await mprotect(child, (page + 1) * PAGE, PAGE, PROT_READ | PROT_WRITE);
    await store(child, page + 1, 5);
    machine.lru.drain();
    await store(parent, page, 6);
    assert.deepEqual([await load(parent, page), await load(parent, page + 1)], [6, 11]);
    checkInvariants(machine);
  });

  test("a page that is protected and allowed again stays read-only while it is shared", async () => {
    const { machine, parent, page } = await createParent();
    const child = await forkAddressSpace(parent);
    await mprotect(parent, page * PAGE, 2 * PAGE, PROT_READ);
    await mprotect(parent, page * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
    assert.equal(word(parent, page) & PTE_WRITE, 0);
    await store(parent, page, 9);
    assert.equal(await load(child, page), 10);
    checkInvariants(machine);
  });

  test("new pages of the child are not looked for in the parent", async () => {
    const { machine, parent, page } = await createParent(3);
    await dontNeed(parent, (page + 2) * PAGE, PAGE);
    const child = await forkAddressSpace(parent);
    await store(child, page + 2, 1);
    const parentListener = new Listener(parent);
    const device = new TestDevice(machine, "private", 1);
    machine.lru.drain();
    await device.migrateToDevice(child, page + 2);
    assert.deepEqual(parentListener.take(), []);
    assert.equal(await load(child, page + 2), 1);
    checkInvariants(machine);
  });

  test("soft-dirty is cleared in one without the other", async () => {
    const { machine, parent, page } = await createParent();
    const child = await forkAddressSpace(parent);
    await clearSoftDirty(child);
    assert.deepEqual([word(parent, page) & PTE_SOFT_DIRTY, word(child, page) & PTE_SOFT_DIRTY], [PTE_SOFT_DIRTY, 0]);
    checkInvariants(machine);
  });

  test("a long line of forks, each of the last and the parent gone, does not grow the roots of a page", async () => {
    const { machine, parent, page } = await createParent();
    let mm = parent;
    for (let generation = 0; generation < 20; generation++) {
      const child = await forkAddressSpace(mm);
      await store(child, page, generation);
      await exitAddressSpace(mm);
      checkInvariants(machine);
      mm = child;
    }
    assert.ok(machine.anonVmaCount <= 3, `${machine.anonVmaCount} roots for one VMA`);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [19, 11]);
    await exitAddressSpace(mm);
    checkEmpty(machine);
  });
});

describe("home frames and forks", () => {
  async function createHome() {
    const scene = await createParent(2, { home: true });
    const { home } = scene.parent.vmas[0];
    assert.ok(home !== null);
    return { ...scene, home };
  }

  const isHome = (home: { first: number; pages: number }, frame: number) =>
    frame >= home.first && frame < home.first + home.pages;

  test("a child has no home range, and what it writes lies elsewhere", async () => {
    const { machine, parent, page, home } = await createHome();
    await dontNeed(parent, (page + 1) * PAGE, PAGE);
    const child = await forkAddressSpace(parent);
    assert.deepEqual(
      child.vmas.map((vma) => vma.home),
      [null],
    );
    await store(child, page, 20);
    await store(child, page + 1, 21);
    assert.deepEqual(
      [0, 1].map((i) => isHome(home, frameAt(child, page + i))),
      [false, false],
    );
    assert.equal(frameAt(parent, page), home.first);
    await store(parent, page + 1, 31);
    assert.equal(frameAt(parent, page + 1), home.first + 1, "the home frame was left free for the parent");
    checkInvariants(machine);
  });

  test("the copy of a pinned page is not made in the parent's home", async () => {
    const { machine, parent, page, home } = await createHome();
    const frame = await pinPage(parent, page, true, DMA_PIN);
    const child = await forkAddressSpace(parent);
    assert.equal(frameAt(parent, page), frame);
    assert.equal(isHome(home, frameAt(child, page)), false);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
  });

  test("a page that comes from swap for the child leaves the parent's home free", async () => {
    const { machine, parent, page, home } = await createHome();
    await pageOut(parent, page * PAGE, PAGE);
    const child = await forkAddressSpace(parent);
    await load(child, page);
    assert.equal(isHome(home, frameAt(child, page)), false);
    await store(parent, page, 5);
    assert.equal(frameAt(parent, page), home.first);
    assert.equal(await load(child, page), 10);
    checkInvariants(machine);
  });

  test("a parent that writes keeps its home frame, and all who share the page get one copy of it", async () => {
    const { machine, parent, page, home } = await createHome();
    const child = await forkAddressSpace(parent);
    const grandchild = await forkAddressSpace(child);
    const used = machine.host.charge.usage;
    await store(parent, page, 50);
    assert.equal(frameAt(parent, page), home.first);
    assert.equal(isHome(home, frameAt(child, page)), false);
    assert.equal(frameAt(grandchild, page), frameAt(child, page));
    assert.deepEqual(await Promise.all([parent, child, grandchild].map((mm) => load(mm, page))), [50, 10, 10]);
    assert.equal(machine.host.charge.usage, used + 1);
    assert.equal(machine.counters.copiedOnWrite, 1);
    checkInvariants(machine);
    await store(child, page, 60);
    await store(grandchild, page, 70);
    assert.deepEqual(await Promise.all([parent, child, grandchild].map((mm) => load(mm, page))), [50, 60, 70]);
    checkInvariants(machine);
    await exitAddressSpace(parent);
    checkInvariants(machine);
    for (const mm of [child, grandchild]) await exitAddressSpace(mm);
    checkEmpty(machine);
  });

  test("devices of those who get the copy hear of it, the writer's do not", async () => {
    const { parent, page } = await createHome();
    const child = await forkAddressSpace(parent);
    const [ofParent, ofChild] = [new Listener(parent), new Listener(child)];
    await store(parent, page, 50);
    assert.deepEqual([ofParent.take(), ofChild.take()], [[], [["clear", page, page + 1]]]);
  });

  test("a pin of the parent has the home frame, and the child a copy", async () => {
    const { machine, parent, page, home } = await createHome();
    const child = await forkAddressSpace(parent);
    const frames = [await pinPage(parent, page, false, DMA_PIN), await pinPage(parent, page + 1, true, DMA_PIN)];
    assert.deepEqual(frames, [home.first, home.first + 1]);
    await store(parent, page, 50);
    assert.equal(machine.zones.bytes(frames[0])[0], 50, "the pin goes on seeing the parent's writes");
    assert.deepEqual([await load(child, page), await load(child, page + 1)], [10, 11]);
    checkInvariants(machine, { references: frames.map((frame) => [frame, DMA_PIN]) });
  });

  test("a reference to the shared page keeps it as it was: the parent gets a copy, and comes home when that is free again", async () => {
    const { machine, parent, page, home } = await createHome();
    const child = await forkAddressSpace(parent);
    const held = await pinPage(child, page, false, SHORT_REFERENCE);
    await store(parent, page, 50);
    assert.equal(isHome(home, frameAt(parent, page)), false);
    assert.deepEqual([machine.zones.bytes(held)[0], await load(child, page)], [10, 10]);
    checkInvariants(machine, { references: [[held, 1]] });
    machine.put(held);
    await exitAddressSpace(child);
    await pageOut(parent, page * PAGE, PAGE);
    assert.equal(await load(parent, page), 50);
    assert.equal(frameAt(parent, page), home.first);
    checkInvariants(machine);
  });

  test("the swap cache goes with the copy: the slot has what the sharers have", async () => {
    const { machine, parent, page, home, swap } = await createHome();
    await pageOut(parent, page * PAGE, PAGE);
    const child = await forkAddressSpace(parent);
    assert.equal(await load(parent, page), 10);
    assert.equal(frameAt(parent, page), home.first);
    await store(parent, page, 50);
    assert.equal(frameAt(parent, page), home.first);
    checkInvariants(machine);
    assert.equal(await load(child, page), 10);
    assert.equal(swap.filled.length, 1, "the child finds the page in the cache");
    assert.equal(await load(parent, page), 50);
    checkInvariants(machine);
    await exitAddressSpace(child);
    await pageOut(parent, page * PAGE, PAGE);
    assert.equal(await load(parent, page), 50);
    await exitAddressSpace(parent);
    checkEmpty(machine);
  });

  test("without memory for the copy the write fails, and both have what they had", async () => {
    const { machine, environment, parent, page, home } = await createHome();
    const child = await forkAddressSpace(parent);
    environment.exhaust("frame");
    await assert.rejects(store(parent, page, 50), memoryError("ENOMEM", /no memory/));
    environment.recover();
    assert.deepEqual([frameAt(parent, page), frameAt(child, page)], [home.first, home.first]);
    checkInvariants(machine);
    await store(parent, page, 50);
    assert.deepEqual([await load(parent, page), await load(child, page)], [50, 10]);
  });

  test("a range that the parent unmaps is free only when the child maps none of its frames any more", async () => {
    const { machine, parent, page, home } = await createHome();
    const child = await forkAddressSpace(parent);
    await munmap(parent, page * PAGE, 2 * PAGE);
    machine.host.releaseHome(home);
    checkInvariants(machine);
    const others = machine.host.reserveHome(2);
    assert.equal(isHome(home, others.first), false);
    assert.deepEqual([await load(child, page), await load(child, page + 1)], [10, 11]);
    machine.lru.drain();
    await store(child, page, 20);
    assert.equal(frameAt(child, page), home.first, "nobody else uses the frame, which needs no copy");
    await munmap(child, page * PAGE, PAGE);
    const still = machine.host.reserveHome(2);
    assert.equal(isHome(home, still.first), false, "one frame is still in use");
    await exitAddressSpace(child);
    machine.lru.drain();
    assert.equal(machine.host.reserveHome(2).first, home.first);
    await exitAddressSpace(parent);
    checkEmpty(machine);
  });
});
