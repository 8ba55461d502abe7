/** The kernel that brings rows to length 1, in place. */

import type { KernelDescriptor } from "../../src/index.js";

const wgsl = `
override dimensions: u32;

@group(0) @binding(0) var<storage, read_write> vectors: array<f32>;

@compute @workgroup_size(64)
fn normalise(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x * dimensions;
  var squares = 0.0;
  for (var d = 0u; d < dimensions; d++) {
    squares += vectors[row + d] * vectors[row + d];
  }
  let length = sqrt(squares);
  for (var d = 0u; d < dimensions; d++) {
    let number = vectors[row + d];
    vectors[row + d] = select(number / length, 0.0, length == 0.0);
  }
}`;

/** Array `vectors`, in place; one invocation a row. A row of zeros stays as it is. */
export function normaliseKernel(dimensions: number): KernelDescriptor {
  return {
    label: "normalise",
    wgsl,
    constants: { dimensions },
    footprint: { vectors: { each: dimensions } },
    host: {
      writes: ["vectors"],
      run({ first, count, arrays, base }) {
        const v = arrays["vectors"] as Float32Array;
        for (let i = first; i < first + count; i++) {
          const row = i * dimensions - base["vectors"];
          let squares = 0;
          for (let d = row; d < row + dimensions; d++) squares += v[d] * v[d];
          const length = Math.sqrt(squares);
          if (length > 0) for (let d = row; d < row + dimensions; d++) v[d] /= length;
        }
      },
    },
  };
}
