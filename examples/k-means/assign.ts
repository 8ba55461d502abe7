/**
 * The kernel: each row is given to the centroid that is nearest. In WGSL for GPUs, and beside it as a function, which the
 * mirror runs faster. Among centroids at the same distance the first is taken.
 */

import type { KernelDescriptor } from "../../src/index.js";

const wgsl = `
override dimensions: u32;
override clusters: u32;

@group(0) @binding(0) var<storage, read> vectors: array<f32>;
@group(0) @binding(1) var<storage, read> centroids: array<f32>;
@group(0) @binding(2) var<storage, read_write> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> distances: array<f32>;

@compute @workgroup_size(64)
fn assign(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x * dimensions;
  var label = 0u;
  var nearest = 0.0;
  for (var c = 0u; c < clusters; c++) {
    var distance = 0.0;
    for (var d = 0u; d < dimensions; d++) {
      let difference = vectors[row + d] - centroids[c * dimensions + d];
      distance += difference * difference;
    }
    if (c == 0u || distance < nearest) {
      nearest = distance;
      label = c;
    }
  }
  labels[id.x] = label;
  distances[id.x] = nearest;
}`;

/** Arrays `vectors`, `centroids`, `labels` (u32) and `distances` (squared); one invocation a row. */
export function assignKernel(dimensions: number, clusters: number): KernelDescriptor {
  return {
    label: "assign",
    wgsl,
    constants: { dimensions, clusters },
    footprint: { vectors: { each: dimensions }, centroids: "whole", labels: { each: 1 }, distances: { each: 1 } },
    host: {
      writes: ["labels", "distances"],
      run({ first, count, arrays, base }) {
        const v = arrays["vectors"] as Float32Array;
        const c = arrays["centroids"] as Float32Array;
        const labels = arrays["labels"] as Uint32Array;
        const distances = arrays["distances"] as Float32Array;
        for (let i = first; i < first + count; i++) {
          const row = i * dimensions - base["vectors"];
          let label = 0;
          let nearest = Infinity;
          for (let k = 0; k < clusters; k++) {
            const distance = squaredDistance(v, row, c, k * dimensions, dimensions);
            if (distance >= nearest) continue;
            nearest = distance;
            label = k;
          }
          labels[i - base["labels"]] = label;
          distances[i - base["distances"]] = nearest;
        }
      },
    },
  };
}

function squaredDistance(a: Float32Array, aStart: number, b: Float32Array, bStart: number, length: number): number {
  // Four sums that do not wait for each other.
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const d0 = a[aStart + i] - b[bStart + i];
    const d1 = a[aStart + i + 1] - b[bStart + i + 1];
    const d2 = a[aStart + i + 2] - b[bStart + i + 2];
    const d3 = a[aStart + i + 3] - b[bStart + i + 3];
    s0 += d0 * d0;
    s1 += d1 * d1;
    s2 += d2 * d2;
    s3 += d3 * d3;
  }
  for (; i < length; i++) {
    const d = a[aStart + i] - b[bStart + i];
    s0 += d * d;
  }
  return s0 + s1 + (s2 + s3);
}
