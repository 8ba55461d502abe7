// Kernels that run over pages compute what they compute over whole buffers, whatever room there is for their pages.

import assert from "node:assert/strict";
import { test } from "node:test";
import { skip } from "./gpu.js";
import { sharedDevice } from "./opened-device.js";
import { type PagedCase, pagesOf, runPaged, runPlain } from "./paged-rounds.js";

const PAGE = 256;

function words(length: number, of: (i: number) => number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length }, (_, i) => of(i));
}

/** Numbers that look like chance, the same each time. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % below;
  };
}

interface NamedCase extends PagedCase {
  readonly name: string;
  /** Pages that a unit needs at most. */
  readonly least: number;
}

const random = chance(7);
/** A graph in compressed rows: `offsets[v]` to `offsets[v + 1]` of `targets`. */
function graph(
  nodes: number,
  mostEdges: number,
): { offsets: Uint32Array<ArrayBuffer>; targets: Uint32Array<ArrayBuffer> } {
  const degrees = Array.from({ length: nodes }, () => random(mostEdges));
  const offsets = new Uint32Array(nodes + 1);
  degrees.forEach((degree, node) => (offsets[node + 1] = offsets[node] + degree));
  return { offsets, targets: words(offsets[nodes], () => random(nodes)) };
}

function floats(length: number, of: (i: number) => number): Uint32Array<ArrayBuffer> {
  return new Uint32Array(Float32Array.from({ length }, (_, i) => of(i)).buffer);
}

const GRAPH = graph(250, 9);

const CASES: readonly NamedCase[] = [
  {
    name: "gather",
    text: `
      @group(0) @binding(0) var<storage, read> index: array<u32>;
      @group(0) @binding(1) var<storage, read> data: array<u32>;
      @group(0) @binding(2) var<storage, read_write> result: array<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x >= arrayLength(&result)) { return; }
        result[id.x] = data[index[id.x]] + 1u;
      }`,
    arrays: { index: words(250, () => random(700)), data: words(700, (i) => i * 7), result: words(250, () => 0) },
    shape: [256, 1, 1],
    least: 3,
  },
  {
    name: "scatter with atomics, signed and unsigned, of which some give back what nobody uses",
    text: `
      @group(0) @binding(0) var<storage, read> index: array<u32>;
      @group(0) @binding(1) var<storage, read_write> bins: array<atomic<u32>>;
      @group(0) @binding(2) var<storage, read_write> least: array<atomic<i32>, 300>;
      @group(0) @binding(3) var<storage, read_write> last: array<u32>;
      @group(0) @binding(4) var<storage, read_write> total: atomic<u32>;
      @group(0) @binding(5) var<storage, read_write> most: array<atomic<i32>>;
      @compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
        let i = index[id.x];
        atomicAdd(&bins[i], 2u);
        atomicMin(&least[i % 300u], -i32(i));
        atomicMax(&most[i % 100u], 5 - i32(id.x));
        let before = atomicAdd(&bins[i + 1u], 3u);
        atomicXor(&total, id.x);
        last[id.x] = select(id.x, 1u, before > 4000000000u);
      }`,
    arrays: {
      index: words(320, () => random(500)),
      bins: words(501, (i) => i),
      least: words(300, () => 0),
      last: words(320, () => 9),
      total: words(1, () => 0),
      most: words(100, (i) => -i >>> 0),
    },
    shape: [320, 1, 1],
    least: 7,
  },
  {
    name: "sums of floats by compare and exchange, which goes on until it has exchanged",
    text: `
      @group(0) @binding(0) var<storage, read> index: array<u32>;
      @group(0) @binding(1) var<storage, read_write> sums: array<atomic<u32>>;
      fn add(i: u32, value: f32) {
        var old = atomicLoad(&sums[i]);
        loop {
          let result = atomicCompareExchangeWeak(&sums[i], old, bitcast<u32>(bitcast<f32>(old) + value));
          if (result.exchanged) { break; }
          old = result.old_value;
        }
      }
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { add(index[id.x], f32(id.x % 8u)); }`,
    arrays: { index: words(256, () => random(200)), sums: words(200, () => 0) },
    shape: [256, 1, 1],
    least: 2,
  },
  {
    name: "in place: what is read is written",
    text: `
      @group(0) @binding(0) var<storage, read_write> x: array<f32>;
      @group(0) @binding(1) var<storage, read> y: array<f32>;
      @group(0) @binding(2) var<uniform> a: f32;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] = a * x[id.x] + y[id.x]; }`,
    arrays: { x: floats(320, (i) => i / 3), y: floats(320, (i) => 100 - i) },
    uniforms: { a: new Uint8Array(Float32Array.of(1.5).buffer) },
    shape: [320, 1, 1],
    least: 2,
  },
  {
    name: "in place twice, by compound assignment and increment, in places that functions and indices give",
    text: `
      @group(0) @binding(0) var<storage, read_write> x: array<u32>;
      @group(0) @binding(1) var<storage, read> where_: array<u32>;
      var<private> calls: u32 = 3u;
      fn next(i: u32) -> u32 { calls += 1u; return where_[i]; }
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        x[next(id.x)] += calls;
        x[where_[id.x]]++;
        x[where_[id.x]] *= x[where_[id.x]] + 3u;
        { let x = array<u32, 3>(1u, 2u, 3u); calls += x[1]; }
        x[where_[id.x]] ^= calls;
      }`,
    arrays: { x: words(320, (i) => i), where_: words(320, (i) => (i * 13) % 320) },
    shape: [320, 1, 1],
    least: 2,
  },
  {
    name: "loops whose ends are loaded",
    text: `
      @group(0) @binding(0) var<storage, read> ends: array<u32>;
      @group(0) @binding(1) var<storage, read> x: array<u32>;
      @group(0) @binding(2) var<storage, read_write> sums: array<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        var sum = 0u;
        var i = id.x;
        while (i < ends[id.x]) { sum += x[i]; i += 1u + x[i] % 3u; }
        loop { if (i == 0u) { break; } i = i / 2u; if (x[i] % 2u == 0u) { continue; } sum ^= x[i]; continuing { break if i < 3u; } }
        for (var k = ends[id.x]; k > 0u; k >>= 1u) { switch x[k - 1u] % 3u { case 0u: { sum += 5u; } case 1u: { break; } default: { sum *= 3u; } } }
        sums[id.x] = sum;
      }`,
    arrays: {
      ends: words(192, (i) => Math.min(300, i + random(40))),
      x: words(300, () => random(1000)),
      sums: words(192, () => 0),
    },
    shape: [192, 1, 1],
    least: 14,
  },
  {
    name: "a reduction by workgroups that wait for each other",
    text: `
      var<workgroup> part: array<u32, 64>;
      @group(0) @binding(0) var<storage, read> x: array<u32>;
      @group(0) @binding(1) var<storage, read_write> sums: array<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
        part[local] = select(0u, x[id.x * 3u] + x[id.x], id.x < arrayLength(&x));
        workgroupBarrier();
        for (var width = 32u; width > 0u; width >>= 1u) {
          if (local < width) { part[local] += part[local + width]; }
          workgroupBarrier();
        }
        if (local == 0u) { sums[group.x] += part[0] + groups.x; }
      }`,
    arrays: { x: words(1500, () => random(9999)), sums: words(10, (i) => i) },
    shape: [640, 1, 1],
    least: 6,
  },
  {
    name: "ranks that flow along edges",
    text: `
      @group(0) @binding(0) var<storage, read> offsets: array<u32>;
      @group(0) @binding(1) var<storage, read> targets: array<u32>;
      @group(0) @binding(2) var<storage, read> ranks: array<f32>;
      @group(0) @binding(3) var<storage, read_write> next: array<f32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        let node = id.x;
        if (node >= arrayLength(&next)) { return; }
        var sum = 0.0;
        for (var edge = offsets[node]; edge < offsets[node + 1u]; edge++) {
          let other = targets[edge];
          sum += ranks[other] / f32(max(1u, offsets[other + 1u] - offsets[other]));
        }
        next[node] = 0.15 + 0.85 * sum;
      }`,
    arrays: { ...GRAPH, ranks: floats(250, (i) => 1 + (i % 5)), next: floats(250, () => 0) },
    shape: [256, 1, 1],
    least: 30,
  },
  {
    name: "a search that pushes levels along edges, in place",
    text: `
      @group(0) @binding(0) var<storage, read> offsets: array<u32>;
      @group(0) @binding(1) var<storage, read> targets: array<u32>;
      @group(0) @binding(2) var<storage, read_write> levels: array<u32>;
      @group(0) @binding(3) var<storage, read_write> changed: u32;
      @group(0) @binding(4) var<uniform> level: u32;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        let node = id.x;
        if (node >= arrayLength(&levels) || levels[node] != level) { return; }
        for (var edge = offsets[node]; edge < offsets[node + 1u]; edge++) {
          if (levels[targets[edge]] == 0xffffffffu) { levels[targets[edge]] = level + 1u; changed = 1u; }
        }
      }`,
    arrays: { ...GRAPH, levels: words(250, (i) => (i % 9 === 0 ? 2 : 0xffffffff)), changed: words(1, () => 0) },
    uniforms: { level: new Uint8Array(Uint32Array.of(2).buffer) },
    shape: [256, 1, 1],
    least: 20,
  },
  {
    name: "structures with vectors, matrices and arrays within; members are stored alone",
    text: `
      struct Inner { weights: vec3f, flag: i32 }
      struct Item { place: vec3f, mass: f32, turn: mat2x2f, inner: Inner, @size(80) tail: vec2u }
      struct Small { a: u32, b: vec2u, c: u32, d: u32, e: vec2u }
      alias Items = array<Item>;
      @group(0) @binding(0) var<storage, read_write> items: Items;
      @group(0) @binding(1) var<storage, read_write> small: array<Small>;
      @group(0) @binding(2) var<storage, read_write> points: array<vec3f>;
      @group(0) @binding(3) var<storage, read_write> turns: array<mat4x2f>;
      fn moved(item: Item) -> Item { var m = item; m.place.y += 2.0; m.inner.weights.y = 9.0; return m; }
      @compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
        let i = id.x;
        let k = i32(i);
        items[k].place.z += items[i].mass;
        _ = items[i].place.xy.x;
        items[i].inner.weights[i % 3u] += 1.5;
        items[i].turn[i % 2u] *= 2.0;
        items[i].turn[0][i % 2u] -= 0.5;
        items[i].inner.flag--;
        items[i].tail[1] = u32(items[i].place[i % 3u]) + u32(items[i].place.zx.y);
        let m = moved(items[i]);
        items[i] = m;
        small[i].b.y |= small[(i + 5u) % arrayLength(&small)].c;
        points[i] = items[i].place + points[i] * 2.0;
        points[i].x = items[i].turn[1].y;
        turns[i][2] = turns[i][1] + vec2f(1.0, f32(small[i].a));
        turns[i] = turns[i] * 2.0;
      }`,
    arrays: {
      items: floats(32 * 96, (i) => i % 97),
      small: words(8 * 96, (i) => i),
      points: floats(4 * 96, (i) => i),
      turns: floats(8 * 96, (i) => i),
    },
    types: {
      items: { type: "u32", words: 32 },
      small: { type: "u32", words: 8 },
      points: { type: "vec3f", words: 4 },
      turns: { type: "mat4x2f", words: 8 },
    },
    shape: [96, 1, 1],
    least: 5,
  },
  {
    name: "functions over arrays that pointers lead to, one function for several arrays",
    text: `
      @group(0) @binding(0) var<storage, read> x: array<u32>;
      @group(0) @binding(1) var<storage, read> y: array<u32>;
      @group(0) @binding(2) var<storage, read_write> z: array<u32>;
      fn at(from_: ptr<storage, array<u32>, read>, i: u32) -> u32 { return (*from_)[i % arrayLength(from_)] + from_[0]; }
      fn through(from_: ptr<storage, array<u32>, read>, i: u32, sum: ptr<function, u32>) { let p = from_; *sum += at(p, i); }
      fn put(into: ptr<storage, array<u32>, read_write>, i: u32, value: u32) { (*into)[i] = value; }
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        var sum = 0u;
        let whole = &y;
        through(&x, id.x * 5u, &sum);
        through(whole, id.x * 3u, &sum);
        put(&z, id.x, sum + (*whole)[id.x] + arrayLength(&z));
      }`,
    arrays: { x: words(500, (i) => i), y: words(700, (i) => i * i), z: words(256, () => 0) },
    shape: [256, 1, 1],
    least: 6,
  },
  {
    name: "three dimensions, overrides, ids of all kinds, and stores in the head of a loop",
    text: `
      struct Ids { @builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u }
      override side: u32 = 2;
      @id(7) override factor: u32;
      const three = 3;
      @group(0) @binding(9) var<uniform> add: vec4u;
      @group(2) @binding(9) var<storage, read_write> x: array<u32>;
      @compute @workgroup_size(side, 4) fn main(in: Ids, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
        if (any(in.id >= vec3u(12, 8, 5))) { return; }
        let i = in.id.x + 12u * (in.id.y + 8u * in.id.z);
        var k = 0u;
        for (x[i] = in.id.x; k < 4u; x[i] += 7u + in.groups.y) { k++; }
        x[i] = x[i] + 100u * in.id.y + 10000u * in.id.z + factor * add[1] + three + in.group.z * 1000000u + in.group.y * 7777u + local.x * 3u + index;
      }`,
    arrays: { x: words(480, () => 1) },
    constants: { side: 4, 7: 11 },
    uniforms: { add: new Uint8Array(Uint32Array.of(1, 2, 3, 4).buffer) },
    shape: [12, 8, 5],
    least: 1,
  },
  {
    name: "workgroups of two dimensions, which tell each other what they have loaded",
    text: `
      var<workgroup> tile: array<array<u32, 8>, 8>;
      var<workgroup> most: atomic<u32>;
      var<private> seen: u32;
      @group(0) @binding(0) var<storage, read> x: array<u32>;
      @group(0) @binding(1) var<storage, read_write> turned: array<u32>;
      @compute @workgroup_size(8, 8) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
        tile[local.y][local.x] = x[id.y * 40u + id.x];
        seen = tile[local.y][local.x];
        atomicMax(&most, seen);
        workgroupBarrier();
        turned[(group.x * 8u + local.y) * 24u + group.y * 8u + local.x] = tile[local.x][local.y] + seen + atomicLoad(&most);
      }`,
    arrays: { x: words(960, () => random(100)), turned: words(960, () => 0) },
    shape: [40, 24, 1],
    least: 12,
  },
  {
    name: "rounds with a barrier in each, as many as a loaded number says",
    text: `
      @group(0) @binding(0) var<storage, read> rounds: array<u32>;
      @group(0) @binding(1) var<storage, read> data: array<u32>;
      @group(0) @binding(2) var<storage, read_write> result: array<u32>;
      var<workgroup> count: u32;
      var<workgroup> values: array<u32, 64>;
      @compute @workgroup_size(64)
      fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
        if (lane == 0u) { count = rounds[group.x * 64u]; }
        values[lane] = data[id.x];
        let most = workgroupUniformLoad(&count);
        for (var i = 0u; i < most; i++) {
          let other = values[(lane + i + 1u) % 64u] + data[(id.x * 7u + i * 61u) % 512u];
          workgroupBarrier();
          values[lane] = values[lane] * 3u + other;
          workgroupBarrier();
        }
        result[id.x] = values[lane];
      }`,
    arrays: {
      rounds: words(512, (i) => (i / 64) % 5),
      data: words(512, () => random(1000)),
      result: words(512, () => 0),
    },
    shape: [512, 1, 1],
    least: 10,
  },
];

for (const given of CASES) {
  test(`${given.name}: the same over pages as over whole buffers`, { skip }, async (t) => {
    const expected = await runPlain(await sharedDevice(), given);
    const pages = pagesOf(given, PAGE);
    for (const frames of new Set([pages, Math.ceil(pages / 2), given.least])) {
      if (frames < given.least) continue;
      await t.test(`in ${frames} of ${pages} pages`, async (inner) => {
        const outcome = await runPaged(inner, given, { frames, pageSize: PAGE });
        assert.deepEqual(outcome.words, expected);
        assert.ok(outcome.touched.size > 0, "nothing was touched");
        inner.diagnostic(`${outcome.rounds} rounds, ${outcome.loaded} pages loaded`);
      });
    }
  });
}

test("a dispatch of which all pages are here takes one round, and says which it has used", { skip }, async (t) => {
  const [given] = CASES;
  const { words: found, rounds, touched } = await runPaged(t, given, { pageSize: PAGE });
  assert.deepEqual(found, await runPlain(await sharedDevice(), given));
  assert.equal(rounds, 3);
  const used = new Set<number>();
  const page = (first: number, element: number): number => first + Math.floor((element * 4) / PAGE);
  const { index, data, result } = given.arrays;
  const [dataPage, resultPage] = [
    page(0, index.length - 1) + 1,
    page(0, index.length - 1) + 1 + page(0, data.length - 1) + 1,
  ];
  for (let i = 0; i < result.length; i++) used.add(page(0, i)).add(page(dataPage, index[i])).add(page(resultPage, i));
  assert.deepEqual(
    [...touched].toSorted((a, b) => a - b),
    [...used].toSorted((a, b) => a - b),
  );
});

test("pages may lie in several buffers of the device", { skip }, async (t) => {
  for (const given of [CASES[0], CASES[1], CASES[2], CASES[7]]) {
    await t.test(given.name, async (inner) => {
      const limits = { maxStorageBufferBindingSize: 8 * PAGE };
      const { words: found, opened } = await runPaged(inner, given, { pageSize: PAGE, limits });
      assert.ok(opened.device.pools.pools.length > 1, "there is one buffer");
      assert.deepEqual(found, await runPlain(await sharedDevice(), given));
    });
  }
});

test("an invocation that loads where it has not looked before ends the dispatch with EFAULT", { skip }, async (t) => {
  // Whether it loads depends on what it has stored before, which is not known while pages are touched.
  const given: PagedCase = {
    text: `
      @group(0) @binding(0) var<storage, read_write> flags: array<u32>;
      @group(0) @binding(1) var<storage, read> data: array<u32>;
      @group(0) @binding(2) var<storage, read_write> result: array<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        flags[id.x] = 1u;
        if (flags[id.x] == 1u) { result[id.x] = data[id.x]; }
      }`,
    arrays: { flags: words(64, () => 0), data: words(64, () => 5), result: words(64, () => 0) },
    shape: [64, 1, 1],
  };
  await assert.rejects(runPaged(t, given, { pageSize: PAGE }), {
    name: "KernelError",
    code: "EFAULT",
    line: 3,
    reason:
      'kernel "paged" used "data" where it had not touched it before: which elements it uses depends on what is stored while it runs',
  });
  // The page that stands for all others reads as it should again.
  const { words: found } = await runPaged(t, CASES[0], { pageSize: PAGE });
  assert.deepEqual(found, await runPlain(await sharedDevice(), CASES[0]));
});
