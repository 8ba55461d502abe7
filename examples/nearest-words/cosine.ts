/**
 * The kernel: the cosine of each row with each of a few directions, which are unit vectors. In WGSL for GPUs; as a function
 * for the mirror, which runs it faster than the same WGSL.
 */

import type { KernelDescriptor } from "../../src/index.js";

const wgsl = `
override dimensions: u32;
override directionCount: u32;

@group(0) @binding(0) var<storage, read> vectors: array<f32>;
@group(0) @binding(1) var<storage, read> directions: array<f32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(64)
fn cosine(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x * dimensions;
  var squares = 0.0;
  for (var d = 0u; d < dimensions; d++) {
    squares += vectors[row + d] * vectors[row + d];
  }
  let length = sqrt(squares);
  for (var q = 0u; q < directionCount; q++) {
    var product = 0.0;
    for (var d = 0u; d < dimensions; d++) {
      product += vectors[row + d] * directions[q * dimensions + d];
    }
    scores[id.x * directionCount + q] = select(product / length, 0.0, length == 0.0);
  }
}`;

/** Arrays `vectors`, `directions` and `scores`; one invocation a row. A row of zeros is similar to nothing: 0. */
export function cosineKernel(dimensions: number, directionCount: number): KernelDescriptor {
  return {
    label: "cosine",
    wgsl,
    constants: { dimensions, directionCount },
    footprint: { vectors: { each: dimensions }, directions: "whole", scores: { each: directionCount } },
    host: {
      writes: ["scores"],
      run({ first, count, arrays, base }) {
        const v = arrays["vectors"] as Float32Array;
        const d = arrays["directions"] as Float32Array;
        const s = arrays["scores"] as Float32Array;
        for (let i = first; i < first + count; i++) {
          const row = i * dimensions - base["vectors"];
          const length = Math.sqrt(dot(v, row, v, row, dimensions));
          const score = i * directionCount - base["scores"];
          for (let q = 0; q < directionCount; q++) {
            s[score + q] = length === 0 ? 0 : dot(v, row, d, q * dimensions, dimensions) / length;
          }
        }
      },
    },
  };
}

/** The vector with length 1; one of zeros as it is. */
export function unit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(dot(vector, 0, vector, 0, vector.length));
  return length === 0 ? vector : vector.map((number) => number / length);
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
