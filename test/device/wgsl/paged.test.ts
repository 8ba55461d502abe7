// Kernels compiled for paged dispatches, driven by hand: what a round runs, what it reports, and that the rest leaves no trace.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE_WRITE, type PagedDispatch, type PagedOperand, type PagedRound } from "../../../src/device/driver.js";
import { createPagedKernel, type UnitRun } from "../../../src/device/wgsl/compiled/index.js";
import { compile } from "../../../src/device/wgsl/index.js";

const PAGE = 64;

interface Driven {
  readonly run: UnitRun;
  /** All frames of the device, as numbers. */
  readonly words: Uint32Array;
}

/** A run over arrays of u32, given by their lengths; those in `written` are written. */
function drive(
  text: string,
  arrays: Readonly<Record<string, number>>,
  invocations: number,
  { frames = 8, written = [] as string[], footprint = {}, hostPage = new Uint8Array(PAGE) } = {},
): Driven {
  const operands: PagedOperand[] = [];
  let firstPage = 0;
  for (const [name, total] of Object.entries(arrays)) {
    const pages = Math.ceil((total * 4) / PAGE);
    operands.push({ name, type: "u32", total, pages, firstPage, written: written.includes(name) });
    firstPage += pages;
  }
  const bytes = new Uint8Array(frames * PAGE);
  const dispatch: PagedDispatch = { shape: [invocations, 1, 1], uniforms: {}, bindings: {}, operands };
  const run = createPagedKernel(compile({ text, footprint, paged: true })).begin(dispatch, {
    pageSize: PAGE,
    bytes: () => bytes,
    hostPage: () => hostPage,
  });
  return { run, words: new Uint32Array(bytes.buffer) };
}

function reported({ pending, misses, touched }: PagedRound): {
  pending: number[];
  misses: number[];
  touched: number[];
} {
  const pages: number[] = [];
  for (let page = 0; page < touched.length * 32; page++)
    if ((touched[page >>> 5] & (1 << (page & 31))) !== 0) pages.push(page);
  return { pending: [...pending], misses: [...misses], touched: pages };
}

const GATHER = `
@group(0) @binding(0) var<storage, read> index: array<u32>;
@group(0) @binding(1) var<storage, read> data: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<u32>;
@compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
  result[id.x] = data[index[id.x]] + 1;
}`;

test("units run once all their pages are there, in whatever frames they are; others say what they miss", () => {
  const { run, words } = drive(GATHER, { index: 16, data: 64, result: 16 }, 4, { written: ["result"] });
  // Pages: index 0, data 1 to 4, result 5.
  let round = reported(run.round({ first: 0, count: 4 }));
  assert.deepEqual(round, { pending: [0, 1, 2, 3], misses: [0, 5 + PAGE_WRITE], touched: [0, 5] });
  words.set([17, 0, 50, 18], 3 * 16);
  run.map(0, 3, false);
  run.map(5, 7, true);
  round = reported(run.round({ first: 0, count: 4 }));
  assert.deepEqual(round, { pending: [0, 1, 2, 3], misses: [2, 1, 4], touched: [0, 1, 2, 4, 5] });
  words.fill(100, 0, 16);
  words[2] = 102;
  run.map(2, 0, false);
  round = reported(run.round({ list: Uint32Array.of(0, 2, 3) }));
  assert.deepEqual(round, { pending: [2], misses: [4], touched: [0, 2, 4, 5] });
  assert.deepEqual([...words.subarray(7 * 16, 7 * 16 + 4)], [101, 0, 0, 103]);
  run.map(2, -1, false);
  run.map(1, 0, false);
  run.map(4, 0, false);
  round = reported(run.round({ list: Uint32Array.of(1, 2) }));
  assert.deepEqual(round.pending, []);
  assert.deepEqual([...words.subarray(7 * 16, 7 * 16 + 4)], [101, 101, 103, 103]);
});

test("a unit that misses its last page has stored nothing, also not to pages that it may write", () => {
  const text = `
@group(0) @binding(0) var<storage, read_write> a: array<u32>;
@group(0) @binding(1) var<storage, read_write> count: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> late: array<u32>;
@compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
  for (var k = 0u; k < 3; k++) { a[k] = a[k] * 2 + 1; }
  a[0] += 5;
  let old = atomicAdd(&count[0], 7);
  atomicStore(&count[1], old);
  if (atomicCompareExchangeWeak(&count[2], 0, 9).exchanged) { a[2] = late[20 + id.x]; }
}`;
  const { run, words } = drive(text, { a: 16, count: 16, late: 32 }, 1, { written: ["a", "count"] });
  words.set([1, 2, 3], 0);
  words.set([4, 5, 0], 16);
  run.map(0, 0, true);
  run.map(1, 1, true);
  const before = words.slice();
  const round = reported(run.round({ first: 0, count: 1 }));
  assert.deepEqual(round, { pending: [0], misses: [3], touched: [0, 1, 3] });
  assert.deepEqual(words, before);
  run.map(3, 2, false);
  words[2 * 16 + 4] = 77;
  assert.deepEqual(reported(run.round({ first: 0, count: 1 })).pending, []);
  assert.deepEqual([...words.subarray(0, 3)], [1 * 2 + 1 + 5, 5, 77]);
  assert.deepEqual([...words.subarray(16, 19)], [11, 4, 9]);
});

test("a page that is here and not writable is missed by those who store to it, and read by others", () => {
  const text = `
@group(0) @binding(0) var<storage, read_write> a: array<u32>;
@compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (a[id.x] > 3) { a[id.x] = 0; }
}`;
  const { run, words } = drive(text, { a: 16 }, 4, { written: ["a"] });
  words.set([1, 9, 3, 8]);
  run.map(0, 0, false);
  const round = reported(run.round({ first: 0, count: 4 }));
  assert.deepEqual(round, { pending: [1, 3], misses: [PAGE_WRITE], touched: [0] });
  run.map(0, 0, true);
  assert.deepEqual(reported(run.round({ list: Uint32Array.of(1, 3) })).pending, []);
  assert.deepEqual([...words.subarray(0, 4)], [1, 0, 3, 0]);
});

test("a loop whose end is on a missing page ends, and what is indexed by missing numbers is not asked for", () => {
  const text = `
@group(0) @binding(0) var<storage, read> ends: array<u32>;
@group(0) @binding(1) var<storage, read> data: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = 0.0;
  for (var k = ends[id.x]; k != ends[id.x + 1]; k++) { sum += data[k]; }
  while (!(sum < 1e9)) { sum = data[u32(sum)]; }
  loop { if (data[ends[0]] == 1.5) { break; } }
  sums[id.x] = sum;
}`;
  const { run } = drive(text, { ends: 16, data: 160, sums: 16 }, 2, { written: ["sums"] });
  const round = reported(run.round({ first: 0, count: 1 }));
  assert.deepEqual(round, { pending: [0], misses: [0, 11 + PAGE_WRITE], touched: [0, 11] });
});

test("a number that is missing and decides nothing does not keep a unit from saying what else it misses", () => {
  const text = `
@group(0) @binding(0) var<storage, read> data: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = 0.0;
  for (var k = 0u; k < 100; k += 20) { sum += data[k]; }
  sums[id.x] = sum;
}`;
  const { run } = drive(text, { data: 100, sums: 16 }, 1, { written: ["sums"] });
  assert.deepEqual(reported(run.round({ first: 0, count: 1 })).misses, [0, 1, 2, 3, 5, 7 + PAGE_WRITE]);
});

test("a host page that is read in place is read as it is, among pages that are missing or here", () => {
  const hostPage = new Uint8Array(Uint32Array.from({ length: PAGE / 4 }, (_, i) => i + 40).buffer);
  const { run, words } = drive(GATHER, { index: 16, data: 64, result: 16 }, 3, { written: ["result"], hostPage });
  words.set([17, 31, 16], 0);
  run.map(0, 0, false);
  run.map(2, -1 - 12, false);
  run.map(5, 1, true);
  const round = reported(run.round({ first: 0, count: 3 }));
  assert.deepEqual(round, { pending: [], misses: [], touched: [0, 2, 5] });
  assert.deepEqual([...words.subarray(16, 19)], [42, 56, 41]);
});

test("an index outside is the array's last element, and outside of the footprint an error", () => {
  const { run, words } = drive(GATHER, { index: 16, data: 20, result: 16 }, 1, { written: ["result"] });
  words.set([4000], 0);
  words.set([0, 0, 0, 66], 16);
  run.map(0, 0, false);
  run.map(2, 1, false);
  run.map(3, 2, true);
  assert.deepEqual(reported(run.round({ first: 0, count: 1 })), { pending: [], misses: [], touched: [0, 2, 3] });
  assert.equal(words[32], 67);

  const footprint = { index: { each: 1 }, data: { each: 1 }, result: { each: 1 } };
  const strict = drive(GATHER, { index: 16, data: 20, result: 16 }, 1, { written: ["result"], footprint });
  strict.words.set([5], 0);
  assert.deepEqual(reported(strict.run.round({ first: 0, count: 1 })).misses, [0, 3 + PAGE_WRITE]);
  strict.run.map(0, 0, false);
  assert.throws(() => strict.run.round({ first: 0, count: 1 }), /element 5 of array "data".*footprint declares/);
});
