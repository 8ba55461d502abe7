/** What an invocation uses depends on what it reads: gather, scatter, in place, loops that data ends. */

import { struct } from "../../src/struct/index.js";
import { all, below, main, type Shader, type ShaderArray, storage } from "./shader.js";

const N = 64 * 80;
/** Elements of what is gathered from. */
const M = 6000;

const indices = (length = N, bound = M): ShaderArray => ({ type: "u32", length, start: below(bound) });
const words = (length = M): ShaderArray => ({ type: "u32", length, start: below(2 ** 31) });
const zeros = (length = N): ShaderArray => ({ type: "u32", length, start: all(0) });
const cell = struct({ key: "u32", value: "u32" });

/** The arrays that an invocation uses by its number; all others by what it reads. */
const each = (...names: string[]): Shader["footprint"] => Object.fromEntries(names.map((name) => [name, { each: 1 }]));

export const IRREGULAR: readonly Shader[] = [
  {
    name: "a gather",
    properties: ["gather"],
    text: storage({ at: "array<u32>", x: "array<u32>", y: "rw array<u32>" }) + main("  y[i] = x[at[i]];"),
    arrays: { at: indices(), x: words(), y: zeros() },
    shape: [N, 1, 1],
    footprint: each("at", "y"),
  },
  {
    name: "a gather through two arrays of indices",
    properties: ["gather"],
    text:
      storage({ first: "array<u32>", second: "array<u32>", x: "array<u32>", y: "rw array<u32>" }) +
      main("  y[i] = x[second[first[i]]] + x[first[i]] % 10u;"),
    arrays: { first: indices(), second: indices(M), x: words(), y: zeros() },
    shape: [N, 1, 1],
    footprint: each("first", "y"),
  },
  {
    name: "an index on both sides of an addition in place",
    properties: ["gather", "in place"],
    text:
      storage({ at: "array<u32>", x: "array<u32>", y: "rw array<u32>" }) +
      main("  y[i] += x[at[i]] % 7u;\n  y[i] += x[at[N1 - i]] % 5u;").replace("N1", `${N - 1}u`),
    arrays: { at: indices(), x: words(), y: words(N) },
    shape: [N, 1, 1],
    footprint: { y: { each: 1 } },
  },
  {
    name: "members of structures are gathered",
    properties: ["gather"],
    text:
      "struct Cell { key: u32, value: u32 }\n" +
      storage({ at: "array<u32>", cells: "array<Cell>", y: "rw array<u32>" }) +
      main("  let cell = cells[at[i]];\n  y[i] = select(cell.value, cells[cell.key].value, cell.key % 2u == 0u);"),
    arrays: { at: indices(), cells: { type: cell, length: M, start: below(M) }, y: zeros() },
    shape: [N, 1, 1],
    footprint: each("at", "y"),
  },
  {
    name: "a vector's component chooses the next element",
    properties: ["gather"],
    text:
      storage({ x: "array<vec4u>", y: "rw array<u32>" }) + main("  let v = x[i];\n  y[i] = x[v[i % 4u]].x + x[v.y].w;"),
    arrays: { x: { type: "vec4u", length: M, start: below(M) }, y: zeros() },
    shape: [N, 1, 1],
    footprint: each("y"),
  },
  {
    name: "a gather by a helper with a pointer",
    properties: ["gather"],
    text:
      storage({ at: "array<u32>", x: "array<u32>", y: "rw array<u32>" }) +
      `fn through(where_: ptr<storage, array<u32>, read>, from_: ptr<storage, array<u32>, read>, k: u32) -> u32 { return (*from_)[where_[k]]; }
` +
      main("  y[i] = through(&at, &x, i) ^ through(&at, &at, i);"),
    arrays: { at: indices(N, N), x: words(), y: zeros() },
    shape: [N, 1, 1],
    footprint: each("y"),
  },
  {
    name: "rows of a sparse matrix",
    properties: ["gather", "data-dependent loop"],
    text:
      storage({ degrees: "array<u32>", columns: "array<u32>", x: "array<f32>", y: "rw array<f32>" }) +
      main(`  var sum = 0.0;
  let begin = i * 8u;
  for (var k = begin; k < begin + degrees[i] % 9u; k++) { sum += x[columns[k]]; }
  y[i] = sum;`),
    arrays: {
      degrees: indices(N, 1000),
      columns: indices(N * 8),
      x: { type: "f32", length: M, start: below(4096) },
      y: { type: "f32", length: N, start: all(0) },
    },
    shape: [N, 1, 1],
    footprint: { ...each("degrees", "y"), columns: { each: 8 } },
  },
  {
    name: "a chain is followed until it ends",
    properties: ["gather", "data-dependent loop"],
    text:
      storage({ next: "array<u32>", y: "rw array<u32>" }) +
      main(`  var at = i;
  var steps = 0u;
  loop {
    at = next[at];
    steps++;
    if (at % 11u == 0u || steps == 4u) { break; }
  }
  y[i] = at * 64u + steps;`),
    arrays: { next: indices(M), y: zeros() },
    shape: [N, 1, 1],
    footprint: each("y"),
  },
  {
    name: "a search that halves its range",
    properties: ["gather", "data-dependent loop"],
    text:
      storage({ wanted: "array<u32>", x: "array<u32>", y: "rw array<u32>" }) +
      main(`  var low = 0u;
  var high = arrayLength(&x);
  while (low < high) {
    let middle = (low + high) / 2u;
    if ((x[middle] & 255u) + middle * 256u < wanted[i]) { low = middle + 1u; } else { high = middle; }
  }
  y[i] = low;`),
    arrays: { wanted: indices(N, M * 256), x: words(), y: zeros() },
    shape: [N, 1, 1],
    footprint: each("wanted", "y"),
  },
  {
    name: "a condition decides what is read, and whether anything is",
    properties: ["gather"],
    text:
      storage({ at: "array<u32>", x: "array<u32>", z: "array<u32>", y: "rw array<u32>" }) +
      main(`  let k = at[i];
  if (k % 3u == 0u) { return; }
  if (k % 3u == 1u && x[k] % 2u == 0u) { y[i] = x[k / 2u]; } else { y[i] = z[k] + select(0u, 1u, k > 10u || z[k - 1u] > 5u); }`),
    arrays: { at: indices(), x: words(), z: words(), y: zeros() },
    shape: [N, 1, 1],
    footprint: each("at", "y"),
  },
  {
    name: "a scatter to places of one's own",
    properties: ["scatter"],
    text: storage({ x: "array<u32>", y: "rw array<u32>" }) + main(`  y[(i * 4099u) % ${N}u] = x[i] + i;`),
    arrays: { x: words(N), y: zeros() },
    shape: [N, 1, 1],
    footprint: each("x"),
  },
  {
    name: "a scatter into members of structures",
    properties: ["scatter"],
    text:
      "struct Cell { key: u32, value: u32 }\n" +
      storage({ x: "array<u32>", cells: "rw array<Cell>" }) +
      main(`  let k = (i * 4099u) % ${N}u;
  if (i % 2u == 0u) { cells[k].key = x[i]; } else { cells[k].value = x[i]; }`),
    arrays: { x: words(N), cells: { type: cell, length: N, start: below(100) } },
    shape: [N, 1, 1],
    footprint: each("x"),
  },
  {
    name: "a histogram by atomics",
    properties: ["scatter", "reduction"],
    text: storage({ x: "array<u32>", bins: "rw array<atomic<u32>>" }) + main("  atomicAdd(&bins[x[i]], i % 3u + 1u);"),
    arrays: { x: indices(), bins: zeros(M) },
    shape: [N, 1, 1],
    footprint: each("x"),
  },
  {
    name: "atomics of every kind",
    properties: ["scatter", "reduction"],
    text:
      storage({ x: "array<u32>", a: "rw array<atomic<u32>>", s: "rw array<atomic<i32>>" }) +
      main(`  let k = x[i];
  atomicMax(&a[k], i);
  atomicMin(&a[(k + 1500u) % ${M}u + ${M}u], i);
  atomicOr(&a[k + ${2 * M}u], 1u << (i % 32u));
  atomicXor(&a[k + ${3 * M}u], i);
  atomicAnd(&a[k + ${4 * M}u], ~(1u << (i % 31u)));
  atomicSub(&s[k], i32(i));
  atomicMin(&s[k + ${M}u], -i32(i));`),
    arrays: {
      x: indices(),
      a: { type: "u32", length: 5 * M, start: below(2 ** 31) },
      s: { type: "i32", length: 2 * M, start: below(1000) },
    },
    shape: [N, 1, 1],
    footprint: each("x"),
  },
  {
    name: "a sum of floats by compare and exchange",
    properties: ["reduction", "scatter", "data-dependent loop"],
    text:
      storage({ x: "array<u32>", sums: "rw array<atomic<u32>>" }) +
      main(`  let k = x[i] % 97u;
  loop {
    let old = atomicLoad(&sums[k * 61u]);
    let now = bitcast<u32>(bitcast<f32>(old) + 1.0);
    if (atomicCompareExchangeWeak(&sums[k * 61u], old, now).exchanged) { break; }
  }`),
    arrays: { x: indices(), sums: zeros(97 * 61) },
    shape: [N, 1, 1],
    footprint: each("x"),
  },
  {
    name: "a sum into one cell that is no array",
    properties: ["reduction"],
    text: storage({ x: "array<u32>", total: "rw atomic<u32>" }) + main("  atomicAdd(&total, x[i]);"),
    arrays: { x: words(N), total: zeros(1) },
    shape: [N, 1, 1],
    footprint: { ...each("x"), total: "whole" },
  },
  {
    name: "read, changed and stored again, twice",
    properties: ["in place"],
    text: storage({ x: "rw array<u32>" }) + main("  x[i] = x[i] * 3u + 1u;\n  x[i] = x[i] ^ (x[i] >> 5u);\n  x[i]++;"),
    arrays: { x: words(N) },
    shape: [N, 1, 1],
    footprint: each("x"),
  },
  {
    name: "in place at an element that another array names",
    properties: ["in place", "gather", "scatter"],
    text:
      storage({ step: "array<u32>", x: "rw array<u32>" }) +
      main(`  let k = (i * 4099u) % ${N}u;\n  x[k] += step[k] & 255u;\n  x[k] *= 2u;`),
    arrays: { step: words(N), x: words(N) },
    shape: [N, 1, 1],
    footprint: {},
  },
  {
    name: "one array in two places far apart, both written",
    properties: ["in place", "scatter"],
    text:
      storage({ x: "rw array<u32>" }) +
      main(`  let a = x[i];\n  let b = x[i + ${N}u];\n  x[i] = b;\n  x[i + ${N}u] = a + 1u;`),
    arrays: { x: words(2 * N) },
    shape: [N, 1, 1],
    footprint: {},
  },
  {
    name: "ranks of a graph, one step",
    properties: ["gather", "data-dependent loop"],
    text:
      storage({ degrees: "array<u32>", sources: "array<u32>", rank: "array<f32>", next: "rw array<f32>" }) +
      main(`  var sum = 0.0;
  for (var k = 0u; k < 1u + degrees[i] % 6u; k++) {
    let source = sources[i * 6u + k];
    sum += rank[source] / f32(1u + (degrees[source] & 3u));
  }
  next[i] = floor(0.15 + 0.85 * sum);`).replace("floor(0.15 + 0.85 * sum)", "floor(sum)"),
    arrays: {
      degrees: indices(N, 1000),
      sources: indices(N * 6, N),
      rank: { type: "f32", length: N, start: below(512) },
      next: { type: "f32", length: N, start: all(0) },
    },
    shape: [N, 1, 1],
    footprint: { next: { each: 1 } },
  },
  {
    name: "one level of a breadth-first search, pushed",
    properties: ["gather", "scatter", "data-dependent loop"],
    text:
      storage({ targets: "array<u32>", seen: "array<u32>", level: "rw array<atomic<u32>>", found: "rw atomic<u32>" }) +
      main(`  if (seen[i] % 4u != 0u) { return; }
  for (var k = 0u; k < 5u; k++) {
    let target_ = targets[i * 5u + k];
    if (seen[target_] % 4u != 0u) { atomicMin(&level[target_], 7u); atomicOr(&found, 1u); }
  }`),
    arrays: {
      targets: indices(N * 5, N),
      seen: words(N),
      level: { type: "u32", length: N, start: all(2 ** 31) },
      found: zeros(1),
    },
    shape: [N, 1, 1],
    footprint: { found: "whole" },
  },
  {
    name: "keys are probed until an empty place",
    properties: ["gather", "data-dependent loop"],
    text:
      "struct Cell { key: u32, value: u32 }\n" +
      storage({ keys: "array<u32>", table: "array<Cell>", y: "rw array<u32>" }) +
      main(`  let key = keys[i];
  var at = (key * 2654435761u) % ${M}u;
  for (var tries = 0u; tries < 50u; tries++) {
    let cell = table[at];
    if (cell.key % 7u == 0u) { y[i] = tries; return; }
    if (cell.key == key) { y[i] = cell.value + 1000u; return; }
    at = (at + 1u) % ${M}u;
  }
  y[i] = 99u;`),
    arrays: { keys: indices(), table: { type: cell, length: M, start: below(M) }, y: zeros() },
    shape: [N, 1, 1],
    footprint: each("keys", "y"),
  },
  {
    name: "a column of a matrix in two dimensions is turned into a row",
    properties: ["gather"],
    text:
      storage({ x: "array<u32>", y: "rw array<u32>" }) +
      `@compute @workgroup_size(8, 8) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x + 96u * id.y] = x[id.y + 64u * id.x]; }`,
    arrays: { x: words(96 * 64), y: zeros(96 * 64) },
    shape: [96, 64, 1],
    footprint: each("y"),
  },
  {
    name: "arrays in structures of their own",
    properties: ["gather", "in place"],
    text:
      "struct Indices { value: array<u32> }\nstruct Cell { key: u32, value: u32 }\nstruct Cells { value: array<Cell> }\nalias Place = Indices;\n" +
      storage({ at: "Indices", cells: "Cells", y: "rw Place" }) +
      main("  y.value[i] += cells.value[at.value[i]].value % arrayLength(&cells.value);"),
    arrays: { at: indices(), cells: { type: cell, length: M, start: below(M) }, y: words(N) },
    shape: [N, 1, 1],
    footprint: each("at", "y"),
  },
  {
    name: "pointers to structures with nothing but an array, among names that hide them",
    properties: ["gather", "in place"],
    text:
      "struct S { /* x.value */ @align(16) value: array<vec4u>, }\n" +
      storage({ x: "S", y: "rw S" }) +
      `fn load(p: ptr<storage, S>, i: u32) -> vec4u { return p.value[i % arrayLength(&p.value)]; }
fn swap(p: ptr<storage, S, read_write>, i: u32) { let value = &(*p).value; (*value)[i] = (*value)[i].wzyx; value[i].x++; }
${main(`  let q = &x;
  let p = &(q.value);
  let found = load(&x, (*p)[i].y) + q.value[i] + load(q, i + 1u);
  y.value[i] = found;
  swap(&y, i);
  {
    struct_like(i);
    var x = vec4u(i);
    x.z += y.value[i].z;
    y.value[i].z = x.z;
  }`)}fn struct_like(i: u32) { (y).value[i].w |= 1u; }\n`,
    arrays: {
      x: { type: "vec4u", length: M, start: below(M) },
      y: { type: "vec4u", length: N, start: all(0) },
    },
    shape: [N, 1, 1],
    footprint: each("y"),
  },
  {
    name: "variables have the names of types and functions that are WGSL's own",
    properties: ["gather", "in place"],
    text:
      storage({ at: "array<u32>", v: "array<vec4u>", y: "rw array<u32>" }) +
      main(`  _ = &v;
  let u32 = at[i];
  let min = i;
  var select = v[u32][at[min] % 4u];
  { let vec3u = at[min]; let at = select; select = at + v[vec3u].y; }
  y[min] += select + step(&select) * step(&select);`) +
      "fn step(p: ptr<function, u32>) -> u32 { *p = *p % 1000u + 1u; return *p; }\n",
    arrays: { at: indices(), v: { type: "vec4u", length: M, start: below(M) }, y: words(N) },
    shape: [N, 1, 1],
    footprint: each("at", "y"),
  },
  {
    name: "the type of a pointer has a name of its own",
    properties: ["gather"],
    text:
      storage({ at: "array<u32>", x: "array<u32>", y: "rw array<u32>" }) +
      "alias Words = array<u32>;\nalias Read = ptr<storage, Words>;\nalias Input = Read;\n" +
      "fn load(p: Input, i: u32) -> u32 { return (*p)[i] + arrayLength(p); }\n" +
      main("  y[i] = load(&x, load(&at, i) - arrayLength(&at));"),
    arrays: { at: indices(), x: words(), y: zeros() },
    shape: [N, 1, 1],
    footprint: each("at", "y"),
    notOnMirror: /"ptr" is no type/,
  },
];
