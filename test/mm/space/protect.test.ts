// What a change of protection does to each kind of entry, and when an entry may be written again without a fault.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import {
  isDevicePrivateEntry,
  isMigrationEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../../src/mm/table/entry.js";
import { mprotect } from "../../../src/mm/space/mapping.js";
import { PROT_NONE, PROT_READ, PROT_WRITE, VM_SOFTDIRTY } from "../../../src/mm/space/vma.js";
import { MIGRATE_VMA_SELECT_SYSTEM } from "../../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../../src/migrate/finalize.js";
import { migrateVmaSetup } from "../../../src/migrate/setup.js";
import { createMachine, frameAt, load, mapPages, migration, PAGE, store, word } from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { changeProtection } from "../../../src/mm/space/protect.js";
import { TestDevice } from "../../test-device.js";

const RW = PROT_READ | PROT_WRITE;
const BITS = 0xff;

function protect(mm: AddressSpace, page: number, protection: number): Promise<void> {
  return mprotect(mm, page * PAGE, PAGE, protection);
}

async function createPage() {
  const { machine } = createMachine();
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, 1);
  await store(mm, page, 1);
  return { machine, mm, page, frame: frameAt(mm, page) };
}

function setBits(mm: AddressSpace, page: number, bits: number): void {
  mm.pageTable.exchange(page, (word(mm, page) & ~BITS) | PTE_PRESENT | bits);
}

describe("taking write permission away", () => {
  test("takes the write bit of a present entry and leaves all others", async () => {
    const { machine, mm, page } = await createPage();
    const before = word(mm, page);
    assert.notEqual(before & PTE_WRITE, 0);
    await protect(mm, page, PROT_READ);
    assert.equal(word(mm, page), before & ~PTE_WRITE);
    checkInvariants(machine);
  });

  test("leaves holes and entries of the zero page as they are", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 2);
    await load(mm, page);
    const zero = word(mm, page);
    await mprotect(mm, page * PAGE, 2 * PAGE, PROT_READ);
    assert.equal(word(mm, page), zero);
    assert.equal(word(mm, page + 1), 0);
  });

  test("makes a device-private entry readable; it stays exclusive and loses soft-dirty, as in Linux", async () => {
    const { machine, mm, page } = await createPage();
    const device = new TestDevice(machine, "private", 1);
    await device.migrateToDevice(mm, page);
    const before = word(mm, page) | PTE_UFFD_WP;
    mm.pageTable.exchange(page, before);
    assert.equal(before & (PTE_WRITE | PTE_SOFT_DIRTY | PTE_EXCLUSIVE), PTE_WRITE | PTE_SOFT_DIRTY | PTE_EXCLUSIVE);
    await protect(mm, page, PROT_READ);
    assert.equal(word(mm, page), before & ~(PTE_WRITE | PTE_SOFT_DIRTY));
    assert.equal(isDevicePrivateEntry(word(mm, page)), true);
    checkInvariants(machine);
    assert.equal(await load(mm, page), 1);
  });

  test("leaves a device-private entry that was readable with its soft-dirty", async () => {
    const { machine, mm, page } = await createPage();
    const device = new TestDevice(machine, "private", 1);
    await protect(mm, page, PROT_READ);
    await device.migrateToDevice(mm, page);
    const before = word(mm, page);
    assert.equal(before & (PTE_WRITE | PTE_SOFT_DIRTY), PTE_SOFT_DIRTY);
    await protect(mm, page, RW);
    assert.equal(word(mm, page), before);
  });

  test("makes a writable migration entry readable-exclusive, young and dirty as it was", async () => {
    const { machine, mm, page } = await createPage();
    await mm.mmapLock.read();
    const args = migration(mm, page, 1, { flags: MIGRATE_VMA_SELECT_SYSTEM });
    migrateVmaSetup(args);
    const before = word(mm, page);
    assert.equal(isMigrationEntry(before), true);
    assert.notEqual(before & PTE_WRITE, 0);
    // The mmap lock keeps mprotect out; only a migration by device range can meet it. Here its last step alone.
    const [vma] = mm.vmas;
    vma.flags &= ~PROT_WRITE;
    changeProtection(vma, page, page + 1);
    assert.equal(word(mm, page), (before & ~PTE_WRITE) | PTE_EXCLUSIVE);
    migrateVmaFinalize(args);
    mm.mmapLock.readUnlock();
    assert.equal(word(mm, page) & (PTE_PRESENT | PTE_WRITE | PTE_EXCLUSIVE), PTE_PRESENT | PTE_EXCLUSIVE);
    checkInvariants(machine);
  });
});

describe("forbidding every access", () => {
  test("marks present entries, and allowing access again takes the mark off", async () => {
    const { machine, mm, page } = await createPage();
    const before = word(mm, page);
    await protect(mm, page, PROT_NONE);
    assert.equal(word(mm, page), (before & ~PTE_WRITE) | PTE_NO_ACCESS);
    checkInvariants(machine);
    await protect(mm, page, PROT_READ);
    assert.equal(word(mm, page), before & ~PTE_WRITE);
    checkInvariants(machine);
  });

  test("marks the entry of a page that comes home into a mapping without access", async () => {
    const { machine, mm, page } = await createPage();
    const device = new TestDevice(machine, "private", 1);
    await device.migrateToDevice(mm, page);
    await protect(mm, page, PROT_NONE);
    await device.migrateToHost(mm, page);
    assert.equal(word(mm, page) & (PTE_PRESENT | PTE_NO_ACCESS | PTE_WRITE), PTE_PRESENT | PTE_NO_ACCESS);
    checkInvariants(machine);
  });
});

describe("giving write permission back makes an entry writable at once", () => {
  const certain = PTE_DIRTY | PTE_EXCLUSIVE | PTE_SOFT_DIRTY;
  const cases: [what: string, bits: number, vmaSoftDirty: boolean, writable: boolean][] = [
    ["when it is dirty, exclusive and soft-dirty", certain, false, true],
    ["when it is dirty and exclusive, in a VMA that is soft-dirty", PTE_DIRTY | PTE_EXCLUSIVE, true, true],
    ["and not when only soft-dirty is missing", PTE_DIRTY | PTE_EXCLUSIVE, false, false],
    ["and not when it is not dirty", PTE_EXCLUSIVE | PTE_SOFT_DIRTY, true, false],
    ["and not when the page is not its own", PTE_DIRTY | PTE_SOFT_DIRTY, true, false],
  ];
  for (const [what, bits, vmaSoftDirty, writable] of cases) {
    test(what, async () => {
      const { machine, mm, page } = await createPage();
      await protect(mm, page, PROT_READ);
      setBits(mm, page, bits);
      if (!vmaSoftDirty) mm.vmas[0].flags &= ~VM_SOFTDIRTY;
      await protect(mm, page, RW);
      assert.equal((word(mm, page) & PTE_WRITE) !== 0, writable);
      assert.equal(word(mm, page) & ~PTE_WRITE & BITS, PTE_PRESENT | bits);
      checkInvariants(machine);
    });
  }

  test("and not of the zero page, which a store must replace", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1, { protection: PROT_READ });
    await load(mm, page);
    await protect(mm, page, RW);
    assert.equal(word(mm, page), PTE_PRESENT | PTE_YOUNG);
    await store(mm, page, 1);
    assert.notEqual(frameAt(mm, page), 0);
    checkInvariants(machine);
  });
});
