import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MemberSplitter } from "../../../examples/word-vectors/member-splitter.js";

/** All members, by the name of the object they are within ("" for the outermost), in order. */
function split(text: string, lengths: readonly number[]): Record<string, unknown[]> {
  const splitter = new MemberSplitter();
  const found: Record<string, unknown[]> = {};
  const bytes = Buffer.from(text);
  for (let start = 0, i = 0; start < bytes.length; i++) {
    const end = start + lengths[i % lengths.length];
    for (const { within, list } of splitter.push(Buffer.from(bytes.subarray(start, end))))
      (found[within ?? ""] ??= []).push(...list);
    start = end;
  }
  splitter.end();
  return found;
}

test("members of the outermost object, and of the objects in it, come as names and values in turn", () => {
  const text = '{"a":1,"b":["x",{"y":2}],"rows":{"k":[1,2],"l":[3]},"c":null}';
  for (const length of [1, 2, 3, 5, 1000]) {
    assert.deepEqual(split(text, [length]), {
      "": ["a", 1, "b", ["x", { y: 2 }], "c", null],
      rows: ["k", [1, 2], "l", [3]],
    });
  }
});

test("no name is reordered, merged or special", () => {
  const text = '{"rows":{"b":1,"7":2,"__proto__":3,"7":4,"]":5,"}":6,"\\"":7,"\\\\":8,",":9,":":10}}';
  assert.deepEqual(split(text, [1])["rows"], [
    "b",
    1,
    "7",
    2,
    "__proto__",
    3,
    "7",
    4,
    "]",
    5,
    "}",
    6,
    '"',
    7,
    "\\",
    8,
    ",",
    9,
    ":",
    10,
  ]);
});

test("whitespace between members makes no difference", () => {
  assert.deepEqual(split(' {\n "a" : 1 ,\n "rows" : { "k" : [ 1 , 2 ] , "l" : "," } ,\n "b" : 2 }\n', [4]), {
    "": ["a", 1, "b", 2],
    rows: ["k", [1, 2], "l", ","],
  });
});

test("any object of any strings comes out as it went in, cut anywhere", () => {
  const rows = fc.array(
    fc.tuple(
      fc.string({ unit: "binary" }),
      fc.array(
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (Object.is(n, -0) ? 0 : n)),
        { maxLength: 4 },
      ),
    ),
  );
  fc.assert(
    fc.property(rows, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }), (records, lengths) => {
      const members = records.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",");
      const found = split(`{"size":${records.length},"rows":{${members}},"end":"}"}`, lengths);
      assert.deepEqual(found[""], ["size", records.length, "end", "}"]);
      assert.deepEqual(
        found["rows"] ?? [],
        records.flat(1).map((part) => (typeof part === "string" ? toWellFormed(part) : part)),
      );
    }),
  );
});

/** UTF-8 has no lone surrogates; JSON.stringify escapes them, so they survive. */
function toWellFormed(text: string): string {
  return JSON.parse(JSON.stringify(text)) as string;
}

test("a text that stops early is an error, wherever it stops", () => {
  const text = '{"a":1,"rows":{"k":[1,2],"l":[3]},"c":"x"}';
  for (let length = 1; length < text.length; length++) {
    assert.throws(() => split(text.slice(0, length), [7]), {
      code: "EBADMSG",
      message: `the JSON is cut off after ${length} bytes`,
    });
  }
});

test("a text that is not JSON is an error that says where", () => {
  assert.throws(() => split('{"rows":{"k":[1,2,x],"l":[3]}}', [1000]), {
    code: "EBADMSG",
    message: /^not JSON near byte /,
  });
  assert.throws(() => split('{"rows":{"k" [1,2],"l":[3]}}', [1000]), {
    code: "EBADMSG",
    message: /^not JSON near byte /,
  });
});
