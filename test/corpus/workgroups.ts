/** Invocations of a workgroup wait for each other and share memory. */

import { all, below, type Shader, type ShaderArray, storage } from "./shader.js";

const N = 64 * 90;

const words = (length: number, bound = 2 ** 31): ShaderArray => ({ type: "u32", length, start: below(bound) });
const zeros = (length: number): ShaderArray => ({ type: "u32", length, start: all(0) });

const IDS =
  "@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) l: u32, @builtin(workgroup_id) group: vec3u";

const MEMORY = /workgroup variables/;

export const WORKGROUPS: readonly Shader[] = [
  {
    name: "each workgroup adds up its part by halves",
    properties: ["workgroups", "reduction"],
    text:
      storage({ x: "array<u32>", sums: "rw array<u32>" }) +
      `var<workgroup> part: array<u32, 64>;
@compute @workgroup_size(64) fn main(${IDS}) {
  part[l] = x[id.x];
  workgroupBarrier();
  for (var width = 32u; width > 0u; width >>= 1u) {
    if (l < width) { part[l] += part[l + width]; }
    workgroupBarrier();
  }
  if (l == 0u) { sums[group.x] = part[0]; }
}`,
    arrays: { x: words(N), sums: zeros(N / 64) },
    shape: [N, 1, 1],
    footprint: { x: { each: 1 }, sums: "whole" },
    notOnMirror: MEMORY,
  },
  {
    name: "sums up to each element of a workgroup",
    properties: ["workgroups"],
    text:
      storage({ x: "array<u32>", y: "rw array<u32>" }) +
      `var<workgroup> part: array<u32, 64>;
@compute @workgroup_size(64) fn main(${IDS}) {
  part[l] = x[id.x];
  for (var reach = 1u; reach < 64u; reach *= 2u) {
    workgroupBarrier();
    let before = select(0u, part[max(l, reach) - reach], l >= reach);
    workgroupBarrier();
    part[l] += before;
  }
  y[id.x] = part[l];
}`,
    arrays: { x: words(N), y: zeros(N) },
    shape: [N, 1, 1],
    footprint: { x: { each: 1 }, y: { each: 1 } },
    notOnMirror: MEMORY,
  },
  {
    name: "a histogram of each workgroup, then of all",
    properties: ["workgroups", "reduction", "scatter"],
    text:
      storage({ x: "array<u32>", bins: "rw array<atomic<u32>, 32>" }) +
      `var<workgroup> own: array<atomic<u32>, 32>;
@compute @workgroup_size(64) fn main(${IDS}) {
  atomicAdd(&own[x[id.x] % 32u], 1u);
  workgroupBarrier();
  if (l < 32u) { atomicAdd(&bins[l], atomicLoad(&own[l])); }
}`,
    arrays: { x: words(N), bins: zeros(32) },
    shape: [N, 1, 1],
    footprint: { x: { each: 1 }, bins: "whole" },
    notOnMirror: MEMORY,
  },
  {
    name: "one invocation reads for all, who use it alike",
    properties: ["workgroups", "gather"],
    text:
      storage({ at: "array<u32>", x: "array<u32>", y: "rw array<u32>" }) +
      `var<workgroup> chosen: u32;
@compute @workgroup_size(32) fn main(${IDS}) {
  if (l == 0u) { chosen = at[group.x]; }
  let from_ = workgroupUniformLoad(&chosen);
  y[id.x] = x[from_ + l] ^ id.x;
}`,
    arrays: { at: words(N / 32, 6000), x: words(6100), y: zeros(N) },
    shape: [N, 1, 1],
    footprint: { y: { each: 1 } },
    notOnMirror: MEMORY,
  },
  {
    name: "tiles of a matrix are turned",
    properties: ["workgroups", "gather"],
    text:
      storage({ x: "array<u32>", y: "rw array<u32>" }) +
      `var<workgroup> tile: array<array<u32, 8>, 8>;
@compute @workgroup_size(8, 8) fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let from_ = group.xy * 8u + local.xy;
  tile[local.y][local.x] = x[from_.x + 64u * from_.y];
  workgroupBarrier();
  let to_ = group.yx * 8u + local.xy;
  y[to_.x + 96u * to_.y] = tile[local.x][local.y];
}`,
    arrays: { x: words(64 * 96), y: zeros(64 * 96) },
    shape: [64, 96, 1],
    footprint: {},
    notOnMirror: MEMORY,
  },
  {
    name: "matrices are multiplied by tiles",
    properties: ["workgroups", "gather", "reduction"],
    text:
      storage({ a: "array<f32>", b: "array<f32>", c: "rw array<f32>" }) +
      `var<workgroup> left: array<f32, 64>;
var<workgroup> right: array<f32, 64>;
@compute @workgroup_size(8, 8) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u) {
  var sum = 0.0;
  for (var tile = 0u; tile < 48u; tile += 8u) {
    left[local.x + 8u * local.y] = a[tile + local.x + 48u * id.y];
    right[local.x + 8u * local.y] = b[id.x + 80u * (tile + local.y)];
    workgroupBarrier();
    for (var k = 0u; k < 8u; k++) { sum += left[k + 8u * local.y] * right[local.x + 8u * k]; }
    workgroupBarrier();
  }
  c[id.x + 80u * id.y] = sum;
}`,
    arrays: {
      a: { type: "f32", length: 48 * 64, start: below(16) },
      b: { type: "f32", length: 80 * 48, start: below(16) },
      c: { type: "f32", length: 80 * 64, start: all(0) },
    },
    shape: [80, 64, 1],
    footprint: {},
    notOnMirror: MEMORY,
  },
  {
    name: "neighbours in a workgroup exchange through storage",
    properties: ["workgroups", "in place"],
    text:
      storage({ x: "rw array<u32>" }) +
      `@compute @workgroup_size(64) fn main(${IDS}) {
  let mine = x[id.x];
  storageBarrier();
  workgroupBarrier();
  x[id.x ^ 1u] = mine + 1u;
}`,
    arrays: { x: words(N) },
    shape: [N, 1, 1],
    footprint: { x: { each: 1 } },
    notOnMirror: /storageBarrier/,
  },
];
