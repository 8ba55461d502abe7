import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nearest, type Stretch } from "../../../examples/nearest-words/nearest.js";

const indexes = (neighbours: readonly { index: number }[]): number[] => neighbours.map(({ index }) => index);
const whole = (view: ArrayLike<number>): Stretch[] => [{ start: 0, view }];

/** The same scores in stretches of these lengths, by turns. */
function inStretches(scores: readonly number[], lengths: readonly number[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (let start = 0; start < scores.length;) {
    const length = lengths[stretches.length % lengths.length];
    stretches.push({ start, view: scores.slice(start, start + length) });
    start += length;
  }
  return stretches;
}

test("the best come first, without the item itself", () => {
  assert.deepEqual(nearest(whole([0.5, 1, 0.25, 0.75]), { k: 2, exclude: 1 }), [
    { index: 3, similarity: 0.75 },
    { index: 0, similarity: 0.5 },
  ]);
});

test("among equal scores the lower index wins, within the list and at its end", () => {
  assert.deepEqual(indexes(nearest(whole([0, 1, 1, 2, 1, 2]), { k: 4, exclude: 0 })), [3, 5, 1, 2]);
  assert.deepEqual(indexes(nearest(whole([0, 0, 0, 0]), { k: 2, exclude: 1 })), [0, 2]);
});

test("scores of several queries lie side by side", () => {
  const scores = whole(Float32Array.of(9, 1, 0, 9, 5, 2, 4, 3));
  assert.deepEqual(indexes(nearest(scores, { k: 2, exclude: 0, stride: 2, offset: 0 })), [2, 3]);
  assert.deepEqual(indexes(nearest(scores, { k: 2, exclude: 1, stride: 2, offset: 1 })), [3, 2]);
});

test("the answer is that of sorting everything, in whatever stretches and beside whatever queries the scores lie", () => {
  // Few different scores, so that ties are the rule.
  const items = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 2, maxLength: 60 });
  const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      items,
      lengths,
      fc.nat(),
      fc.nat(),
      fc.integer({ min: 1, max: 5 }),
      fc.nat(),
      (list, cuts, a, b, stride, c) => {
        const exclude = a % list.length;
        const k = 1 + (b % (list.length - 1));
        const offset = c % stride;
        const scores = list.flatMap((score) => Array.from({ length: stride }, (_, q) => (q === offset ? score : 100)));
        const sorted = list
          .map((similarity, index) => ({ index, similarity }))
          .filter(({ index }) => index !== exclude);
        sorted.sort((x, y) => y.similarity - x.similarity || x.index - y.index);
        assert.deepEqual(nearest(inStretches(scores, cuts), { k, exclude, stride, offset }), sorted.slice(0, k));
      },
    ),
  );
});
