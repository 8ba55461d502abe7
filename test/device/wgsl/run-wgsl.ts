// Runs kernels in WGSL over typed arrays, without a memory around them.

import type { DispatchShape } from "../../../src/device/driver.js";
import { createStepKernel } from "../../../src/device/wgsl/compiled/index.js";
import { compile } from "../../../src/device/wgsl/index.js";

export type Numbers = Float32Array | Int32Array | Uint32Array;

export interface Run {
  readonly invocations?: number;
  /** In place of `invocations`, of more than one dimension. */
  readonly shape?: DispatchShape;
  readonly uniforms?: Record<string, Uint8Array>;
  readonly constants?: Record<string, number>;
  readonly entryPoint?: string;
  /** Numbers an element, of arrays that have more than one. */
  readonly strides?: Record<string, number>;
}

/** Runs all invocations in one step; every invocation may use every element. */
export function runWgsl(text: string, arrays: Record<string, Numbers>, options: Run = {}): void {
  const { invocations = 1, uniforms = {}, constants = {}, entryPoint = "main", strides = {} } = options;
  const { shape = [invocations, 1, 1] } = options;
  const names = Object.keys(arrays);
  const every = <T>(value: (name: string) => T): Record<string, T> =>
    Object.fromEntries(names.map((name) => [name, value(name)]));
  const kernel = createStepKernel(compile({ text, entryPoint, constants }));
  const lengths = every((name) => (arrays[name]?.length ?? 0) / (strides[name] ?? 1));
  const base = every(() => 0);
  const count = shape[0] * shape[1] * shape[2];
  kernel.run({ first: 0, count, shape, arrays, base, lengths, uniforms });
}

const VIEWS = { f32: Float32Array, i32: Int32Array, u32: Uint32Array } as const;
export type Scalar = keyof typeof VIEWS;

/** What an expression of `a`, `b` and `c` is for each row of their values. */
export function evaluate(
  expression: string,
  types: readonly Scalar[],
  result: Scalar | "bool",
  rows: readonly (readonly number[])[],
): number[] {
  const names = ["a", "b", "c", "d"].slice(0, types.length);
  const out = result === "bool" ? "u32" : result;
  const arrays: Record<string, Numbers> = { out: new VIEWS[out](rows.length) };
  names.forEach((name, i) => {
    arrays[`in_${name}`] = VIEWS[types[i] ?? "f32"].from(rows.map((row) => row[i] ?? 0));
  });
  const text = `
${names.map((name, i) => `@group(0) @binding(${i}) var<storage, read> in_${name}: array<${types[i]}>;`).join("\n")}
@group(0) @binding(9) var<storage, read_write> out: array<${out}>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  ${names.map((name) => `let ${name} = in_${name}[id.x];`).join("\n  ")}
  out[id.x] = ${result === "bool" ? `select(0u, 1u, ${expression})` : expression};
}`;
  runWgsl(text, arrays, { invocations: rows.length });
  return Array.from(arrays["out"] ?? []);
}
