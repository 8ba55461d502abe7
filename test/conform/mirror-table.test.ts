// The recording driver's page table, quirk included.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MirrorTable } from "../../src/cli/conform/mirror-table.js";

const owner = {};

function filled(): MirrorTable {
  const table = new MirrorTable(owner, 100, 6);
  for (let page = 100; page < 106; page++) table.enter(page, page * 2, page % 2 === 0);
  return table;
}

const present = (table: MirrorTable) => [100, 101, 102, 103, 104, 105].filter((page) => table.frame(page, false) >= 0);

test("an entry gives its frame for a read, and for a write only when it is writable", () => {
  const table = filled();
  assert.deepEqual([table.frame(102, false), table.frame(102, true)], [204, 204]);
  assert.deepEqual([table.frame(103, false), table.frame(103, true)], [206, -1]);
  table.enter(103, 0, false);
  assert.deepEqual([table.frame(103, false), table.frame(103, true)], [0, -1]);
  table.remove(102);
  assert.equal(table.frame(102, false), -1);
});

test("an invalidation clears its range and one page more", () => {
  const table = filled();
  assert.equal(table.invalidate({ event: "clear", start: 101, end: 103, owner: null }), true);
  assert.deepEqual(present(table), [100, 104, 105]);
});

test("an invalidation that begins or ends outside the mapping clears what lies inside", () => {
  const table = filled();
  table.invalidate({ event: "unmap", start: 0, end: 99, owner: null });
  assert.deepEqual(present(table), [100, 101, 102, 103, 104, 105]);
  table.invalidate({ event: "unmap", start: 0, end: 100, owner: null });
  assert.deepEqual(present(table), [101, 102, 103, 104, 105]);
  table.invalidate({ event: "unmap", start: 104, end: 1000, owner: null });
  assert.deepEqual(present(table), [101, 102, 103]);
});

test("the device's own migrations are left alone, other events and other owners are not", () => {
  const table = filled();
  assert.equal(table.invalidate({ event: "migrate", start: 100, end: 106, owner }), false);
  assert.equal(present(table).length, 6);
  assert.equal(table.invalidate({ event: "exclusive", start: 100, end: 101, owner }), true);
  assert.equal(table.invalidate({ event: "migrate", start: 104, end: 105, owner: {} }), true);
  assert.deepEqual(present(table), [102, 103]);
});
