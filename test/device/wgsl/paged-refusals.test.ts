// Kernels that no device can run page by page, and where they say so.

import assert from "node:assert/strict";
import { test } from "node:test";
import { describe } from "../../../src/device/wgsl/describe.js";
import { PagedKernelText } from "../../../src/device/wgsl/rewrite/paged/index.js";

const HEAD = `@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> next: array<u32>;
@group(0) @binding(2) var<storage, read_write> count: atomic<u32>;
@group(0) @binding(3) var<storage, read_write> levels: array<atomic<u32>>;
@group(0) @binding(4) var image: texture_storage_2d<rgba8unorm, write>;
fn first(p: ptr<storage, u32, read_write>) -> u32 { return *p; }
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
`;
const HEAD_LINES = 8;

function holdsStores(body: string): boolean {
  return new PagedKernelText(describe({ text: `${HEAD}${body}\n}` })).holdsStores;
}

interface Refusal {
  readonly name: string;
  readonly body: string;
  /** Where in the body, from line 1 and column 1 on. */
  readonly at: readonly [number, number];
  readonly reason: string;
}

const BY_UPDATE = "depends on what an atomic function has given back";
const BY_STORE = "depends on what the kernel has stored itself";

const REFUSALS: readonly Refusal[] = [
  {
    name: "a buffer that is appended to",
    body: "next[atomicAdd(&count, 1u)] = i;",
    at: [1, 1],
    reason: `which element of "next" is used ${BY_UPDATE}`,
  },
  {
    name: "an append by way of variables and loops",
    body: `var at = 0u;
if (x[i] > 3u) { let mine = atomicAdd(&count, 1u); for (var k = mine; k < 10u; k++) { at++; } }
next[at] = i;`,
    at: [2, 52],
    reason: `how often this loop runs ${BY_UPDATE}`,
  },
  {
    name: "what is done depends on what an atomic function gave back",
    body: `let old = atomicMin(&levels[i], 3u);
if (old > 3u) { next[i] = 1u; }`,
    at: [2, 17],
    reason: `whether "next" is used here ${BY_UPDATE}`,
  },
  {
    name: "what is done after a return that depends on what an atomic function gave back",
    body: `if (atomicExchange(&levels[i], 3u) == 3u) { return; }
next[i] = 1u;`,
    at: [2, 1],
    reason: `whether "next" is used here ${BY_UPDATE}`,
  },
  {
    name: "an index that was stored before",
    body: `x[i] = x[i] + 1u;
next[x[i]] = 1u;`,
    at: [2, 1],
    reason: `which element of "next" is used ${BY_STORE}`,
  },
  {
    name: "an index that is counted where something stored was seen",
    body: `var tail = 0u;
for (var k = 0u; k < 4u; k++) { if (x[k] == 0u) { x[k] = 1u; tail++; } }
next[tail] = i;`,
    at: [3, 1],
    reason: `which element of "next" is used ${BY_STORE}`,
  },
  {
    name: "a loop that waits for what it stores",
    body: "while (x[i] < 10u) { x[i] += 3u; }",
    at: [1, 1],
    reason: `how often this loop runs ${BY_STORE}`,
  },
  {
    name: "a pointer to an element in a let",
    body: "let p = &x[i];",
    at: [1, 9],
    reason: "a pointer to an element of an array, which may be on no page of the device",
  },
  {
    name: "a pointer to an element as an argument",
    body: "next[i] = first(&x[i]);",
    at: [1, 17],
    reason: "a pointer to an element of an array, which may be on no page of the device",
  },
  {
    name: "a store into a texture",
    body: "textureStore(image, vec2u(i, 0u), vec4f(f32(x[i])));",
    at: [1, 1],
    reason: "textureStore cannot be held back until all pages are there",
  },
];

for (const { name, body, at, reason } of REFUSALS) {
  test(`refused: ${name}`, () => {
    const [line, column] = at;
    assert.throws(() => holdsStores(body), {
      name: "KernelError",
      code: "EINVAL",
      line: HEAD_LINES + line,
      column,
      reason: `${reason}: this kernel cannot be paged`,
    });
  });
}

test("operations of subgroups are refused where they are", () => {
  const text = `enable subgroups;
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  x[id.x] = subgroupAdd(x[id.x]);
}`;
  assert.throws(() => new PagedKernelText(describe({ text })), {
    name: "KernelError",
    line: 4,
    column: 13,
    reason: "subgroupAdd depends on which invocations run together: this kernel cannot be paged",
  });
});

test("what invocations store is held back where it can be; else their function runs twice", () => {
  assert.equal(holdsStores("next[i] = x[i] * 2u;"), true);
  assert.equal(holdsStores("x[i] += 1u; if (i > 3u) { next[i]++; }"), true);
  assert.equal(holdsStores("atomicAdd(&levels[x[i]], 2u);"), true);
  assert.equal(holdsStores("for (var k = 0u; k < x[i]; k++) { next[k] = i; }"), false, "stored in a loop");
  assert.equal(holdsStores("x[i] += 1u; x[i] *= 2u;"), false, "loaded after it was stored");
  assert.equal(holdsStores("x[i] = atomicAdd(&levels[i], 1u);"), false, "what an atomic function gives back is used");
});

test("whether a compare and exchange has exchanged may decide over trying again", () => {
  const body = `var old = atomicLoad(&levels[i]);
loop { let r = atomicCompareExchangeWeak(&levels[i], old, old + 1u); if (r.exchanged) { break; } old = r.old_value; }`;
  assert.equal(holdsStores(body), false);
  assert.throws(() => holdsStores(`${body}\nnext[old] = 1u;`), /which element of "next" is used depends on/);
});
