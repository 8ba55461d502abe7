// The pages step: whose identity moves, and whose does not.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import { FRAME_SHIFT, INDEX, MAPPING, PG_DIRTY } from "../../src/mm/frames/frames.js";
import {
  MIGRATE_PFN_MIGRATE,
  MIGRATE_VMA_SELECT_SYSTEM,
  migratePfn,
  migratePfnToFrame,
} from "../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../src/migrate/finalize.js";
import { MigrateVma } from "../../src/migrate/migrate-vma.js";
import { migrateDevicePages, migrateVmaPages } from "../../src/migrate/pages.js";
import { migrateVmaSetup } from "../../src/migrate/setup.js";
import {
  createMachine,
  frameAt,
  load,
  lockedHostFrame,
  mapPages,
  migration,
  reading,
  store,
  word,
} from "../builders.js";
import { checkInvariants, type Holders } from "../invariants.js";
import { Listener, TestDevice } from "../test-device.js";

const SYSTEM = MIGRATE_VMA_SELECT_SYSTEM;

async function createPages(pages: number, deviceFrames = 8) {
  const { machine, environment } = createMachine();
  const device = new TestDevice(machine, "private", deviceFrames);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages);
  for (let i = 0; i < pages; i++) await store(mm, page + i, i + 1);
  return { machine, environment, device, mm, page };
}

interface Steps {
  readonly asked?: { flags: number; owner?: object; faultPage?: number };
  /** What the driver does between setup and pages. */
  readonly driver: (args: MigrateVma) => void;
  /** Looks after the pages step. */
  readonly after?: (args: MigrateVma) => void;
  readonly holders?: Holders;
}

/** A whole migration, with the machine checked after every step. */
async function migrate(mm: AddressSpace, page: number, pages: number, steps: Steps): Promise<boolean[]> {
  return reading(mm, () => {
    const args = migration(mm, page, pages, steps.asked ?? { flags: SYSTEM });
    const holders = { ...steps.holders, inFlight: [args], busy: true };
    migrateVmaSetup(args);
    checkInvariants(mm.machine, holders);
    steps.driver(args);
    checkInvariants(mm.machine, holders);
    migrateVmaPages(args);
    checkInvariants(mm.machine, holders);
    steps.after?.(args);
    const moved = Array.from(args.src, (each) => (each & MIGRATE_PFN_MIGRATE) !== 0);
    migrateVmaFinalize(args);
    checkInvariants(mm.machine, { ...steps.holders, busy: true });
    return moved;
  });
}

describe("a page with a source", () => {
  test("whose destination is not VALID does not move: the driver opted out", async () => {
    const { machine, device, mm, page } = await createPages(3);
    const before = word(mm, page + 1);
    const moved = await migrate(mm, page, 3, {
      driver: (args) => {
        device.offer(args);
        const frame = migratePfnToFrame(args.dst[1]);
        args.dst[1] = 0;
        machine.pageLocks.unlock(frame);
        machine.put(frame);
        device.copy(args);
      },
    });
    assert.deepEqual(moved, [true, false, true]);
    assert.equal(word(mm, page + 1), before);
    for (let i = 0; i < 3; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
  });

  test("whose MIGRATE the driver took back does not move, and its destination is given back", async () => {
    const { machine, device, mm, page } = await createPages(2, 2);
    const moved = await migrate(mm, page, 2, {
      driver: (args) => {
        device.offer(args);
        args.src[0] &= ~MIGRATE_PFN_MIGRATE;
        device.copy(args);
      },
    });
    assert.deepEqual(moved, [false, true]);
    assert.equal(device.freeFrames, 1);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [1, 2]);
    checkInvariants(machine);
  });

  test("gives its identity to the destination: mapping, index, dirtiness", async () => {
    const { machine, device, mm, page } = await createPages(1);
    const source = frameAt(mm, page);
    await migrate(mm, page, 1, {
      driver: (args) => {
        device.offer(args);
        device.copy(args);
      },
      after: (args) => {
        const { words } = machine.frames;
        const to = migratePfnToFrame(args.dst[0]);
        for (const field of [MAPPING, INDEX]) {
          assert.equal(words[(to << FRAME_SHIFT) + field], words[(source << FRAME_SHIFT) + field]);
        }
        assert.equal(machine.frames.flags(to) & PG_DIRTY, PG_DIRTY);
        assert.equal(machine.frames.mapcount(to), 0, "the entries come with finalize");
      },
    });
    assert.ok(device.holds(frameAt(mm, page)));
    checkInvariants(machine);
  });

  test("that is clean stays clean", async () => {
    const { machine, device, mm, page } = await createPages(1);
    mm.pageTable.exchange(page, word(mm, page) & ~8);
    await migrate(mm, page, 1, {
      driver: (args) => {
        device.offer(args);
        device.copy(args);
      },
    });
    assert.equal(machine.frames.flags(frameAt(mm, page)) & PG_DIRTY, 0);
  });

  test("moves from host to host as well", async () => {
    const { machine, device, mm, page } = await createPages(1);
    const before = frameAt(mm, page);
    const moved = await migrate(mm, page, 1, {
      driver: (args) => {
        args.dst[0] = migratePfn(lockedHostFrame(machine));
        device.copy(args);
      },
    });
    assert.deepEqual(moved, [true]);
    assert.notEqual(frameAt(mm, page), before);
    assert.equal(await load(mm, page), 1);
    assert.equal(machine.host.charge.usage, 1);
    checkInvariants(machine);
  });

  test("without an anonymous mapping does not go to a device", async () => {
    const { machine, device, mm, page } = await createPages(1);
    const source = frameAt(mm, page);
    const before = machine.frames.words[(source << FRAME_SHIFT) + MAPPING];
    await reading(mm, () => {
      const args = migration(mm, page, 1, { flags: SYSTEM });
      migrateVmaSetup(args);
      // A mapping of another kind, as a page of a file will have.
      machine.frames.words[(source << FRAME_SHIFT) + MAPPING] = before ^ 1;
      device.offer(args);
      migrateVmaPages(args);
      assert.equal(args.src[0] & MIGRATE_PFN_MIGRATE, 0);
      machine.frames.words[(source << FRAME_SHIFT) + MAPPING] = before;
      migrateVmaFinalize(args);
    });
    assert.equal(await load(mm, page), 1);
    checkInvariants(machine);
  });

  test("to which a reference came since setup does not move", async () => {
    const { machine, device, mm, page } = await createPages(1);
    const source = frameAt(mm, page);
    await reading(mm, () => {
      const args = migration(mm, page, 1, { flags: SYSTEM });
      migrateVmaSetup(args);
      device.offer(args);
      device.copy(args);
      assert.equal(machine.frames.tryGet(source, 1), true);
      migrateVmaPages(args);
      assert.equal(args.src[0] & MIGRATE_PFN_MIGRATE, 0);
      migrateVmaFinalize(args);
    });
    assert.equal(frameAt(mm, page), source);
    assert.equal(await load(mm, page), 1);
    checkInvariants(machine, { references: [[source, 1]] });
  });

  test("on a device with one stray reference passes setup and is refused here, exactly", async () => {
    for (const kind of ["private", "coherent"] as const) {
      const { machine, mm, page } = await createPages(1);
      const device = new TestDevice(machine, kind, 1);
      await device.migrateToDevice(mm, page);
      const frame = frameAt(mm, page);
      machine.frames.get(frame);
      const references = [[frame, 1]] as const;
      const asked = { flags: device.select, owner: device.owner };
      const moved = await migrate(mm, page, 1, {
        asked,
        driver: (args) => {
          args.dst[0] = migratePfn(lockedHostFrame(machine));
          device.copy(args);
        },
        holders: { references },
      });
      assert.deepEqual(moved, [false]);
      assert.equal(frameAt(mm, page), frame);
      machine.put(frame);
      assert.deepEqual(await device.migrateToHost(mm, page), [true]);
      checkInvariants(machine);
    }
  });

  test("that is the fault page may have one reference more, and must have it", async () => {
    const { machine, device, mm, page } = await createPages(1);
    await device.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    const asked = { flags: device.select, owner: device.owner, faultPage: frame };
    const driver = (args: MigrateVma) => {
      args.dst[0] = migratePfn(lockedHostFrame(machine));
      device.copy(args);
    };
    assert.deepEqual(await migrate(mm, page, 1, { asked, driver }), [false], "without the reference of the fault");
    machine.frames.get(frame);
    const holders = { references: [[frame, 1]] as const };
    assert.deepEqual(await migrate(mm, page, 1, { asked, driver, holders }), [true]);
    machine.put(frame);
    assert.equal(device.freeFrames, 8);
    assert.equal(await load(mm, page), 1);
    checkInvariants(machine);
  });
});

describe("an entry without a source", () => {
  test("that is not MIGRATE, with a destination: nothing happens, and finalize gives the destination back", async () => {
    const { machine, device, mm, page } = await createPages(1);
    const { owner } = device;
    await device.migrateToDevice(mm, page);
    const other = new TestDevice(machine, "private", 1);
    const moved = await migrate(mm, page, 1, {
      asked: { flags: SYSTEM, owner },
      driver: (args) => {
        assert.equal(args.src[0], 0);
        args.dst[0] = migratePfn(other.allocate());
      },
    });
    assert.deepEqual(moved, [false]);
    assert.equal(other.freeFrames, 1);
    checkInvariants(machine);
  });

  test("without a destination stays a hole", async () => {
    const { machine, mm } = await createPages(1);
    const hole = await mapPages(mm, 2);
    const listener = new Listener(mm);
    assert.deepEqual(await migrate(mm, hole, 2, { driver: () => {} }), [false, false]);
    assert.deepEqual([word(mm, hole), word(mm, hole + 1)], [0, 0]);
    assert.deepEqual(listener.take(), [["migrate", hole, hole + 2]], "no second notification without an insertion");
    checkInvariants(machine);
  });

  test("cannot be filled by a migration of a device range, which knows no address", () => {
    const { machine } = createMachine();
    const device = new TestDevice(machine, "private", 1);
    const src = new Int32Array([MIGRATE_PFN_MIGRATE]);
    const dst = new Int32Array([migratePfn(device.allocate())]);
    migrateDevicePages(machine, src, dst, 1);
    assert.equal(src[0], 0);
  });
});

describe("a migration that was not set up", () => {
  test("moves nothing and finishes nothing", () => {
    const args = new MigrateVma(4);
    migrateVmaPages(args);
    migrateVmaFinalize(args);
    assert.deepEqual([...args.src], [0, 0, 0, 0]);
  });
});
