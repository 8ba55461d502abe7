/** Each invocation uses elements next to each other, by its own number. */

import { struct } from "../../src/struct/index.js";
import { all, below, main, type Shader, type ShaderArray, storage } from "./shader.js";

/** Invocations: whole workgroups, no whole page. */
const N = 64 * 83;

const floats = (length = N): ShaderArray => ({ type: "f32", length, start: below(1000) });
const words = (length = N): ShaderArray => ({ type: "u32", length, start: below(2 ** 31) });
const zeros = (length = N): ShaderArray => ({ type: "u32", length, start: all(0) });

const particle = struct({ place: "vec2f", speed: "vec2f" });
const mixed = struct({ count: "u32", factor: "f32", corner: "vec2i", edge: "vec4u" });

/** One input of words, one output. */
function words1(name: string, body: string, more: Partial<Shader> = {}): Shader {
  return {
    name,
    properties: ["streaming"],
    text: storage({ x: "array<u32>", y: "rw array<u32>" }) + main(body),
    arrays: { x: words(), y: zeros() },
    shape: [N, 1, 1],
    footprint: { x: { each: 1 }, y: { each: 1 } },
    ...more,
  };
}

export const STREAMING: readonly Shader[] = [
  words1("a copy", "  y[i] = x[i];"),
  words1(
    "bits are shifted, masked and counted",
    "  y[i] = ((x[i] << 3u) ^ (x[i] >> (i % 7u))) & ~(countOneBits(x[i]) | 5u);",
  ),
  words1(
    "a loop of a length that the uniform and the element decide",
    `  var sum = 0u;
  for (var k = 0u; k < x[i] % settings.most; k++) { if (k % 3u == 1u) { continue; } sum += k * settings.factor; }
  y[i] = sum;`,
    {
      text:
        storage({ x: "array<u32>", y: "rw array<u32>" }) +
        "struct Settings { most: u32, factor: u32 }\n@group(1) @binding(0) var<uniform> settings: Settings;\n" +
        main(`  var sum = 0u;
  for (var k = 0u; k < x[i] % settings.most; k++) { if (k % 3u == 1u) { continue; } sum += k * settings.factor; }
  y[i] = sum;`),
      uniforms: { settings: new Uint8Array(Uint32Array.of(9, 1000).buffer) },
    },
  ),
  words1(
    "a switch that falls to its default, in a while",
    `  var state = x[i] % 5u;
  var steps = 0u;
  while (state != 0u) {
    switch state { case 1u, 3u: { state -= 1u; } case 2u: { state = 4u; } default: { state = 0u; break; } }
    steps++;
  }
  y[i] = steps;`,
  ),
  words1(
    "locals, blocks and loop variables shadow the arrays",
    `  let value = x[i];
  { let x = value * 2u; { let y = array<u32, 2>(x, 7u); _ = y[1]; } }
  var sum = 0u;
  for (var x = 0u; x < 3u; x++) { sum += x; }
  y[i] = value + sum;`,
  ),
  words1(
    "private variables and tables in functions",
    `  seen = x[i];
  note(3u);
  var counts: array<u32, 4>;
  for (var k = 0u; k < 8u; k++) { counts[(seen >> k) & 3u] += k; }
  y[i] = counts[0] + counts[1] * 10u + counts[2] * 100u + counts[3] * TABLE[i % 3u];`,
    {
      text:
        storage({ x: "array<u32>", y: "rw array<u32>" }) +
        "var<private> seen: u32;\nconst TABLE = array<u32, 3>(5u, 6u, 7u);\nfn note(by: u32) { seen += by; }\n" +
        main(`  seen = x[i];
  note(3u);
  var counts: array<u32, 4>;
  for (var k = 0u; k < 8u; k++) { counts[(seen >> k) & 3u] += k; }
  y[i] = counts[0] + counts[1] * 10u + counts[2] * 100u + counts[3] * TABLE[i % 3u];`),
    },
  ),
  words1("functions of functions, with pointers to locals", "", {
    text:
      storage({ x: "array<u32>", y: "rw array<u32>" }) +
      "fn add(to_: ptr<function, u32>, by: u32) { *to_ += by; }\nfn twice(to_: ptr<function, u32>) { add(to_, *to_); }\n" +
      main("  var value = x[i] & 0xffffu;\n  twice(&value);\n  add(&value, 1u);\n  y[i] = value;"),
  }),
  words1("helpers with pointers to the arrays", "", {
    text:
      storage({ x: "array<u32>", y: "rw array<u32>" }) +
      `fn at(from_: ptr<storage, array<u32>, read>, k: u32) -> u32 { return (*from_)[k] ^ (from_[k + 0u] * 3u); }
fn put(into: ptr<storage, array<u32>, read_write>, k: u32, value: u32) { (*into)[k] = value + at(&x, k); }
` +
      main("  put(&y, i, at(&x, i));"),
  }),
  words1(
    "arrayLength, signed indices and an early return",
    "  if (i >= arrayLength(&x)) { return; }\n  let k = i32(i);\n  y[k] = x[k] % 1000u + arrayLength(&x) + arrayLength(&y);",
  ),
  words1("invocations in the last workgroup that the dispatch has not", "  y[i] = x[i] + 1u;", {
    text:
      storage({ x: "array<u32>", y: "rw array<u32>" }) +
      main(`  if (i >= ${N - 37}u) { return; }\n  y[i] = x[i] + 1u;`),
    shape: [N - 37, 1, 1],
  }),
  words1("an override for the workgroup's size and one in the code", "", {
    text:
      `override width: u32 = 8;\n@id(3) override factor: u32;\n` +
      storage({ x: "array<u32>", y: "rw array<u32>" }) +
      main("  y[i] = (x[i] & 0xffffu) * factor + width;", "width"),
    constants: { width: 32, 3: 11 },
  }),
  words1("one entry point of several", "", {
    text:
      storage({ x: "array<u32>", y: "rw array<u32>" }) +
      "@compute @workgroup_size(1) fn other() { y[0] = 77u; }\n" +
      main("  y[i] = ~x[i];"),
    entryPoint: "main",
  }),
  words1("ids of the workgroup", "", {
    text:
      storage({ x: "array<u32>", y: "rw array<u32>" }) +
      `struct Ids { @builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u }
@compute @workgroup_size(32) fn main(ids: Ids, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
  y[ids.id.x] = x[ids.id.x] % 10u + ids.group.x * 100u + local.x * 7u + index + groups.x * 100000u;
}`,
  }),
  {
    name: "floats are added, multiplied and rounded as f32",
    properties: ["streaming", "in place"],
    text:
      storage({ x: "array<f32>", y: "rw array<f32>" }) +
      main("  y[i] += x[i] * 0.5;\n  y[i] = floor(y[i] / 3.0) - trunc(x[i] * 0.125);"),
    arrays: { x: floats(), y: floats() },
    shape: [N, 1, 1],
    footprint: { x: { each: 1 }, y: { each: 1 } },
  },
  {
    name: "a stencil with a halo on both sides",
    properties: ["streaming"],
    text:
      storage({ x: "array<f32>", y: "rw array<f32>" }) +
      main(`  let last = arrayLength(&x) - 1u;
  let left = x[max(i, 2u) - 2u];
  let right = x[min(i + 3u, last)];
  y[i] = left + x[i] * 2.0 - right;`),
    arrays: { x: floats(), y: floats() },
    shape: [N, 1, 1],
    footprint: { x: { each: 1, before: 2, after: 3 }, y: { each: 1 } },
  },
  {
    name: "rows of ten are summed",
    properties: ["streaming"],
    text:
      storage({ rows: "array<f32>", sums: "rw array<f32>" }) +
      main("  var sum = 0.0;\n  for (var k = 0u; k < 10u; k++) { sum += rows[i * 10u + k]; }\n  sums[i] = sum;"),
    arrays: { rows: floats(N * 10), sums: floats() },
    shape: [N, 1, 1],
    footprint: { rows: { each: 10 }, sums: { each: 1 } },
  },
  {
    name: "pairs are swapped in place",
    properties: ["streaming", "in place"],
    text:
      storage({ x: "rw array<u32>" }) +
      main("  let left = x[2u * i];\n  x[2u * i] = x[2u * i + 1u];\n  x[2u * i + 1u] = left;"),
    arrays: { x: words(2 * N) },
    shape: [N, 1, 1],
    footprint: { x: { each: 2 } },
  },
  {
    name: "vectors as elements: swizzles, components by index, one component stored",
    properties: ["streaming", "in place"],
    text:
      storage({ x: "array<vec4u>", y: "rw array<vec2u>" }) +
      main("  let v = x[i].wzyx;\n  y[i].x = v[i % 4u] & 0xffffu;\n  y[i][1] += x[i].y & 15u;\n  y[i].y++;"),
    arrays: {
      x: { type: "vec4u", length: N, start: below(2 ** 31) },
      y: { type: "vec2u", length: N, start: below(100) },
    },
    shape: [N, 1, 1],
    footprint: { x: { each: 1 }, y: { each: 1 } },
  },
  {
    name: "vectors of three, which take the place of four",
    properties: ["streaming", "in place"],
    text:
      storage({ x: "rw array<vec3f>" }) + main("  x[i] = x[i].zxy + vec3f(1.0, 2.0, f32(i % 5u));\n  x[i].y *= 2.0;"),
    arrays: { x: { type: "vec3f", length: N, start: below(100) } },
    shape: [N, 1, 1],
    footprint: { x: { each: 1 } },
  },
  {
    name: "structures as elements: members read, stored and added to, one by one and whole",
    properties: ["streaming", "in place"],
    text:
      "struct Particle { place: vec2f, speed: vec2f }\n" +
      storage({ particles: "rw array<Particle>" }) +
      main(`  var p = particles[i];
  p.place += p.speed;
  if (p.place.x > 1000.0) { p.speed.x = -p.speed.x; }
  particles[i] = p;
  particles[i].speed.y += 1.0;`),
    arrays: { particles: { type: particle, length: N, start: below(1500) } },
    shape: [N, 1, 1],
    footprint: { particles: { each: 1 } },
  },
  {
    name: "structures of several kinds of numbers",
    properties: ["streaming", "in place"],
    text:
      "struct Mixed { count: u32, factor: f32, corner: vec2i, edge: vec4u }\n" +
      storage({ cells: "rw array<Mixed>", y: "rw array<i32>" }) +
      main(`  cells[i].count += 1u;
  cells[i].corner = cells[i].corner.yx - vec2i(7);
  cells[i].edge[i % 4u] = cells[i].count;
  y[i] = cells[i].corner.x + i32(cells[i].edge.w);`),
    arrays: {
      cells: { type: mixed, length: N, start: below(1000) },
      y: { type: "i32", length: N, start: all(-1) },
    },
    shape: [N, 1, 1],
    footprint: { cells: { each: 1 }, y: { each: 1 } },
  },
  {
    name: "matrices as elements",
    properties: ["streaming", "in place"],
    text:
      storage({ m: "rw array<mat2x2f>", v: "array<vec2f>" }) +
      main("  let turned = m[i] * v[i];\n  m[i][0] = turned;\n  m[i][1].y += 1.0;"),
    arrays: {
      m: { type: "mat2x2f", length: N, start: below(50) },
      v: { type: "vec2f", length: N, start: below(50) },
    },
    shape: [N, 1, 1],
    footprint: { m: { each: 1 }, v: { each: 1 } },
    notOnMirror: /matrices \(mat2x2f\)/,
  },
  {
    name: "signed division, remainder and conversions",
    properties: ["streaming"],
    text:
      storage({ x: "array<i32>", y: "rw array<i32>" }) +
      main(
        "  let v = x[i] - 500;\n  y[i] = v / 7 + (v % 7) * 1000 + i32(f32(v) * 0.25) + i32(u32(v) >> 28u) + bitcast<i32>(1.5f) % 3;",
      ),
    arrays: { x: { type: "i32", length: N, start: below(1000) }, y: { type: "i32", length: N, start: all(0) } },
    shape: [N, 1, 1],
    footprint: { x: { each: 1 }, y: { each: 1 } },
  },
  {
    name: "built-in functions that are exact",
    properties: ["streaming"],
    text:
      storage({ x: "array<f32>", y: "rw array<f32>" }) +
      main(
        "  let v = x[i] - 300.5;\n  y[i] = clamp(abs(v), 1.0, 99.0) + sign(v) + max(v, 2.0) + min(ceil(v), floor(v)) + select(1.0, 2.0, v > 0.0) + fract(v);",
      ),
    arrays: { x: floats(), y: floats() },
    shape: [N, 1, 1],
    footprint: { x: { each: 1 }, y: { each: 1 } },
  },
  {
    name: "six arrays at once",
    properties: ["streaming"],
    text:
      storage({
        a: "array<u32>",
        b: "array<u32>",
        c: "array<u32>",
        d: "array<u32>",
        e: "rw array<u32>",
        f: "rw array<u32>",
      }) + main("  e[i] = a[i] + b[i] * 3u;\n  f[i] = c[i] ^ d[i] ^ e[i];"),
    arrays: { a: words(), b: words(), c: words(), d: words(), e: zeros(), f: zeros() },
    shape: [N, 1, 1],
    footprint: { a: { each: 1 }, b: { each: 1 }, c: { each: 1 }, d: { each: 1 }, e: { each: 1 }, f: { each: 1 } },
  },
  {
    name: "rows of an image in two dimensions",
    properties: ["streaming"],
    text:
      storage({ x: "array<u32>", y: "rw array<u32>" }) +
      `@compute @workgroup_size(8, 4) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) n: vec3u) {
  let at = id.x + 96u * id.y;
  y[at] = x[at] % 100u + id.y * 1000u + n.y * 1000000u;
}`,
    arrays: { x: words(96 * 64), y: zeros(96 * 64) },
    shape: [96, 64, 1],
    footprint: { x: { each: 1 }, y: { each: 1 } },
  },
  {
    name: "a volume in three dimensions, whose sides are no whole workgroups",
    properties: ["streaming"],
    text:
      storage({ y: "rw array<u32>" }) +
      `@compute @workgroup_size(4, 4, 2) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) l: u32) {
  if (any(id >= vec3u(30u, 21u, 9u))) { return; }
  y[id.x + 30u * (id.y + 21u * id.z)] += id.x + id.y * 100u + id.z * 10000u + l * 1000000u;
}`,
    arrays: { y: zeros(30 * 21 * 9) },
    shape: [30, 21, 9],
    footprint: { y: { each: 1 } },
  },
];
