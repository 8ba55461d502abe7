// Finalize: the entries come back, of the new page where it moved, of the old one where it did not.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import {
  isDevicePrivateEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../src/mm/table/entry.js";
import { PG_DIRTY, PG_LOCKED } from "../../src/mm/frames/frames.js";
import { dontNeed } from "../../src/mm/space/mapping.js";
import { pageOut } from "../../src/mm/swap/pageout.js";
import { changeProtection } from "../../src/mm/space/protect.js";
import {
  MIGRATE_PFN_MIGRATE,
  MIGRATE_VMA_SELECT_SYSTEM,
  migratePfn,
  migratePfnToFrame,
} from "../../src/migrate/entry.js";
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
  migrationEntries,
  reading,
  PAGE,
  store,
  TestSwapStore,
  word,
} from "../builders.js";
import { checkInvariants } from "../invariants.js";
import { TestDevice } from "../test-device.js";

const SYSTEM = MIGRATE_VMA_SELECT_SYSTEM;
const BITS = 0xff;
const CERTAIN = PTE_WRITE | PTE_EXCLUSIVE | PTE_YOUNG | PTE_DIRTY | PTE_SOFT_DIRTY;

async function createPages(pages: number) {
  const { machine } = createMachine();
  const device = new TestDevice(machine, "private", 8);
  const coherent = new TestDevice(machine, "coherent", 8);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages);
  for (let i = 0; i < pages; i++) await store(mm, page + i, i + 1);
  return { machine, device, coherent, mm, page };
}

function setBits(mm: AddressSpace, page: number, bits: number): void {
  mm.pageTable.exchange(page, (word(mm, page) & ~BITS) | PTE_PRESENT | bits);
}

function bitsOf(mm: AddressSpace, page: number): number {
  return word(mm, page) & BITS;
}

/** A migration of one page between setup and pages, for the driver's part. */
async function withMigration(
  mm: AddressSpace,
  page: number,
  pages: number,
  asked: { flags: number; owner?: object },
  act: (args: MigrateVma) => void,
): Promise<void> {
  await reading(mm, () => {
    const args = migration(mm, page, pages, asked);
    migrateVmaSetup(args);
    act(args);
  });
}

describe("finalizing an entry", () => {
  test("without a source page unlocks and puts its destination, if any", async () => {
    const { machine, device, mm, page } = await createPages(1);
    await device.migrateToDevice(mm, page);
    await withMigration(mm, page, 1, { flags: SYSTEM }, (args) => {
      assert.equal(args.src[0], 0);
      args.dst[0] = migratePfn(device.allocate());
      migrateVmaPages(args);
      migrateVmaFinalize(args);
    });
    assert.equal(device.freeFrames, 7);
    checkInvariants(machine);
  });

  test("that is not MIGRATE unlocks and puts the destination, and restores the original exactly", async () => {
    for (const bits of [
      CERTAIN,
      CERTAIN & ~PTE_YOUNG,
      PTE_EXCLUSIVE | PTE_YOUNG,
      PTE_SOFT_DIRTY | PTE_DIRTY,
      PTE_UFFD_WP,
    ]) {
      const { machine, device, mm, page } = await createPages(1);
      setBits(mm, page, bits);
      const before = word(mm, page);
      await withMigration(mm, page, 1, { flags: SYSTEM }, (args) => {
        device.offer(args);
        args.src[0] &= ~MIGRATE_PFN_MIGRATE;
        migrateVmaPages(args);
        migrateVmaFinalize(args);
      });
      assert.equal(word(mm, page), before, `bits ${bits.toString(2)}`);
      assert.equal(device.freeFrames, 8);
      checkInvariants(machine);
    }
  });

  test("without a destination restores the original exactly", async () => {
    const { machine, mm, page } = await createPages(1);
    const before = word(mm, page);
    await withMigration(mm, page, 1, { flags: SYSTEM }, (args) => {
      migrateVmaPages(args);
      migrateVmaFinalize(args);
    });
    assert.equal(word(mm, page), before);
    checkInvariants(machine);
  });

  test("of a device-private page that stays restores it exactly", async () => {
    const { machine, device, mm, page } = await createPages(1);
    await device.migrateToDevice(mm, page);
    const before = word(mm, page) | PTE_UFFD_WP;
    mm.pageTable.exchange(page, before);
    await withMigration(mm, page, 1, { flags: device.select, owner: device.owner }, (args) => {
      migrateVmaPages(args);
      migrateVmaFinalize(args);
    });
    assert.equal(word(mm, page), before);
    checkInvariants(machine);
  });

  test("that moved frees the old page and unlocks the new one", async () => {
    const { machine, device, mm, page } = await createPages(1);
    const source = frameAt(mm, page);
    await device.migrateToDevice(mm, page);
    assert.equal(machine.frames.refcount(source), 0);
    assert.equal(machine.frames.flags(frameAt(mm, page)) & PG_LOCKED, 0);
    assert.equal(machine.host.charge.usage, 0);
    checkInvariants(machine);
  });

  test("that moved to the host puts it on the LRU, through the batch", async () => {
    const { machine, device, mm, page } = await createPages(1);
    await device.migrateToDevice(mm, page);
    assert.deepEqual([...machine.lru.list, ...machine.lru.batched], []);
    await device.migrateToHost(mm, page);
    assert.deepEqual(machine.lru.batched, [frameAt(mm, page)]);
    assert.equal(machine.frames.refcount(frameAt(mm, page)), 2);
    checkInvariants(machine);
  });

  test("restores all pages of a batch, moved or not, and leaves no migration entry", async () => {
    const { machine, device, mm, page } = await createPages(6);
    await withMigration(mm, page, 6, { flags: SYSTEM }, (args) => {
      device.offer(args);
      device.copy(args);
      for (const i of [1, 4]) args.src[i] &= ~MIGRATE_PFN_MIGRATE;
      migrateVmaPages(args);
      migrateVmaFinalize(args);
    });
    assert.deepEqual(migrationEntries(mm, page, 6), []);
    assert.deepEqual(
      Array.from({ length: 6 }, (_, i) => isDevicePrivateEntry(word(mm, page + i))),
      [true, false, true, true, false, true],
    );
    for (let i = 0; i < 6; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
  });
});

describe("a copy that fails", () => {
  test("before the pages step leaves the page where it was, with its bytes, and gives the frame back", async () => {
    const { machine, device, mm, page } = await createPages(4);
    const failing = frameAt(mm, page + 2);
    device.failsCopy = (source) => source === failing;
    assert.deepEqual(await device.migrateToDevice(mm, page, 4), [true, true, false, true]);
    assert.equal(frameAt(mm, page + 2), failing);
    assert.equal(device.freeFrames, 5);
    for (let i = 0; i < 4; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
  });

  test("after the pages step does so as well: the identity goes back", async () => {
    const { machine, device, mm, page } = await createPages(2);
    const source = frameAt(mm, page);
    const before = word(mm, page);
    await withMigration(mm, page, 2, { flags: SYSTEM }, (args) => {
      device.offer(args);
      migrateVmaPages(args);
      assert.notEqual(args.src[0] & MIGRATE_PFN_MIGRATE, 0);
      args.src[0] &= ~MIGRATE_PFN_MIGRATE;
      device.copy(args);
      migrateVmaFinalize(args);
    });
    assert.equal(word(mm, page), before);
    assert.equal(frameAt(mm, page), source);
    assert.equal(device.freeFrames, 7);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [1, 2]);
    checkInvariants(machine);
  });

  test("on the way home leaves the page on the device, and frees the host's frame", async () => {
    const { machine, device, mm, page } = await createPages(2);
    await device.migrateToDevice(mm, page, 2);
    const failing = frameAt(mm, page);
    device.failsCopy = (source) => source === failing;
    assert.deepEqual(await device.migrateToHost(mm, page, 2), [false, true]);
    assert.equal(frameAt(mm, page), failing);
    assert.equal(machine.host.charge.usage, 1);
    checkInvariants(machine);
    device.failsCopy = () => false;
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [1, 2]);
    checkInvariants(machine);
  });

  test("and makes the driver give up before the pages step: finalize alone restores everything", async () => {
    const { machine, device, mm, page } = await createPages(3);
    const before = [0, 1, 2].map((i) => word(mm, page + i));
    await withMigration(mm, page, 3, { flags: SYSTEM }, (args) => {
      device.offer(args);
      migrateVmaFinalize(args);
    });
    assert.deepEqual(
      [0, 1, 2].map((i) => word(mm, page + i)),
      before,
    );
    assert.equal(device.freeFrames, 8);
    checkInvariants(machine);
  });
});

describe("the entry of a page that moved", () => {
  /** Moves a page whose entry had these bits to the device (or host) and says what bits its entry has then. */
  async function moved(
    bits: number,
    to: "private" | "coherent" | "host",
    pageIs: "as its entry" | "dirtied" | "cleaned" = "as its entry",
  ): Promise<number> {
    const { machine, device, coherent, mm, page } = await createPages(1);
    setBits(mm, page, bits);
    const source = frameAt(mm, page);
    if (pageIs === "dirtied") machine.frames.setFlags(source, PG_DIRTY);
    await withMigration(mm, page, 1, { flags: SYSTEM }, (args) => {
      if (pageIs === "cleaned") machine.frames.clearFlags(source, PG_DIRTY);
      if (to === "host") args.dst[0] = migratePfn(lockedHostFrame(machine));
      else (to === "private" ? device : coherent).offer(args);
      device.copy(args);
      migrateVmaPages(args);
      migrateVmaFinalize(args);
    });
    checkInvariants(machine);
    assert.equal(isDevicePrivateEntry(word(mm, page)), to === "private");
    return bitsOf(mm, page);
  }

  test("keeps soft-dirty", async () => {
    for (const to of ["private", "coherent", "host"] as const) {
      assert.notEqual((await moved(PTE_SOFT_DIRTY, to)) & PTE_SOFT_DIRTY, 0);
      assert.equal((await moved(PTE_YOUNG, to)) & PTE_SOFT_DIRTY, 0);
    }
  });

  test("is old when it was not young, and young when it was", async () => {
    for (const to of ["coherent", "host"] as const) {
      assert.equal((await moved(PTE_EXCLUSIVE, to)) & PTE_YOUNG, 0);
      assert.notEqual((await moved(PTE_YOUNG, to)) & PTE_YOUNG, 0);
    }
  });

  test("is dirty only if both the page and the entry are", async () => {
    assert.notEqual((await moved(PTE_DIRTY, "host")) & PTE_DIRTY, 0, "a dirty entry made the page dirty");
    assert.equal((await moved(PTE_DIRTY, "host", "cleaned")) & PTE_DIRTY, 0);
    assert.equal((await moved(PTE_YOUNG, "host", "dirtied")) & PTE_DIRTY, 0);
    assert.equal((await moved(PTE_YOUNG, "host")) & PTE_DIRTY, 0);
  });

  test("is soft-dirty when it is dirty, as on x86", async () => {
    assert.notEqual((await moved(PTE_DIRTY, "host")) & PTE_SOFT_DIRTY, 0);
  });

  test("is writable if it was", async () => {
    for (const to of ["private", "coherent", "host"] as const) {
      assert.notEqual((await moved(PTE_WRITE | PTE_EXCLUSIVE, to)) & PTE_WRITE, 0);
      assert.equal((await moved(PTE_EXCLUSIVE, to)) & PTE_WRITE, 0);
    }
  });

  test("keeps userfault write protection when it is not writable", async () => {
    for (const to of ["private", "coherent", "host"] as const) {
      assert.notEqual((await moved(PTE_UFFD_WP, to)) & PTE_UFFD_WP, 0);
    }
    assert.equal((await moved(PTE_UFFD_WP | PTE_WRITE | PTE_EXCLUSIVE, "host")) & PTE_UFFD_WP, 0);
  });

  test("is exclusive unless it was plainly readable", async () => {
    for (const to of ["private", "coherent", "host"] as const) {
      assert.notEqual((await moved(PTE_EXCLUSIVE, to)) & PTE_EXCLUSIVE, 0);
      assert.notEqual((await moved(PTE_WRITE | PTE_EXCLUSIVE, to)) & PTE_EXCLUSIVE, 0);
      assert.equal((await moved(PTE_YOUNG, to)) & PTE_EXCLUSIVE, 0);
    }
  });

  test("on a private device keeps soft-dirty and userfault bits and drops young and dirty", async () => {
    const { device, mm, page } = await createPages(1);
    setBits(mm, page, PTE_SOFT_DIRTY | PTE_UFFD_WP | PTE_YOUNG | PTE_DIRTY);
    await device.migrateToDevice(mm, page);
    assert.equal(isDevicePrivateEntry(word(mm, page)), true);
    assert.equal(bitsOf(mm, page) & (PTE_SOFT_DIRTY | PTE_UFFD_WP), PTE_SOFT_DIRTY | PTE_UFFD_WP);
  });

  test("that comes home from a private device is old, and dirty only by being written again", async () => {
    const { device, mm, page } = await createPages(1);
    await device.migrateToDevice(mm, page);
    await device.migrateToHost(mm, page);
    assert.equal(bitsOf(mm, page), PTE_PRESENT | PTE_WRITE | PTE_EXCLUSIVE | PTE_SOFT_DIRTY);
  });

  for (const to of ["private", "coherent", "host"] as const) {
    test(`to ${to} memory is not writable when the mapping has become read-only meanwhile`, async () => {
      const { machine, device, coherent, mm, page } = await createPages(1);
      await withMigration(mm, page, 1, { flags: SYSTEM }, (args) => {
        if (to === "host") args.dst[0] = migratePfn(lockedHostFrame(machine));
        else (to === "private" ? device : coherent).offer(args);
        device.copy(args);
        migrateVmaPages(args);
        const [vma] = mm.vmas;
        vma.flags &= ~2;
        changeProtection(vma, page, page + 1);
        migrateVmaFinalize(args);
      });
      assert.equal(bitsOf(mm, page) & PTE_WRITE, 0);
      assert.notEqual(bitsOf(mm, page) & PTE_EXCLUSIVE, 0);
      checkInvariants(machine);
    });

    test(`to ${to} memory is not writable in a read-only VMA, whatever the migration entry says`, async () => {
      const { machine, device, coherent, mm, page } = await createPages(1);
      await withMigration(mm, page, 1, { flags: SYSTEM }, (args) => {
        if (to === "host") args.dst[0] = migratePfn(lockedHostFrame(machine));
        else (to === "private" ? device : coherent).offer(args);
        device.copy(args);
        migrateVmaPages(args);
        mm.vmas[0].flags &= ~2;
        migrateVmaFinalize(args);
      });
      assert.equal(bitsOf(mm, page) & PTE_WRITE, 0);
      checkInvariants(machine);
    });
  }

  test("to the host keeps the CPU out when the mapping forbids every access now", async () => {
    const { machine, device, mm, page } = await createPages(1);
    await device.migrateToDevice(mm, page);
    await withMigration(mm, page, 1, { flags: device.select, owner: device.owner }, (args) => {
      args.dst[0] = migratePfn(lockedHostFrame(machine));
      device.copy(args);
      migrateVmaPages(args);
      mm.vmas[0].flags &= ~7;
      migrateVmaFinalize(args);
      assert.notEqual(migratePfnToFrame(args.dst[0]), -1);
    });
    assert.notEqual(bitsOf(mm, page) & PTE_NO_ACCESS, 0);
    checkInvariants(machine);
  });
});

test("a page of the swap cache that was given up while a migration held it leaves the cache", async () => {
  const swap = new TestSwapStore();
  const { machine } = createMachine({ swap });
  const device = new TestDevice(machine, "private", 8);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, 1);
  await store(mm, page, 1);
  await pageOut(mm, page * PAGE, PAGE);
  assert.equal(await load(mm, page), 1);
  await reading(mm, async () => {
    const args = migration(mm, page, 1, { flags: SYSTEM, owner: device.owner });
    migrateVmaSetup(args);
    assert.equal(args.cpages, 1);
    device.offer(args);
    await dontNeed(mm, page * PAGE, PAGE);
    migrateVmaPages(args);
    migrateVmaFinalize(args);
  });
  machine.lru.drain();
  checkInvariants(machine);
  assert.equal(machine.swap?.used, 0);
  assert.equal(machine.host.charge.usage, 0);
  assert.equal(swap.pages.size, 0);
});
