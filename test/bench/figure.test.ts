/** How the benchmark judges: ratios round by round, bounds of ratios and of values, and nothing kept without a figure. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Bound, type Figure, judge } from "../../bench/figure.js";
import { formatTable } from "../../bench/table.js";

function figure(samples: number[], baseline: number[] | null, ...bounds: Bound[]): Figure {
  const row = { row: "a row", unit: "ns", pageSize: 4096, samples, bounds };
  return baseline === null ? row : { ...row, baseline: { name: "memcpy", samples: baseline } };
}

function kept(judged: Figure): boolean[] {
  return judge(judged).bounds.map((bound) => bound.kept);
}

describe("a row of the benchmark", () => {
  test("has the median of the rounds' ratios, not the ratio of the medians", () => {
    const { ratio, median, baseline } = judge(figure([10, 40, 90], [10, 20, 30]));
    assert.equal(ratio, 2);
    assert.equal(median, 40);
    assert.equal(baseline?.median, 20);
  });

  test("spreads from the first to the third quartile of its ratios", () => {
    assert.deepEqual(judge(figure([1, 2, 3, 4, 5], [1, 1, 1, 1, 1])).spread, [2, 4]);
  });

  test("without a baseline has no ratio, and spreads over its samples", () => {
    const { ratio, spread } = judge(figure([30, 10, 20], null));
    assert.equal(ratio, null);
    assert.deepEqual(spread, [15, 25]);
  });

  test("keeps a bound that it meets exactly and misses one that it exceeds", () => {
    const bounds: Bound[] = [
      { of: "ratio", most: 2 },
      { of: "ratio", most: 1.99 },
      { of: "ratio", least: 2 },
      { of: "ratio", least: 2.01 },
      { of: "value", most: 20 },
      { of: "value", most: 19 },
    ];
    assert.deepEqual(kept(figure([20], [10], ...bounds)), [true, false, true, false, true, false]);
  });

  test("rounds before it judges only where the bound says so", () => {
    const bounds: Bound[] = [
      { of: "ratio", most: 1, decimals: 1 },
      { of: "ratio", most: 1 },
    ];
    assert.deepEqual(kept(figure([1.04], [1], ...bounds)), [true, false]);
    assert.deepEqual(kept(figure([1.06], [1], ...bounds)), [false, false]);
  });

  test("misses a bound of a ratio that it does not have", () => {
    assert.deepEqual(kept(figure([1], null, { of: "ratio", most: 2 })), [false]);
  });
});

test("the table marks a row that misses one of its bounds, unless bounds are not judged", () => {
  const rows = [judge(figure([5], [10], { of: "ratio", most: 1 }, { of: "value", most: 4 })), judge(figure([1], [2]))];
  const [head, first, second, ...more] = formatTable(rows, true).split("\n");
  assert.match(head, /^row +ratio +spread +median/);
  assert.match(first, /^a row +0\.500 .*10\.0 memcpy +4 KiB +<= 1 x, <= 4 ns +MISSED$/);
  assert.doesNotMatch(second, /MISSED|ok$/);
  assert.deepEqual(more, []);
  assert.doesNotMatch(formatTable(rows, false), /MISSED|ok$/m);
});
