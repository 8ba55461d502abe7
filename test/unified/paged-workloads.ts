/**
 * Kernels in WGSL of which nobody knows before what they use, or not of all their arrays, and what plain loops make of the
 * same arrays. Their results do not depend on the order of invocations, nor on how a device rounds: so they are the same
 * bytes everywhere.
 */

import type { Footprint } from "../../src/unified/footprint.js";
import { seededRandom } from "../environments.js";

export type Numbers = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
export type NumberArrays = Record<string, Numbers>;

export interface PagedWorkload {
  readonly name: string;
  readonly wgsl: string;
  readonly footprint: Record<string, Footprint>;
  readonly invocations: number;
  readonly uniforms: Record<string, number>;
  /** New arrays, the same ones each time. */
  readonly start: () => NumberArrays;
  /** What the kernel does, by a plain loop. */
  readonly plainly: (arrays: NumberArrays) => void;
}

/** `pages` pages of numbers are about what the largest array of each takes; the others follow. */
export function pagedWorkloads(pageSize: number, pages = 12): readonly PagedWorkload[] {
  const page = pageSize / 4;
  const many = page * pages;
  return [
    gather(many, page * 4),
    hashed(many, page * 2),
    histogram(many / 2, page * 4),
    inPlace(many),
    twice(many),
    sum(many),
    chase(many, page),
    pageRank(page * 2, many),
    breadthFirst(page * 2, many),
  ];
}

const f = Math.fround;

/** Numbers drawn from `[0, below)`. */
function draw(length: number, below: number, seed: number): Uint32Array<ArrayBuffer> {
  const random = seededRandom(seed);
  return Uint32Array.from({ length }, () => Math.floor(random() * below));
}

export function gather(size: number, invocations: number): PagedWorkload {
  return {
    name: "gather",
    wgsl: `
@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> data: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&index)) { return; }
  result[id.x] = data[index[id.x]] + 1;
}`,
    footprint: { index: { each: 1 }, result: { each: 1 } },
    invocations,
    uniforms: {},
    start: () => ({
      index: draw(invocations, size, 1),
      data: Float32Array.from({ length: size }, (_, i) => i / 4),
      result: new Float32Array(invocations),
    }),
    plainly: ({ index, data, result }) => index.forEach((at, i) => (result[i] = f(data[at] + 1))),
  };
}

/** Where an element is, is worked out from what is read: any number would be within the array, also one that is not there. */
function hashed(size: number, invocations: number): PagedWorkload {
  return {
    name: "hashed gather",
    wgsl: `
@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&keys)) { return; }
  let key = keys[id.x] * 0x9e3779b1u;
  let at = (key >> 7) % arrayLength(&data);
  result[id.x] = data[at] ^ data[(at * 31 + 7) % arrayLength(&data)];
}`,
    footprint: {},
    invocations,
    uniforms: {},
    start: () => ({
      data: draw(size, 2 ** 32, 13),
      result: new Uint32Array(invocations),
      keys: draw(invocations, 2 ** 32, 14),
    }),
    plainly: ({ data, result, keys }) => {
      keys.forEach((key, i) => {
        const at = (Math.imul(key, 0x9e3779b1) >>> 7) % size;
        result[i] = data[at] ^ data[(at * 31 + 7) % size];
      });
    },
  };
}

function histogram(invocations: number, bins: number): PagedWorkload {
  return {
    name: "scatter",
    wgsl: `
@group(0) @binding(0) var<storage, read> values: array<u32>;
@group(0) @binding(1) var<storage, read_write> bins: array<atomic<u32>>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&values)) { return; }
  atomicAdd(&bins[values[id.x] % arrayLength(&bins)], id.x & 3);
}`,
    footprint: { values: { each: 1 } },
    invocations,
    uniforms: {},
    start: () => ({ values: draw(invocations, 2 ** 32, 2), bins: new Uint32Array(bins) }),
    plainly: ({ values, bins: counts }) => values.forEach((value, i) => (counts[value % bins] += i & 3)),
  };
}

function inPlace(invocations: number): PagedWorkload {
  return {
    name: "in place",
    wgsl: `
@group(0) @binding(0) var<uniform> scale: u32;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&y)) { return; }
  y[id.x] = y[id.x] * scale + x[id.x];
}`,
    footprint: { x: { each: 1 }, y: { each: 1 } },
    invocations,
    uniforms: { scale: 3 },
    start: () => ({ x: draw(invocations, 2 ** 32, 3), y: draw(invocations, 2 ** 32, 4) }),
    plainly: ({ x, y }) => y.forEach((value, i) => (y[i] = Math.imul(value, 3) + x[i])),
  };
}

/** Also at the far end of the array, and over the same elements again. */
function twice(size: number): PagedWorkload {
  return {
    name: "double read-modify-write",
    wgsl: `
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let last = arrayLength(&x) - 1;
  if (id.x > last / 2) { return; }
  x[id.x] += 5;
  x[last - id.x] += x[id.x];
  x[id.x] = x[id.x] * 7 + x[last - id.x];
  x[last - id.x]++;
}`,
    footprint: {},
    invocations: size / 2,
    uniforms: {},
    start: () => ({ x: draw(size, 2 ** 32, 5) }),
    plainly: ({ x }) => {
      for (let i = 0; i < size / 2; i++) {
        const other = size - 1 - i;
        x[i] += 5;
        x[other] += x[i];
        x[i] = Math.imul(x[i], 7) + x[other];
        x[other]++;
      }
    },
  };
}

function sum(invocations: number): PagedWorkload {
  return {
    name: "reduction into one cell",
    wgsl: `
@group(0) @binding(0) var<storage, read> values: array<u32>;
@group(0) @binding(1) var<storage, read_write> total: atomic<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&values)) { return; }
  atomicAdd(&total, values[id.x]);
}`,
    footprint: { values: { each: 1 } },
    invocations,
    uniforms: {},
    start: () => ({ values: draw(invocations, 1000, 6), total: new Uint32Array(1) }),
    plainly: ({ values, total }) => values.forEach((value) => (total[0] += value)),
  };
}

/** Each follows a chain through the array until it ends, or for so long. */
function chase(size: number, invocations: number): PagedWorkload {
  const END = 0xffff_fffe;
  return {
    name: "data-dependent loop",
    wgsl: `
@group(0) @binding(0) var<uniform> most: u32;
@group(0) @binding(1) var<storage, read> next: array<u32>;
@group(0) @binding(2) var<storage, read_write> found: array<vec2u>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&found)) { return; }
  var at = id.x;
  var steps = 0u;
  loop {
    let following = next[at];
    if (following == ${END}u || steps == most) { break; }
    at = following;
    continuing { steps++; }
  }
  found[id.x] = vec2u(at, steps);
}`,
    footprint: { found: { each: 1 } },
    invocations,
    uniforms: { most: 5 },
    start: () => ({
      next: draw(size, size, 7).map((to, i) => (i % 5 === 0 ? END : to)),
      found: new Uint32Array(invocations * 2),
    }),
    plainly: ({ next, found }) => {
      for (let i = 0; i < invocations; i++) {
        let at = i;
        let steps = 0;
        while (next[at] !== END && steps < 5) {
          at = next[at];
          steps++;
        }
        found.set([at, steps], i * 2);
      }
    },
  };
}

interface Graph {
  /** Of each vertex the first of its edges; one more for the end. */
  readonly offsets: Uint32Array<ArrayBuffer>;
  readonly edges: Uint32Array<ArrayBuffer>;
}

/** As many edges as there are, more of them at some vertices, to vertices that are near or anywhere. */
function randomGraph(vertices: number, edges: number, seed: number): Graph {
  const random = seededRandom(seed);
  const weights = Float64Array.from({ length: vertices }, () => random() ** 3);
  const total = weights.reduce((all, weight) => all + weight, 0);
  const offsets = new Uint32Array(vertices + 1);
  let before = 0;
  for (let v = 0; v < vertices; v++) {
    before += weights[v];
    offsets[v + 1] = Math.round((before / total) * edges);
  }
  const to = new Uint32Array(edges);
  for (let v = 0; v < vertices; v++) {
    for (let e = offsets[v]; e < offsets[v + 1]; e++) {
      const near = (v + Math.floor(random() * 32)) % vertices;
      to[e] = random() < 0.5 ? near : Math.floor(random() * vertices);
    }
  }
  return { offsets, edges: to };
}

/** `share` is a vertex's rank, divided by its edges: so a GPU has only sums to round. */
export function pageRank(vertices: number, edges: number): PagedWorkload {
  return {
    name: "PageRank",
    wgsl: `
@group(0) @binding(0) var<storage, read> offsets: array<u32>;
@group(0) @binding(1) var<storage, read> edges: array<u32>;
@group(0) @binding(2) var<storage, read> share: array<f32>;
@group(0) @binding(3) var<storage, read_write> rank: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&rank)) { return; }
  var sum = 0.0;
  for (var e = offsets[id.x]; e < offsets[id.x + 1]; e++) { sum += share[edges[e]]; }
  rank[id.x] = 0.25 + 0.5 * sum;
}`,
    footprint: { offsets: { each: 1, after: 1 }, rank: { each: 1 } },
    invocations: vertices,
    uniforms: {},
    start: () => ({
      ...randomGraph(vertices, edges, 8),
      share: Float32Array.from(draw(vertices, 1000, 9), (part) => part / 64),
      rank: new Float32Array(vertices),
    }),
    plainly: ({ offsets, edges: to, share, rank }) => {
      for (let v = 0; v < vertices; v++) {
        let all = 0;
        for (let e = offsets[v]; e < offsets[v + 1]; e++) all = f(all + share[to[e]]);
        rank[v] = f(0.25 + f(0.5 * all));
      }
    },
  };
}

/** One level of a search: those of the frontier tell their neighbours. */
export function breadthFirst(vertices: number, edges: number): PagedWorkload {
  const frontier = draw(vertices / 2, vertices, 11);
  return {
    name: "BFS push",
    wgsl: `
@group(0) @binding(0) var<uniform> depth: u32;
@group(0) @binding(1) var<storage, read> frontier: array<u32>;
@group(0) @binding(2) var<storage, read> offsets: array<u32>;
@group(0) @binding(3) var<storage, read> edges: array<u32>;
@group(0) @binding(4) var<storage, read_write> level: array<atomic<u32>>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&frontier)) { return; }
  let v = frontier[id.x];
  for (var e = offsets[v]; e < offsets[v + 1]; e++) { atomicMin(&level[edges[e]], depth + 1); }
}`,
    footprint: { frontier: { each: 1 } },
    invocations: frontier.length,
    uniforms: { depth: 3 },
    start: () => ({
      frontier: frontier.slice(),
      ...randomGraph(vertices, edges, 10),
      level: draw(vertices, 8, 12),
    }),
    plainly: ({ frontier: of, offsets, edges: to, level }) => {
      for (const v of of) for (let e = offsets[v]; e < offsets[v + 1]; e++) level[to[e]] = Math.min(level[to[e]], 4);
    },
  };
}
