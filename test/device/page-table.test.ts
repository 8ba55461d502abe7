// A device's page table against a plain map, and the notifier that keeps it right.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DevicePageTable } from "../../src/device/page-table.js";
import { ADDRESS_SPACE_PAGES } from "../../src/mm/table/page-table.js";
import { createMachine } from "../builders.js";
import { between, withSeeds } from "../unified/random-operands.js";

const owner = {};

test("lookups agree with a plain map, whatever is set and cleared", async (t) => {
  await withSeeds(t, 60, (random) => {
    const { machine } = createMachine();
    const table = new DevicePageTable(machine.createAddressSpace(), owner);
    const entries = new Map<number, { frame: number; writable: boolean }>();
    const somePage = (): number => between(random, 0, 1600);
    for (let step = 0; step < 400; step++) {
      if (random() < 0.75) {
        const page = somePage();
        const entry = { frame: between(random, 0, (1 << 24) - 1), writable: random() < 0.5 };
        table.set(page, entry.frame, entry.writable);
        entries.set(page, entry);
      } else {
        const start = somePage();
        const end = start + between(random, 1, random() < 0.2 ? 1200 : 20);
        table.clear(start, end);
        for (let page = start; page < end; page++) entries.delete(page);
      }
    }
    for (let page = 0; page < 2800; page++) {
      const entry = entries.get(page);
      assert.equal(table.lookup(page, false), entry?.frame ?? -1);
      assert.equal(table.lookup(page, true), entry?.writable === true ? entry.frame : -1);
    }
  });
});

test("an invalidation takes the entries of its range, except for the device's own migrations", () => {
  const { machine } = createMachine();
  const mm = machine.createAddressSpace();
  const table = new DevicePageTable(mm, owner);
  const sequence = mm.notifiers.readBegin(table);
  for (let page = 0; page < 6; page++) table.set(page, 100 + page, true);
  mm.notifiers.notify("migrate", 0, 6, owner);
  assert.equal(table.lookup(0, true), 100);
  assert.ok(mm.notifiers.readRetry(table, sequence), "also after a migration of its own, what was seen before is void");
  mm.notifiers.notify("migrate", 0, 2, {});
  mm.notifiers.notify("clear", 4, 5, owner);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((page) => table.lookup(page, false)),
    [-1, -1, 102, 103, -1, 105],
  );
  assert.ok(mm.notifiers.readRetry(table, sequence));
});

test("a table takes memory only for the blocks that it has entries in", () => {
  const { machine } = createMachine();
  const table = new DevicePageTable(machine.createAddressSpace(), owner);
  assert.equal(table.byteLength, 0);
  table.clear(0, ADDRESS_SPACE_PAGES);
  assert.equal(table.byteLength, 0);
  table.set(5, 1, false);
  table.set(511, 1, false);
  assert.equal(table.byteLength, 2048);
  table.set(70_000, 1, false);
  assert.equal(table.byteLength, 4096);
});

test("a closed table hears nothing more", () => {
  const { machine } = createMachine();
  const mm = machine.createAddressSpace();
  const table = new DevicePageTable(mm, owner);
  assert.equal(mm.notifiers.count, 1);
  table.close();
  assert.equal(mm.notifiers.count, 0);
});
