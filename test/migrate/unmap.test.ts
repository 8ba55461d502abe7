// The second half of setup: what is taken off the LRU and out of all page tables, and what is restored instead.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { forkAddressSpace } from "../../src/mm/copy/fork.js";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import { isMigrationEntry } from "../../src/mm/table/entry.js";
import { PG_LRU } from "../../src/mm/frames/frames.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE, tryPinPage } from "../../src/mm/fault/gup.js";
import type { Machine } from "../../src/mm/machine.js";
import { migrateDeviceRange } from "../../src/migrate/device-range.js";
import {
  MIGRATE_PFN_MIGRATE,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_SYSTEM,
  migratePfnToFrame,
} from "../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../src/migrate/finalize.js";
import type { MigrateVma } from "../../src/migrate/migrate-vma.js";
import { migrateVmaSetup } from "../../src/migrate/setup.js";
import { createMachine, frameAt, load, mapPages, migration, reading, store, word } from "../builders.js";
import { checkInvariants, type Holders } from "../invariants.js";
import { Listener, TestDevice } from "../test-device.js";

const SYSTEM = MIGRATE_VMA_SELECT_SYSTEM;

async function createPages(pages: number) {
  const { machine } = createMachine();
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages);
  for (let i = 0; i < pages; i++) await store(mm, page + i, i + 1);
  return { machine, mm, page };
}

/** Sets up, hands the migration to `look`, and ends it without moving anything. */
async function setUp(
  mm: AddressSpace,
  page: number,
  pages: number,
  asked: { flags: number; owner?: object; faultPage?: number },
  look: (args: MigrateVma) => void,
  holders: Holders = {},
): Promise<void> {
  await reading(mm, () => {
    const args = migration(mm, page, pages, asked);
    migrateVmaSetup(args);
    checkInvariants(mm.machine, { ...holders, inFlight: [args], busy: true });
    look(args);
    migrateVmaFinalize(args);
  });
}

function lruFrames(machine: Machine): number[] {
  return [...machine.lru.list, ...machine.lru.batched];
}

describe("unmapping", () => {
  test("no page, MIGRATE set: counted", async () => {
    const { mm, page } = await createPages(1);
    const hole = await mapPages(mm, 2);
    await setUp(mm, hole, 2, { flags: SYSTEM }, ({ cpages }) => assert.equal(cpages, 2));
    await setUp(mm, page, 1, { flags: SYSTEM }, ({ cpages }) => assert.equal(cpages, 1));
  });

  test("a system page that is not on the LRU yet: the batch is drained, and it goes on", async () => {
    const { machine, mm, page } = await createPages(3);
    assert.equal(machine.lru.batched.length, 3);
    await setUp(mm, page, 1, { flags: SYSTEM }, ({ cpages }) => {
      assert.equal(cpages, 1);
      assert.deepEqual(machine.lru.batched, []);
      assert.equal(machine.lru.list.length, 2);
    });
    checkInvariants(machine);
  });

  test("a system page whose isolation fails: restored, not counted", async () => {
    const { machine, mm, page } = await createPages(2);
    const frame = frameAt(mm, page);
    const before = word(mm, page);
    machine.lru.drain();
    machine.frames.get(frame);
    machine.lru.isolate(frame);
    await reading(mm, () => {
      const args = migration(mm, page, 2, { flags: SYSTEM });
      migrateVmaSetup(args);
      assert.equal(args.src[0], 0);
      assert.equal(args.cpages, 1);
      assert.equal(word(mm, page), before);
      assert.equal(machine.frames.tryLock(frame), true, "its lock was given back");
      machine.pageLocks.unlock(frame);
      migrateVmaFinalize(args);
    });
    machine.lru.putback(frame);
    checkInvariants(machine);
  });

  test("a system page, isolated: off the LRU, held by the migration alone", async () => {
    const { machine, mm, page } = await createPages(1);
    const frame = frameAt(mm, page);
    await setUp(mm, page, 1, { flags: SYSTEM }, () => {
      assert.deepEqual(lruFrames(machine), []);
      assert.equal(machine.frames.flags(frame) & PG_LRU, 0);
      assert.equal(machine.frames.refcount(frame), 1);
    });
    assert.deepEqual(lruFrames(machine), [frame], "restored, it goes back");
    checkInvariants(machine);
  });

  for (const kind of ["private", "coherent"] as const) {
    test(`a ${kind} device page: never on the LRU, held by the migration alone`, async () => {
      const { machine, mm, page } = await createPages(1);
      const device = new TestDevice(machine, kind, 1);
      await device.migrateToDevice(mm, page);
      const frame = frameAt(mm, page);
      machine.lru.drain();
      await setUp(mm, page, 1, { flags: device.select, owner: device.owner }, ({ cpages }) => {
        assert.equal(cpages, 1);
        assert.equal(machine.frames.refcount(frame), 1);
        assert.ok(!lruFrames(machine).includes(frame));
      });
      assert.ok(!lruFrames(machine).includes(frame));
      checkInvariants(machine);
    });
  }

  test("a page that is mapped elsewhere too: unmapped there as well, and those devices hear CLEAR, without owner", async () => {
    const { machine, mm, page } = await createPages(1);
    const child = await forkAddressSpace(mm);
    const owner = {};
    const [own, childs] = [new Listener(mm, owner), new Listener(child, owner)];
    const seen = child.notifiers.readBegin(childs);
    await setUp(mm, page, 1, { flags: SYSTEM, owner }, ({ cpages }) => {
      assert.equal(cpages, 1);
      assert.deepEqual(
        [mm, child].map((each) => isMigrationEntry(word(each, page))),
        [true, true],
      );
    });
    assert.deepEqual(own.take(), [
      ["migrate", page, page + 1],
      ["clear", page, page + 1],
    ]);
    assert.deepEqual(childs.take(), [["clear", page, page + 1]]);
    assert.equal(child.notifiers.readRetry(childs, seen), true, "its own driver's table there is out of date as well");
    assert.deepEqual([await load(mm, page), await load(child, page)], [1, 1]);
    checkInvariants(machine);
  });

  test("a page of one mapping: nobody hears CLEAR", async () => {
    const { mm, page } = await createPages(1);
    const listener = new Listener(mm);
    await setUp(mm, page, 1, { flags: SYSTEM }, () => {});
    assert.deepEqual(listener.take(), [["migrate", page, page + 1]]);
  });

  test("a page that somebody refers to: back on the LRU, restored, not counted; others go on", async () => {
    const { machine, mm, page } = await createPages(3);
    const frame = tryPinPage(mm, page + 1, true, SHORT_REFERENCE);
    const before = word(mm, page + 1);
    const references = [[frame, SHORT_REFERENCE]] as const;
    await setUp(
      mm,
      page,
      3,
      { flags: SYSTEM },
      ({ src, cpages }) => {
        assert.equal(src[1], 0);
        assert.equal(cpages, 2);
        assert.equal(word(mm, page + 1), before);
        assert.deepEqual(lruFrames(machine), [frame]);
      },
      { references },
    );
    checkInvariants(machine, { references });
  });

  test("a page of two mappings that somebody refers to: restored in both", async () => {
    const { machine, mm, page } = await createPages(1);
    const child = await forkAddressSpace(mm);
    const frame = frameAt(mm, page);
    const before = [word(mm, page), word(child, page)];
    // A second reference, as of a lockless walk that has not looked at the entry again yet.
    machine.frames.get(frame);
    const references = [[frame, 1]] as const;
    await setUp(
      child,
      page,
      1,
      { flags: SYSTEM },
      ({ src, cpages }) => {
        assert.deepEqual([...src], [0]);
        assert.equal(cpages, 0);
      },
      { references },
    );
    assert.deepEqual([word(mm, page), word(child, page)], before);
    assert.equal(machine.frames.mapcount(frame), 2);
    checkInvariants(machine, { references });
  });

  test("a page that is still mapped, since it may be pinned for DMA: its mapping stays, restored", async () => {
    const { machine, mm, page } = await createPages(1);
    const device = new TestDevice(machine, "coherent", 1);
    await device.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    const before = word(mm, page);
    assert.equal(await pinPage(mm, page, true, DMA_PIN), frame);
    const holders = { references: [[frame, DMA_PIN]] } as const;
    const src = new Int32Array(1);
    assert.equal(migrateDeviceRange(machine, src, frame, 1), 0);
    assert.deepEqual([...src], [0]);
    assert.equal(word(mm, page), before);
    checkInvariants(machine, holders);
    machine.put(frame, DMA_PIN);
    assert.deepEqual(await device.evict(), [true]);
    assert.equal(await load(mm, page), 1);
    checkInvariants(machine);
  });
});

describe("the check for other users", () => {
  for (const kind of ["private", "coherent"] as const) {
    test(`tolerates one stray reference to a ${kind} device page, and not two`, async () => {
      const { machine, mm, page } = await createPages(1);
      const device = new TestDevice(machine, kind, 1);
      await device.migrateToDevice(mm, page);
      const frame = frameAt(mm, page);
      const asked = { flags: device.select, owner: device.owner };
      for (const [strays, counted] of [
        [1, 1],
        [2, 0],
      ] as const) {
        machine.frames.get(frame);
        await setUp(mm, page, 1, asked, ({ cpages }) => assert.equal(cpages, counted), {
          references: [[frame, strays]],
        });
        checkInvariants(machine, { references: [[frame, strays]] });
      }
    });
  }

  test("tolerates none to a system page", async () => {
    const { machine, mm, page } = await createPages(1);
    const frame = frameAt(mm, page);
    machine.frames.get(frame);
    await setUp(mm, page, 1, { flags: SYSTEM }, ({ cpages }) => assert.equal(cpages, 0), { references: [[frame, 1]] });
    machine.put(frame);
    checkInvariants(machine);
  });

  test("allows one more to the page of the fault that the migration serves", async () => {
    const { machine, mm, page } = await createPages(1);
    const device = new TestDevice(machine, "private", 1);
    await device.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    const asked = { flags: MIGRATE_VMA_SELECT_DEVICE_PRIVATE, owner: device.owner };
    machine.frames.get(frame);
    machine.frames.get(frame);
    const references = [[frame, 2]] as const;
    await setUp(mm, page, 1, asked, ({ cpages }) => assert.equal(cpages, 0), { references });
    await setUp(
      mm,
      page,
      1,
      { ...asked, faultPage: frame },
      ({ cpages, src }) => {
        assert.equal(cpages, 1);
        assert.notEqual(src[0] & MIGRATE_PFN_MIGRATE, 0);
        assert.equal(migratePfnToFrame(src[0]), frame);
      },
      { references },
    );
    checkInvariants(machine, { references });
  });
});
