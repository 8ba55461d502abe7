// Huge pages that setup meets: what is split, what stays whole, and what that means for the pages asked for.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import { isMigrationEntry, isZeroPageEntry } from "../../src/mm/table/entry.js";
import { pinPage, SHORT_REFERENCE } from "../../src/mm/fault/gup.js";
import { mprotect } from "../../src/mm/space/mapping.js";
import { TABLE_WORDS } from "../../src/mm/table/page-table.js";
import { PROT_READ, VM_HUGEPAGE } from "../../src/mm/space/vma.js";
import {
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_VALID,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_SYSTEM,
} from "../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../src/migrate/finalize.js";
import { migrateVmaPages } from "../../src/migrate/pages.js";
import { migrateVmaSetup } from "../../src/migrate/setup.js";
import { createMachine, frameAt, load, mapPages, migration, PAGE, reading, store, word } from "../builders.js";
import { checkInvariants, type Holders } from "../invariants.js";
import { TestDevice } from "../test-device.js";

const SYSTEM = MIGRATE_VMA_SELECT_SYSTEM;
const HELD = SHORT_REFERENCE;

async function createBlock() {
  const { machine } = createMachine();
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, TABLE_WORDS, { flags: VM_HUGEPAGE });
  return { machine, mm, page };
}

/** Sets up pages 3 to 7 of the block, and ends it without moving anything; what may have migrated. */
async function setUp(mm: AddressSpace, page: number, flags: number, holders: Holders = {}): Promise<number[]> {
  const collected = await reading(mm, () => {
    const args = migration(mm, page + 3, 4, { flags });
    migrateVmaSetup(args);
    checkInvariants(mm.machine, { ...holders, inFlight: [args], busy: true });
    const src = [...args.src];
    migrateVmaPages(args);
    migrateVmaFinalize(args);
    return src;
  });
  checkInvariants(mm.machine, holders);
  return collected;
}

describe("the walk meets", () => {
  test("a huge page: it is split, and the pages asked for may migrate", async () => {
    const { machine, mm, page } = await createBlock();
    await store(mm, page, 1);
    const head = frameAt(mm, page);
    assert.notEqual(mm.pageTable.huge(page), 0);
    const src = await setUp(mm, page, SYSTEM);
    const both = MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE;
    assert.deepEqual(
      src.map((each) => each & both),
      [both, both, both, both],
    );
    assert.equal(mm.pageTable.huge(page), 0);
    assert.equal(machine.frames.isCompound(head), false);
    assert.equal(frameAt(mm, page + 511), head + 511);
  });

  test("a huge page of another kind than is selected: it is split all the same, and nothing may migrate", async () => {
    const { machine, mm, page } = await createBlock();
    await store(mm, page, 1);
    const head = frameAt(mm, page);
    assert.deepEqual(await setUp(mm, page, MIGRATE_VMA_SELECT_DEVICE_PRIVATE), [0, 0, 0, 0]);
    assert.equal(machine.frames.isCompound(head), false);
  });

  test("a huge page that somebody holds: nothing of it may migrate, and it stays whole until it is let go", async () => {
    const { machine, mm, page } = await createBlock();
    const device = new TestDevice(machine, "private", 8);
    await store(mm, page, 1);
    const before = mm.pageTable.huge(page);
    const frame = await pinPage(mm, page + 200, false, HELD);
    const references = [[frame, HELD]] as const;
    checkInvariants(machine, { references });
    assert.deepEqual(await setUp(mm, page, SYSTEM, { references }), [0, 0, 0, 0]);
    assert.equal(mm.pageTable.huge(page), before);
    machine.put(frame, HELD);
    assert.deepEqual(await device.migrateToDevice(mm, page, 4), [true, true, true, true]);
    assert.equal(await load(mm, page), 1);
    checkInvariants(machine);
  });

  test("a huge page that somebody has locked: the same, and nobody waits", async () => {
    const { machine, mm, page } = await createBlock();
    await store(mm, page, 1);
    const head = frameAt(mm, page);
    assert.equal(machine.frames.tryLock(head), true);
    assert.deepEqual(await setUp(mm, page, SYSTEM, { locked: [head] }), [0, 0, 0, 0]);
    machine.pageLocks.unlock(head);
    assert.equal(machine.frames.isCompound(head), true);
    checkInvariants(machine);
  });

  test("the huge zero page: its entry is split, and zero pages may migrate", async () => {
    const { mm, page } = await createBlock();
    assert.equal(await load(mm, page), 0);
    assert.notEqual(mm.pageTable.huge(page), 0);
    assert.deepEqual(
      await setUp(mm, page, SYSTEM),
      [0, 1, 2, 3].map(() => MIGRATE_PFN_MIGRATE),
    );
    assert.equal(mm.pageTable.huge(page), 0);
    assert.equal(isZeroPageEntry(word(mm, page + 511)), true);
  });

  test("parts of a huge page that are mapped by themselves: they do not migrate", async () => {
    const { machine, mm, page } = await createBlock();
    await store(mm, page, 1);
    const head = frameAt(mm, page);
    await mprotect(mm, (page + 256) * PAGE, PAGE, PROT_READ);
    assert.equal(mm.pageTable.huge(page), 0);
    assert.equal(machine.frames.isCompound(head), true);
    assert.deepEqual(await setUp(mm, page, SYSTEM), [0, 0, 0, 0]);
    assert.equal(isMigrationEntry(word(mm, page + 3)), false);
    assert.equal(machine.frames.isCompound(head), true);
  });
});
