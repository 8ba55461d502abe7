/**
 * The judge: the same search once more, in the most obvious way, sharing nothing with the one that is judged. It imports
 * nothing of the project, reads the file itself, adds up in float64, and keeps the score of every row. Its invariant: it
 * accepts an answer if and only if some order of rows whose true scores differ by less than the tolerance explains it.
 */

import { open } from "node:fs/promises";

export interface Claim {
  /** The row that was asked for. */
  readonly query: number;
  readonly neighbours: readonly { readonly index: number; readonly similarity: number }[];
}

export interface Verdict {
  readonly verified: boolean;
  /** How many neighbours were compared. */
  readonly compared: number;
  readonly largestDifference: number;
  /** What is wrong, in words; empty when verified. */
  readonly faults: readonly string[];
}

export const tolerance = 1e-5;

/** So many queries at a time, to bound the memory that their scores take. */
const queriesAtOnce = 16;
const rowsAtOnce = 4096;

export async function verify(
  data: { readonly file: string; readonly rows: number; readonly dimensions: number },
  claims: readonly Claim[],
  k: number,
  options: { signal?: AbortSignal; onProgress?: (done: number) => void } = {},
): Promise<Verdict> {
  const faults: string[] = [];
  let compared = 0;
  let largestDifference = 0;
  for (let start = 0; start < claims.length; start += queriesAtOnce) {
    const group = claims.slice(start, start + queriesAtOnce);
    const share = (rows: number): void =>
      options.onProgress?.((start + (rows / data.rows) * group.length) / claims.length);
    const scores = await scoreAll(
      data,
      group.map((claim) => claim.query),
      share,
      options.signal,
    );
    for (const [i, claim] of group.entries()) {
      const { difference, wrong } = judge(claim, scores[i], k);
      faults.push(...wrong);
      largestDifference = Math.max(largestDifference, difference);
      compared += claim.neighbours.length;
    }
  }
  return { verified: faults.length === 0, compared, largestDifference, faults };
}

export function judge(claim: Claim, scores: Float64Array, k: number): { difference: number; wrong: string[] } {
  const wrong: string[] = [];
  const { query, neighbours } = claim;
  const fault = (text: string): void => void wrong.push(`row ${query}: ${text}`);
  const others = scores
    .filter((_, row) => row !== query)
    .sort()
    .reverse();
  const last = others[k - 1] ?? Number.NaN;

  if (neighbours.length !== k) fault(`${neighbours.length} neighbours, not ${k}`);
  const claimed = new Set(neighbours.map((neighbour) => neighbour.index));
  if (claimed.size !== neighbours.length) fault("the same neighbour twice");
  if (claimed.has(query)) fault("it is given as its own neighbour");

  let difference = 0;
  let before = Infinity;
  for (const { index, similarity } of neighbours) {
    const score = scores[index];
    if (score === undefined) {
      fault(`neighbour ${index} is not one of ${scores.length} rows`);
      continue;
    }
    const off = Math.abs(score - similarity);
    // Written so that a similarity that is not a number is off as well.
    if (!(off <= tolerance)) fault(`neighbour ${index} has similarity ${score}, not ${similarity}`);
    if (!(score >= last - tolerance))
      fault(`neighbour ${index} with ${score} is not among the ${k} nearest, the last of which has ${last}`);
    if (!(similarity <= before)) fault(`neighbour ${index} with ${similarity} stands after ${before}`);
    difference = Math.max(difference, off);
    before = similarity;
  }
  for (let row = 0; row < scores.length; row++) {
    if (row !== query && scores[row] > last + tolerance && !claimed.has(row))
      fault(`neighbour ${row} with ${scores[row]} is missing`);
  }
  return { difference, wrong };
}

async function scoreAll(
  data: { readonly file: string; readonly rows: number; readonly dimensions: number },
  queries: readonly number[],
  onProgress: (rows: number) => void,
  signal?: AbortSignal,
): Promise<Float64Array[]> {
  const { rows, dimensions } = data;
  const handle = await open(data.file);
  try {
    // The numbers are the end of the file, whatever stands before them.
    const start = (await handle.stat()).size - rows * dimensions * 4;
    const read = async (first: number, count: number): Promise<DataView> => {
      const bytes = new DataView(new ArrayBuffer(count * dimensions * 4));
      for (let done = 0; done < bytes.byteLength;) {
        const { bytesRead } = await handle.read(
          bytes,
          done,
          bytes.byteLength - done,
          start + first * dimensions * 4 + done,
        );
        if (bytesRead === 0) throw new RangeError(`${data.file} ends before row ${first + count}`);
        done += bytesRead;
      }
      return bytes;
    };
    const asked: { vector: Float64Array; length: number; scores: Float64Array }[] = [];
    for (const query of queries) {
      const bytes = await read(query, 1);
      const vector = Float64Array.from({ length: dimensions }, (_, d) => bytes.getFloat32(d * 4, true));
      asked.push({ vector, length: lengthOf(vector), scores: new Float64Array(rows) });
    }
    const vector = new Float64Array(dimensions);
    for (let first = 0; first < rows; first += rowsAtOnce) {
      signal?.throwIfAborted();
      const count = Math.min(rowsAtOnce, rows - first);
      const bytes = await read(first, count);
      for (let row = 0; row < count; row++) {
        for (let d = 0; d < dimensions; d++) vector[d] = bytes.getFloat32((row * dimensions + d) * 4, true);
        const length = lengthOf(vector);
        for (const query of asked) {
          let dot = 0;
          for (let d = 0; d < dimensions; d++) dot += vector[d] * query.vector[d];
          query.scores[first + row] = length === 0 || query.length === 0 ? 0 : dot / (length * query.length);
        }
      }
      onProgress(first + count);
    }
    return asked.map((query) => query.scores);
  } finally {
    await handle.close();
  }
}

function lengthOf(vector: Float64Array): number {
  let squares = 0;
  for (let d = 0; d < vector.length; d++) squares += vector[d] * vector[d];
  return Math.sqrt(squares);
}
