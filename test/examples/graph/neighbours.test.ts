import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { findNeighbours, neighbourGraph } from "../../../examples/graph/neighbour-graph.js";
import { mulberry32 } from "../../../examples/k-means/seeds.js";
import { openVectorFile } from "../../../examples/word-vectors/vector-file.js";
import { temporaryFolder } from "../../temporary-folder.js";

const never = new AbortController().signal;
const silent = { note: () => {}, phase: () => ({ update: () => {}, end: () => {} }) };

test("each row's neighbours are those with the largest cosines, by a plain search in float64", async (t) => {
  const seed = 31;
  t.diagnostic(`seed ${seed}`);
  const next = mulberry32(seed);
  // Neither whole tiles, nor pairs of rows, nor fours of candidates.
  const [rows, dimensions, k] = [1203, 9, 6];
  const numbers = Float32Array.from({ length: rows * dimensions }, () => next() - 0.5);
  const path = join(await temporaryFolder(t), "v.f32");
  await writeFile(path, new Uint8Array(numbers.buffer));
  const found = await findNeighbours(await openVectorFile(path, dimensions), rows, k, silent, never);

  const vectors = Array.from({ length: rows }, (_, row) => {
    const vector = Float64Array.from(numbers.subarray(row * dimensions, (row + 1) * dimensions));
    const length = Math.hypot(...vector);
    return vector.map((number) => number / length);
  });
  const cosine = (a: number, b: number): number =>
    vectors[a].reduce((sum, number, d) => sum + number * vectors[b][d], 0);
  assert.equal(found.length, rows * k);
  for (let row = 0; row < rows; row++) {
    const mine = Array.from(found.subarray(row * k, (row + 1) * k));
    assert.equal(new Set(mine).size, k);
    assert.ok(!mine.includes(row));
    const best = Array.from({ length: rows }, (_, other) => (other === row ? -Infinity : cosine(row, other)))
      .sort((a, b) => b - a)
      .slice(0, k);
    for (const [i, other] of mine.entries()) assert.ok(Math.abs(cosine(row, other) - best[i]) < 1e-6);
  }
});

test("the graph has k edges from each word, and a word finds its node", async (t) => {
  const folder = await temporaryFolder(t);
  const rows = 96;
  const next = mulberry32(5);
  await writeFile(
    join(folder, "v.f32"),
    new Uint8Array(Float32Array.from({ length: rows * 3 }, () => next() - 0.5).buffer),
  );
  const file = await openVectorFile(join(folder, "v.f32"), 3);
  const words = Array.from({ length: rows }, (_, i) => `w${i}`);
  const graph = await neighbourGraph({ file, words, name: "made", source: "made" }, false, silent, never);
  assert.deepEqual([graph.nodes, graph.from.length, graph.to.length], [rows, rows * 3, rows * 3]);
  assert.deepEqual([...graph.from.subarray(0, 4)], [0, 0, 0, 1]);
  assert.deepEqual(graph.find("W7"), [7]);
  assert.deepEqual(graph.find("x"), []);
});
