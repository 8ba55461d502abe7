// Assertions on a page give the verdict that Node's own give: on made values, on errors of every kind, on what is expected of
// them.

import nodeAssert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { setting } from "../setting.js";
import pageAssert from "./page/assert-strict.js";

const SEED = Number(setting("SEED") ?? Date.now() % 1e9);

/** Does an assertion of these modules pass? */
function passes(act: (assert: typeof nodeAssert) => void): { node: boolean; page: boolean } {
  const verdict = (assert: unknown): boolean => {
    try {
      act(assert as typeof nodeAssert);
      return true;
    } catch (error) {
      nodeAssert.equal((error as { code?: string }).code, "ERR_ASSERTION", String(error));
      return false;
    }
  };
  return { node: verdict(nodeAssert), page: verdict(pageAssert) };
}

function agree(what: string, act: (assert: typeof nodeAssert) => void): void {
  const { node, page } = passes(act);
  nodeAssert.equal(page, node, `${what}: Node ${node ? "passes" : "fails"} it, the page does not`);
}

class Point {
  readonly x: number;
  constructor(x: number) {
    this.x = x;
  }
}

const circular: unknown[] = [];
circular.push(circular);
const circularToo: unknown[] = [];
circularToo.push(circularToo);
const symbol = Symbol("s");

/** Values that are the same or differ in one thing. */
const VALUES: readonly unknown[] = [
  0,
  -0,
  Number.NaN,
  1,
  1n,
  "1",
  null,
  undefined,
  true,
  symbol,
  [],
  {},
  [undefined],
  Array<undefined>(1),
  [0],
  [-0],
  { a: undefined },
  { a: 1, b: 2 },
  { b: 2, a: 1 },
  { a: 1, [symbol]: 2 },
  Object.create(null),
  new Point(1),
  { x: 1 },
  Object.assign([1, 2], { extra: true }),
  [1, 2],
  Uint8Array.of(1, 2),
  Uint8ClampedArray.of(1, 2),
  Uint8Array.of(0, 1, 2).subarray(1),
  Float32Array.of(Number.NaN),
  Float32Array.of(0),
  Float32Array.of(-0),
  BigInt64Array.of(1n),
  new DataView(Uint8Array.of(1, 2).buffer),
  Uint8Array.of(1, 2).buffer,
  Uint8Array.of(1, 3).buffer,
  new SharedArrayBuffer(2),
  new SharedArrayBuffer(3),
  new Map([[1, { a: 1 }]]),
  new Map([[1, { a: 2 }]]),
  new Map([[{ k: 1 }, "v"]]),
  new Map([[{ k: 1 }, "w"]]),
  new Set([1, { a: 1 }]),
  new Set([{ a: 1 }, 1]),
  new Set([{ a: 2 }, 1]),
  new Date(5),
  new Date(6),
  new Date(Number.NaN),
  /a/g,
  /a/i,
  new Error("no"),
  new Error("yes"),
  new TypeError("no"),
  new Error("no", { cause: 1 }),
  Object.assign(new Error("no"), { code: "EINVAL" }),
  new AggregateError([1], "no"),
  new AggregateError([2], "no"),
  Object(1),
  Object(2),
  Object("1"),
  circular,
  circularToo,
  [circular],
  () => 1,
  new WeakMap(),
  Promise.resolve(1),
];

test("every value is compared with every other as Node compares them", () => {
  for (const left of VALUES) {
    for (const right of VALUES) {
      for (const name of ["equal", "notEqual", "deepEqual", "notDeepEqual"] as const) {
        agree(`${name} of ${String(typeof left)} and ${String(typeof right)}`, (assert) => assert[name](left, right));
      }
    }
  }
});

test("made values, and copies of them, are compared as Node compares them", () => {
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withNullPrototype: true,
    withBoxedValues: true,
    maxDepth: 3,
  });
  fc.assert(
    fc.property(anything, anything, (left, right) => {
      agree("deepEqual", (assert) => assert.deepEqual(left, right));
      const copy: unknown = structuredClone(left);
      agree("deepEqual with a copy", (assert) => assert.deepEqual(left, copy));
      agree("deepEqual within a set", (assert) => assert.deepEqual(new Set([left, right]), new Set([right, copy])));
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

test("texts are matched, and values found true, as Node does", () => {
  for (const value of VALUES) {
    agree("ok", (assert) => assert.ok(value));
    agree("match", (assert) => assert.match(value as string, /1/));
    agree("doesNotMatch", (assert) => assert.doesNotMatch(value as string, /1/));
  }
  agree("fail", (assert) => assert.fail("no"));
});

const THROWN: readonly unknown[] = [
  new Error("no"),
  new TypeError("no"),
  new RangeError("no way"),
  Object.assign(new Error("no"), { code: "EINVAL" }),
  "no",
  { message: "no" },
];
const EXPECTED: readonly unknown[] = [
  undefined,
  /no$/,
  /^TypeError/,
  Error,
  TypeError,
  new Error("no"),
  new TypeError("no"),
  { message: "no" },
  { message: /way/ },
  { code: "EINVAL", message: /^n/ },
  (error: unknown) => error instanceof RangeError,
  () => "true",
];

/** What an assertion of this module ends with: nothing, a refusal, or what was thrown itself. */
async function outcome(act: (assert: typeof nodeAssert) => unknown, assert: unknown): Promise<unknown> {
  try {
    await act(assert as typeof nodeAssert);
    return "passes";
  } catch (error) {
    return (error as { code?: string } | null)?.code === "ERR_ASSERTION" ? "refuses" : error;
  }
}

test("what is thrown and rejected is judged as Node judges it, by pattern, class, example and function", async () => {
  for (const thrown of [...THROWN, null]) {
    for (const expected of EXPECTED) {
      const act = (): void => {
        // oxlint-disable-next-line only-throw-error -- whatever a program may throw
        if (thrown !== null) throw thrown;
      };
      for (const how of [
        (assert: typeof nodeAssert) => assert.throws(act, expected as RegExp),
        (assert: typeof nodeAssert) => assert.rejects(async () => act(), expected as RegExp),
        (assert: typeof nodeAssert) => assert.rejects(Promise.resolve().then(act), expected as RegExp),
      ]) {
        const node = await outcome(how, nodeAssert);
        const page = await outcome(how, pageAssert);
        nodeAssert.equal(page, node, `${String(thrown)}, expected ${String(expected)}`);
      }
    }
  }
});

test("a message that is given is said, and an error that is given is thrown", () => {
  const own = new Error("mine");
  for (const assert of [nodeAssert, pageAssert]) {
    nodeAssert.throws(() => assert.equal(1, 2, "sums"), /sums/);
    nodeAssert.throws(() => assert.ok(false, own), own);
  }
  nodeAssert.throws(
    () => pageAssert.deepEqual({ a: [1] }, { a: [2] }),
    /expected\n {2}\{a: \[2\]\}\ngot\n {2}\{a: \[1\]\}/,
  );
});
