/**
 * Vectors for the main job, made from a seed: as many and as long as the word vectors that the example searches, and a
 * kernel that scores each against one query, as the example's does.
 */

import type { HostKernel, KernelRange } from "../src/index.js";
import { randomNumbers, SEED } from "./permutation.js";

export const DIMENSIONS = 100;
const WORDS = 341_479;
const WORDS_OF_A_SMOKE_RUN = 20_000;

export function makeVectors(smoke: boolean): Float32Array {
  const random = randomNumbers(SEED);
  const vectors = new Float32Array((smoke ? WORDS_OF_A_SMOKE_RUN : WORDS) * DIMENSIONS);
  for (let i = 0; i < vectors.length; i++) vectors[i] = random() * 2 - 1;
  return vectors;
}

/** The vector of one row, of length 1. */
export function queryFrom(vectors: Float32Array, row: number): Float32Array {
  const vector = vectors.slice(row * DIMENSIONS, (row + 1) * DIMENSIONS);
  const length = Math.sqrt(dot(vector, 0, vector, 0));
  return vector.map((number) => number / length);
}

/** `scores[i]` is the cosine of vector i and the query. */
export const cosine: HostKernel = { writes: ["scores"], run: scoreRange };

export function scoreRange({ first, count, arrays, base, uniforms }: KernelRange): void {
  const vectors = arrays["vectors"] as Float32Array;
  const scores = arrays["scores"] as Float32Array;
  const query = uniforms["query"] as Float32Array;
  for (let i = first; i < first + count; i++) {
    const row = i * DIMENSIONS - base["vectors"];
    const length = Math.sqrt(dot(vectors, row, vectors, row));
    scores[i - base["scores"]] = length === 0 ? 0 : dot(vectors, row, query, 0) / length;
  }
}

function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number): number {
  // Four sums that do not wait for each other.
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let i = 0; i < DIMENSIONS; i += 4) {
    s0 += a[aStart + i] * b[bStart + i];
    s1 += a[aStart + i + 1] * b[bStart + i + 1];
    s2 += a[aStart + i + 2] * b[bStart + i + 2];
    s3 += a[aStart + i + 3] * b[bStart + i + 3];
  }
  return s0 + s1 + (s2 + s3);
}
