// Pins: a reference to the page behind an address, taken without a lock and given back when the entry changed meanwhile.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  isDevicePrivateEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_MIGRATION,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../../src/mm/table/entry.js";
import { FAULT_OOM, FAULT_SIGBUS, FAULT_SIGSEGV } from "../../../src/mm/fault/fault.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE, tryPinPage } from "../../../src/mm/fault/gup.js";
import { mprotect } from "../../../src/mm/space/mapping.js";
import { PROT_NONE, PROT_READ, VM_PFNMAP } from "../../../src/mm/space/vma.js";
import { MIGRATE_PFN_MIGRATE, MIGRATE_VMA_SELECT_SYSTEM } from "../../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../../src/migrate/finalize.js";
import { migrateVmaSetup } from "../../../src/migrate/setup.js";
import { createMachine, frameAt, load, mapPages, migration, PAGE, reading, store, word } from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { TestDevice } from "../../test-device.js";

async function createPage() {
  const { machine, environment } = createMachine();
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, 1);
  await store(mm, page, 5);
  machine.lru.drain();
  return { machine, environment, mm, page, frame: frameAt(mm, page) };
}

describe("trying to pin", () => {
  test("takes the references at once when the entry allows the access", async () => {
    const { machine, mm, page, frame } = await createPage();
    assert.equal(tryPinPage(mm, page, false, SHORT_REFERENCE), frame);
    assert.equal(tryPinPage(mm, page, true, DMA_PIN), frame);
    assert.equal(machine.frames.refcount(frame), 1 + SHORT_REFERENCE + DMA_PIN);
    assert.equal(machine.frames.maybeDmaPinned(frame), true);
    checkInvariants(machine, { references: [[frame, SHORT_REFERENCE + DMA_PIN]] });
    machine.put(frame, SHORT_REFERENCE);
    machine.put(frame, DMA_PIN);
    checkInvariants(machine);
  });

  test("fails, with nothing changed, where a fault is needed", async () => {
    const { machine, mm, page } = await createPage();
    const device = new TestDevice(machine, "private", 1);
    const hole = await mapPages(mm, 4);
    await load(mm, hole + 1);
    await store(mm, hole + 2, 1);
    await device.migrateToDevice(mm, hole + 2);
    await mprotect(mm, page * PAGE, PAGE, PROT_READ);
    assert.equal(tryPinPage(mm, page, true, SHORT_REFERENCE), -1, "a write to a read-only entry");
    assert.equal(tryPinPage(mm, hole, false, SHORT_REFERENCE), -1, "a hole");
    assert.equal(tryPinPage(mm, hole + 1, true, SHORT_REFERENCE), -1, "a write to the zero page");
    assert.equal(tryPinPage(mm, hole + 2, false, SHORT_REFERENCE), -1, "a page on a device");
    assert.equal(tryPinPage(mm, hole + 9, false, SHORT_REFERENCE), -1, "nothing mapped");
    await mprotect(mm, page * PAGE, PAGE, PROT_NONE);
    assert.equal(tryPinPage(mm, page, false, SHORT_REFERENCE), -1, "no access");
    checkInvariants(machine);
  });

  test("fails on a page that migrates", async () => {
    const { machine, mm, page } = await createPage();
    await reading(mm, () => {
      const args = migration(mm, page, 1, { flags: MIGRATE_VMA_SELECT_SYSTEM });
      migrateVmaSetup(args);
      assert.equal(tryPinPage(mm, page, false, SHORT_REFERENCE), -1);
      migrateVmaFinalize(args);
    });
    assert.notEqual(tryPinPage(mm, page, false, SHORT_REFERENCE), -1);
    machine.put(frameAt(mm, page));
    checkInvariants(machine);
  });

  test("of the zero page for reading takes references to it", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1);
    await load(mm, page);
    assert.equal(tryPinPage(mm, page, false, DMA_PIN), 0);
    checkInvariants(machine, { references: [[0, DMA_PIN]] });
    machine.put(0, DMA_PIN);
    checkInvariants(machine);
  });

  test("for DMA fails on a page that others may use, which has to be unshared first", async () => {
    const { machine, mm, page, frame } = await createPage();
    mm.pageTable.exchange(page, word(mm, page) & ~(PTE_WRITE | PTE_EXCLUSIVE));
    assert.equal(tryPinPage(mm, page, false, DMA_PIN), -1);
    assert.equal(tryPinPage(mm, page, false, SHORT_REFERENCE), frame);
    machine.put(frame);
  });

  describe("gives the reference back when, between the look and the reference,", () => {
    const FRAME = -256;
    const changes: [what: string, write: boolean, change: (before: number, other: number) => number][] = [
      ["the entry went", false, () => 0],
      ["a migration began", false, (before) => (before & ~(PTE_PRESENT | 0xff)) | PTE_MIGRATION],
      ["another page came", false, (before, other) => (before & ~FRAME) | (other << 8)],
      ["the entry became read-only", true, (before) => before & ~PTE_WRITE],
      ["the mapping forbade every access", false, (before) => (before & ~PTE_WRITE) | PTE_NO_ACCESS],
      ["the page was shared", false, (before) => before & ~(PTE_WRITE | PTE_EXCLUSIVE)],
    ];
    for (const [what, write, change] of changes) {
      test(what, async () => {
        const { machine, mm, page, frame } = await createPage();
        const before = word(mm, page);
        const { frames } = machine;
        const other = machine.host.allocate(0, false);
        const tryGet = frames.tryGet.bind(frames);
        frames.tryGet = (which, references) => {
          const taken = tryGet(which, references);
          mm.pageTable.exchange(page, change(before, other));
          return taken;
        };
        assert.equal(tryPinPage(mm, page, write, DMA_PIN), -1);
        assert.equal(frames.refcount(frame), 1);
        mm.pageTable.exchange(page, before);
        machine.put(other);
        checkInvariants(machine);
      });
    }

    test("and keeps it when only young, dirty or soft-dirty changed", async () => {
      const { machine, mm, page, frame } = await createPage();
      const { frames } = machine;
      const tryGet = frames.tryGet.bind(frames);
      frames.tryGet = (which, references) => {
        mm.pageTable.exchange(page, word(mm, page) ^ (PTE_YOUNG | PTE_DIRTY | PTE_SOFT_DIRTY));
        return tryGet(which, references);
      };
      assert.equal(tryPinPage(mm, page, true, DMA_PIN), frame);
    });
  });

  test("does not revive a page that was freed between the look and the reference", async () => {
    const { machine, mm, page } = await createPage();
    const { frames } = machine;
    frames.tryGet = () => false;
    assert.equal(tryPinPage(mm, page, false, SHORT_REFERENCE), -1);
    checkInvariants(machine);
  });
});

describe("pinning", () => {
  test("faults a hole in: the zero page for reading, a page of its own for writing", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 2);
    assert.equal(await pinPage(mm, page, false, DMA_PIN), 0);
    const frame = await pinPage(mm, page + 1, true, DMA_PIN);
    assert.equal(frame, frameAt(mm, page + 1));
    checkInvariants(machine, {
      references: [
        [0, DMA_PIN],
        [frame, DMA_PIN],
      ],
    });
  });

  test("brings a page home from a private device", async () => {
    const { machine, mm, page } = await createPage();
    const device = new TestDevice(machine, "private", 1);
    await device.migrateToDevice(mm, page);
    const frame = await pinPage(mm, page, false, SHORT_REFERENCE);
    assert.equal(machine.zones.bytes(frame)[0], 5);
    assert.equal(device.freeFrames, 1);
    checkInvariants(machine, { references: [[frame, SHORT_REFERENCE]] });
  });

  test("for a short time leaves a coherent page where it is", async () => {
    const { machine, mm, page } = await createPage();
    const device = new TestDevice(machine, "coherent", 1);
    await device.migrateToDevice(mm, page);
    const frame = await pinPage(mm, page, true, SHORT_REFERENCE);
    assert.ok(device.holds(frame));
    checkInvariants(machine, { references: [[frame, SHORT_REFERENCE]] });
  });

  test("for DMA and for reading unshares a page first: the copy is pinned, the other keeps the old one", async () => {
    const { machine, mm, page, frame } = await createPage();
    machine.frames.get(frame);
    mm.pageTable.exchange(page, word(mm, page) & ~(PTE_WRITE | PTE_EXCLUSIVE));
    const pinned = await pinPage(mm, page, false, DMA_PIN);
    assert.notEqual(pinned, frame);
    assert.equal(pinned, frameAt(mm, page));
    assert.equal(machine.zones.bytes(pinned)[0], 5);
    assert.equal(word(mm, page) & (PTE_WRITE | PTE_EXCLUSIVE), PTE_EXCLUSIVE);
    machine.put(frame);
    checkInvariants(machine, { references: [[pinned, DMA_PIN]] });
  });

  test("says what is wrong when the access cannot be", async () => {
    const { environment, mm, page } = await createPage();
    await mprotect(mm, page * PAGE, PAGE, PROT_READ);
    assert.equal(await pinPage(mm, page, true, DMA_PIN), -1 - FAULT_SIGSEGV);
    assert.equal(await pinPage(mm, page - 1, false, DMA_PIN), -1 - FAULT_SIGSEGV);
    assert.equal(await pinPage(mm, await mapPages(mm, 1, { flags: VM_PFNMAP }), false, DMA_PIN), -1 - FAULT_SIGBUS);
    environment.exhaust("frame");
    assert.equal(await pinPage(mm, await mapPages(mm, 1), true, DMA_PIN), -1 - FAULT_OOM);
  });
});

describe("a page that is pinned", () => {
  test("for DMA does not migrate: setup passes it over, with its entry as it was", async () => {
    const { machine, mm, page, frame } = await createPage();
    const before = word(mm, page);
    await pinPage(mm, page, true, DMA_PIN);
    await reading(mm, () => {
      const args = migration(mm, page, 1, { flags: MIGRATE_VMA_SELECT_SYSTEM });
      migrateVmaSetup(args);
      assert.equal(args.cpages, 0);
      assert.equal(args.src[0], 0);
      assert.equal(word(mm, page), before);
      checkInvariants(machine, { references: [[frame, DMA_PIN]], busy: true });
      migrateVmaFinalize(args);
    });
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
  });

  test("for a short time is restored by setup: it stays where it is and keeps its bytes", async () => {
    const { machine, mm, page, frame } = await createPage();
    const device = new TestDevice(machine, "private", 1);
    await pinPage(mm, page, true, SHORT_REFERENCE);
    assert.deepEqual(await device.migrateToDevice(mm, page), [false]);
    assert.equal(frameAt(mm, page), frame);
    assert.equal(await load(mm, page), 5);
    checkInvariants(machine, { references: [[frame, SHORT_REFERENCE]] });
    machine.put(frame);
    assert.deepEqual(await device.migrateToDevice(mm, page), [true]);
    checkInvariants(machine);
  });

  test("for a short time on a coherent device passes setup and is refused by the pages step", async () => {
    const { machine, mm, page } = await createPage();
    const device = new TestDevice(machine, "coherent", 1);
    await device.migrateToDevice(mm, page);
    const frame = await pinPage(mm, page, true, SHORT_REFERENCE);
    await reading(mm, () => {
      const args = migration(mm, page, 1, { flags: device.select, owner: device.owner });
      migrateVmaSetup(args);
      assert.equal(args.cpages, 1);
      assert.notEqual(args.src[0] & MIGRATE_PFN_MIGRATE, 0);
      migrateVmaFinalize(args);
    });
    assert.deepEqual(await device.migrateToHost(mm, page), [false]);
    assert.equal(frameAt(mm, page), frame);
    checkInvariants(machine, { references: [[frame, SHORT_REFERENCE]] });
    machine.put(frame);
    assert.deepEqual(await device.migrateToHost(mm, page), [true]);
    checkInvariants(machine);
  });

  test("is never private to a device, so nothing is left to look at there", async () => {
    const { machine, mm, page } = await createPage();
    const device = new TestDevice(machine, "private", 1);
    await device.migrateToDevice(mm, page);
    assert.equal(isDevicePrivateEntry(word(mm, page)), true);
    const frame = await pinPage(mm, page, true, DMA_PIN);
    assert.deepEqual(await device.migrateToDevice(mm, page), [false]);
    machine.put(frame, DMA_PIN);
    checkInvariants(machine);
  });
});
