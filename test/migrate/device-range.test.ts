// Migration by device range: how a driver empties its device, without an address space and without its mmap lock. Unmap,
// protect, exit and faults may come between its steps.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { forkAddressSpace } from "../../src/mm/copy/fork.js";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import { isDevicePrivateEntry, isMigrationEntry } from "../../src/mm/table/entry.js";
import type { Machine } from "../../src/mm/machine.js";
import { dontNeed, exitAddressSpace, mprotect, munmap } from "../../src/mm/space/mapping.js";
import { PROT_NONE, PROT_READ, PROT_WRITE } from "../../src/mm/space/vma.js";
import { homeOfPage, migrateDeviceRange } from "../../src/migrate/device-range.js";
import { MIGRATE_PFN_MIGRATE, MIGRATE_PFN_SHIFT, MIGRATE_PFN_VALID, migratePfn } from "../../src/migrate/entry.js";
import { migrateDeviceFinalize } from "../../src/migrate/finalize.js";
import { migrateDevicePages } from "../../src/migrate/pages.js";
import {
  createMachine,
  frameAt,
  load,
  lockedHostFrame,
  mapPages,
  memoryError,
  PAGE,
  store,
  word,
} from "../builders.js";
import { checkInvariants } from "../invariants.js";
import { Listener, TestDevice } from "../test-device.js";

const KINDS = ["private", "coherent"] as const;
const COLLECTED = MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE;

async function createPages(kind: "private" | "coherent", pages: number, options: Parameters<typeof mapPages>[2] = {}) {
  const { machine, environment } = createMachine();
  const device = new TestDevice(machine, kind, 8);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, options);
  for (let i = 0; i < pages; i++) await store(mm, page + i, i + 1);
  await device.migrateToDevice(mm, page, pages);
  return { machine, environment, device, mm, page };
}

/** The steps of emptying a device, one by one. */
class Emptying {
  readonly src: Int32Array;
  readonly dst: Int32Array;
  readonly npages: number;
  readonly counted: number;
  readonly #machine: Machine;
  readonly #device: TestDevice;

  constructor(machine: Machine, device: TestDevice) {
    this.#machine = machine;
    this.#device = device;
    this.npages = device.zone.frames;
    this.src = new Int32Array(this.npages);
    this.dst = new Int32Array(this.npages);
    this.counted = migrateDeviceRange(machine, this.src, device.zone.first, this.npages);
  }

  copy(): void {
    for (let i = 0; i < this.npages; i++) {
      if ((this.src[i] & MIGRATE_PFN_MIGRATE) === 0) continue;
      const home = homeOfPage(this.#machine, this.src[i] >>> MIGRATE_PFN_SHIFT);
      this.dst[i] = migratePfn(lockedHostFrame(this.#machine, home));
    }
    this.#device.copy(this);
  }

  pages(): void {
    migrateDevicePages(this.#machine, this.src, this.dst, this.npages);
  }

  finalize(): void {
    migrateDeviceFinalize(this.#machine, this.src, this.dst, this.npages);
  }
}

for (const kind of KINDS) {
  describe(`a range of a ${kind} device`, () => {
    test("gives 0 for frames that are free", async () => {
      const { machine, device } = await createPages(kind, 2);
      const emptying = new Emptying(machine, device);
      assert.deepEqual([...emptying.src].slice(2), [0, 0, 0, 0, 0, 0]);
      assert.equal(emptying.counted, 2);
      emptying.pages();
      emptying.finalize();
      checkInvariants(machine);
    });

    test("gives 0 for frames that are locked, and does not wait", async () => {
      const { machine, device, mm, page } = await createPages(kind, 2);
      const frame = frameAt(mm, page);
      machine.frames.tryLock(frame);
      const emptying = new Emptying(machine, device);
      assert.equal(emptying.src[frame - device.zone.first], 0);
      assert.equal(emptying.counted, 1);
      checkInvariants(machine, { inFlight: [emptying], locked: [frame] });
      emptying.pages();
      emptying.finalize();
      machine.pageLocks.unlock(frame);
      checkInvariants(machine);
    });

    test("gives VALID and MIGRATE for all others, never WRITE, and unmaps them from every process", async () => {
      const { machine, device, mm, page } = await createPages(kind, 2);
      const child = await forkAddressSpace(mm);
      const listeners = [new Listener(mm, device.owner), new Listener(child, device.owner)];
      const seen = mm.notifiers.readBegin(listeners[0]);
      const emptying = new Emptying(machine, device);
      assert.deepEqual(
        [...emptying.src].slice(0, 2),
        [0, 1].map((i) => ((device.zone.first + i) << MIGRATE_PFN_SHIFT) | COLLECTED),
      );
      assert.equal(emptying.counted, 2);
      assert.ok(isMigrationEntry(word(mm, page)) && isMigrationEntry(word(child, page)));
      assert.deepEqual(listeners[1].take()[0], ["clear", page, page + 1]);
      assert.equal(mm.notifiers.readRetry(listeners[0], seen), true, "CLEAR has no owner: its own driver hears it too");
      checkInvariants(machine, { inFlight: [emptying] });
      emptying.pages();
      emptying.finalize();
      assert.deepEqual([await load(mm, page), await load(child, page)], [1, 1]);
      checkInvariants(machine);
    });

    test("moves home with bytes, permission and place, whoever the pages belong to", async () => {
      const { machine, device, mm, page } = await createPages(kind, 3, { home: true });
      const other = machine.createAddressSpace();
      const otherPage = await mapPages(other, 2);
      await store(other, otherPage, 9);
      await device.migrateToDevice(other, otherPage);
      const moved = await device.evict();
      assert.equal(moved.filter(Boolean).length, 4);
      assert.equal(device.freeFrames, 8);
      const { home } = mm.vmas[0];
      for (let i = 0; i < 3; i++) {
        assert.equal(frameAt(mm, page + i), (home?.first ?? 0) + i, "at home");
        assert.equal(await load(mm, page + i), i + 1);
      }
      assert.equal(await load(other, otherPage), 9);
      checkInvariants(machine);
    });

    test("restores what somebody refers to twice, and the pages step refuses what somebody refers to once", async () => {
      const { machine, device, mm, page } = await createPages(kind, 3);
      const frames = [0, 1, 2].map((i) => frameAt(mm, page + i));
      machine.frames.get(frames[0]);
      machine.frames.get(frames[1]);
      machine.frames.get(frames[1]);
      const references = [
        [frames[0], 1],
        [frames[1], 2],
      ] as const;
      const emptying = new Emptying(machine, device);
      assert.equal(emptying.counted, 2);
      assert.equal(emptying.src[frames[1] - device.zone.first], 0);
      emptying.copy();
      checkInvariants(machine, { inFlight: [emptying], references });
      emptying.pages();
      emptying.finalize();
      assert.deepEqual(
        [0, 1, 2].map((i) => device.holds(frameAt(mm, page + i))),
        [true, true, false],
      );
      checkInvariants(machine, { references });
    });

    test("stays where it is when there is no host memory for it", async () => {
      const { machine, environment, device, mm, page } = await createPages(kind, 2);
      environment.refuse("frame", 1);
      assert.deepEqual((await device.evict()).filter(Boolean), [true]);
      environment.recover();
      assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [1, 2]);
      checkInvariants(machine);
    });

    test("with a page that no mapping has any more takes nothing from who still refers to it", async () => {
      const { machine, device, mm, page } = await createPages(kind, 1);
      const frame = frameAt(mm, page);
      machine.frames.get(frame);
      await munmap(mm, page * PAGE, PAGE);
      assert.deepEqual((await device.evict()).filter(Boolean), []);
      checkInvariants(machine, { references: [[frame, 1]] });
      machine.put(frame);
      assert.equal(device.freeFrames, 8);
      checkInvariants(machine);
    });
  });
}

describe("a range", () => {
  test("that is not within one device is refused, and nothing is touched", async () => {
    const { machine, device, mm } = await createPages("private", 1);
    const { first, frames } = device.zone;
    const hostPage = await mapPages(mm, 1);
    await store(mm, hostPage, 1);
    const src = new Int32Array(1000).fill(99);
    for (const [from, count] of [
      [first, frames + 1],
      [first - 1, 2],
      [frameAt(mm, hostPage), 1],
      [0, 1],
      [machine.frames.count, 1],
      [-1, 1],
      [first, -1],
      [first + 0.5, 1],
    ]) {
      assert.throws(
        () => migrateDeviceRange(machine, src, from, count),
        memoryError("EINVAL", /frames .* not within one device/),
        `${from} ${count}`,
      );
    }
    assert.ok(src.every((each) => each === 99));
    checkInvariants(machine);
  });

  test("that is longer than the array is refused", async () => {
    const { machine, device } = await createPages("private", 1);
    assert.throws(
      () => migrateDeviceRange(machine, new Int32Array(2), device.zone.first, 3),
      memoryError("EINVAL", /3 pages exceed the 2 that the array holds/),
    );
  });

  test("of no frames is empty", async () => {
    const { machine, device } = await createPages("private", 1);
    assert.equal(migrateDeviceRange(machine, new Int32Array(0), device.zone.first, 0), 0);
  });
});

/** What may come between the steps, and what the pages are worth afterwards: a byte each, or null for "not mapped". */
const meetings: Record<string, (scene: { mm: AddressSpace; page: number }) => Promise<(number | null)[]>> = {
  "an unmap of all": async ({ mm, page }) => {
    await munmap(mm, page * PAGE, 3 * PAGE);
    return [null, null, null];
  },
  "an unmap of the middle": async ({ mm, page }) => {
    await munmap(mm, (page + 1) * PAGE, PAGE);
    return [1, null, 3];
  },
  "a protection against writing": async ({ mm, page }) => {
    await mprotect(mm, page * PAGE, 3 * PAGE, PROT_READ);
    return [1, 2, 3];
  },
  "a protection of the middle, which splits the mapping": async ({ mm, page }) => {
    await mprotect(mm, (page + 1) * PAGE, PAGE, PROT_READ);
    return [1, 2, 3];
  },
  "a protection back and forth": async ({ mm, page }) => {
    await mprotect(mm, page * PAGE, 3 * PAGE, PROT_NONE);
    await mprotect(mm, page * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE);
    return [1, 2, 3];
  },
  "a giving up of pages": async ({ mm, page }) => {
    await dontNeed(mm, (page + 1) * PAGE, 2 * PAGE);
    return [1, 0, 0];
  },
  "a new mapping in the place of the old, with pages of its own": async ({ mm, page }) => {
    await mapPages(mm, 3, { at: page });
    await store(mm, page + 1, 9);
    return [0, 9, 0];
  },
  "an exit": async ({ mm }) => {
    await exitAddressSpace(mm);
    return [null, null, null];
  },
  "a fork": async ({ mm }) => {
    await forkAddressSpace(mm);
    return [1, 2, 3];
  },
  "a fork, and the parent's exit": async ({ mm }) => {
    await forkAddressSpace(mm);
    await exitAddressSpace(mm);
    return [null, null, null];
  },
  "a fork, and an unmap in the parent": async ({ mm, page }) => {
    await forkAddressSpace(mm);
    await munmap(mm, page * PAGE, PAGE);
    return [null, 2, 3];
  },
};

const moments = ["the range and the copy", "the copy and the pages step", "the pages step and finalize"] as const;

for (const kind of KINDS) {
  for (const [what, meet] of Object.entries(meetings)) {
    describe(`${what} between the steps of emptying a ${kind} device`, () => {
      for (const moment of moments) {
        for (const home of [false, true]) {
          for (const shared of [false, true]) {
            const detail = `${home ? ", pages with a home" : ""}${shared ? ", a page shared with a child" : ""}`;
            test(`between ${moment}${detail}`, async () => {
              const { machine, device, mm, page } = await createPages(kind, 3, { home });
              const child = shared ? await forkAddressSpace(mm) : null;
              const before = new Set(machine.addressSpaces);
              const emptying = new Emptying(machine, device);
              assert.equal(emptying.counted, 3);
              const during = { inFlight: [emptying], busy: true };
              let worth: (number | null)[] = [];
              const meetAt = async (now: string) => {
                checkInvariants(machine, during);
                if (now === moment) worth = await meet({ mm, page });
                checkInvariants(machine, during);
              };
              await meetAt(moments[0]);
              emptying.copy();
              await meetAt(moments[1]);
              emptying.pages();
              await meetAt(moments[2]);
              emptying.finalize();
              checkInvariants(machine);
              for (const [i, byte] of worth.entries()) {
                if (byte !== null) assert.equal(await load(mm, page + i), byte, `page ${i}`);
                else if (machine.addressSpaces.has(mm)) await assert.rejects(load(mm, page + i), { code: "EFAULT" });
              }
              for (const forked of machine.addressSpaces) {
                if (before.has(forked)) continue;
                for (let i = 0; i < 3; i++)
                  assert.equal(await load(forked, page + i), i + 1, "the new child has them all");
                for (let i = 0; i < 3; i++) await store(forked, page + i, 100 + i);
                checkInvariants(machine);
                for (let i = 0; i < 3; i++) assert.equal(await load(forked, page + i), 100 + i);
              }
              for (const [i, byte] of worth.entries()) {
                if (byte !== null) assert.equal(await load(mm, page + i), byte, `page ${i} after the child wrote`);
              }
              if (child !== null) assert.equal(await load(child, page + 1), 2, "the child has its page still");
              assert.equal(device.freeFrames, 8);
              checkInvariants(machine);
              for (const each of machine.addressSpaces) await exitAddressSpace(each);
              machine.lru.drain();
              assert.equal(machine.host.charge.usage, 0);
              checkInvariants(machine);
            });
          }
        }
      }
    });
  }
}

describe("a fault between the steps of emptying a device", () => {
  for (const moment of moments) {
    test(`that waits from between ${moment} on finds the page at its new place`, async () => {
      const { machine, device, mm, page } = await createPages("private", 2);
      const emptying = new Emptying(machine, device);
      const accesses: Promise<unknown>[] = [];
      const meetAt = async (now: string) => {
        if (now === moment) accesses.push(load(mm, page), store(mm, page + 1, 7));
        await new Promise((resolve) => setImmediate(resolve));
        checkInvariants(machine, { inFlight: [emptying], busy: true });
      };
      await meetAt(moments[0]);
      emptying.copy();
      await meetAt(moments[1]);
      emptying.pages();
      await meetAt(moments[2]);
      assert.equal(machine.pageLocks.waiting, 2);
      emptying.finalize();
      assert.equal((await Promise.all(accesses))[0], 1);
      assert.equal(await load(mm, page + 1), 7);
      assert.equal(device.faults, 0);
      checkInvariants(machine);
    });
  }

  test("and a migration by address of the same pages pass each other by", async () => {
    const { machine, device, mm, page } = await createPages("private", 2);
    const emptying = new Emptying(machine, device);
    assert.deepEqual(await device.migrateToHost(mm, page, 2), [false, false]);
    emptying.copy();
    emptying.pages();
    assert.deepEqual(await device.migrateToHost(mm, page, 2), [false, false]);
    emptying.finalize();
    assert.equal(isDevicePrivateEntry(word(mm, page)), false);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [1, 2]);
    checkInvariants(machine);
  });
});
