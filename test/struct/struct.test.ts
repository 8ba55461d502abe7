// Structures: WGSL's layout, values in and out, and what is refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isElementType, type MemberType } from "../../src/device/element.js";
import { layoutOf } from "../../src/device/layout.js";
import { struct, type Struct } from "../../src/struct/index.js";
import { memoryError } from "../builders.js";
import { between, pick, withSeeds } from "../unified/random-operands.js";

test("members are where the specification of WGSL says in its own example", () => {
  const a = struct({ u: "f32", v: "f32", w: "vec2f", x: "f32" });
  assert.deepEqual(a.offsets, { u: 0, v: 4, w: 8, x: 16 });
  assert.deepEqual([a.align, a.size, a.stride, a.step], [8, 24, 24, 6]);
  const b = struct({ a: "vec2f", b: "vec3f", c: "f32", d: "f32", e: a, f: "vec3f", h: "i32" });
  assert.deepEqual(b.offsets, { a: 0, b: 16, c: 28, d: 32, e: 40, f: 64, h: 76 });
  assert.deepEqual([b.align, b.size, b.stride], [16, 80, 80]);
  assert.equal(String(a), "struct { u: f32, v: f32, w: vec2f, x: f32 }");
});

test("views are of the one type of number that all members have, else of bytes", () => {
  assert.equal(struct({ position: "vec3f", mass: "f32" }).scalar, "f32");
  assert.equal(struct({ a: "vec2i", b: struct({ c: "i32" }) }).scalar, "i32");
  assert.equal(struct({ a: "u32" }).scalar, "u32");
  assert.equal(struct({ a: "u32", b: "f32" }).scalar, "u8");
  assert.equal(struct({ a: "f32", b: struct({ c: "f32", d: "i32" }) }).scalar, "u8");
});

const MEMBER_NAMES = [
  "f32",
  "i32",
  "u32",
  "vec2f",
  "vec3i",
  "vec4u",
  "mat2x3f",
  "mat3x2f",
  "mat3x3f",
  "mat4x4f",
] as const;

type Value = number | readonly number[] | { readonly [name: string]: Value };

function randomStruct(random: () => number, depth = 0): Struct {
  const members: Record<string, MemberType> = {};
  for (let i = between(random, 1, 6); i > 0; i--) {
    members[`m${i}`] = depth < 2 && random() < 0.2 ? randomStruct(random, depth + 1) : pick(random, MEMBER_NAMES);
  }
  return struct(members);
}

function randomValue(random: () => number, type: MemberType): Value {
  if (typeof type !== "string") {
    return Object.fromEntries(
      Object.entries(type.members).map(([name, member]) => [name, randomValue(random, member)]),
    );
  }
  const { scalar, columns, rows } = layoutOf(type);
  const least = scalar === "u32" ? 0 : -1000;
  const numbers = Array.from({ length: columns * rows }, () => between(random, least, 1000));
  return numbers.length === 1 ? (numbers[0] ?? 0) : numbers;
}

/** Every number of a value, with the byte at which WGSL has it: the obvious way. */
function* placesOf(
  type: MemberType,
  value: Value,
  at: number,
): Generator<[at: number, scalar: string, number: number]> {
  if (typeof type !== "string") {
    let end = 0;
    for (const [name, member] of Object.entries(type.members)) {
      const { align, size } = typeof member === "string" ? layoutOf(member) : member;
      while (end % align !== 0) end++;
      yield* placesOf(member, (value as Record<string, Value>)[name] ?? 0, at + end);
      end += size;
    }
    return;
  }
  const { scalar, columns, rows } = layoutOf(type);
  const numbers = (typeof value === "number" ? [value] : value) as readonly number[];
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const columnBytes = rows === 3 ? 16 : rows * 4;
      yield [at + column * columnBytes + row * 4, scalar, numbers[column * rows + row] ?? NaN];
    }
  }
}

/** What the views say of element `index`, in the shape of its value. */
function throughViews(type: Struct, views: object, index: number, step: number): Value {
  const entries = Object.entries(type.members).map(([name, member]): [string, Value] => {
    const view = (views as Record<string, Float32Array>)[name] ?? assert.fail();
    if (typeof member !== "string") return [name, throughViews(member as Struct, view, index, step)];
    const { columns, rows, columnStride } = layoutOf(member);
    const numbers = Array.from({ length: columns * rows }, (_, i) => {
      return view[index * step + (Math.floor(i / rows) * columnStride) / 4 + (i % rows)] ?? NaN;
    });
    return [name, numbers.length === 1 ? (numbers[0] ?? NaN) : numbers];
  });
  return Object.fromEntries(entries);
}

test("any structure's values are where WGSL has them, come out as they went in, and leave padding 0", async (t) => {
  await withSeeds(t, 300, async (random) => {
    const type = randomStruct(random);
    const values = Array.from({ length: between(random, 1, 4) }, () => randomValue(random, type));
    const elements = type.of(...(values as never[]));
    assert.equal(elements.byteLength, values.length * type.stride);
    const expected = new DataView(new ArrayBuffer(elements.byteLength));
    for (const [i, value] of values.entries()) {
      for (const [at, scalar, number] of placesOf(type, value, i * type.stride)) {
        if (scalar === "f32") expected.setFloat32(at, number, true);
        else expected.setInt32(at, number, true);
      }
    }
    assert.deepEqual(new Uint8Array(elements.buffer), new Uint8Array(expected.buffer), String(type));
    const views = type.views(elements);
    for (const [i, value] of values.entries()) {
      assert.deepEqual(type.at(elements, i), value);
      assert.deepEqual(throughViews(type, views, i, type.step), value);
    }
  });
});

test("a structured clone of a structure is an element type with the same layout", () => {
  const particle = struct({ position: "vec3f", mass: "f32" });
  const clone = structuredClone(particle);
  assert.ok(isElementType(clone));
  assert.deepEqual(Object.entries(clone), Object.entries(particle));
});

test("a structure cannot be changed after it was made, nor by what it was made from", () => {
  const members: { a: "f32"; b?: "f32" } = { a: "f32" };
  const type = struct(members as { a: "f32" });
  members.b = "f32";
  assert.deepEqual(type.members, { a: "f32" });
  assert.throws(() => Object.assign(type, { stride: 3 }), TypeError);
  assert.throws(() => Object.assign(type.members, { a: "i32" }), TypeError);
});

test("no elements have views of no numbers", () => {
  const { position, mass } = struct({ position: "vec3f", mass: "f32" }).views(new Float32Array(0));
  assert.deepEqual([position.length, mass.length], [0, 0]);
});

const particle = struct({ position: "vec3f", mass: "f32" });

const REFUSED: [what: string, make: () => unknown, message: RegExp][] = [
  ["no members", () => struct({}), /at least 1 member/],
  ["nothing", () => struct(null as never), /at least 1 member/],
  [
    "a member of 64 bits",
    () => struct({ mass: "f64" as never }),
    /member "mass" is of type "f64", .* none of f32, i32/,
  ],
  ["a member of 8 bits", () => struct({ tag: "u8" as never }), /member "tag" is of type "u8"/],
  ["members that struct() did not make", () => struct({ a: { b: "f32" } as never }), /member "a" is of type/],
  ["a number for a name", () => struct({ 0: "f32" }), /"0" is no name of a member/],
  ["a name with a blank", () => struct({ "a b": "f32" }), /"a b" is no name/],
  ["a reserved name", () => struct({ __a: "f32" }), /"__a" is no name/],
  [
    "a value without a member",
    () => particle.of({ position: [1, 2, 3] } as never),
    /member "mass", a f32, takes a number, not undefined/,
  ],
  [
    "a vector that is too short",
    () => particle.of({ position: [1, 2], mass: 1 }),
    /"position", a vec3f, takes 3 numbers, not 2 of them/,
  ],
  ["a vector of strings", () => particle.of({ position: ["1", "2", "3"] as never, mass: 1 }), /takes 3 numbers/],
  [
    "a member that does not exist",
    () => particle.of({ position: [1, 2, 3], mass: 1, weight: 2 } as never),
    /no member "weight"/,
  ],
  ["a value that is none", () => particle.of(3 as never), /is an object of its members, not 3/],
  ["an element that is not there", () => particle.at(new Float32Array(8), 2), /no element 2 among 2/],
  ["half an element", () => particle.views(new Float32Array(6)), /24 bytes .* no whole, aligned elements: .* has 16/],
  ["bytes between numbers", () => particle.views(new Uint8Array(new ArrayBuffer(32), 2, 16)), /from byte 2 .* aligned/],
];

for (const [what, make, message] of REFUSED) {
  test(`${what}: refused`, () => assert.throws(make, memoryError("EINVAL", message)));
}
