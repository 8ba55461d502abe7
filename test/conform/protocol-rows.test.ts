// Every case of the protocol occurs: in the recorded runs of Linux, or else in a test of its own.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { absentRows, type ProtocolRow, protocolRows } from "./protocol-rows.js";
import { countBlocks, type Counts, occurrencesOf } from "./reached-places.js";
import { recorded } from "./traces.js";

test("each case of the protocol has its place in the compiled sources", () => {
  const missing = protocolRows.flatMap(({ source, at }) => {
    const places = typeof at === "string" ? [at] : [...at.of, ...at.without];
    return places.filter((place) => occurrencesOf(source, place) !== 1).map((place) => `${source}: ${place}`);
  });
  assert.deepEqual(missing, []);
});

describe("the cases of the protocol", () => {
  let runs: Counts;
  let reached: number[];

  before(async () => {
    runs = await countBlocks(["src/cli/main.js", "conform", ...recorded]);
    reached = protocolRows.map(({ source, at }) => runs.of(source, at));
  });

  test("are counted over all recorded runs", (t) => {
    assert.equal(runs.code, 0, runs.output);
    for (const [i, { table, row, test: own }] of protocolRows.entries()) {
      assert.ok(reached[i] >= 0, `${table}: ${row}: ${reached[i]}`);
      const elsewhere = own === null ? "" : `; ${own.file}: ${own.name}`;
      t.diagnostic(line(table, row, reached[i] > 0 ? String(reached[i]) : `0${elsewhere}`));
    }
    for (const { table, row, reason } of absentRows) t.diagnostic(line(table, row, `-; ${reason}`));
    const occurring = reached.filter((count) => count > 0).length;
    const occurrences = reached.reduce((total, count) => total + count, 0);
    t.diagnostic(
      `${occurring} of ${protocolRows.length} cases occur in ${recorded.length} recorded runs, ${occurrences} times; ` +
        `${protocolRows.length - occurring} have a test of their own; ${absentRows.length} have no occasion`,
    );
  });

  test("that no recorded run has are each reached by a test", { concurrency: 2 }, async (t) => {
    for (const [i, row] of protocolRows.entries()) {
      if (reached[i] === 0) assert.notEqual(row.test, null, `no test reaches "${row.table}: ${row.row}"`);
    }
    const tested = protocolRows.filter((row) => row.test !== null);
    await Promise.all(tested.map((row) => t.test(`${row.table}: ${row.row}`, () => isReachedByItsTest(row))));
  });
});

async function isReachedByItsTest({ source, at, test: own }: ProtocolRow): Promise<void> {
  assert.ok(own !== null);
  const name = own.name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  const counts = await countBlocks([`--test-name-pattern=${name}$`, `test/${own.file}`]);
  assert.equal(counts.code, 0, counts.output);
  assert.ok(counts.of(source, at) > 0, `"${own.name}" of ${own.file} does not reach it`);
}

function line(table: string, row: string, count: string): string {
  return `${`${table}: ${row}`.padEnd(88)} ${count}`;
}
