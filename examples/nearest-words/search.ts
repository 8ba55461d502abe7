/**
 * The search itself, written against the public interface alone: the vectors and one score per word and query are arrays
 * in unified memory, the kernel streams through device memory, and the host picks the best from a pin of the scores. All
 * queries share one pass, for moving a page costs more than comparing it with one word more.
 */

import type { DispatchReport, UnifiedMemory } from "../../src/index.js";
import { cosineKernel, unit } from "./cosine.js";
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

/** Finds the `k` nearest rows of each row in `queries`, itself left out. */
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
  const directions = memory.createArray("f32", width * dimensions, { label: "directions" });
  const scores = memory.createArray("f32", rows * width, { label: "scores" });

  await vectors.write(readChunks(file, { signal, onProgress: (bytes) => watcher.loading(bytes) }), { signal });
  watcher.loaded();

  for (const [q, row] of queries.entries()) {
    const vector = await vectors.read({ start: row * dimensions, length: dimensions, signal });
    await directions.write(unit(vector), { start: q * dimensions, signal });
  }

  const kernel = await memory.createKernel(cosineKernel(dimensions, width));
  const report = await kernel.dispatch({
    invocations: rows,
    arrays: { vectors, directions, scores },
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
