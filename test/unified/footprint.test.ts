// Footprints against a naive oracle: sets of elements and pages, built one invocation at a time.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  alignment,
  checkFootprint,
  elementsOf,
  type Footprint,
  type Operand,
  pagesOf,
} from "../../src/unified/footprint.js";
import { memoryError } from "../builders.js";
import { randomOperand, withSeeds } from "./random-operands.js";

/** The elements that invocations `[first, first + count)` use, one by one. */
function usedElements({ footprint, length }: Operand, first: number, count: number): Set<number> {
  const used = new Set<number>();
  if (footprint === "whole") {
    for (let element = 0; element < length; element++) used.add(element);
    return used;
  }
  const { each, before = 0, after = 0 } = footprint;
  for (let i = first; i < first + count; i++) {
    for (let element = i * each - before; element < (i + 1) * each + after; element++) {
      if (element >= 0 && element < length) used.add(element);
    }
  }
  return used;
}

test("a footprint gives exactly the elements, and the pages, that its invocations use one by one", async (t) => {
  await withSeeds(t, 40, (random) => {
    const pageSize = 64;
    const operand = randomOperand(random, pageSize);
    const { footprint, length, stride } = operand;
    const most = footprint === "whole" ? 20 : Math.floor(length / footprint.each);
    for (let first = 0; first < most; first++) {
      for (const count of [1, 2, 1 + Math.floor(random() * (most - first)), most - first]) {
        if (first + count > most) continue;
        const expected = usedElements(operand, first, count);
        const range = elementsOf(operand, first, count);
        assert.equal(range.length, expected.size);
        if (range.length > 0) assert.ok(expected.has(range.first) && expected.has(range.first + range.length - 1));
        const pages = new Set([...expected].map((element) => Math.floor((element * stride) / pageSize)));
        const found = pagesOf(operand, range, pageSize);
        assert.equal(found.pages, pages.size);
        if (found.pages > 0) assert.equal(found.page, Math.min(...pages));
      }
    }
  });
});

test("a whole array is used from its first element to its last, whatever the invocations", () => {
  const operand: Operand = { name: "x", footprint: "whole", stride: 4, length: 1000 };
  assert.deepEqual(elementsOf(operand, 700, 1), { first: 0, length: 1000 });
  assert.deepEqual(pagesOf(operand, elementsOf(operand, 0, 1), 4096), { page: 0, pages: 1 });
});

test("a halo ends where the array ends", () => {
  const operand: Operand = { name: "x", footprint: { each: 10, before: 25, after: 7 }, stride: 4, length: 100 };
  assert.deepEqual(elementsOf(operand, 0, 1), { first: 0, length: 17 });
  assert.deepEqual(elementsOf(operand, 4, 1), { first: 15, length: 42 });
  assert.deepEqual(elementsOf(operand, 9, 1), { first: 65, length: 35 });
});

test("after as many invocations as the alignment, every array has come to a page boundary, and not before", async (t) => {
  await withSeeds(t, 60, (random) => {
    const pageSize = 256;
    const operands = Array.from({ length: 1 + Math.floor(random() * 3) }, () => randomOperand(random, pageSize));
    const atBoundary = (count: number): boolean =>
      operands.every(
        ({ footprint, stride }) => footprint === "whole" || (count * footprint.each * stride) % pageSize === 0,
      );
    const unit = alignment(operands, pageSize);
    assert.ok(atBoundary(unit), `after ${unit} invocations`);
    for (let count = 1; count < unit; count++) assert.ok(!atBoundary(count), `already after ${count} of ${unit}`);
  });
});

test("a footprint with a count out of bounds is refused with the array, the value and the bound", () => {
  const refused: [footprint: unknown, message: RegExp][] = [
    [{ each: 0 }, /footprint of "x": each is 0, not a whole number of at least 1 element/],
    [{ each: -4 }, /each is -4/],
    [{ each: 1.5 }, /each is 1\.5/],
    [{ each: Number.NaN }, /each is NaN/],
    [{ each: 2 ** 53 }, /each is 9007199254740992/],
    [{ each: "3" }, /each is 3/],
    [{}, /each is undefined/],
    [null, /each is undefined/],
    ["all", /each is undefined/],
    [{ each: 1, before: -1 }, /footprint of "x": before is -1, not a whole number of at least 0 elements/],
    [{ each: 1, after: 0.5 }, /after is 0\.5/],
    [{ each: 1, after: Number.POSITIVE_INFINITY }, /after is Infinity/],
  ];
  for (const [footprint, message] of refused) {
    assert.throws(() => checkFootprint("x", footprint as Footprint), memoryError("EINVAL", message));
  }
  for (const footprint of ["whole", { each: 1 }, { each: 100, before: 3, after: 4 }] as const) {
    checkFootprint("x", footprint);
  }
});

test("a misspelt part of a footprint is refused, not taken for 0", () => {
  assert.throws(
    () => checkFootprint("x", { each: 1, befor: 2 } as Footprint),
    memoryError("EINVAL", /footprint of "x".*befor/),
  );
});
