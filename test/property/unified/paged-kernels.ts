/**
 * Kernels in WGSL for random programs, which ask for pages as they run, over arrays of any 32-bit number. Beside each stands
 * a function that does the same to plain typed arrays, and says what it stores to. All values stay whole and small.
 */

import type { Footprint } from "../../../src/unified/footprint.js";
import type { NumberType } from "./kernels.js";

export const WGSL_TYPES = ["f32", "i32", "u32"] as const satisfies readonly NumberType[];
export type WgslType = (typeof WGSL_TYPES)[number];
export const isWgslType = (type: NumberType): type is WgslType => (WGSL_TYPES as readonly NumberType[]).includes(type);

type Plain = Readonly<Record<string, { readonly length: number; [element: number]: number }>>;
type Store = (name: string, element: number, value: number) => void;

export interface PagedKernelUnderTest {
  readonly label: string;
  readonly names: readonly string[];
  readonly writes: readonly string[];
  /** Of some of the arrays. */
  readonly footprint: Readonly<Record<string, Footprint>>;
  /** Pages that one invocation uses at most. */
  readonly pages: number;
  /** How many invocations arrays of these lengths have. */
  readonly invocations: (lengths: Readonly<Record<string, number>>) => number;
  readonly wgsl: (types: Readonly<Record<string, WgslType>>) => string;
  readonly invocation: (i: number, arrays: Plain, store: Store) => void;
}

const SMALL = 101;

function text(
  names: readonly string[],
  writes: readonly string[],
  types: Readonly<Record<string, WgslType>>,
  body: string,
): string {
  const variables = names.map(
    (name, i) =>
      `@group(0) @binding(${i}) var<storage, ${writes.includes(name) ? "read_write" : "read"}> ${name}: array<${types[name]}>;`,
  );
  return `${variables.join("\n")}
@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
${body}
}`;
}

function kernel(
  given: Omit<PagedKernelUnderTest, "wgsl"> & { readonly body: (types: Readonly<Record<string, WgslType>>) => string },
): PagedKernelUnderTest {
  const { names, writes, body } = given;
  return { ...given, wgsl: (types) => text(names, writes, types, body(types)) };
}

export const pagedKernels: readonly PagedKernelUnderTest[] = [
  kernel({
    label: "gather",
    names: ["x", "table", "y"],
    writes: ["y"],
    footprint: { x: { each: 1 }, y: { each: 1 } },
    pages: 3,
    invocations: ({ x, y }) => Math.min(x, y),
    body: ({ y }) =>
      `  y[i] = ${y}((u32(table[(u32(x[i]) * 37 + i * 5) % arrayLength(&table)]) + u32(x[i])) % ${SMALL});`,
    invocation: (i, { x, table }, store) => store("y", i, (table[(x[i] * 37 + i * 5) % table.length] + x[i]) % SMALL),
  }),
  kernel({
    label: "from the end, in place",
    names: ["x", "table"],
    writes: ["table"],
    footprint: {},
    pages: 2,
    invocations: ({ x, table }) => Math.min(x, table),
    body: ({ table }) => `  let at = arrayLength(&table) - 1 - i;
  table[at] = ${table}((u32(table[at]) * 2 + u32(x[i])) % ${SMALL});
  table[at] += 1;`,
    invocation: (i, { x, table }, store) => {
      const at = table.length - 1 - i;
      store("table", at, ((table[at] * 2 + x[i]) % SMALL) + 1);
    },
  }),
  kernel({
    label: "some of many",
    names: ["x"],
    writes: ["x"],
    footprint: {},
    pages: 1,
    invocations: ({ x }) => x,
    body: ({ x }) => `  if (u32(x[i]) % 3 == 1 && i % 1024 < 8) { x[i] = ${x}(u32(x[i]) + i % 7); }`,
    invocation: (i, { x }, store) => {
      if (x[i] % 3 === 1 && i % 1024 < 8) store("x", i, x[i] + (i % 7));
    },
  }),
  kernel({
    label: "chain",
    names: ["table", "y"],
    writes: ["y"],
    footprint: { y: { each: 1 } },
    pages: 5,
    invocations: ({ y }) => y,
    body: ({ y }) => `  var at = i % arrayLength(&table);
  var steps = 0u;
  while (u32(table[at]) % 4 != 0 && steps < 3) { at = (u32(table[at]) * 131 + at) % arrayLength(&table); steps++; }
  y[i] = ${y}(at % ${SMALL} + steps);`,
    invocation: (i, { table }, store) => {
      let at = i % table.length;
      let steps = 0;
      for (; table[at] % 4 !== 0 && steps < 3; steps++) at = (table[at] * 131 + at) % table.length;
      store("y", i, (at % SMALL) + steps);
    },
  }),
];
