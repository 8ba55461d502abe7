// MMU notifiers: who hears of what, how a sequence tells that something changed, and what a callback must not do.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InvariantError } from "../../../src/mm/errors.js";
import { handleFault } from "../../../src/mm/fault/fault.js";
import { exitAddressSpace, mmap, munmap } from "../../../src/mm/space/mapping.js";
import {
  assertNotInCallback,
  type Invalidation,
  type MmuInterval,
  MmuNotifiers,
} from "../../../src/mm/space/notifier.js";
import { migrateDeviceRange } from "../../../src/migrate/device-range.js";
import { MIGRATE_VMA_SELECT_SYSTEM } from "../../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../../src/migrate/finalize.js";
import { migrateVmaPages } from "../../../src/migrate/pages.js";
import { migrateVmaSetup } from "../../../src/migrate/setup.js";
import { createMachine, mapPages, migration, PAGE, store } from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

function interval(start: number, end: number, invalidate: (what: Readonly<Invalidation>) => boolean): MmuInterval {
  return { start, end, invalidate };
}

describe("a notifier", () => {
  test("hears of what meets its interval, and of nothing else", () => {
    const notifiers = new MmuNotifiers();
    const heard: [number, number][] = [];
    notifiers.register(
      interval(10, 20, ({ start, end }) => {
        heard.push([start, end]);
        return true;
      }),
    );
    for (const [start, end] of [
      [0, 10],
      [20, 30],
      [0, 11],
      [19, 20],
      [12, 13],
      [0, 100],
    ] as const) {
      notifiers.notify("clear", start, end, null);
    }
    assert.deepEqual(heard, [
      [0, 11],
      [19, 20],
      [12, 13],
      [0, 100],
    ]);
  });

  test("is told what happens, where, and whose it is", () => {
    const notifiers = new MmuNotifiers();
    const owner = {};
    const heard: Invalidation[] = [];
    notifiers.register(interval(0, 10, (what) => heard.push({ ...what }) > 0));
    notifiers.notify("migrate", 3, 5, owner);
    assert.deepEqual(heard, [{ event: "migrate", start: 3, end: 5, owner }]);
  });

  test("hears nothing once it is unregistered", () => {
    const notifiers = new MmuNotifiers();
    let heard = 0;
    const one = interval(0, 10, () => heard++ >= 0);
    notifiers.register(one);
    assert.equal(notifiers.count, 1);
    notifiers.unregister(one);
    notifiers.unregister(one);
    notifiers.notify("clear", 0, 10, null);
    assert.equal(heard, 0);
    assert.equal(notifiers.count, 0);
  });

  test("has a sequence that an invalidation moves on, and no other does", () => {
    const notifiers = new MmuNotifiers();
    const one = interval(0, 10, () => true);
    const other = interval(10, 20, () => true);
    notifiers.register(one);
    notifiers.register(other);
    const [seenOne, seenOther] = [notifiers.readBegin(one), notifiers.readBegin(other)];
    assert.equal(notifiers.readRetry(one, seenOne), false);
    notifiers.notify("clear", 0, 10, null);
    assert.equal(notifiers.readRetry(one, seenOne), true);
    assert.equal(notifiers.readRetry(other, seenOther), false);
    assert.equal(notifiers.readRetry(one, notifiers.readBegin(one)), false);
  });

  test("keeps its sequence over an event that it ignores, such as its own migration", () => {
    const notifiers = new MmuNotifiers();
    const owner = {};
    const one = interval(0, 10, (what) => what.owner !== owner);
    notifiers.register(one);
    const seen = notifiers.readBegin(one);
    notifiers.notify("migrate", 0, 10, owner);
    assert.equal(notifiers.readRetry(one, seen), false);
    notifiers.notify("migrate", 0, 10, {});
    assert.equal(notifiers.readRetry(one, seen), true);
  });

  test("cannot be asked for a sequence before it is registered", () => {
    const notifiers = new MmuNotifiers();
    assert.throws(() => notifiers.readBegin(interval(0, 1, () => true)), InvariantError);
  });
});

describe("a callback of a notifier", () => {
  test("has run when the operation that it hears of goes on: the entries are still there", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 1);
    let entry = 0;
    mm.notifiers.register(
      interval(page, page + 1, () => {
        entry = mm.pageTable.read(page);
        return true;
      }),
    );
    await munmap(mm, page * PAGE, PAGE);
    assert.notEqual(entry, 0);
    assert.equal(mm.pageTable.read(page), 0);
  });

  test("may not call back into the engine", async () => {
    const { machine } = createMachine();
    const device = new TestDevice(machine, "private", 1);
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 2);
    await store(mm, page, 1);
    const args = migration(mm, page, 1, { flags: MIGRATE_VMA_SELECT_SYSTEM });
    const errors: unknown[] = [];
    const calls: (() => unknown)[] = [
      () => handleFault(mm, page + 1, 0),
      () => migrateVmaSetup(args),
      () => migrateVmaPages(args),
      () => migrateVmaFinalize(args),
      () => migrateDeviceRange(machine, new Int32Array(1), device.zone.first, 1),
    ];
    const later: Promise<unknown>[] = [];
    mm.notifiers.register(
      interval(0, page + 1, () => {
        for (const call of calls) {
          try {
            call();
          } catch (error) {
            errors.push(error);
          }
        }
        later.push(mmap(mm, { length: PAGE }), munmap(mm, page * PAGE, PAGE), exitAddressSpace(mm));
        return true;
      }),
    );
    await munmap(mm, page * PAGE, PAGE);
    for (const outcome of await Promise.allSettled(later)) {
      if (outcome.status === "rejected") errors.push(outcome.reason);
    }
    assert.equal(errors.length, calls.length + 3);
    for (const error of errors) assert.ok(error instanceof InvariantError, String(error));
    checkInvariants(machine);
  });

  test("that fails does not leave the engine believing that a callback runs", () => {
    const notifiers = new MmuNotifiers();
    notifiers.register(
      interval(0, 1, () => {
        throw new Error("broken driver");
      }),
    );
    assert.throws(() => notifiers.notify("clear", 0, 1, null), /broken driver/);
    assertNotInCallback();
  });
});

describe("page_free", () => {
  test("may not call back into the engine either, and is told each frame once", async () => {
    const { machine } = createMachine();
    const errors: unknown[] = [];
    const freed: number[] = [];
    const zone = machine.addDeviceMemory("private", 1, null, {
      owner: {},
      ops: {
        pageFree: (frame) => {
          freed.push(frame);
          try {
            migrateDeviceRange(machine, new Int32Array(1), frame, 1);
          } catch (error) {
            errors.push(error);
          }
        },
        migrateToRam: () => Promise.resolve(),
      },
    });
    machine.frames.get(zone.first);
    machine.put(zone.first);
    assert.deepEqual(freed, [zone.first]);
    assert.ok(errors[0] instanceof InvariantError);
    assertNotInCallback();
  });
});

describe("a listener of an address space", () => {
  test("hears nothing of another address space", async () => {
    const { machine } = createMachine();
    const [mm, other] = [machine.createAddressSpace(), machine.createAddressSpace()];
    const listener = new Listener(mm);
    const page = await mapPages(other, 1);
    await store(other, page, 1);
    await munmap(other, page * PAGE, PAGE);
    assert.deepEqual(listener.take(), []);
  });
});
