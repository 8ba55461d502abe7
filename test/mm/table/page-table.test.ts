// Page tables: three levels that grow where they are written, and go with their address space.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exitAddressSpace, munmap } from "../../../src/mm/space/mapping.js";
import {
  ADDRESS_SPACE_PAGES,
  CHUNK_SHIFT,
  PageTable,
  TABLE_WORDS,
  TablePool,
} from "../../../src/mm/table/page-table.js";
import { DMA_PIN, tryPinPage } from "../../../src/mm/fault/gup.js";
import { createMachine, mapPages, memoryError, PAGE, store } from "../../builders.js";
import { TestEnvironment } from "../../environments.js";
import { checkInvariants } from "../../invariants.js";

function createTable(): { environment: TestEnvironment; pool: TablePool; table: PageTable } {
  const environment = new TestEnvironment();
  const pool = new TablePool(environment);
  return { environment, pool, table: new PageTable(pool) };
}

describe("a page table", () => {
  test("has no entry anywhere at first, and no table but its root", () => {
    const { pool, table } = createTable();
    for (const page of [0, 1, TABLE_WORDS, ADDRESS_SPACE_PAGES - 1]) {
      assert.equal(table.leaf(page), 0);
      assert.equal(table.read(page), 0);
    }
    assert.equal(pool.used, 1);
  });

  test("keeps the entries of first, last and neighbouring pages apart", () => {
    const { table } = createTable();
    const pages = [0, 1, TABLE_WORDS - 1, TABLE_WORDS, TABLE_WORDS ** 2 - 1, TABLE_WORDS ** 2, ADDRESS_SPACE_PAGES - 1];
    for (const [i, page] of pages.entries()) {
      assert.notEqual(table.ensureLeaf(page), 0);
      assert.equal(table.exchange(page, (i + 1) << 8), 0);
    }
    assert.deepEqual(
      pages.map((page) => table.read(page)),
      pages.map((_, i) => (i + 1) << 8),
    );
  });

  test("gives back what an exchange replaces", () => {
    const { table } = createTable();
    table.ensureLeaf(7);
    table.exchange(7, 0x101);
    assert.equal(table.exchange(7, 0x203), 0x101);
    assert.equal(table.read(7), 0x203);
  });

  test("makes a leaf and a middle table for the first page of a gigabyte, and one leaf for the next block", () => {
    const { pool, table } = createTable();
    table.ensureLeaf(0);
    assert.equal(pool.used, 3);
    table.ensureLeaf(TABLE_WORDS);
    assert.equal(pool.used, 4);
    table.ensureLeaf(TABLE_WORDS + 1);
    assert.equal(pool.used, 4);
  });

  test("lists its tables with the pages that they cover, lower ones first", () => {
    const { table } = createTable();
    table.ensureLeaf(TABLE_WORDS * 3);
    table.ensureLeaf(TABLE_WORDS ** 2 * 2);
    assert.deepEqual(
      [...table.tables()].map(({ level, first }) => [level, first]),
      [
        [0, TABLE_WORDS * 3],
        [1, 0],
        [0, TABLE_WORDS ** 2 * 2],
        [1, TABLE_WORDS ** 2 * 2],
        [2, 0],
      ],
    );
  });

  test("says 0 when a table cannot be allocated, and succeeds when it is tried again", () => {
    const { environment, pool, table } = createTable();
    environment.refuse("table", 1);
    assert.equal(table.ensureLeaf(0), 0);
    assert.equal(table.read(0), 0);
    assert.notEqual(table.ensureLeaf(0), 0);
    assert.equal(pool.used, 3);
  });

  test("gives all its tables back, empty, when it is destroyed", () => {
    const { pool, table } = createTable();
    table.ensureLeaf(5);
    table.exchange(5, 0x301);
    table.destroy();
    assert.equal(pool.used, 0);
    const next = new PageTable(pool);
    next.ensureLeaf(5);
    assert.equal(next.read(5), 0);
  });

  test("finds nothing after it was destroyed, also when another table got its memory", () => {
    const { pool, table } = createTable();
    table.ensureLeaf(5);
    table.destroy();
    const next = new PageTable(pool);
    next.ensureLeaf(5);
    next.exchange(5, 0x301);
    assert.equal(table.read(5), 0);
    assert.deepEqual([...table.tables()], []);
  });

  test("more than one chunk of tables can be in use", () => {
    const { pool, table } = createTable();
    for (let block = 0; block < 300; block++) {
      table.ensureLeaf(block * TABLE_WORDS);
      table.exchange(block * TABLE_WORDS, block << 8);
    }
    assert.ok(pool.chunks.length > 1);
    assert.equal(table.read(299 * TABLE_WORDS), 299 << 8);
    assert.equal(pool.byteLength, (pool.chunks.length << CHUNK_SHIFT) * TABLE_WORDS * 4);
  });
});

describe("the page table of an address space", () => {
  test("cannot be had when the memory for its root is refused, and nothing is left of the address space", () => {
    const { machine, environment } = createMachine();
    environment.refuse("table");
    assert.throws(() => machine.createAddressSpace(), memoryError("ENOMEM", /no page table/));
    assert.equal(machine.addressSpaces.size, 0);
    checkInvariants(machine);
  });

  test("does not lead a late pin to the pages of the process that got its tables", async () => {
    const { machine } = createMachine();
    const gone = machine.createAddressSpace();
    const page = await mapPages(gone, 1);
    await store(gone, page, 1);
    await exitAddressSpace(gone);
    const other = machine.createAddressSpace();
    assert.equal(await mapPages(other, 1), page, "the test needs the same address in both");
    await store(other, page, 2);
    assert.equal(tryPinPage(gone, page, true, DMA_PIN), -1);
    checkInvariants(machine);
  });

  test("is kept, empty, when a mapping goes", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 1);
    const tables = machine.tables.used;
    await munmap(mm, page * PAGE, PAGE);
    assert.equal(machine.tables.used, tables);
    checkInvariants(machine);
  });
});
