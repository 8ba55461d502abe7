// Whole kernels: control flow, structures, pointers, arrays, atomics, and what an index outside of an array does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runWgsl } from "./run-wgsl.js";

/** What `body` writes to `out`, an array of i32 that begins as -1. */
function outputs(body: string, { before = "", length = 8, invocations = 1 } = {}): number[] {
  const out = new Int32Array(length).fill(-1);
  const text = `${before}
@group(0) @binding(0) var<storage, read_write> out: array<i32>;
@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3u) {
${body}
}`;
  runWgsl(text, { out }, { invocations });
  return Array.from(out);
}

/** The first numbers that `body` writes. */
function firstOf(count: number, body: string, before = ""): number[] {
  return outputs(body, { before, length: Math.max(count, 1) }).slice(0, count);
}

test("loops: for, while, loop, continue, break, continuing, break if", () => {
  assert.deepEqual(
    firstOf(1, "var s = 0; for (var i = 0; i < 10; i++) { if (i % 2 == 0) { continue; } s += i; } out[0] = s;"),
    [25],
  );
  assert.deepEqual(
    firstOf(
      1,
      "var s = 0; var i = 0; while (i < 10) { i += 1; if (i == 5) { continue; } if (i == 8) { break; } s += i; } out[0] = s;",
    ),
    [1 + 2 + 3 + 4 + 6 + 7],
  );
  assert.deepEqual(
    firstOf(
      2,
      "var i = 0; var s = 0; loop { if (i == 7) { break; } let odd = (i & 1) == 1; if (odd) { continue; } s += i; continuing { i += 1; } } out[0] = s; out[1] = i;",
    ),
    [12, 7],
  );
  assert.deepEqual(
    firstOf(1, "var i = 0; loop { let twice = i * 2; i++; continuing { i += 1; break if twice > 10; } } out[0] = i;"),
    [8],
  );
  assert.deepEqual(
    firstOf(
      1,
      "var n = 0; for (var i = 0; i < 5; i++) { for (var j = 0; j < 5; j++) { if (j > i) { break; } if (j == 2) { continue; } n++; } } out[0] = n;",
    ),
    [1 + 2 + 2 + 3 + 4],
  );
  assert.deepEqual(firstOf(1, "var i = 0; for (;;) { i++; if (i > 3) { break; } } out[0] = i;"), [4]);
  assert.deepEqual(
    firstOf(
      2,
      "var s = 0; for (var i = 0; i < 3; i++) { var t: i32; t += i; s += t; } out[0] = s; { let s = 9; out[1] = s; }",
    ),
    [3, 9],
  );
});

test("switches: several selectors, default anywhere, break, and return and continue out of them", () => {
  const body =
    "for (var i = 0; i < 6; i++) { switch i { case 0, 2: { out[i] = 10; } default: { out[i] = 20; if (i == 4) { break; } out[i] += 1; } case 3: { continue; } } out[i] += 100; }";
  assert.deepEqual(outputs(body, { length: 6 }), [110, 121, 110, -1, 120, 121]);
  const before =
    "const two = 2; fn chosen(x: u32) -> i32 { switch (x) { case 1u: { return 5; } case two: { return 6; } default { return 7; } } }";
  assert.deepEqual(firstOf(3, "out[0] = chosen(1); out[1] = chosen(2u); out[2] = chosen(9);", before), [5, 6, 7]);
});

test("the right side of && and || is worked out only where it decides", () => {
  const before = "var<private> calls = 0; fn noted(x: bool) -> bool { calls++; return x; }";
  assert.deepEqual(
    firstOf(
      5,
      `
      let no = id.x > 5; let yes = !no;
      out[0] = select(0, 1, no && noted(true)); out[1] = calls;
      out[2] = select(0, 1, yes || noted(false)); out[3] = calls;
      if (yes && (no || noted(true))) { out[4] = calls; }`,
      before,
    ),
    [0, 0, 1, 0, 1],
  );
  assert.deepEqual(firstOf(1, "var n = 0; let i = 9u; if (i < 1 && out[i] == 0) { n = 1; } out[0] = n;"), [0]);
});

test("operands are worked out from left to right, whatever later ones write", () => {
  const before = `
    var<private> p = 1;
    fn bump() -> i32 { p += 1; return p * 10; }
    fn double(x: ptr<function, i32>) -> i32 { *x *= 2; return *x; }`;
  assert.deepEqual(
    firstOf(
      6,
      `
      var v = 3;
      out[0] = v + double(&v); out[1] = double(&v) - v;
      out[2] = p + bump() + p; v = 1; v += double(&v); out[3] = v;
      var w = vec2i(1, 2); w = w.yx; out[4] = w.x * 10 + w.y;
      var q = array<i32, 2>(5, 6); q[double(&v) / 6] = p; out[5] = q[1];`,
      before,
    ),
    [3 + 6, 12 - 12, 1 + 20 + 2, 3, 21, 2],
  );
});

test("structures, nested and as values, and pointers to their parts", () => {
  const before = `
    struct Inner { v: vec2i, n: i32 }
    struct Outer { a: Inner, list: array<Inner, 3>, flag: bool }
    fn change(o: ptr<function, Outer>, at: i32) { (*o).list[at].v.y = 7; o.a.n += 1; (*o).flag = true; }
    fn sum(i: Inner) -> i32 { return i.v.x + i.v.y + i.n; }
    fn make(x: i32) -> Inner { return Inner(vec2i(x, x + 1), x + 2); }`;
  assert.deepEqual(
    firstOf(
      6,
      `
      var o: Outer; o.a = make(1); o.list[1] = o.a; change(&o, 1); change(&o, 2);
      out[0] = sum(o.a); out[1] = sum(o.list[1]); out[2] = sum(o.list[2]);
      let copy = o; o.a.n = 100; out[3] = copy.a.n; out[4] = select(0, 1, copy.flag);
      let p = &o.list[0]; (*p).n = 4; p.v = vec2i(2, 3); out[5] = sum(o.list[0]);`,
      before,
    ),
    [1 + 2 + 5, 1 + 7 + 3, 7, 5, 1, 9],
  );
});

test("arrays of constants, of a let and of a var, by indices known and not; private ones begin anew", () => {
  const before = `
    const table = array<i32, 4>(10, 20, 30, 40);
    var<private> seen: array<i32, 4>;
    var<private> start = table[1];
    fn total(a: array<i32, 3>) -> i32 { var s = 0; for (var i = 0; i < 3; i++) { s += a[i]; } return s; }`;
  const body = `
    let i = i32(id.x); seen[i] += 1; start += 1;
    var s = 0; for (var k = 0; k < 4; k++) { s += seen[k]; }
    let list = array(i, i + 1, i + 2);
    out[i] = s * 10000 + table[i] * 100 + list[i % 3] + total(list) + (start - 21);`;
  assert.deepEqual(
    outputs(body, { before, length: 4, invocations: 4 }),
    [0, 1, 2, 3].map((i) => 10000 + (i + 1) * 1000 + (i + (i % 3)) + 3 * i + 3),
  );
});

test("vectors: constructors, swizzles, components by index, operators by component", () => {
  assert.deepEqual(
    outputs(`
      var v = vec4i(vec2i(1, 2), 3, 4); v.z = 9; let k = i32(id.x) + 3; v[k] += 5; v[k - 3]++;
      let w = v.wzyx; for (var i = 0; i < 4; i++) { out[i] = w[i]; }
      let u = vec3(2) * vec3i(1, 2, 3) + 1; out[4] = u.r + 10 * u.g + 100 * u.b;
      out[5] = dot(u, vec3i(1)) + i32(all(u > vec3i(2))) * 100 + i32(any(u == vec3i(4))) * 1000;
      let s = select(vec2i(1, 2), vec2i(3, 4), vec2<bool>(true, false)); out[6] = s.x * 10 + s.y;
      out[7] = vec2i(vec2f(2.9, -2.9)).y * 10 + i32(cross(vec3f(1, 0, 0), vec3f(0, 1, 0)).z);`),
    [9, 9, 2, 2, 3 + 50 + 700, 15 + 100, 32, -19],
  );
});

test("vectors of f32: length, distance, normalize, reflect, refract, faceForward, mix", () => {
  const out = new Float32Array(16);
  runWgsl(
    `
    @group(0) @binding(0) var<storage, read_write> out: array<f32>;
    @compute @workgroup_size(1) fn main() {
      let v = vec3f(2, 3, 6); out[0] = length(v); out[1] = distance(v, vec3f(2, 3, 5)); out[2] = length(-4.0);
      let n = normalize(v); out[3] = n.x; out[4] = n.z;
      let r = reflect(vec2f(1, -1), vec2f(0, 1)); out[5] = r.x; out[6] = r.y;
      let bent = refract(vec2f(0, -1), vec2f(0, 1), 0.5); out[7] = bent.x; out[8] = bent.y;
      out[9] = refract(vec2f(1, 0), vec2f(0, 1), 2.0).x;
      out[10] = faceForward(vec2f(1, 2), vec2f(0, 1), vec2f(0, 1)).y;
      let m = mix(vec2f(0, 10), vec2f(10, 20), 0.25); out[11] = m.x; out[12] = m.y;
    }`,
    { out },
  );
  const f = Math.fround;
  const expected = [7, 1, 4, f(2 / 7), f(6 / 7), 1, 1, 0, -1, 0, -2, 2.5, 12.5];
  assert.deepEqual(Array.from(out).slice(0, 13), expected);
});

test("elements of storage: vectors, and structures with padding, read and written in place", () => {
  const particles = new Float32Array(3 * 8);
  const points = Float32Array.from({ length: 12 }, (_, i) => i);
  runWgsl(
    `
    struct Particle { position: vec3f, mass: f32, velocity: vec2f, @size(8) charge: i32 }
    @group(0) @binding(0) var<storage, read_write> particles: array<Particle>;
    @group(0) @binding(1) var<storage, read> points: array<vec3f>;
    fn push(all: ptr<storage, array<Particle>, read_write>, i: u32) { (*all)[i].velocity.y = f32(arrayLength(all)); }
    @compute @workgroup_size(2) fn main(@builtin(global_invocation_id) id: vec3u) {
      let p = &particles[id.x]; (*p).position = points[id.x] * 2; p.mass = f32(id.x); p.charge = -i32(id.x);
      push(&particles, id.x); if (id.x == 2) { particles[0] = particles[1]; }
    }`,
    { particles, points },
    { invocations: 3, strides: { particles: 8, points: 4 } },
  );
  const charges = new Int32Array(particles.buffer);
  const at = (i: number): number[] => [...particles.subarray(i * 8, i * 8 + 6), charges[i * 8 + 6] ?? 0];
  assert.deepEqual(at(1), [8, 10, 12, 1, 0, 3, -1]);
  assert.deepEqual(at(2), [16, 18, 20, 2, 0, 3, -2]);
  assert.deepEqual(at(0), at(1));
});

test("an index past the end of a whole array is its last element, also where it is negative", () => {
  const x = Int32Array.of(1, 2, 3);
  const out = new Int32Array(4);
  runWgsl(
    `
    @group(0) @binding(0) var<storage, read> x: array<i32>;
    @group(0) @binding(1) var<storage, read_write> out: array<i32>;
    @compute @workgroup_size(1) fn main() {
      var i = 7; var j = -1; var local = array<i32, 2>(8, 9); let v = vec2i(5, 6);
      out[0] = x[i]; out[1] = x[j] * 10 + local[i]; out[2] = v[i] + local[j]; out[4294967295u] = 4;
    }`,
    { x, out },
  );
  assert.deepEqual([...out], [3, 39, 15, 4]);
});

test("atomics give what was there, and change it in one go", () => {
  const count = Uint32Array.of(10, 0, 0xffffffff, 7, 5);
  const least = Int32Array.of(3);
  runWgsl(
    `
    @group(0) @binding(0) var<storage, read_write> count: array<atomic<u32>>;
    @group(0) @binding(1) var<storage, read_write> least: atomic<i32>;
    @compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {
      atomicAdd(&count[0], id.x); atomicOr(&count[1], 1u << id.x); atomicAdd(&count[2], 1); atomicMin(&least, 1 - i32(id.x));
      let r = atomicCompareExchangeWeak(&count[3], 7u, 20u); if (r.exchanged) { atomicStore(&count[4], r.old_value + atomicLoad(&count[3])); }
      atomicXor(&count[1], 256u); atomicSub(&count[0], 1);
    }`,
    { count, least },
    { invocations: 4, strides: {} },
  );
  assert.deepEqual([...count], [10 + 6 - 4, 15, 3, 20, 27]);
  assert.deepEqual([...least], [-2]);
});

test("invocations of three dimensions know where they are, in all of the dispatch and in their workgroup", () => {
  const [x, y, z] = [5, 3, 4];
  const out = new Uint32Array(x * y * z);
  const text = `
    @group(0) @binding(0) var<storage, read_write> out: array<u32>;
    @compute @workgroup_size(4, 2, 3)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) w: vec3u, @builtin(num_workgroups) n: vec3u, @builtin(local_invocation_index) l: u32) {
      let same = all(id == w * vec3u(4, 2, 3) + local) && all(n == vec3u(2, 2, 2)) && l == local.x + 4 * local.y + 8 * local.z;
      out[id.x + ${x}u * (id.y + ${y}u * id.z)] += select(0u, id.x + 10 * id.y + 100 * id.z + 1000 * l, same);
    }`;
  runWgsl(text, { out }, { shape: [x, y, z] });
  const expected: number[] = [];
  for (let k = 0; k < z; k++) {
    for (let j = 0; j < y; j++) {
      for (let i = 0; i < x; i++) expected.push(i + 10 * j + 100 * k + 1000 * ((i % 4) + 4 * (j % 2) + 8 * (k % 3)));
    }
  }
  assert.deepEqual([...out], expected);
});

test("constants: overrides by name and by id, abstract numbers are exact, aliases, const_assert", () => {
  const out = new Int32Array(6);
  const text = `
    override size = 3; @id(7) override scale: f32; override on = false; const big = 4294967296 / 65536; alias Int = i32;
    const half = 1.0 / 3.0; const_assert big == 65536 && (1 << 4u) == 16;
    @group(0) @binding(0) var<storage, read_write> out: array<Int>;
    @compute @workgroup_size(size) fn main(@builtin(local_invocation_index) l: u32, @builtin(workgroup_id) w: vec3u, @builtin(num_workgroups) n: vec3u, @builtin(global_invocation_id) id: vec3u) {
      out[id.x] = Int(l) + Int(w.x) * 10 + Int(n.x) * 100 + Int(scale) * 1000 + select(0, 10000, on) + Int(half * 3) * 100000;
    }`;
  runWgsl(text, { out }, { invocations: 5, constants: { "7": 4.5, size: 2, on: 1 } });
  assert.deepEqual([...out], [114300, 114301, 114310, 114311, 114320, 0]);
});

test("uniforms lie as WGSL has them, and builtins may come in a structure", () => {
  const out = new Float32Array(3);
  const bytes = new Uint8Array(64);
  new Float32Array(bytes.buffer).set([1, 2, 3]);
  new Float32Array(bytes.buffer, 16).set([10, 20, 30, 40, 50, 60, 70, 80]);
  new Uint32Array(bytes.buffer, 48).set([2]);
  runWgsl(
    `
    struct Settings { offset: vec3f, rows: array<vec4f, 2>, row: u32 }
    struct In { @builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u }
    @group(0) @binding(0) var<uniform> settings: Settings;
    @group(0) @binding(1) var<uniform> factor: f32;
    @group(0) @binding(2) var<storage, read_write> out: array<f32>;
    @compute @workgroup_size(2) fn main(in: In) {
      out[in.id.x] = settings.offset[in.id.x] + settings.rows[settings.row - 1][in.id.x] * factor + f32(in.local.x) * 1000;
    }`,
    { out },
    { invocations: 3, uniforms: { settings: bytes, factor: new Uint8Array(Float32Array.of(0.5).buffer) } },
  );
  assert.deepEqual([...out], [1 + 25, 2 + 30 + 1000, 3 + 35]);
});

test("names that JavaScript reserves, or would run, are only names", () => {
  const before =
    "const constructor = 1; fn eval(prototype: i32) -> i32 { var function_ = prototype; return function_ + constructor; } struct __proto { toString: i32, hasOwnProperty: i32 }";
  assert.deepEqual(
    firstOf(
      2,
      "var var_ = __proto(3, 4); let this_ = eval(var_.toString); var t0 = 5; var v1 = 6; var s0f = 7; out[0] = this_; out[1] = t0 * 100 + v1 * 10 + s0f + var_.hasOwnProperty;",
      before,
    ),
    [4, 571],
  );
});
