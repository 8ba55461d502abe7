import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nearest } from "../../examples/nearest-words/nearest.js";

const indexes = (neighbours: readonly { index: number }[]): number[] => neighbours.map(({ index }) => index);

test("the best come first, without the item itself", () => {
  const scores = [0.5, 1, 0.25, 0.75];
  assert.deepEqual(nearest(scores, { k: 2, exclude: 1 }), [
    { index: 3, similarity: 0.75 },
    { index: 0, similarity: 0.5 },
  ]);
});

test("among equal scores the lower index wins, within the list and at its end", () => {
  assert.deepEqual(indexes(nearest([0, 1, 1, 2, 1, 2], { k: 4, exclude: 0 })), [3, 5, 1, 2]);
  assert.deepEqual(indexes(nearest([0, 0, 0, 0], { k: 2, exclude: 1 })), [0, 2]);
});

test("scores of several queries lie side by side", () => {
  const scores = Float32Array.of(9, 1, 0, 9, 5, 2, 4, 3);
  assert.deepEqual(indexes(nearest(scores, { k: 2, exclude: 0, stride: 2, offset: 0 })), [2, 3]);
  assert.deepEqual(indexes(nearest(scores, { k: 2, exclude: 1, stride: 2, offset: 1 })), [3, 2]);
});

test("the answer is that of sorting everything", () => {
  // Few different scores, so that ties are the rule.
  const scores = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 2, maxLength: 60 });
  fc.assert(
    fc.property(scores, fc.nat(), fc.nat(), (list, a, b) => {
      const exclude = a % list.length;
      const k = 1 + (b % (list.length - 1));
      const sorted = list.map((similarity, index) => ({ index, similarity })).filter(({ index }) => index !== exclude);
      sorted.sort((x, y) => y.similarity - x.similarity || x.index - y.index);
      assert.deepEqual(nearest(list, { k, exclude }), sorted.slice(0, k));
    }),
  );
});
