import assert from "node:assert/strict";
import { test } from "node:test";
import { readVectorHeader } from "../../../examples/word-vectors/npy.js";
import { writeNpyHeader } from "../../../src/npy/index.js";

function npy(version: number, text: string): Uint8Array {
  const long = version > 1;
  const bytes = Buffer.alloc((long ? 12 : 10) + text.length);
  bytes.set([0x93, ...Buffer.from("NUMPY"), version, 0]);
  if (long) bytes.writeUInt32LE(text.length, 8);
  else bytes.writeUInt16LE(text.length, 8);
  bytes.write(text, long ? 12 : 10, "latin1");
  return bytes;
}

const dictionary = (descr: string, order = "False", shape = "(3, 5)"): string =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }   \n`;

test("a header that was written is read again, and the numbers start at a multiple of 64", () => {
  for (const [rows, dimensions] of [
    [341_479, 100],
    [1, 1],
    [2 ** 31, 65_536],
  ] as const) {
    const header = writeNpyHeader("f32", [rows, dimensions]);
    assert.equal(header.length % 64, 0);
    assert.equal(header.at(-1), 0x0a);
    assert.deepEqual(readVectorHeader(header, "v.npy"), { rows, dimensions, dataOffset: header.length });
  }
});

test("versions 1, 2 and 3 are read, with either kind of quotes and spaces anywhere", () => {
  for (const version of [1, 2, 3]) {
    const text = `{"fortran_order" :False, "shape":( 3 ,5 ), "descr": "<f4"}\n`;
    assert.deepEqual(readVectorHeader(npy(version, text), "v.npy"), {
      rows: 3,
      dimensions: 5,
      dataOffset: (version === 1 ? 10 : 12) + text.length,
    });
  }
});

const refusals: readonly (readonly [what: string, bytes: Uint8Array, message: RegExp])[] = [
  ["big endian", npy(1, dictionary("'>f4'")), /elements are big-endian f32; little-endian float32/],
  ["float64", npy(1, dictionary("'<f8'")), /elements are f64; little-endian float32/],
  ["float16", npy(1, dictionary("'<f2'")), /elements of type '<f2'/],
  ["int8", npy(1, dictionary("'|i1'")), /elements are i8;/],
  ["structured", npy(1, dictionary("[('x', '<f4')]")), /elements of a structured type, with the fields x/],
  ["strings", npy(1, dictionary("'<U5'")), /elements of type '<U5'/],
  ["Fortran order", npy(1, dictionary("'<f4'", "True")), /Fortran order/],
  ["one dimension", npy(1, dictionary("'<f4'", "False", "(15,)")), /1 dimensions, shape \(15\); 2 are needed/],
  ["three dimensions", npy(1, dictionary("'<f4'", "False", "(3, 5, 2)")), /3 dimensions, shape \(3, 5, 2\)/],
  ["no words", npy(1, dictionary("'<f4'", "False", "(0, 300)")), /shape \(0, 300\), 0 elements/],
  ["no shape", npy(1, "{'descr': '<f4', 'fortran_order': False}"), /no shape/],
  ["no type", npy(1, "{'fortran_order': False, 'shape': (3, 5)}"), /no type/],
  ["no order", npy(1, "{'descr': '<f4', 'shape': (3, 5)}"), /Fortran's/],
  ["version 4", npy(4, dictionary("'<f4'")), /version 4; versions 1 to 3/],
  ["version 0", npy(0, dictionary("'<f4'")), /version 0; versions 1 to 3/],
  ["other files", Buffer.from("the 0.418 0.24968"), /does not begin with \\x93NUMPY/],
  [
    "a header cut off in its text",
    npy(1, dictionary("'<f4'")).subarray(0, 40),
    /cut off inside the .npy header: there are 40 bytes/,
  ],
  [
    "a header cut off in its length",
    npy(2, dictionary("'<f4'")).subarray(0, 10),
    /cut off inside the .npy header: there are 10 bytes/,
  ],
  ["a header without end", npy(2, " ".repeat(70_000)), /has a header of 70012 bytes; at most 65536/],
];

for (const [what, bytes, message] of refusals) {
  test(`${what}: refused by name`, () => {
    assert.throws(() => readVectorHeader(bytes, "v.npy"), { code: "EINVAL", message });
  });
}
