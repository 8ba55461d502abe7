/**
 * Kernels in WGSL with what they must leave, worked out by plain loops that know nothing of WGSL. Lengths are no whole pages, and
 * arrays are larger than a small device.
 */

import type { DispatchShape } from "../../src/device/driver.js";
import type { ElementType, View } from "../../src/device/element.js";
import { struct } from "../../src/struct/index.js";
import type { Footprint } from "../../src/unified/footprint.js";

export interface WgslWorkload {
  readonly name: string;
  readonly wgsl: string;
  readonly arrays: Readonly<Record<string, { readonly type: ElementType; readonly length: number }>>;
  readonly footprint: Readonly<Record<string, Footprint>>;
  readonly invocations: number | DispatchShape;
  readonly uniforms?: Readonly<Record<string, unknown>>;
  /** Changes the arrays as the kernel has to. */
  // The plain loops know which typed arrays they have.
  // oxlint-disable-next-line no-explicit-any
  readonly expect: (arrays: Record<string, any>) => void;
}

const CELL = struct({ place: "vec2f", count: "u32", unused: "u32" });

/** Sizes are in units of a page's words. */
export function wgslWorkloads(words: number): WgslWorkload[] {
  const width = 100;
  const height = Math.ceil((7 * words) / width);
  const bound = width * height;
  return [
    {
      name: "streaming",
      wgsl: `
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        @group(0) @binding(2) var<uniform> factor: f32;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] += x[id.x] * factor; }`,
      arrays: { x: { type: "f32", length: 5 * words + 3 }, y: { type: "f32", length: 5 * words + 90 } },
      footprint: { x: { each: 1 }, y: { each: 1 } },
      invocations: 5 * words + 1,
      uniforms: { factor: 3 },
      expect: ({ x, y }) => {
        for (let i = 0; i < 5 * words + 1; i++) y[i] += x[i] * 3;
      },
    },
    {
      name: "a halo before and after, by a helper function",
      wgsl: `
        @group(0) @binding(0) var<storage, read> x: array<i32>;
        @group(0) @binding(1) var<storage, read_write> y: array<i32>;
        fn sum(p: ptr<storage, array<i32>, read>, from_: i32, to: i32) -> i32 {
          var total = 0;
          for (var i = max(from_, 0); i < min(to, i32(arrayLength(p))); i++) { total += (*p)[i]; }
          return total;
        }
        @compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
          let i = i32(id.x);
          y[i] = sum(&x, i - 3, i + 6);
        }`,
      arrays: { x: { type: "i32", length: 6 * words + 5 }, y: { type: "i32", length: 6 * words + 5 } },
      footprint: { x: { each: 1, before: 3, after: 5 }, y: { each: 1 } },
      invocations: 6 * words + 5,
      expect: ({ x, y }) => {
        for (let i = 0; i < y.length; i++) {
          y[i] = 0;
          for (let at = Math.max(i - 3, 0); at < Math.min(i + 6, x.length); at++) y[i] += x[at];
        }
      },
    },
    {
      name: "a gather from a whole table",
      wgsl: `
        @group(0) @binding(0) var<storage, read> index: array<u32>;
        @group(0) @binding(1) var<storage, read> table: array<vec2u>;
        @group(0) @binding(2) var<storage, read_write> out: array<vec2u>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
          let at = (index[id.x] * 37u + id.x) % arrayLength(&table);
          out[id.x] = table[at] + vec2u(id.x, at);
        }`,
      arrays: {
        index: { type: "u32", length: 3 * words + 7 },
        table: { type: "vec2u", length: words + 1 },
        out: { type: "vec2u", length: 3 * words + 7 },
      },
      footprint: { index: { each: 1 }, table: "whole", out: { each: 1 } },
      invocations: 3 * words + 7,
      expect: ({ index, table, out }) => {
        for (let i = 0; i < index.length; i++) {
          const at = (index[i] * 37 + i) % (words + 1);
          out[2 * i] = table[2 * at] + i;
          out[2 * i + 1] = table[2 * at + 1] + at;
        }
      },
    },
    {
      name: "a histogram and a total, by atomics, with arrays of fixed lengths",
      wgsl: `
        @group(0) @binding(0) var<storage, read> x: array<u32>;
        @group(0) @binding(1) var<storage, read_write> bins: array<atomic<u32>, 16>;
        @group(0) @binding(2) var<storage, read_write> total: atomic<u32>;
        @compute @workgroup_size(128) fn main(@builtin(global_invocation_id) id: vec3u) {
          for (var j = 0u; j < 4u; j++) { atomicAdd(&bins[x[id.x * 4u + j] % 16u], 1u); }
          atomicAdd(&total, id.x);
        }`,
      arrays: {
        x: { type: "u32", length: 4 * words + 4 },
        bins: { type: "u32", length: 16 },
        total: { type: "u32", length: 1 },
      },
      footprint: { x: { each: 4 }, bins: "whole", total: "whole" },
      invocations: words + 1,
      expect: ({ x, bins, total }) => {
        for (let i = 0; i < 4 * words + 4; i++) bins[x[i] % 16]++;
        for (let i = 0; i < words + 1; i++) total[0] += i;
      },
    },
    {
      name: "in place",
      wgsl: `
        @group(0) @binding(0) var<storage, read_write> x: array<u32>;
        @compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3u) {
          x[id.x] = x[id.x] * 3u;
          x[id.x] += id.x;
        }`,
      arrays: { x: { type: "u32", length: 7 * words + 19 } },
      footprint: { x: { each: 1 } },
      invocations: 7 * words + 10,
      expect: ({ x }) => {
        for (let i = 0; i < 7 * words + 10; i++) x[i] = x[i] * 3 + i;
      },
    },
    {
      name: "sums of workgroups, which share memory and wait for each other",
      wgsl: `
        var<workgroup> part: array<u32, 64>;
        @group(0) @binding(0) var<storage, read> x: array<u32>;
        @group(0) @binding(1) var<storage, read_write> sums: array<u32>;
        @compute @workgroup_size(64) fn main(
          @builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u,
          @builtin(num_workgroups) groups: vec3u) {
          part[local] = x[id.x];
          workgroupBarrier();
          for (var width = 32u; width > 0u; width >>= 1u) {
            if (local < width) { part[local] += part[local + width]; }
            workgroupBarrier();
          }
          if (local == 0u) { sums[group.x] = part[0] + groups.x; }
        }`,
      arrays: { x: { type: "u32", length: 6 * words }, sums: { type: "u32", length: words } },
      footprint: { x: { each: 1 }, sums: "whole" },
      invocations: 6 * words,
      expect: ({ x, sums }) => {
        for (let group = 0; group < (6 * words) / 64; group++) {
          sums[group] = (6 * words) / 64;
          for (let i = 0; i < 64; i++) sums[group] += x[group * 64 + i];
        }
      },
    },
    {
      name: "two dimensions, with neighbours",
      wgsl: `
        @group(0) @binding(0) var<storage, read> x: array<u32>;
        @group(0) @binding(1) var<storage, read_write> y: array<u32>;
        struct Size { width: u32, height: u32 }
        @group(1) @binding(0) var<uniform> size: Size;
        @compute @workgroup_size(16, 2) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
          var sum = groups.x * 100000u + groups.y;
          for (var dy = 0u; dy < 3u; dy++) {
            for (var dx = 0u; dx < 3u; dx++) {
              let at = vec2u(id.x + dx, id.y + dy) - 1u;
              if (at.x < size.width && at.y < size.height) { sum += x[at.x + at.y * size.width]; }
            }
          }
          y[id.x + id.y * size.width] = sum;
        }`,
      arrays: { x: { type: "u32", length: bound }, y: { type: "u32", length: bound } },
      footprint: { x: { each: 1, before: width + 1, after: width + 1 }, y: { each: 1 } },
      invocations: [width, height, 1],
      uniforms: { size: Uint32Array.of(width, height) },
      expect: ({ x, y }) => {
        for (let i = 0; i < bound; i++) {
          y[i] = Math.ceil(width / 16) * 100_000 + Math.ceil(height / 2);
          const [column, row] = [i % width, Math.floor(i / width)];
          for (let v = Math.max(row - 1, 0); v <= Math.min(row + 1, height - 1); v++)
            for (let u = Math.max(column - 1, 0); u <= Math.min(column + 1, width - 1); u++) y[i] += x[u + v * width];
        }
      },
    },
    {
      name: "structures, matrices and vectors",
      wgsl: `
        struct Cell { place: vec2f, count: u32, unused: u32 }
        @group(0) @binding(0) var<storage, read_write> cells: array<Cell>;
        @group(0) @binding(1) var<storage, read> turns: array<mat2x2f>;
        @group(0) @binding(2) var<storage, read_write> points: array<vec3f>;
        @compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {
          let i = id.x;
          cells[i].place = turns[i] * vec2f(f32(i % 7u), cells[i].place.y % 8.0);
          cells[i].count += i;
          points[i] += vec3f(1, 2, f32(arrayLength(&points)));
        }`,
      arrays: {
        cells: { type: CELL, length: words + 5 },
        turns: { type: "mat2x2f", length: words + 2 },
        points: { type: "vec3f", length: words + 3 },
      },
      footprint: { cells: { each: 1 }, turns: { each: 1 }, points: { each: 1 } },
      invocations: words + 1,
      expect: ({ cells, turns, points }) => {
        const { place, count } = CELL.views(cells);
        for (let i = 0; i < words + 1; i++) {
          const [a, b, c, d] = turns.subarray(4 * i);
          const [x, y] = [i % 7, place[CELL.step * i + 1] % 8];
          place[CELL.step * i] = a! * x + c! * y;
          place[CELL.step * i + 1] = b! * x + d! * y;
          count[CELL.step * i] += i;
          points[4 * i] += 1;
          points[4 * i + 1] += 2;
          points[4 * i + 2] += words + 3;
        }
      },
    },
    {
      name: "several pages an invocation, as many times as data say",
      wgsl: `
        @group(0) @binding(0) var<storage, read> x: array<u32>;
        @group(0) @binding(1) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3u) {
          let from_ = id.x * ${words + 12}u;
          var at = from_;
          var steps = 0u;
          while (at < from_ + ${words + 12}u) { y[id.x] += x[at]; at += 1u + x[at] % 7u; steps++; }
          y[id.x] += steps << 20u;
        }`,
      arrays: { x: { type: "u32", length: 7 * (words + 12) + 5 }, y: { type: "u32", length: 9 } },
      footprint: { x: { each: words + 12 }, y: { each: 1 } },
      invocations: 7,
      expect: ({ x, y }) => {
        for (let i = 0; i < 7; i++) {
          let steps = 0;
          for (let at = i * (words + 12); at < (i + 1) * (words + 12); at += 1 + (x[at] % 7)) {
            y[i] += x[at];
            steps++;
          }
          y[i] += steps << 20;
        }
      },
    },
  ];
}

/** Small whole numbers, which all types can hold and sums of which are exact. */
export function filled(view: View, seed: number): View {
  if (view instanceof Uint8Array) {
    // A structure: words of the same kind as elsewhere, some of them floats.
    const { place, count } = CELL.views(view);
    for (let i = 0; i * CELL.step < count.length; i++) {
      place[i * CELL.step] = (i * seed) % 50;
      place[i * CELL.step + 1] = (i + seed) % 30;
      count[i * CELL.step] = i % 1000;
    }
    return view;
  }
  for (let i = 0; i < view.length; i++) view[i] = (i * 7 + seed * 13) % 101;
  return view;
}
