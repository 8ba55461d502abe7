/**
 * Kernels for tests, each with its arrays and its footprint, and the plain loop that says what must come out: the same
 * function over plain typed arrays, all invocations at once, without any memory of ours.
 */

import type { HostKernel, HostModule, KernelRange } from "../../src/device/driver.js";
import { type ElementType, strideOf, type View, viewOf } from "../../src/device/element.js";
import { struct } from "../../src/struct/index.js";
import type { Footprint } from "../../src/unified/footprint.js";
import { kernelModule } from "../kernel-module.js";

export interface Workload {
  readonly name: string;
  readonly arrays: Readonly<Record<string, { readonly type: ElementType; readonly length: number }>>;
  readonly footprint: Record<string, Footprint>;
  readonly kernel: HostKernel;
  /** Where a worker finds the kernel. */
  readonly module: HostModule;
  readonly invocations: number;
  readonly uniforms: Record<string, unknown>;
}

/** Bytes that differ from page to page and from element to element, as elements of the type. */
export function startOf(type: ElementType, length: number, salt: number): View {
  const view = viewOf(type, new ArrayBuffer(length * strideOf(type)), 0, length);
  for (let i = 0; i < view.length; i++) {
    const value = ((i * 2_654_435_761 + salt * 40_503) >>> 7) % 251;
    if (view instanceof BigInt64Array || view instanceof BigUint64Array) view[i] = BigInt(value);
    else view[i] = value;
  }
  return view;
}

/** What the arrays hold before. */
export function startsOf(workload: Workload): Record<string, View> {
  return Object.fromEntries(
    Object.entries(workload.arrays).map(([name, { type, length }], i) => [name, startOf(type, length, i + 1)]),
  );
}

/** What the arrays hold after the plain loop. */
export function plainly({ kernel, invocations, uniforms }: Workload, arrays: Record<string, View>): void {
  const base = Object.fromEntries(Object.keys(arrays).map((name) => [name, 0]));
  kernel.run({ first: 0, count: invocations, arrays, base, uniforms });
}

function kernel(writes: string[], invocation: (i: number, range: KernelRange) => void): HostKernel {
  return {
    writes,
    run(range) {
      for (let i = range.first; i < range.first + range.count; i++) invocation(i, range);
    },
  };
}

/** Numbers of two types, so bytes to a kernel. */
const cell = struct({ count: "u32", place: "vec2i" });

/** Sizes are in units of a page's bytes, and never whole pages. */
export function workloads(pageSize: number): Workload[] {
  return plainWorkloads(pageSize).map((workload, i) => {
    const module = kernelModule(new URL(import.meta.url), "workloads", `workloads(${pageSize})[${i}].kernel`);
    return { ...workload, module };
  });
}

function plainWorkloads(pageSize: number): Omit<Workload, "module">[] {
  const floats = pageSize / 4;
  return [
    {
      name: "streaming",
      arrays: { x: { type: "f32", length: 5 * floats + 3 }, y: { type: "f32", length: 5 * floats + 90 } },
      footprint: { x: { each: 1 }, y: { each: 1 } },
      kernel: kernel(["y"], (i, { arrays, base, uniforms }) => {
        arrays["y"][i - base["y"]] += arrays["x"][i - base["x"]] * uniforms["factor"];
      }),
      invocations: 5 * floats + 1,
      uniforms: { factor: 3 },
    },
    {
      name: "a halo before and after",
      arrays: { x: { type: "i32", length: 6 * floats + 5 }, y: { type: "i16", length: 6 * floats + 5 } },
      footprint: { x: { each: 1, before: 3, after: 5 }, y: { each: 1 } },
      kernel: kernel(["y"], (i, { arrays, base }) => {
        const x = arrays["x"] as Int32Array;
        let sum = 0;
        for (let at = Math.max(i - 3, 0); at <= i + 5; at++) sum += x[at - base["x"]] ?? 0;
        arrays["y"][i - base["y"]] = sum;
      }),
      invocations: 6 * floats + 5,
      uniforms: {},
    },
    {
      name: "a halo of more than a page",
      arrays: { x: { type: "u8", length: 7 * pageSize + 11 }, y: { type: "u32", length: 7 * pageSize + 11 } },
      footprint: { x: { each: 1, before: pageSize + 9, after: 2 }, y: { each: 1 } },
      kernel: kernel(["y"], (i, { arrays, base }) => {
        const x = arrays["x"] as Uint8Array;
        const back = Math.max(i - pageSize - 9, 0);
        arrays["y"][i - base["y"]] =
          x[back - base["x"]] * 65_536 + x[i - base["x"]] * 256 + (x[i + 2 - base["x"]] ?? 0);
      }),
      invocations: 7 * pageSize + 11,
      uniforms: {},
    },
    {
      name: "a whole table",
      arrays: {
        index: { type: "u16", length: 3 * (pageSize / 2) + 7 },
        table: { type: "f64", length: 2 * (pageSize / 8) + 1 },
        out: { type: "f64", length: 3 * (pageSize / 2) + 7 },
      },
      footprint: { index: { each: 1 }, table: "whole", out: { each: 1 } },
      kernel: kernel(["out"], (i, { arrays, base }) => {
        const table = arrays["table"] as Float64Array;
        const at = (arrays["index"][i - base["index"]] * 37 + i) % table.length;
        arrays["out"][i - base["out"]] = table[at] + i;
      }),
      invocations: 3 * (pageSize / 2) + 7,
      uniforms: {},
    },
    {
      name: "a whole array that is written",
      arrays: { x: { type: "u8", length: 4 * pageSize + 1 }, histogram: { type: "u32", length: 256 } },
      footprint: { x: { each: 16 }, histogram: "whole" },
      kernel: kernel(["histogram"], (i, { arrays, base }) => {
        for (let j = 0; j < 16; j++) arrays["histogram"][arrays["x"][i * 16 + j - base["x"]]]++;
      }),
      invocations: pageSize / 4,
      uniforms: {},
    },
    {
      name: "in place",
      arrays: { x: { type: "u32", length: 7 * floats + 19 } },
      footprint: { x: { each: 1 } },
      kernel: kernel(["x"], (i, { arrays, base }) => {
        arrays["x"][i - base["x"]] = arrays["x"][i - base["x"]] * 3 + i;
      }),
      invocations: 7 * floats + 10,
      uniforms: {},
    },
    {
      name: "in place, from the element before",
      arrays: { x: { type: "u64", length: 5 * (pageSize / 8) + 2 } },
      footprint: { x: { each: 1, before: 1 } },
      kernel: kernel(["x"], (i, { arrays, base }) => {
        const x = arrays["x"] as BigUint64Array;
        if (i > 0) x[i - base["x"]] += x[i - 1 - base["x"]] * 3n;
      }),
      invocations: 5 * (pageSize / 8) + 2,
      uniforms: {},
    },
    {
      name: "in place, from both sides",
      arrays: { x: { type: "i8", length: 4 * pageSize + 100 } },
      footprint: { x: { each: 2, before: 5, after: 3 } },
      kernel: kernel(["x"], (i, { arrays, base }) => {
        const x = arrays["x"] as Int8Array;
        const at = i * 2 - base["x"];
        x[at] = (x[at - 5] ?? 1) + (x[at + 4] ?? 2);
        x[at + 1] ^= x[at];
      }),
      invocations: 2 * pageSize + 50,
      uniforms: {},
    },
    {
      name: "several strides",
      arrays: {
        vectors: { type: "f64", length: 7 * (pageSize / 8) + 3 },
        tags: { type: "u8", length: 3 * pageSize + 77 },
        sums: { type: "i64", length: pageSize / 8 + 40 },
        counts: { type: "u16", length: pageSize / 2 },
      },
      footprint: { vectors: { each: 7 }, tags: { each: 3, before: 1 }, sums: { each: 1 }, counts: { each: 2 } },
      kernel: kernel(["sums", "counts"], (i, { arrays, base }) => {
        let sum = 0;
        for (let j = 0; j < 7; j++) sum += arrays["vectors"][i * 7 + j - base["vectors"]];
        const tag = arrays["tags"][Math.max(i * 3 - 1, 0) - base["tags"]] + arrays["tags"][i * 3 + 2 - base["tags"]];
        arrays["sums"][i - base["sums"]] += BigInt(sum) * BigInt(tag);
        arrays["counts"][i * 2 + (tag & 1) - base["counts"]]++;
      }),
      invocations: pageSize / 8,
      uniforms: {},
    },
    {
      name: "vectors, matrices and structures",
      arrays: {
        turns: { type: "mat2x2f", length: 2 * (pageSize / 16) + 5 },
        points: { type: "vec3f", length: 2 * (pageSize / 16) + 5 },
        cells: { type: cell, length: 2 * (pageSize / 16) + 9 },
      },
      footprint: { turns: { each: 1 }, points: { each: 1, before: 2 }, cells: { each: 1 } },
      kernel: kernel(["points", "cells"], (i, { arrays, base }) => {
        const turn = (arrays["turns"] as Float32Array).subarray((i - base["turns"]) * 4);
        const points = arrays["points"] as Float32Array;
        const at = (i - base["points"]) * 4;
        points[at] = turn[0] * points[at] + turn[2] * points[at + 1];
        points[at + 1] += turn[1] * points[at + 2];
        points[at + 2] = i < 2 ? 1 : points[at - 8];
        const { count, place } = cell.views(arrays["cells"] as Uint8Array);
        count[(i - base["cells"]) * cell.step] += i;
        place[(i - base["cells"]) * cell.step + 1] = -points[at];
      }),
      invocations: 2 * (pageSize / 16) + 5,
      uniforms: {},
    },
    {
      name: "several pages an invocation",
      arrays: { x: { type: "u16", length: 8 * (pageSize / 2) + 60 }, y: { type: "f32", length: 5 } },
      footprint: { x: { each: pageSize + 12 }, y: { each: 1 } },
      kernel: kernel(["y"], (i, { arrays, base }) => {
        for (let j = 0; j < pageSize + 12; j += 61) {
          arrays["y"][i - base["y"]] += arrays["x"][i * (pageSize + 12) + j - base["x"]];
        }
      }),
      invocations: 4,
      uniforms: {},
    },
  ];
}
