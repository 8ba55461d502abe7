// Setup: what it refuses, and what it collects, case by case.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import {
  isMigrationEntry,
  pteFrame,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MIGRATION,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../src/mm/table/entry.js";
import { FRAME_SHIFT, MAPPING, PG_DIRTY } from "../../src/mm/frames/frames.js";
import { DMA_PIN, pinPage } from "../../src/mm/fault/gup.js";
import { mprotect } from "../../src/mm/space/mapping.js";
import { TABLE_WORDS } from "../../src/mm/table/page-table.js";
import {
  PROT_NONE,
  PROT_READ,
  VM_DONTEXPAND,
  VM_HUGETLB,
  VM_IO,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_SHARED,
} from "../../src/mm/space/vma.js";
import {
  MIGRATE_PFN_MIGRATE,
  MIGRATE_PFN_WRITE,
  MIGRATE_VMA_SELECT_DEVICE_COHERENT,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_SYSTEM,
  migratePfn,
} from "../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../src/migrate/finalize.js";
import { MigrateVma } from "../../src/migrate/migrate-vma.js";
import { migrateVmaPages } from "../../src/migrate/pages.js";
import { migrateVmaSetup } from "../../src/migrate/setup.js";
import {
  createMachine,
  frameAt,
  load,
  mapPages,
  memoryError,
  migration,
  PAGE,
  reading,
  store,
  word,
} from "../builders.js";
import { checkInvariants, type Holders } from "../invariants.js";
import { Listener, TestDevice } from "../test-device.js";

const SYSTEM = MIGRATE_VMA_SELECT_SYSTEM;
const PRIVATE = MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
const COHERENT = MIGRATE_VMA_SELECT_DEVICE_COHERENT;
const HOLE = MIGRATE_PFN_MIGRATE;
const BITS = 0xff;

/** The word of a page that may migrate. */
function collected(frame: number): number {
  return migratePfn(frame) | MIGRATE_PFN_MIGRATE;
}

async function createSpace(pages: number, options: Parameters<typeof mapPages>[2] = {}) {
  const { machine, environment } = createMachine();
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, options);
  return { machine, environment, mm, page };
}

interface Outcome {
  readonly src: number[];
  readonly cpages: number;
  /** The entries while the migration was under way. */
  readonly entries: number[];
}

/** Sets a migration up, checks the machine in the middle, and ends it without moving anything. */
async function setUp(
  mm: AddressSpace,
  page: number,
  pages: number,
  asked: { flags: number; owner?: object; faultPage?: number },
  holders: Holders = {},
): Promise<Outcome> {
  return reading(mm, () => {
    const args = migration(mm, page, pages, asked);
    migrateVmaSetup(args);
    checkInvariants(mm.machine, { ...holders, inFlight: [args], busy: true });
    const outcome = {
      src: [...args.src],
      cpages: args.cpages,
      entries: Array.from({ length: pages }, (_, i) => word(mm, page + i)),
    };
    migrateVmaPages(args);
    migrateVmaFinalize(args);
    return outcome;
  });
}

describe("setup refuses, as invalid,", () => {
  async function refused(change: (args: MigrateVma) => void, message: RegExp, options = {}): Promise<void> {
    const { machine, mm, page } = await createSpace(4, options);
    if (mm.vmas[0].anonymous) await store(mm, page, 1);
    const entries = word(mm, page);
    await reading(mm, () => {
      const args = migration(mm, page, 4, { flags: SYSTEM });
      args.src.fill(99);
      change(args);
      assert.throws(() => migrateVmaSetup(args), memoryError("EINVAL", message));
      assert.deepEqual([...args.src], [99, 99, 99, 99], "nothing has changed");
      assert.equal(word(mm, page), entries);
    });
    checkInvariants(machine);
  }

  test("no vma", () => refused((args) => (args.vma = null), /needs a VMA/));
  for (const [what, flags] of [
    ["hugetlb", VM_HUGETLB],
    ["VM_IO", VM_IO],
    ["VM_DONTEXPAND", VM_DONTEXPAND],
    ["VM_PFNMAP", VM_PFNMAP],
    ["VM_MIXEDMAP", VM_MIXEDMAP],
  ] as const) {
    test(what, () => refused(() => {}, /special mapping/, { flags }));
  }
  test("no pages", () => refused((args) => (args.end = args.start), /has no pages/));
  test("an end below the start", () => refused((args) => (args.end = args.start - PAGE), /has no pages/));
  test("a start outside the vma", () =>
    refused((args) => (args.start -= PAGE), /pages 511 to 516 are not within .* 512 to 516/));
  test("an end outside the vma", () => refused((args) => (args.end += PAGE), /pages 512 to 517 are not within/));
  test("bounds that are not page-aligned", async () => {
    await refused((args) => (args.start += 8), /not multiples of the page size 4096/);
    await refused((args) => (args.end -= 8), /not multiples of the page size 4096/);
    await refused((args) => (args.end = NaN), /not multiples of the page size/);
  });
  test("a fault page that is not private to a device", () =>
    refused((args) => (args.faultPage = 1), /fault page 1 is not private/));
  test("more pages than the arrays hold", async () => {
    const { mm, page } = await createSpace(5);
    await reading(mm, () => {
      const args = new MigrateVma(4);
      args.vma = mm.vmas[0];
      args.start = page * PAGE;
      args.end = (page + 5) * PAGE;
      args.flags = SYSTEM;
      assert.throws(() => migrateVmaSetup(args), memoryError("EINVAL", /5 pages exceed the 4/));
    });
  });
  test("arrays for no pages", () => {
    for (const capacity of [0, -1, 1.5]) {
      assert.throws(() => new MigrateVma(capacity), memoryError("EINVAL", new RegExp(`capacity of ${capacity} pages`)));
    }
  });
  test("a caller that does not hold the mmap lock", async () => {
    const { mm, page } = await createSpace(1);
    const args = migration(mm, page, 1, { flags: SYSTEM });
    assert.throws(() => migrateVmaSetup(args), memoryError("EINVAL", /mmap lock/));
  });
});

describe("setup of a range", () => {
  test("clears the arrays as far as it goes, and no further", async () => {
    const { mm, page } = await createSpace(2, { flags: VM_SHARED });
    await reading(mm, () => {
      const args = new MigrateVma(3);
      args.vma = mm.vmas[0];
      args.start = page * PAGE;
      args.end = (page + 2) * PAGE;
      args.flags = SYSTEM;
      args.src.fill(99);
      args.dst.fill(99);
      args.cpages = 99;
      migrateVmaSetup(args);
      assert.deepEqual([...args.src], [0, 0, 99]);
      assert.deepEqual([...args.dst], [0, 0, 99]);
      assert.equal(args.npages, 2);
      assert.equal(args.cpages, 0);
    });
  });

  test("where nothing migrates is no error", async () => {
    const { mm, page } = await createSpace(2);
    await store(mm, page, 1);
    const { cpages, src } = await setUp(mm, page, 1, { flags: 0 });
    assert.equal(cpages, 0);
    assert.deepEqual(src, [0]);
  });

  test("tells devices of all of it, with the owner, also when nothing moves", async () => {
    const { mm, page } = await createSpace(4);
    const owner = {};
    const own = new Listener(mm, owner);
    const seen = mm.notifiers.readBegin(own);
    await setUp(mm, page, 4, { flags: 0, owner });
    assert.deepEqual(own.take(), [["migrate", page, page + 4]]);
    assert.equal(mm.notifiers.readRetry(own, seen), false);
  });

  test("over several leaf tables, some missing, collects each page at its place", async () => {
    const { machine, mm, page } = await createSpace(3 * TABLE_WORDS);
    await store(mm, page + 5, 1);
    await store(mm, page + 2 * TABLE_WORDS, 2);
    const first = page + 3;
    const count = 3 * TABLE_WORDS - 3;
    const { src, cpages } = await setUp(mm, first, count, { flags: SYSTEM });
    assert.equal(cpages, count);
    assert.equal(src[2], collected(frameAt(mm, page + 5)) | MIGRATE_PFN_WRITE);
    assert.equal(src[2 * TABLE_WORDS - 3], collected(frameAt(mm, page + 2 * TABLE_WORDS)) | MIGRATE_PFN_WRITE);
    assert.equal(src.filter((each) => each === HOLE).length, count - 2);
    checkInvariants(machine);
  });

  test("begins and ends within a leaf table and leaves what is beside it alone", async () => {
    const { machine, mm, page } = await createSpace(5);
    for (let i = 0; i < 5; i++) await store(mm, page + i, i);
    const { entries } = await setUp(mm, page + 1, 3, { flags: SYSTEM });
    assert.deepEqual(entries.map(isMigrationEntry), [true, true, true]);
    for (let i = 0; i < 5; i++) assert.equal(await load(mm, page + i), i);
    checkInvariants(machine);
  });
});

describe("the walk meets", () => {
  test("a hole without a table, in an anonymous vma: it may migrate", async () => {
    const { mm, page } = await createSpace(2);
    const { src, cpages } = await setUp(mm, page, 2, { flags: SYSTEM });
    assert.deepEqual(src, [HOLE, HOLE]);
    assert.equal(cpages, 2);
  });

  test("a hole without a table, in another vma: nothing", async () => {
    const { mm, page } = await createSpace(2, { flags: VM_SHARED });
    const { src, cpages } = await setUp(mm, page, 2, { flags: SYSTEM });
    assert.deepEqual(src, [0, 0]);
    assert.equal(cpages, 0);
  });

  test("a hole whatever is selected: it may migrate", async () => {
    const { mm, page } = await createSpace(1);
    assert.deepEqual((await setUp(mm, page, 1, { flags: PRIVATE })).src, [HOLE]);
  });
});

describe("an entry that is", () => {
  test("none, in an anonymous vma: may migrate", async () => {
    const { mm, page } = await createSpace(2);
    await store(mm, page + 1, 1);
    const { src, cpages, entries } = await setUp(mm, page, 1, { flags: SYSTEM });
    assert.deepEqual(src, [HOLE]);
    assert.equal(cpages, 1);
    assert.deepEqual(entries, [0]);
  });

  test("none, in another vma: does not", async () => {
    const { mm, page } = await createSpace(2);
    await store(mm, page + 1, 1);
    mm.vmas[0].flags |= VM_SHARED;
    assert.deepEqual((await setUp(mm, page, 1, { flags: SYSTEM })).src, [0]);
  });

  test("a migration entry of another migration: does not", async () => {
    const { machine, mm, page } = await createSpace(1);
    await store(mm, page, 1);
    await reading(mm, () => {
      const args = migration(mm, page, 1, { flags: SYSTEM });
      migrateVmaSetup(args);
      const other = migration(mm, page, 1, { flags: SYSTEM });
      migrateVmaSetup(other);
      assert.deepEqual([...other.src], [0]);
      assert.equal(other.cpages, 0);
      checkInvariants(machine, { inFlight: [args, other], busy: true });
      migrateVmaFinalize(other);
      migrateVmaFinalize(args);
    });
    assert.equal(await load(mm, page), 1);
    checkInvariants(machine);
  });

  for (const [what, bits] of [
    ["swapped out", 0],
    ["exclusive to a device", PTE_DIRTY],
    ["a marker or poison", PTE_YOUNG | PTE_DIRTY],
  ] as const) {
    test(`${what}: does not`, async () => {
      const { mm, page } = await createSpace(2);
      await store(mm, page + 1, 1);
      const entry = (frameAt(mm, page + 1) << PTE_FRAME_SHIFT) | bits | PTE_WRITE | PTE_EXCLUSIVE;
      mm.pageTable.exchange(page, entry);
      await reading(mm, () => {
        const args = migration(mm, page, 1, { flags: SYSTEM | PRIVATE | COHERENT });
        migrateVmaSetup(args);
        assert.deepEqual([...args.src], [0]);
        assert.equal(word(mm, page), entry);
      });
    });
  }

  test("device-private and not selected: does not", async () => {
    const { machine, mm, page } = await createSpace(1);
    const device = new TestDevice(machine, "private", 1);
    await store(mm, page, 1);
    await device.migrateToDevice(mm, page);
    for (const flags of [SYSTEM, COHERENT, SYSTEM | COHERENT]) {
      assert.deepEqual((await setUp(mm, page, 1, { flags, owner: device.owner })).src, [0]);
    }
  });

  test("device-private of another owner: does not", async () => {
    const { machine, mm, page } = await createSpace(1);
    const device = new TestDevice(machine, "private", 1);
    await store(mm, page, 1);
    await device.migrateToDevice(mm, page);
    assert.deepEqual((await setUp(mm, page, 1, { flags: PRIVATE, owner: {} })).src, [0]);
    assert.deepEqual((await setUp(mm, page, 1, { flags: PRIVATE })).src, [0]);
  });

  test("device-private and selected: is collected, with WRITE if it is writable", async () => {
    const { machine, mm, page } = await createSpace(2);
    const device = new TestDevice(machine, "private", 2);
    await store(mm, page, 1);
    await store(mm, page + 1, 2);
    await device.migrateToDevice(mm, page, 2);
    await mprotect(mm, (page + 1) * PAGE, PAGE, PROT_READ);
    const frames = [frameAt(mm, page), frameAt(mm, page + 1)];
    const asked = { flags: PRIVATE, owner: device.owner };
    assert.deepEqual((await setUp(mm, page, 1, asked)).src, [collected(frames[0]) | MIGRATE_PFN_WRITE]);
    assert.deepEqual((await setUp(mm, page + 1, 1, asked)).src, [collected(frames[1])]);
    checkInvariants(machine);
  });

  test("the zero page, with system selected: may migrate, and stays as it is", async () => {
    const { mm, page } = await createSpace(1);
    await load(mm, page);
    const before = word(mm, page);
    const { src, cpages, entries } = await setUp(mm, page, 1, { flags: SYSTEM });
    assert.deepEqual(src, [HOLE]);
    assert.equal(cpages, 1);
    assert.deepEqual(entries, [before]);
  });

  test("the zero page, with system not selected: does not", async () => {
    const { mm, page } = await createSpace(1);
    await load(mm, page);
    const { src, cpages } = await setUp(mm, page, 1, { flags: PRIVATE | COHERENT });
    assert.deepEqual(src, [0]);
    assert.equal(cpages, 0);
  });

  test("a system page, with system not selected: does not", async () => {
    const { mm, page } = await createSpace(1);
    await store(mm, page, 1);
    assert.deepEqual((await setUp(mm, page, 1, { flags: PRIVATE | COHERENT })).src, [0]);
  });

  test("a coherent page, not selected or of another owner: does not", async () => {
    const { machine, mm, page } = await createSpace(1);
    const device = new TestDevice(machine, "coherent", 1);
    await store(mm, page, 1);
    await device.migrateToDevice(mm, page);
    for (const flags of [SYSTEM, PRIVATE, SYSTEM | PRIVATE]) {
      assert.deepEqual((await setUp(mm, page, 1, { flags, owner: device.owner })).src, [0]);
    }
    assert.deepEqual((await setUp(mm, page, 1, { flags: COHERENT, owner: {} })).src, [0]);
    assert.deepEqual((await setUp(mm, page, 1, { flags: COHERENT })).src, [0]);
  });

  test("a coherent page of the owner, selected: is collected", async () => {
    const { machine, mm, page } = await createSpace(1);
    const device = new TestDevice(machine, "coherent", 1);
    await store(mm, page, 1);
    await device.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    const { src, entries } = await setUp(mm, page, 1, { flags: COHERENT, owner: device.owner });
    assert.deepEqual(src, [collected(frame) | MIGRATE_PFN_WRITE]);
    assert.deepEqual(entries.map(isMigrationEntry), [true]);
    checkInvariants(machine);
  });

  test("a page without a mapping: does not", async () => {
    const { machine, mm, page } = await createSpace(1);
    await store(mm, page, 1);
    const before = word(mm, page);
    const at = (frameAt(mm, page) << FRAME_SHIFT) + MAPPING;
    const mapping = machine.frames.words[at];
    machine.frames.words[at] = 0;
    await reading(mm, () => {
      const args = migration(mm, page, 1, { flags: SYSTEM });
      migrateVmaSetup(args);
      assert.deepEqual([...args.src], [0]);
      assert.equal(word(mm, page), before);
    });
    machine.frames.words[at] = mapping;
    checkInvariants(machine);
  });

  test("present: is collected, with WRITE if and only if the entry is writable", async () => {
    const { machine, mm, page } = await createSpace(2);
    await store(mm, page, 1);
    await store(mm, page + 1, 2);
    await mprotect(mm, (page + 1) * PAGE, PAGE, PROT_READ);
    const frames = [frameAt(mm, page), frameAt(mm, page + 1)];
    assert.deepEqual((await setUp(mm, page, 1, { flags: SYSTEM })).src, [collected(frames[0]) | MIGRATE_PFN_WRITE]);
    assert.deepEqual((await setUp(mm, page + 1, 1, { flags: SYSTEM })).src, [collected(frames[1])]);
    checkInvariants(machine);
  });

  test("present in a mapping without access: is collected as well", async () => {
    const { machine, mm, page } = await createSpace(1);
    await store(mm, page, 1);
    await mprotect(mm, page * PAGE, PAGE, PROT_NONE);
    assert.deepEqual((await setUp(mm, page, 1, { flags: SYSTEM })).src, [collected(frameAt(mm, page))]);
    assert.notEqual(word(mm, page) & PTE_NO_ACCESS, 0);
    checkInvariants(machine);
  });
});

describe("a page that is collected", () => {
  test("is locked, off the LRU, held by the migration alone, and mapped nowhere", async () => {
    const { machine, mm, page } = await createSpace(1);
    await store(mm, page, 1);
    const frame = frameAt(mm, page);
    await reading(mm, () => {
      const args = migration(mm, page, 1, { flags: SYSTEM });
      migrateVmaSetup(args);
      assert.equal(machine.frames.tryLock(frame), false);
      assert.equal(machine.frames.mapcount(frame), 0);
      assert.equal(machine.frames.refcount(frame), 1);
      assert.deepEqual([...machine.lru.list, ...machine.lru.batched], []);
      assert.equal(mm.resident.usage, 1, "it is still resident");
      migrateVmaFinalize(args);
    });
    checkInvariants(machine);
  });

  for (const [what, bits] of [
    ["writable, young and dirty", PTE_WRITE | PTE_EXCLUSIVE | PTE_YOUNG | PTE_DIRTY | PTE_SOFT_DIRTY],
    ["readable and exclusive", PTE_EXCLUSIVE | PTE_YOUNG],
    ["readable, dirty", PTE_DIRTY | PTE_SOFT_DIRTY],
    ["readable, with userfault write protection", PTE_UFFD_WP],
  ] as const) {
    test(`leaves a migration entry that tells that it was ${what}`, async () => {
      const { machine, mm, page } = await createSpace(1);
      await store(mm, page, 1);
      mm.pageTable.exchange(page, (word(mm, page) & ~BITS) | PTE_PRESENT | bits);
      const frame = frameAt(mm, page);
      const { entries } = await setUp(mm, page, 1, { flags: SYSTEM });
      assert.equal(pteFrame(entries[0]), frame);
      assert.equal(entries[0] & BITS, PTE_MIGRATION | bits);
      assert.equal(machine.frames.flags(frame) & PG_DIRTY, (bits & PTE_DIRTY) === 0 ? 0 : PG_DIRTY);
      checkInvariants(machine);
    });
  }

  test("from a device leaves one without young and dirty, with soft-dirty and userfault bits as they were", async () => {
    const { machine, mm, page } = await createSpace(1);
    const device = new TestDevice(machine, "private", 1);
    await store(mm, page, 1);
    await device.migrateToDevice(mm, page);
    mm.pageTable.exchange(page, word(mm, page) | PTE_UFFD_WP);
    const { entries } = await setUp(mm, page, 1, { flags: PRIVATE, owner: device.owner });
    assert.equal(entries[0] & BITS, PTE_MIGRATION | PTE_WRITE | PTE_EXCLUSIVE | PTE_SOFT_DIRTY | PTE_UFFD_WP);
  });
});

describe("a page that is not collected", () => {
  test("because its lock is not had at once keeps its entry, and nobody waits", async () => {
    const { machine, mm, page } = await createSpace(2);
    await store(mm, page, 1);
    await store(mm, page + 1, 2);
    const frame = frameAt(mm, page);
    const before = word(mm, page);
    machine.frames.tryLock(frame);
    const { src, cpages, entries } = await setUp(mm, page, 2, { flags: SYSTEM }, { locked: [frame] });
    assert.equal(src[0], 0);
    assert.equal(cpages, 1);
    assert.equal(entries[0], before);
    assert.equal(machine.frames.refcount(frame), 1);
    machine.pageLocks.unlock(frame);
    checkInvariants(machine);
  });

  test("because it may be pinned for DMA keeps its entry and gets its lock back", async () => {
    const { machine, mm, page } = await createSpace(1);
    await store(mm, page, 1);
    const before = word(mm, page);
    const frame = await pinPage(mm, page, true, DMA_PIN);
    const references = [[frame, DMA_PIN]] as const;
    const { src, cpages, entries } = await setUp(mm, page, 1, { flags: SYSTEM }, { references });
    assert.deepEqual(src, [0]);
    assert.equal(cpages, 0);
    assert.deepEqual(entries, [before]);
    checkInvariants(machine, { references });
  });
});
