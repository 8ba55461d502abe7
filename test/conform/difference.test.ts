// A trace that says anything else than what the engine does is reported: the operation, field, page and both answers.

import assert from "node:assert/strict";
import { basename } from "node:path";
import { test, type TestContext } from "node:test";
import { conform } from "../../src/cli/conform/conform.js";
import { describe } from "../../src/cli/conform/difference.js";
import { linesOf, recorded, trace, written } from "./traces.js";

interface State {
  pm: string;
  [view: string]: string;
}
interface Line {
  op: string;
  rc: number | string;
  i: number;
  [field: string]: unknown;
  state?: State[];
}

/** Runs whose state is run-length coded, and the others. */
const [coded, plain] = [true, false].map((huge) => recorded.filter((file) => basename(file).startsWith("H") === huge));

/** The first operation of any of the recorded runs that `suits`, with its file and its number. */
function find(
  suits: (line: Line) => boolean,
  files: readonly string[],
): { lines: string[]; operation: number; line: Line } {
  for (const file of files) {
    const lines = linesOf(file);
    const operation = lines.findIndex((line, index) => index > 0 && suits(JSON.parse(line) as Line));
    if (operation > 0) return { lines, operation, line: JSON.parse(lines[operation]) as Line };
  }
  assert.fail("no recorded operation is like that");
}

/** Replays the recorded run with the operation that `suits` altered, and expects a difference there and only there. */
async function altered(t: TestContext, suits: (line: Line) => boolean, alter: (line: Line) => void, files = plain) {
  const { lines, operation, line } = find(suits, files);
  alter(line);
  const file = written(t, lines.with(operation, JSON.stringify(line)).join("\n"));
  const { first, identical, operations } = await conform(file);
  assert.ok(first !== null);
  assert.equal(first.operation, operation);
  assert.equal(identical, operation - 1);
  assert.equal(operations, lines.length - 1);
  assert.match(first.where, new RegExp(`^operation ${operation} \\(${line.op} `));
  const { field, process, page, expected, got } = first;
  return { line, difference: { field, process, page, expected, got } };
}

/** Pages of the first recorded run without huge pages. */
function recordedPages(): number {
  return (JSON.parse(linesOf(plain[0])[0]) as { pages: number }).pages;
}

const afterwards = (line: Line) => line.state !== undefined;

test("an altered return code is reported", async (t) => {
  const { difference } = await altered(
    t,
    ({ op, rc }) => op === "to_dev" && rc === -2,
    (line) => (line.rc = -22),
  );
  assert.deepEqual(difference, { field: "rc", process: null, page: null, expected: "-22", got: "-2" });
});

test("an altered signal is reported", async (t) => {
  const { difference } = await altered(
    t,
    ({ op, rc }) => op === "store" && rc === "SIGSEGV",
    (line) => (line.rc = "SIGBUS"),
  );
  assert.deepEqual(difference, { field: "rc", process: null, page: null, expected: "SIGBUS", got: "SIGSEGV" });
});

test("an altered value that the CPU loaded is reported", async (t) => {
  const { difference } = await altered(
    t,
    ({ op, value }) => op === "load" && value === 2,
    (line) => (line["value"] = 3),
  );
  assert.deepEqual(difference, { field: "value", process: null, page: null, expected: "3", got: "2" });
});

for (const field of ["cpages", "faults"]) {
  test(`an altered count of ${field} is reported`, async (t) => {
    const { line, difference } = await altered(
      t,
      (candidate) => candidate.op === "dev_read" && candidate[field] === 1,
      (candidate) => (candidate[field] = 7),
    );
    assert.equal(line[field], 7);
    assert.deepEqual(difference, { field, process: null, page: null, expected: "7", got: "1" });
  });
}

test("an answer that is missing is reported", async (t) => {
  const { difference } = await altered(
    t,
    ({ op, cpages }) => op === "to_sys" && cpages === 2,
    (line) => delete line["cpages"],
  );
  assert.deepEqual(difference, { field: "cpages", process: null, page: null, expected: "nothing", got: "2" });
});

test("an altered value that a device read is reported with its page", async (t) => {
  const { line, difference } = await altered(
    t,
    ({ op, values }) => op === "dev_read" && Array.isArray(values) && values.length === 3,
    ({ values }) => ((values as number[])[1] += 1000),
  );
  const [, wanted] = line["values"] as number[];
  const found = String(wanted - 1000);
  assert.deepEqual(difference, {
    field: "values",
    process: null,
    page: line.i + 1,
    expected: String(wanted),
    got: found,
  });
});

test("an altered page map is reported with process and page", async (t) => {
  const { difference } = await altered(
    t,
    ({ op, state }) => op === "store" && state?.[0]?.pm.slice(12, 15) === "103",
    ({ state }) => {
      const [process] = state as [State];
      process.pm = `${process.pm.slice(0, 12)}083${process.pm.slice(15)}`;
    },
  );
  assert.deepEqual(difference, { field: "pm", process: 0, page: 4, expected: "083", got: "103" });
});

test("an altered view of a device is reported with the device and the page", async (t) => {
  const { difference } = await altered(
    t,
    ({ op, state }) => op === "to_dev" && state?.[0]?.["d3"]?.slice(10, 12) === "52",
    ({ state }) => {
      const [process] = state as [State];
      process["d3"] = `${process["d3"].slice(0, 10)}51${process["d3"].slice(12)}`;
    },
  );
  assert.deepEqual(difference, { field: "d3", process: 0, page: 5, expected: "51", got: "52" });
});

test("a page too few in the state is reported", async (t) => {
  let last = "";
  const { difference } = await altered(t, afterwards, ({ state }) => {
    const [process] = state as [State];
    last = process.pm.slice(-3);
    process.pm = process.pm.slice(0, -3);
  });
  const page = recordedPages() - 1;
  assert.deepEqual(difference, { field: "pm", process: 0, page, expected: "nothing", got: last });
});

test("a process that should live, or should not, is reported", async (t) => {
  const missing = await altered(t, afterwards, (line) => (line.state = []));
  assert.deepEqual(missing.difference, { field: "process", process: null, page: null, expected: "nothing", got: "0" });
  const surplus = await altered(t, afterwards, ({ state }) => state?.push({ ...state[0], p: 1 as unknown as string }));
  assert.deepEqual(surplus.difference, { field: "process", process: null, page: null, expected: "1", got: "nothing" });
});

test("a difference is described in one line", () => {
  const inState = { field: "d2", process: 1, page: 6, expected: "42", got: "52" };
  assert.equal(describe(inState), "d2, process 1, page 6: expected 42, got 52");
  const inResults = { field: "rc", process: null, page: null, expected: "-2", got: "0" };
  assert.equal(describe(inResults), "rc: expected -2, got 0");
});

test("an operation of a process that does not live is a difference, which says so", async (t) => {
  const load = { op: "load", p: 0, i: 0, rc: 0, value: 0 };
  for (const [operation, text] of [[{ ...load, p: 1 }, "process 1 does not live"]] as const) {
    const { first, identical, operations } = await conform(written(t, trace(load, operation, load)));
    assert.ok(first !== null);
    assert.equal(first.operation, 2);
    assert.equal(describe(first), text);
    assert.deepEqual([identical, operations], [1, 3]);
  }
});

test("in a run-length coded state the page is named as well", async (t) => {
  const { difference } = await altered(
    t,
    ({ state }) => state?.[0].pm.startsWith("512*103,") === true,
    ({ state }) => {
      const [process] = state as [State];
      process.pm = process.pm.replace("512*103", "100*103,1*083,411*103");
    },
    coded,
  );
  assert.deepEqual(difference, { field: "pm", process: 0, page: 100, expected: "083", got: "103" });
});

test("a repeated header, as a fork of the recorder leaves it, is no operation", async (t) => {
  const [file] = recorded;
  const lines = linesOf(file);
  const repeated = written(t, lines.toSpliced(5, 0, lines[0]).join("\n"), basename(file));
  assert.deepEqual(await conform(repeated), { operations: lines.length - 1, identical: lines.length - 1, first: null });
});
