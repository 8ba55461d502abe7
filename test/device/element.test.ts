// Element types: their strides, which are WGSL's, and views of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkElementType,
  ELEMENT_TYPES,
  isElementType,
  isViewOf,
  numbersOf,
  SCALAR_TYPES,
  scalarOf,
  strideOf,
  viewOf,
} from "../../src/device/element.js";
import { layoutOf } from "../../src/device/layout.js";
import { memoryError, PAGE } from "../builders.js";

test("every stride is a power of two, so that no element straddles a page", () => {
  assert.deepEqual([...SCALAR_TYPES].toSorted(), ["f32", "f64", "i16", "i32", "i64", "i8", "u16", "u32", "u64", "u8"]);
  for (const type of SCALAR_TYPES) assert.equal(strideOf(type), Number(type.slice(1)) / 8);
  for (const type of ELEMENT_TYPES) assert.ok(Number.isInteger(Math.log2(strideOf(type))), type);
});

test("vectors and matrices have the alignment, size and stride that WGSL gives them", () => {
  // The table "Alignment and size for host-shareable types" of the WGSL specification.
  const table: Record<string, [align: number, size: number]> = {
    vec2f: [8, 8],
    vec3f: [16, 12],
    vec4f: [16, 16],
    vec2i: [8, 8],
    vec3i: [16, 12],
    vec4i: [16, 16],
    vec2u: [8, 8],
    vec3u: [16, 12],
    vec4u: [16, 16],
    mat2x2f: [8, 16],
    mat3x2f: [8, 24],
    mat4x2f: [8, 32],
    mat2x3f: [16, 32],
    mat3x3f: [16, 48],
    mat4x3f: [16, 64],
    mat2x4f: [16, 32],
    mat3x4f: [16, 48],
    mat4x4f: [16, 64],
  };
  for (const [name, [align, size]] of Object.entries(table)) {
    const layout = layoutOf(name) ?? assert.fail(name);
    assert.deepEqual([layout.align, layout.size], [align, size], name);
    assert.equal(layout.stride, Math.ceil(size / align) * align, name);
    assert.equal(isElementType(name), !name.startsWith("mat3"), name);
  }
  assert.deepEqual(
    ELEMENT_TYPES.filter((type) => !SCALAR_TYPES.includes(type as "f32")).toSorted(),
    Object.keys(table)
      .filter((name) => !name.startsWith("mat3"))
      .toSorted(),
  );
});

test("a view has the place and the length that were asked for, and is a view of its own type of number only", () => {
  const buffer = new ArrayBuffer(512);
  for (const type of ELEMENT_TYPES) {
    const view = viewOf(type, buffer, strideOf(type), 3);
    assert.equal(view.byteOffset, strideOf(type));
    assert.equal(view.byteLength, 3 * strideOf(type));
    assert.equal(view.length, 3 * numbersOf(type));
    assert.deepEqual(
      SCALAR_TYPES.filter((other) => isViewOf(other, view)),
      [scalarOf(type)],
    );
    assert.ok(isViewOf(type, view));
  }
});

test("only the names of element types are element types", () => {
  for (const type of ELEMENT_TYPES) assert.ok(isElementType(type));
  for (const other of [
    "f16",
    "F32",
    "",
    "toString",
    "__proto__",
    "vec5f",
    "vec4h",
    "mat3x3f",
    null,
    undefined,
    4,
    {},
    [],
  ]) {
    assert.ok(!isElementType(other), JSON.stringify(other));
    assert.throws(() => checkElementType(other, PAGE), memoryError("EINVAL", /./));
  }
});

test("a type that would straddle pages is refused with its stride and the next that would not", () => {
  assert.throws(
    () => checkElementType("mat3x3f", PAGE),
    memoryError("EINVAL", /mat3x3f has a stride of 48 bytes, which is no power of two: the next is 64/),
  );
  assert.throws(
    () => checkElementType("mat4x4f", 32),
    memoryError("EINVAL", /mat4x4f has a stride of 64 bytes, more than the 32 of a page/),
  );
});
