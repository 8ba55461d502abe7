// Element types: their strides, and views of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ELEMENT_TYPES, isElementType, isViewOf, strideOf, viewOf } from "../../src/device/element.js";

test("every stride is a power of two, so that no element straddles a page", () => {
  assert.deepEqual([...ELEMENT_TYPES].toSorted(), ["f32", "f64", "i16", "i32", "i64", "i8", "u16", "u32", "u64", "u8"]);
  for (const type of ELEMENT_TYPES) {
    assert.equal(strideOf(type), Number(type.slice(1)) / 8);
    assert.ok(Number.isInteger(Math.log2(strideOf(type))));
  }
});

test("a view has the place and the length that were asked for, and is a view of its own type only", () => {
  const buffer = new ArrayBuffer(64);
  for (const type of ELEMENT_TYPES) {
    const view = viewOf(type, buffer, 8, 3);
    assert.equal(view.byteOffset, 8);
    assert.equal(view.length, 3);
    assert.deepEqual(
      ELEMENT_TYPES.filter((other) => isViewOf(other, view)),
      [type],
    );
  }
});

test("only the names of element types are element types", () => {
  for (const type of ELEMENT_TYPES) assert.ok(isElementType(type));
  for (const other of ["f16", "F32", "", "toString", "__proto__", null, undefined, 4, {}]) {
    assert.ok(!isElementType(other), JSON.stringify(other));
  }
});
