// A page where there was none: what becomes of holes and zero pages, and what stops an insertion.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import {
  isDevicePrivateEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../src/mm/table/entry.js";
import { dontNeed } from "../../src/mm/space/mapping.js";
import { TABLE_WORDS } from "../../src/mm/table/page-table.js";
import { PROT_NONE, PROT_READ, VM_HUGEPAGE, VM_SHARED, VM_UFFD_MISSING } from "../../src/mm/space/vma.js";
import { MIGRATE_PFN_MIGRATE, MIGRATE_VMA_SELECT_SYSTEM, migratePfn } from "../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../src/migrate/finalize.js";
import type { MigrateVma } from "../../src/migrate/migrate-vma.js";
import { migrateVmaPages } from "../../src/migrate/pages.js";
import { migrateVmaSetup } from "../../src/migrate/setup.js";
import {
  createMachine,
  frameAt,
  load,
  lockedHostFrame,
  mapPages,
  migration,
  PAGE,
  reading,
  store,
  word,
} from "../builders.js";
import { checkInvariants } from "../invariants.js";
import { Listener, TestDevice } from "../test-device.js";

const BITS = 0xff;

async function createHoles(kind: "private" | "coherent", pages: number, options: Parameters<typeof mapPages>[2] = {}) {
  const { machine, environment } = createMachine();
  const device = new TestDevice(machine, kind, 8);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, options);
  return { machine, environment, device, mm, page };
}

/** Sets a migration up, offers frames, lets `meanwhile` act, and does the rest; which pages came to be. */
async function insert(
  device: TestDevice,
  mm: AddressSpace,
  page: number,
  pages: number,
  meanwhile: (args: MigrateVma) => void = () => {},
): Promise<boolean[]> {
  return reading(mm, () => {
    const args = migration(mm, page, pages, { flags: MIGRATE_VMA_SELECT_SYSTEM, owner: device.owner });
    migrateVmaSetup(args);
    device.offer(args);
    device.copy(args);
    meanwhile(args);
    migrateVmaPages(args);
    checkInvariants(mm.machine, { inFlight: [args], busy: true });
    const inserted = Array.from(args.src, (each) => (each & MIGRATE_PFN_MIGRATE) !== 0);
    migrateVmaFinalize(args);
    return inserted;
  });
}

describe("inserting a page into a hole", () => {
  test("on a private device gives a device-private entry, writable, its own, not soft-dirty", async () => {
    const { machine, device, mm, page } = await createHoles("private", 1);
    assert.deepEqual(await insert(device, mm, page, 1), [true]);
    assert.equal(isDevicePrivateEntry(word(mm, page)), true);
    assert.equal(word(mm, page) & (PTE_WRITE | PTE_EXCLUSIVE | PTE_SOFT_DIRTY), PTE_WRITE | PTE_EXCLUSIVE);
    assert.equal(mm.resident.usage, 1);
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(machine.frames.refcount(frameAt(mm, page)), 1);
    checkInvariants(machine);
    assert.equal(await load(mm, page), 0);
    checkInvariants(machine);
  });

  test("on a coherent device gives a present entry, writable and dirty", async () => {
    const { machine, device, mm, page } = await createHoles("coherent", 1);
    assert.deepEqual(await insert(device, mm, page, 1), [true]);
    const expected = PTE_PRESENT | PTE_WRITE | PTE_DIRTY | PTE_SOFT_DIRTY | PTE_YOUNG | PTE_EXCLUSIVE;
    assert.equal(word(mm, page) & BITS, expected);
    assert.ok(device.holds(frameAt(mm, page)));
    assert.deepEqual([...machine.lru.list, ...machine.lru.batched], []);
    checkInvariants(machine);
  });

  test("of host memory is legal too: a present entry, and the page is on the LRU", async () => {
    const { machine, device, mm, page } = await createHoles("private", 1);
    const inserted = await insert(device, mm, page, 1, (args) => {
      const frame = args.dst[0] >>> 6;
      machine.pageLocks.unlock(frame);
      machine.put(frame);
      args.dst[0] = migratePfn(lockedHostFrame(machine));
    });
    assert.deepEqual(inserted, [true]);
    assert.deepEqual(machine.lru.batched, [frameAt(mm, page)]);
    assert.equal(word(mm, page) & (PTE_PRESENT | PTE_WRITE | PTE_DIRTY), PTE_PRESENT | PTE_WRITE | PTE_DIRTY);
    checkInvariants(machine);
  });

  for (const kind of ["private", "coherent"] as const) {
    test(`of read-only memory, on a ${kind} device, gives a read-only, clean entry`, async () => {
      const { machine, device, mm, page } = await createHoles(kind, 1, { protection: PROT_READ });
      assert.deepEqual(await insert(device, mm, page, 1), [true]);
      assert.equal(word(mm, page) & PTE_WRITE, 0);
      if (kind === "coherent") assert.equal(word(mm, page) & PTE_DIRTY, 0);
      checkInvariants(machine);
      assert.equal(await load(mm, page), 0);
    });
  }

  test("of memory without access, on a coherent device, keeps the CPU out", async () => {
    const { machine, device, mm, page } = await createHoles("coherent", 1, { protection: PROT_NONE });
    assert.deepEqual(await insert(device, mm, page, 1), [true]);
    assert.notEqual(word(mm, page) & PTE_NO_ACCESS, 0);
    checkInvariants(machine);
  });

  test("gives the VMA its root with the first", async () => {
    const { machine, device, mm, page } = await createHoles("private", 2);
    assert.equal(mm.vmas[0].anonVma, null);
    await insert(device, mm, page, 2);
    assert.notEqual(mm.vmas[0].anonVma, null);
    assert.equal(machine.anonVmaCount, 1);
    checkInvariants(machine);
  });

  test("tells devices from the first inserted page to the end, with the owner, once", async () => {
    const { device, mm, page } = await createHoles("private", 4);
    await store(mm, page, 1);
    const other = new Listener(mm);
    await insert(device, mm, page, 4);
    assert.deepEqual(other.take(), [
      ["migrate", page, page + 4],
      ["migrate", page + 1, page + 4],
    ]);
  });
});

describe("inserting a page in the place of the zero page", () => {
  for (const kind of ["private", "coherent"] as const) {
    test(`on a ${kind} device`, async () => {
      const { machine, device, mm, page } = await createHoles(kind, 1);
      await load(mm, page);
      assert.deepEqual(await insert(device, mm, page, 1), [true]);
      assert.ok(device.holds(frameAt(mm, page)));
      assert.equal(mm.resident.usage, 1);
      checkInvariants(machine);
      assert.equal(await load(mm, page), 0);
    });
  }
});

describe("an insertion aborts, with the entry as before and the frame given back, when", () => {
  /** Which of two pages were inserted, after `meanwhile`, and that nothing is left of one that was not. */
  async function aborted(
    meanwhile: (scene: Awaited<ReturnType<typeof createHoles>>) => void | Promise<void>,
    prepare: (scene: Awaited<ReturnType<typeof createHoles>>) => Promise<void> = () => Promise.resolve(),
    pages = 1,
    flags = 0,
  ): Promise<void> {
    const scene = await createHoles("private", pages, { flags });
    const { device, mm, page } = scene;
    await prepare(scene);
    let before = 0;
    const inserted = await reading(mm, async () => {
      const args = migration(mm, page, 1, { flags: MIGRATE_VMA_SELECT_SYSTEM, owner: device.owner });
      migrateVmaSetup(args);
      assert.equal(args.src[0], MIGRATE_PFN_MIGRATE);
      device.offer(args);
      device.copy(args);
      await meanwhile(scene);
      before = word(mm, page);
      migrateVmaPages(args);
      const src = args.src[0];
      migrateVmaFinalize(args);
      return src;
    });
    assert.equal(inserted, 0);
    assert.equal(word(mm, page), before);
    assert.equal(device.freeFrames, 8);
  }

  test("the vma is not anonymous", () => aborted(({ mm }) => void (mm.vmas[0].flags |= VM_SHARED)));

  test("a table cannot be allocated", () => aborted(({ environment }) => environment.refuse("table")));

  test("the anon_vma cannot be had", () => aborted(({ environment }) => environment.refuse("anon-vma")));

  test("the charge fails", async () => {
    await aborted(({ environment }) => environment.refuse("charge"));
    await aborted(({ mm }) => void (mm.resident.limit = 0));
  });

  test("the program handles faults on missing pages itself", () =>
    aborted(({ mm }) => void (mm.vmas[0].flags |= VM_UFFD_MISSING)));

  test("the address space is being torn down", () => aborted(({ mm }) => void (mm.exiting = true)));

  test("a page has come by a fault meanwhile", async () => {
    await aborted(
      ({ mm, page }) => store(mm, page, 5),
      () => Promise.resolve(),
    );
  });

  test("a huge page has come by a fault meanwhile", async () => {
    const nothing = () => Promise.resolve();
    for (const fault of [load, (mm: AddressSpace, page: number) => store(mm, page, 5)]) {
      await aborted(async ({ mm, page }) => void (await fault(mm, page)), nothing, TABLE_WORDS, VM_HUGEPAGE);
    }
  });

  test("an entry that is not present stands there", async () => {
    await aborted(({ mm, page }) => {
      mm.pageTable.ensureLeaf(page);
      mm.pageTable.exchange(page, (1 << PTE_FRAME_SHIFT) | PTE_WRITE);
    });
  });

  test("there was the zero page, and a fault has replaced it meanwhile", async () => {
    await aborted(
      ({ mm, page }) => store(mm, page, 5),
      async ({ mm, page }) => void (await load(mm, page)),
    );
  });
});

describe("an insertion", () => {
  test("that aborts leaves the others of its batch alone", async () => {
    const { machine, environment, device, mm, page } = await createHoles("private", 3);
    await load(mm, page);
    const inserted = await insert(device, mm, page, 3, () => environment.refuse("charge", 1));
    assert.deepEqual(inserted, [true, false, true]);
    assert.deepEqual([word(mm, page + 1), device.freeFrames], [0, 6]);
    checkInvariants(machine);
  });

  test("goes on where the zero page was given up meanwhile", async () => {
    const { machine, device, mm, page } = await createHoles("private", 1);
    await load(mm, page);
    await reading(mm, async () => {
      const args = migration(mm, page, 1, { flags: MIGRATE_VMA_SELECT_SYSTEM, owner: device.owner });
      migrateVmaSetup(args);
      device.offer(args);
      device.copy(args);
      await dontNeed(mm, page * PAGE, PAGE);
      migrateVmaPages(args);
      migrateVmaFinalize(args);
    });
    assert.ok(device.holds(frameAt(mm, page)));
    checkInvariants(machine);
  });
});
