/**
 * Lloyd's k-means by device and CPU over the same pages: the device streams the vectors and gives each to its nearest
 * centroid; the CPU takes the means of what lies there, in float64, through pins. The vectors are never in device memory as a
 * whole, and never copied to where the means are taken: a page that the device only read is dropped there, and is at home.
 */

import type { DispatchReport, UnifiedMemory } from "../../src/index.js";
import { readChunks, type VectorFile } from "../word-vectors/vector-file.js";
import { normaliseKernel } from "../word-vectors/normalise.js";
import { assignKernel } from "./assign.js";

export interface Iteration {
  /** Rows that changed their cluster. */
  readonly moved: number;
  /** Sum of the squared distances to the centroids that this iteration began with. */
  readonly inertia: number;
}

export interface Clustering {
  /** The cluster of each row, and the squared distance to its centroid, both by the last iteration. */
  readonly labels: Uint32Array;
  readonly distances: Float32Array;
  readonly iterations: readonly Iteration[];
  /** Of the last assignment. */
  readonly report: DispatchReport;
}

export interface ClusterWatcher {
  loading(bytes: number): void;
  loaded(): void;
  assigning(iteration: number, completed: number): void;
  iterated(number: number, iteration: Iteration): void;
}

/** Elements of the vectors that are pinned at a time. */
const pinned = 2 ** 20;

/** Clusters the rows, brought to length 1, from the rows `seeds` on; ends earlier when no row moves any more. */
export async function cluster(
  memory: UnifiedMemory,
  file: VectorFile,
  seeds: readonly number[],
  most: number,
  watcher: ClusterWatcher,
  signal: AbortSignal,
): Promise<Clustering> {
  const { rows, dimensions } = file;
  const clusters = seeds.length;
  const vectors = memory.createArray("f32", rows * dimensions, { label: "vectors" });
  const centroids = memory.createArray("f32", clusters * dimensions, { label: "centroids" });
  const labels = memory.createArray("u32", rows, { label: "labels" });
  const distances = memory.createArray("f32", rows, { label: "distances" });

  const normalise = await memory.createKernel(normaliseKernel(dimensions));
  const assign = await memory.createKernel(assignKernel(dimensions, clusters));

  await vectors.write(readChunks(file, { signal, onProgress: (bytes) => watcher.loading(bytes) }), { signal });
  watcher.loaded();
  await normalise.dispatch({ invocations: rows, arrays: { vectors }, signal });

  const means = new Float32Array(clusters * dimensions);
  for (const [c, row] of seeds.entries()) {
    await vectors.read(means.subarray(c * dimensions, (c + 1) * dimensions), { start: row * dimensions, signal });
  }

  const before = new Uint32Array(rows).fill(clusters);
  const iterations: Iteration[] = [];
  for (;;) {
    await centroids.write(means, { signal });
    const number = iterations.length + 1;
    const report = await assign.dispatch({
      invocations: rows,
      arrays: { vectors, centroids, labels, distances },
      signal,
      onProgress: ({ completed }) => watcher.assigning(number, completed),
    });
    const now = await labels.read({ signal });
    const apart = await distances.read({ signal });
    let moved = 0;
    let inertia = 0;
    for (let i = 0; i < rows; i++) {
      if (now[i] !== before[i]) moved++;
      inertia += apart[i];
    }
    before.set(now);
    iterations.push({ moved, inertia });
    watcher.iterated(number, { moved, inertia });
    if (moved === 0 || number === most) return { labels: now, distances: apart, iterations, report };

    const sums = new Float64Array(clusters * dimensions);
    const perPin = Math.max(1, Math.floor(pinned / dimensions));
    for (let first = 0; first < rows; first += perPin) {
      const count = Math.min(perPin, rows - first);
      const pin = await vectors.pin("read", { start: first * dimensions, length: count * dimensions, signal });
      addRows(sums, pin.view, now, first, dimensions);
      pin.release();
    }
    replaceMeans(means, sums, now, dimensions);
  }
}

function addRows(sums: Float64Array, view: Float32Array, labels: Uint32Array, first: number, dimensions: number): void {
  for (let place = 0, row = first; place < view.length; row++) {
    const sum = labels[row] * dimensions;
    for (let d = 0; d < dimensions; d++) sums[sum + d] += view[place++];
  }
}

/** A cluster without rows keeps the centroid that it had. */
function replaceMeans(means: Float32Array, sums: Float64Array, labels: Uint32Array, dimensions: number): void {
  const sizes = new Uint32Array(means.length / dimensions);
  for (const label of labels) sizes[label]++;
  for (let c = 0; c < sizes.length; c++) {
    if (sizes[c] === 0) continue;
    for (let d = 0; d < dimensions; d++) means[c * dimensions + d] = sums[c * dimensions + d] / sizes[c];
  }
}
