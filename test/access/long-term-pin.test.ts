// Long-term pins: of a range, for DMA. Pages of coherent memory move to the host first; when one cannot, nothing is pinned.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pinLongTerm } from "../../src/access/long-term-pin.js";
import { isDevicePrivateEntry, PTE_EXCLUSIVE, PTE_WRITE } from "../../src/mm/table/entry.js";
import { forkAddressSpace } from "../../src/mm/copy/fork.js";
import { DMA_PIN } from "../../src/mm/fault/gup.js";
import type { Machine } from "../../src/mm/machine.js";
import { dontNeed, mprotect, munmap } from "../../src/mm/space/mapping.js";
import { pageOut } from "../../src/mm/swap/pageout.js";
import { PROT_READ } from "../../src/mm/space/vma.js";
import {
  createMachine,
  everybodyWaits,
  frameAt,
  load,
  mapPages,
  memoryError,
  PAGE,
  store,
  TestSwapStore,
  word,
} from "../builders.js";
import { checkInvariants } from "../invariants.js";
import { TestDevice } from "../test-device.js";

async function createPages(pages = 3, options: Parameters<typeof mapPages>[2] = {}) {
  const swap = new TestSwapStore();
  const { machine, environment } = createMachine({ swap });
  const coherent = new TestDevice(machine, "coherent", pages);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, options);
  for (let i = 0; i < pages; i++) await store(mm, page + i, 10 + i);
  machine.lru.drain();
  return { machine, environment, swap, coherent, mm, page };
}

function pins(frames: number[]) {
  return { references: frames.map((frame) => [frame, DMA_PIN] as const) };
}

function unpin(machine: Machine, frames: number[]): void {
  for (const frame of frames) machine.put(frame, DMA_PIN);
}

describe("a long-term pin", () => {
  for (const write of [false, true]) {
    test(`for ${write ? "writing" : "reading"} takes a DMA pin of each page where it is on the host`, async () => {
      const { machine, mm, page } = await createPages();
      const frames = await pinLongTerm(mm, page, page + 3, write);
      assert.deepEqual(
        frames,
        [0, 1, 2].map((i) => frameAt(mm, page + i)),
      );
      for (const frame of frames) assert.ok(machine.frames.maybeDmaPinned(frame));
      checkInvariants(machine, pins(frames));
      unpin(machine, frames);
      checkInvariants(machine);
    });
  }

  test("of an empty range pins nothing", async () => {
    const { machine, mm, page } = await createPages();
    assert.deepEqual(await pinLongTerm(mm, page, page, true), []);
    checkInvariants(machine);
  });

  test("moves pages of coherent memory to the host first, with their bytes", async () => {
    const { machine, coherent, mm, page } = await createPages();
    await coherent.migrateToDevice(mm, page, 2);
    const frames = await pinLongTerm(mm, page, page + 3, true);
    for (const frame of frames) assert.equal(coherent.holds(frame), false);
    assert.equal(coherent.freeFrames, 3);
    assert.deepEqual(
      frames.map((frame) => machine.zones.bytes(frame)[0]),
      [10, 11, 12],
    );
    checkInvariants(machine, pins(frames));
    assert.deepEqual(await coherent.migrateToDevice(mm, page, 3), [false, false, false], "what is pinned stays");
    checkInvariants(machine, pins(frames));
    unpin(machine, frames);
    machine.lru.drain();
    assert.deepEqual(await coherent.migrateToDevice(mm, page, 3), [true, true, true]);
    checkInvariants(machine);
  });

  test("moves them home", async () => {
    const { machine, coherent, mm, page } = await createPages(2, { home: true });
    await coherent.migrateToDevice(mm, page, 2);
    const frames = await pinLongTerm(mm, page, page + 2, true);
    const first = mm.vmas[0].home?.first ?? 0;
    assert.deepEqual(frames, [first, first + 1]);
    checkInvariants(machine, pins(frames));
  });

  test("brings private device pages home by faults", async () => {
    const { machine, mm, page } = await createPages();
    const device = new TestDevice(machine, "private", 2);
    await device.migrateToDevice(mm, page, 2);
    const frames = await pinLongTerm(mm, page, page + 3, false);
    assert.equal(device.faults, 2);
    assert.equal(device.freeFrames, 2);
    assert.equal(isDevicePrivateEntry(word(mm, page)), false);
    checkInvariants(machine, pins(frames));
  });

  test("for reading copies a page that others share, so that it goes on seeing this mapping's writes", async () => {
    const { machine, mm, page } = await createPages(1);
    const child = await forkAddressSpace(mm);
    const shared = frameAt(mm, page);
    const [frame] = await pinLongTerm(mm, page, page + 1, false);
    assert.notEqual(frame, shared);
    assert.equal(word(mm, page) & (PTE_EXCLUSIVE | PTE_WRITE), PTE_EXCLUSIVE);
    await store(mm, page, 30);
    assert.equal(machine.zones.bytes(frame)[0], 30);
    assert.equal(await load(child, page), 10);
    checkInvariants(machine, pins([frame]));
  });

  test("for reading a page that was shared and is not any more pins it where it is", async () => {
    const { machine, mm, page } = await createPages(1);
    const child = await forkAddressSpace(mm);
    await munmap(child, page * PAGE, PAGE);
    const before = frameAt(mm, page);
    const frames = await pinLongTerm(mm, page, page + 1, false);
    assert.deepEqual(frames, [before]);
    checkInvariants(machine, pins(frames));
  });

  test("of a shared coherent page for reading copies it to the host, and leaves the child's on the device", async () => {
    const { machine, coherent, mm, page } = await createPages(1);
    await coherent.migrateToDevice(mm, page);
    const child = await forkAddressSpace(mm);
    const frames = await pinLongTerm(mm, page, page + 1, false);
    assert.equal(coherent.holds(frames[0]), false);
    assert.ok(coherent.holds(frameAt(child, page)));
    assert.deepEqual([await load(mm, page), await load(child, page)], [10, 10]);
    checkInvariants(machine, pins(frames));
  });

  test("brings pages back from swap", async () => {
    const { machine, mm, page } = await createPages(2);
    await pageOut(mm, page * PAGE, 2 * PAGE);
    const frames = await pinLongTerm(mm, page, page + 2, true);
    assert.deepEqual(
      frames.map((frame) => machine.zones.bytes(frame)[0]),
      [10, 11],
    );
    checkInvariants(machine, pins(frames));
    await pageOut(mm, page * PAGE, 2 * PAGE);
    assert.deepEqual([frameAt(mm, page), frameAt(mm, page + 1)], frames, "what is pinned is not paged out");
    checkInvariants(machine, pins(frames));
  });

  test("stops at the first page that cannot be accessed, and pins those before it", async () => {
    const { machine, coherent, mm, page } = await createPages();
    await coherent.migrateToDevice(mm, page);
    await mprotect(mm, (page + 1) * PAGE, PAGE, PROT_READ);
    const frames = await pinLongTerm(mm, page, page + 3, true);
    assert.deepEqual(frames, [frameAt(mm, page)]);
    assert.equal(coherent.holds(frames[0]), false);
    checkInvariants(machine, pins(frames));
    assert.deepEqual(await pinLongTerm(mm, page + 3, page + 4, false), []);
  });

  test("of a coherent page that somebody else uses is refused, as busy, with nothing pinned", async () => {
    for (const busy of [0, 1, 2]) {
      const { machine, coherent, mm, page } = await createPages();
      await coherent.migrateToDevice(mm, page, 3);
      const frame = frameAt(mm, page + busy);
      machine.frames.get(frame);
      await assert.rejects(pinLongTerm(mm, page, page + 3, true), memoryError("EBUSY", /is in use/));
      checkInvariants(machine, { references: [[frame, 1]] });
      assert.equal(frameAt(mm, page + busy), frame);
      machine.put(frame);
      const frames = await pinLongTerm(mm, page, page + 3, true);
      assert.equal(coherent.freeFrames, 3);
      checkInvariants(machine, pins(frames));
    }
  });

  test("without host memory for a coherent page fails, with nothing pinned", async () => {
    for (let n = 0; n < 3; n++) {
      const { machine, environment, coherent, mm, page } = await createPages();
      await coherent.migrateToDevice(mm, page, 3);
      environment.refuse("frame", n);
      await assert.rejects(pinLongTerm(mm, page, page + 3, true), memoryError("ENOMEM", /no host memory/));
      checkInvariants(machine);
      for (let i = 0; i < 3; i++) assert.equal(await load(mm, page + i), 10 + i);
    }
  });

  test("that cannot read a page from swap rejects with the store's error, with nothing pinned", async () => {
    const { machine, swap, mm, page } = await createPages();
    await pageOut(mm, (page + 2) * PAGE, PAGE);
    swap.failsReads = true;
    await assert.rejects(pinLongTerm(mm, page, page + 3, true), /cannot be read/);
    checkInvariants(machine);
    swap.failsReads = false;
    const frames = await pinLongTerm(mm, page, page + 3, true);
    checkInvariants(machine, pins(frames));
  });

  test("waits for the lock of a coherent page", async () => {
    const { machine, coherent, mm, page } = await createPages(1);
    await coherent.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    machine.frames.tryLock(frame);
    const pinning = pinLongTerm(mm, page, page + 1, true);
    await everybodyWaits();
    assert.equal(machine.pageLocks.waiting, 1);
    machine.pageLocks.unlock(frame);
    const frames = await pinning;
    assert.equal(coherent.holds(frames[0]), false);
    checkInvariants(machine, pins(frames));
  });

  test("of a page that is given up while its lock is waited for pins the new page", async () => {
    const { machine, coherent, mm, page } = await createPages(1);
    await coherent.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    machine.frames.tryLock(frame);
    const pinning = pinLongTerm(mm, page, page + 1, true);
    await everybodyWaits();
    await dontNeed(mm, page * PAGE, PAGE);
    machine.pageLocks.unlock(frame);
    const frames = await pinning;
    assert.deepEqual(frames, [frameAt(mm, page)]);
    assert.equal(await load(mm, page), 0);
    checkInvariants(machine, pins(frames));
    assert.equal(coherent.freeFrames, 1);
  });

  test("outlives its mapping", async () => {
    const { machine, mm, page } = await createPages(1);
    const frames = await pinLongTerm(mm, page, page + 1, true);
    await munmap(mm, page * PAGE, PAGE);
    assert.equal(machine.zones.bytes(frames[0])[0], 10);
    checkInvariants(machine, pins(frames));
    unpin(machine, frames);
    machine.lru.drain();
    assert.equal(machine.host.charge.usage, 0);
    checkInvariants(machine);
  });
});
