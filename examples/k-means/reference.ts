/**
 * The judge: the same clustering once more, in the most obvious way, sharing nothing with the one that is judged. It imports
 * nothing of the project, reads the file itself and computes in float64. Its invariant: it accepts an answer if and only if
 * every row has a centroid of the reference for its own that is as near as the nearest, within the tolerance, and the
 * inertia of each iteration is that of the reference, within the relative tolerance.
 */

import { open } from "node:fs/promises";

export interface Claim {
  /** The rows that the centroids began as. */
  readonly seeds: readonly number[];
  readonly labels: ArrayLike<number>;
  /** Of each iteration. */
  readonly inertia: readonly number[];
}

export interface Verdict {
  readonly verified: boolean;
  /** Rows whose label is the reference's own, and those that are as near to another centroid within the tolerance. */
  readonly equal: number;
  readonly ties: number;
  /** The largest relative difference of an iteration's inertia. */
  readonly largestDifference: number;
  readonly faults: readonly string[];
}

/** Of a squared distance between vectors of length 1, which is from 0 to 4. */
export const tolerance = 1e-3;
export const relativeTolerance = 1e-5;

export async function verify(
  data: { readonly file: string; readonly rows: number; readonly dimensions: number },
  claim: Claim,
  options: { signal?: AbortSignal; onProgress?: (share: number) => void } = {},
): Promise<Verdict> {
  const { rows, dimensions } = data;
  const { seeds, labels, inertia } = claim;
  const clusters = seeds.length;
  const faults: string[] = [];
  if (labels.length !== rows) faults.push(`${labels.length} labels for ${rows} rows`);
  const vectors = await readVectors(data);
  let centroids = seeds.map((row) => Float64Array.from(vectors[row]));
  let equal = 0;
  let ties = 0;
  let largestDifference = 0;
  for (const [iteration, claimed] of inertia.entries()) {
    const isLast = iteration === inertia.length - 1;
    const sums = centroids.map(() => new Float64Array(dimensions));
    const sizes = new Float64Array(clusters);
    let total = 0;
    for (let row = 0; row < rows; row++) {
      if (row % 4096 === 0) {
        options.signal?.throwIfAborted();
        options.onProgress?.((iteration + row / rows) / inertia.length);
        await new Promise(setImmediate);
      }
      const vector = vectors[row];
      let best = 0;
      let least = Infinity;
      for (let c = 0; c < clusters; c++) {
        const distance = squaredDistance(vector, centroids[c]);
        if (distance < least) [best, least] = [c, distance];
      }
      total += least;
      sizes[best]++;
      for (let d = 0; d < dimensions; d++) sums[best][d] += vector[d];
      if (!isLast || row >= labels.length) continue;
      const label = labels[row];
      if (label === best) equal++;
      else if (centroids[label] === undefined) faults.push(`row ${row}: cluster ${label} is not one of ${clusters}`);
      else if (squaredDistance(vector, centroids[label]) <= least + tolerance) ties++;
      else {
        const distance = squaredDistance(vector, centroids[label]);
        faults.push(`row ${row}: centroid ${label} at ${distance} is not nearest, ${best} is at ${least}`);
      }
    }
    const difference = total === 0 ? Math.abs(claimed) : Math.abs(claimed - total) / total;
    // Written so that an inertia that is not a number is off as well.
    if (!(difference <= relativeTolerance)) faults.push(`iteration ${iteration + 1}: inertia ${total}, not ${claimed}`);
    largestDifference = Math.max(largestDifference, difference);
    centroids = centroids.map((centroid, c) => (sizes[c] === 0 ? centroid : sums[c].map((sum) => sum / sizes[c])));
  }
  return { verified: faults.length === 0, equal, ties, largestDifference, faults };
}

function squaredDistance(a: Float64Array | Float32Array, b: Float64Array): number {
  let sum = 0;
  for (let d = 0; d < b.length; d++) {
    const difference = a[d] - b[d];
    sum += difference * difference;
  }
  return sum;
}

/** All rows, of length 1 where they have a length. */
async function readVectors(data: {
  readonly file: string;
  readonly rows: number;
  readonly dimensions: number;
}): Promise<Float64Array[]> {
  const { file, rows, dimensions } = data;
  const handle = await open(file);
  try {
    // The numbers are the end of the file, whatever stands before them.
    const start = (await handle.stat()).size - rows * dimensions * 4;
    const all = new Float64Array(rows * dimensions);
    const chunk = new DataView(new ArrayBuffer(4096 * dimensions * 4));
    for (let first = 0; first < rows; first += 4096) {
      const bytes = Math.min(4096, rows - first) * dimensions * 4;
      for (let done = 0; done < bytes;) {
        const { bytesRead } = await handle.read(chunk, done, bytes - done, start + first * dimensions * 4 + done);
        if (bytesRead === 0) throw new RangeError(`${file} ends before row ${first + 4096}`);
        done += bytesRead;
      }
      for (let i = 0; i < bytes / 4; i++) all[first * dimensions + i] = chunk.getFloat32(i * 4, true);
    }
    return Array.from({ length: rows }, (_, row) => {
      const vector = all.subarray(row * dimensions, (row + 1) * dimensions);
      let squares = 0;
      for (const number of vector) squares += number * number;
      const length = Math.sqrt(squares);
      if (length > 0) for (let d = 0; d < dimensions; d++) vector[d] /= length;
      return vector;
    });
  } finally {
    await handle.close();
  }
}
