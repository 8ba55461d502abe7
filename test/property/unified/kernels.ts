/**
 * Kernels for random programs, over arrays of any number type. What must come out is what the same function does to plain
 * typed arrays, all invocations at once. All values stay whole and small, so that no type rounds them.
 */

import type { HostKernel, HostModule, KernelRange } from "../../../src/device/driver.js";
import type { Footprint } from "../../../src/unified/footprint.js";
import { kernelModule } from "../../kernel-module.js";

export interface KernelUnderTest {
  readonly label: string;
  readonly footprint: Readonly<Record<string, Footprint>>;
  readonly host: HostKernel;
  /** Where a worker finds the kernel. */
  readonly module: HostModule;
}

type Invocation = (i: number, at: (name: string, element: number) => number, store: Store) => void;
type Store = (name: string, element: number, value: number) => void;

const SMALL = 101;

function kernel(
  label: string,
  footprint: Record<string, Footprint>,
  writes: readonly string[],
  invocation: Invocation,
): KernelUnderTest {
  const run = ({ first, count, arrays, base }: KernelRange): void => {
    // Elements outside of the array count as 0.
    const at = (name: string, element: number): number => arrays[name][element - base[name]] ?? 0;
    const store = (name: string, element: number, value: number): void => {
      arrays[name][element - base[name]] = value % SMALL;
    };
    for (let i = first; i < first + count; i++) invocation(i, at, store);
  };
  const module = kernelModule(
    new URL(import.meta.url),
    "kernels",
    `kernels.find(({ label }) => label === "${label}").host`,
  );
  return { label, footprint, host: { writes, run }, module };
}

export const kernels: readonly KernelUnderTest[] = [
  kernel("add", { x: { each: 1 }, y: { each: 1 } }, ["y"], (i, at, store) =>
    store("y", i, at("x", i) * 2 + at("y", i)),
  ),
  kernel("halo", { x: { each: 1, before: 2, after: 3 }, y: { each: 1 } }, ["y"], (i, at, store) => {
    let sum = 0;
    for (let j = i - 2; j <= i + 3; j++) sum += at("x", j);
    store("y", i, sum);
  }),
  kernel("far halo", { x: { each: 1, before: 3000, after: 1 }, y: { each: 2 } }, ["y"], (i, at, store) => {
    store("y", 2 * i, at("x", i - 3000) + at("x", i + 1));
    store("y", 2 * i + 1, at("x", i - 1500) + at("x", i));
  }),
  kernel("in place", { x: { each: 1 } }, ["x"], (i, at, store) => store("x", i, at("x", i) * 3 + (i % 7))),
  kernel("running sum", { x: { each: 1, before: 1 } }, ["x"], (i, at, store) =>
    store("x", i, at("x", i) + at("x", i - 1)),
  ),
  kernel("both sides", { x: { each: 2, before: 5, after: 3 } }, ["x"], (i, at, store) => {
    store("x", 2 * i, at("x", 2 * i - 5) + at("x", 2 * i + 4));
    store("x", 2 * i + 1, at("x", 2 * i) + 1);
  }),
  kernel("table", { x: { each: 1 }, table: "whole", y: { each: 1 } }, ["y"], (i, at, store) =>
    store("y", i, at("x", i) + at("table", (i * 37) % 512)),
  ),
  kernel("count", { x: { each: 4 }, table: "whole" }, ["table"], (i, at, store) => {
    for (let j = 4 * i; j < 4 * i + 4; j++) store("table", at("x", j), at("table", at("x", j)) + 1);
  }),
  kernel("rows", { x: { each: 25 }, y: { each: 1 }, z: { each: 1 } }, ["y", "z"], (i, at, store) => {
    let sum = 0;
    for (let j = 25 * i; j < 25 * i + 25; j++) sum += at("x", j);
    store("y", i, sum);
    store("z", i, sum * 2 + at("z", i));
  }),
];

export const NUMBER_TYPES = ["f32", "i32", "u32", "f64", "i8", "u8", "i16", "u16"] as const;
export type NumberType = (typeof NUMBER_TYPES)[number];
/** Any bytes are numbers of these, and the same numbers after a copy. */
export const INTEGER_TYPES = ["i32", "u32", "i8", "u8", "i16", "u16"] as const satisfies readonly NumberType[];
