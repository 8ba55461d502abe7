import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { nearest } from "../../../examples/nearest-words/nearest.js";
import { writeNpyHeader } from "../../../src/npy/index.js";
import { judge, verify, type Claim } from "../../../examples/nearest-words/reference.js";
import { temporaryFolder } from "../../temporary-folder.js";

const rows = 5000;
const dimensions = 6;
const k = 10;

/** A file with a header, and right answers about it, found in float32 scores as a device would give them. */
async function prepare(
  t: TestContext,
): Promise<{ data: { file: string; rows: number; dimensions: number }; claims: Claim[] }> {
  const file = join(await temporaryFolder(t), "v.npy");
  const numbers = Float32Array.from({ length: rows * dimensions }, (_, i) => Math.sin(i * i * 0.37) + 0.1);
  // One row of zeros, and one that others are the same as.
  numbers.fill(0, 3 * dimensions, 4 * dimensions);
  for (const copy of [40, 41, 42]) numbers.copyWithin(copy * dimensions, 8 * dimensions, 9 * dimensions);
  await writeFile(file, Buffer.concat([writeNpyHeader("f32", [rows, dimensions]), new Uint8Array(numbers.buffer)]));
  const row = (i: number): Float32Array => numbers.subarray(i * dimensions, (i + 1) * dimensions);
  const claims = [0, 3, 8, 40, 4999, ...Array.from({ length: 20 }, (_, i) => 100 + i)].map((query) => {
    const scores = Float32Array.from({ length: rows }, (_, i) => {
      const length = Math.hypot(...row(i)) * Math.hypot(...row(query));
      return length === 0 ? 0 : row(i).reduce((sum, number, d) => sum + number * row(query)[d], 0) / length;
    });
    return { query, neighbours: nearest([{ start: 0, view: scores }], { k, exclude: query }) };
  });
  return { data: { file, rows, dimensions }, claims };
}

function withNeighbour(claim: Claim, place: number, change: Partial<Claim["neighbours"][number]>): Claim {
  return {
    ...claim,
    neighbours: claim.neighbours.map((neighbour, i) => (i === place ? { ...neighbour, ...change } : neighbour)),
  };
}

test("right answers are verified, also about a row of zeros and about rows that are the same", async (t) => {
  const { data, claims } = await prepare(t);
  const progress: number[] = [];
  const verdict = await verify(data, claims, k, { onProgress: (share) => progress.push(share) });
  assert.deepEqual(verdict.faults, []);
  assert.equal(verdict.verified, true);
  assert.equal(verdict.compared, claims.length * k);
  assert.ok(verdict.largestDifference < 1e-6);
  assert.equal(progress.at(-1), 1);
  assert.deepEqual(
    progress,
    progress.toSorted((a, b) => a - b),
  );
});

test("a wrong neighbour, a wrong score, a missing and a doubled neighbour are each found", async (t) => {
  const { data, claims } = await prepare(t);
  const [first, ...others] = claims as [Claim, ...Claim[]];
  const outsider = Array.from({ length: rows }, (_, i) => i).find(
    (i) => i !== first.query && !first.neighbours.some(({ index }) => index === i),
  )!;
  const wrong: readonly (readonly [claim: Claim, fault: RegExp])[] = [
    [withNeighbour(first, 9, { index: outsider }), /is not among the 10 nearest/],
    [
      withNeighbour(first, 4, { index: outsider }),
      new RegExp(`neighbour ${first.neighbours[4].index} with .* is missing`),
    ],
    [withNeighbour(first, 4, { similarity: first.neighbours[4].similarity - 2e-5 }), /has similarity .*, not /],
    [withNeighbour(first, 9, { similarity: Number.NaN }), /has similarity .*, not NaN/],
    [withNeighbour(first, 3, first.neighbours[2]), /the same neighbour twice/],
    [withNeighbour(first, 0, { index: first.query, similarity: 1 }), /its own neighbour/],
    [withNeighbour(first, 0, { index: rows }), /neighbour 5000 is not one of 5000 rows/],
    [{ ...first, neighbours: first.neighbours.slice(0, 9) }, /9 neighbours, not 10/],
    [{ ...first, neighbours: first.neighbours.toReversed() }, /stands after/],
  ];
  for (const [claim, fault] of wrong) {
    const verdict = await verify(data, [...others, claim], k);
    assert.equal(verdict.verified, false);
    assert.ok(
      verdict.faults.some((text) => fault.test(text)),
      `${fault} is not in: ${verdict.faults.join("; ")}`,
    );
    assert.ok(verdict.faults.every((text) => text.startsWith(`row ${first.query}: `)));
  }
});

test("at the last place either of two rows within the tolerance may stand, but not one outside it", () => {
  const scores = Float64Array.of(1, 0.9, 0.5, 0.5 - 4e-6, 0.5 - 4e-5);
  const claim = (index: number): Claim => ({
    query: 0,
    neighbours: [
      { index: 1, similarity: 0.9 },
      { index, similarity: scores[index] },
    ],
  });
  assert.deepEqual(judge(claim(2), scores, 2).wrong, []);
  assert.deepEqual(judge(claim(3), scores, 2).wrong, []);
  assert.deepEqual(judge(claim(4), scores, 2).wrong.length, 1);
});

test("two neighbours may change places only if their scores allow it", () => {
  const scores = Float64Array.of(1, 0.9, 0.9 + 1e-9, 0.1);
  const inOrder = [
    { index: 1, similarity: 0.9 },
    { index: 2, similarity: 0.9 },
  ];
  assert.deepEqual(judge({ query: 0, neighbours: inOrder }, scores, 2).wrong, []);
});

test("one changed number in the file is enough to disagree", async (t) => {
  const { data, claims } = await prepare(t);
  const bytes = await readFile(data.file);
  const place = bytes.length - rows * dimensions * 4 + claims[0].neighbours[0].index * dimensions * 4;
  bytes.writeFloatLE(bytes.readFloatLE(place) + 0.01, place);
  await writeFile(data.file, bytes);
  assert.equal((await verify(data, claims, k)).verified, false);
});

test("the reference imports nothing but Node's file functions", async () => {
  const compiled = await readFile(new URL("../../../examples/nearest-words/reference.js", import.meta.url), "utf8");
  const imports = [...compiled.matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1]);
  assert.deepEqual(imports, ["node:fs/promises"]);
});
