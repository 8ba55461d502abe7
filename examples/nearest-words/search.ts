/**
 * The search itself, written against the public interface alone: the vectors and one score per word and query are arrays
 * in unified memory, the kernel streams through device memory, and the host picks the best from a pin of the scores. All
 * queries share one pass, for moving a page costs more than comparing it with one word more.
 */

import type { DispatchReport, UnifiedMemory } from "../../src/index.js";
import { nearest, type Neighbour } from "./nearest.js";
import { readChunks, type VectorFile } from "../word-vectors/vector-file.js";

export interface SearchResult {
  /** For each query, in order. */
  readonly neighbours: readonly (readonly Neighbour[])[];
  readonly report: DispatchReport;
}

export interface SearchWatcher {
  loading(bytes: number): void;
  loaded(): void;
  searching(completed: number): void;
}

/** Finds the `k` nearest rows of each row in `queries`, itself left out. A row of zeros is similar to nothing: 0. */
export async function search(
  memory: UnifiedMemory,
  file: VectorFile,
  queries: readonly number[],
  k: number,
  watcher: SearchWatcher,
  signal: AbortSignal,
): Promise<SearchResult> {
  const { rows, dimensions } = file;
  const width = queries.length;
  const vectors = memory.createArray("f32", rows * dimensions, { label: "vectors" });
  const scores = memory.createArray("f32", rows * width, { label: "scores" });

  const kernel = await memory.createKernel({
    label: "cosine",
    footprint: { vectors: { each: dimensions }, scores: { each: width } },
    host: {
      writes: ["scores"],
      run({ first, count, arrays, base, uniforms }) {
        const v = arrays["vectors"] as Float32Array;
        const s = arrays["scores"] as Float32Array;
        const d = uniforms["directions"] as Float32Array;
        for (let i = first; i < first + count; i++) {
          const row = i * dimensions - base["vectors"];
          const length = Math.sqrt(dot(v, row, v, row, dimensions));
          const score = i * width - base["scores"];
          for (let q = 0; q < width; q++) {
            s[score + q] = length === 0 ? 0 : dot(v, row, d, q * dimensions, dimensions) / length;
          }
        }
      },
    },
  });
  await vectors.write(readChunks(file, { signal, onProgress: (bytes) => watcher.loading(bytes) }), { signal });
  watcher.loaded();

  const directions = new Float32Array(width * dimensions);
  for (const [q, row] of queries.entries()) {
    const vector = await vectors.read({ start: row * dimensions, length: dimensions, signal });
    directions.set(unit(vector), q * dimensions);
  }

  const report = await kernel.dispatch({
    invocations: rows,
    arrays: { vectors, scores },
    uniforms: { directions },
    signal,
    onProgress: ({ completed }) => watcher.searching(completed),
  });

  const pin = await scores.pin("read");
  try {
    const neighbours = queries.map((row, q) => nearest(pin.runs, { k, exclude: row, stride: width, offset: q }));
    return { neighbours, report };
  } finally {
    pin.release();
  }
}

function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number, length: number): number {
  // Four sums that do not wait for each other.
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    s0 += a[aStart + i] * b[bStart + i];
    s1 += a[aStart + i + 1] * b[bStart + i + 1];
    s2 += a[aStart + i + 2] * b[bStart + i + 2];
    s3 += a[aStart + i + 3] * b[bStart + i + 3];
  }
  for (; i < length; i++) s0 += a[aStart + i] * b[bStart + i];
  return s0 + s1 + (s2 + s3);
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(dot(vector, 0, vector, 0, vector.length));
  return length === 0 ? vector : vector.map((number) => number / length);
}
