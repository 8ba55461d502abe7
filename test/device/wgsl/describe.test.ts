// What is known of a kernel from its text.

import assert from "node:assert/strict";
import { test } from "node:test";
import { KernelError } from "../../../src/device/kernel-error.js";
import { describe } from "../../../src/device/wgsl/describe.js";
import { rewriteStep } from "../../../src/device/wgsl/rewrite/step.js";
import { nameOfType } from "../../../src/device/wgsl/types.js";
import { memoryError } from "../../builders.js";

const main = (body: string): string => `@compute @workgroup_size(64) fn main() { ${body} }`;

function usesIn(text: string): Record<string, string> {
  const { arrays } = describe({ text });
  const say = (what: string, is: boolean): string[] => (is ? [what] : []);
  return Object.fromEntries(
    arrays.map(({ name, read, written, atomic }) => [
      name,
      [...say("read", read), ...say("written", written), ...say("atomic", atomic)].join(" "),
    ]),
  );
}

const ARRAYS = ["x", "y", "z"]
  .map((name, i) => `@group(0) @binding(${i}) var<storage, read_write> ${name}: array<vec4u>;`)
  .join("\n");

const statements: Readonly<Record<string, Record<string, string>>> = {
  "x[y[0].x] = z[0];": { x: "written", y: "read", z: "read" },
  "x[0].y += 1u;": { x: "read written" },
  "x[0].y++;": { x: "read written" },
  "let p = &x[0]; (*p).x = 3u;": { x: "written" },
  "let p = &x; let v = (*p)[1] + p[2];": { x: "read" },
  "_ = arrayLength(&x);": { x: "" },
  "let x = 3u; y[x].x = x;": { y: "written" },
  "for (var x = y[0].x; x < 3u; x++) { z[x] = vec4u(x); }": { y: "read", z: "written" },
  "{ let y = x[0]; z[1] = y; } _ = y[0];": { x: "read", y: "read", z: "written" },
  "_ = x[0].xy[z[1].x];": { x: "read", z: "read" },
  "if (any(x[0] == y[0])) { return; } else if (z[0].x > 2u) { loop { break; } }": { x: "read", y: "read", z: "read" },
  "switch x[0].x { case 1u: { y[0].x = 1u; } default: { } }": { x: "read", y: "written" },
};

for (const [statement, expected] of Object.entries(statements)) {
  test(`how arrays are used is read from the text: ${statement}`, () => {
    assert.deepEqual(usesIn(`${ARRAYS}\n${main(statement)}`), expected);
  });
}

test("what functions do with pointers is done to what they are called with, and unreached functions do nothing", () => {
  const text = `${ARRAYS}
    fn load(p: ptr<storage, array<vec4u>, read_write>, i: u32) -> u32 { return p[i].x; }
    fn store(p: ptr<storage, array<vec4u>, read_write>, i: u32) { (*p)[i].x = load(p, i + 1u); }
    fn unreached() { z[0] = vec4u(); }
    ${main("_ = load(&x, 1u); store(&y, 2u);")}`;
  assert.deepEqual(usesIn(text), { x: "read", y: "read written" });
});

test("atomic functions read, write or do both", () => {
  const text = `
    @group(0) @binding(0) var<storage, read_write> a: array<atomic<u32>>;
    @group(0) @binding(1) var<storage, read_write> b: array<atomic<u32>>;
    @group(0) @binding(2) var<storage, read_write> c: atomic<i32>;
    ${main("atomicStore(&b[atomicLoad(&a[0])], 1u); atomicAdd(&c, 1);")}`;
  assert.deepEqual(usesIn(text), { a: "read atomic", b: "written atomic", c: "read written atomic" });
});

test("types, lengths, uniforms, bindings and workgroups are told as they are", () => {
  const text = `
    override size = 4u;
    const count = 3 * 2;
    struct Part { m: mat3x3f, v: vec3f, n: u32 }
    @group(0) @binding(0) var<storage> parts: array<Part, count>;
    @group(0) @binding(1) var<uniform> view: mat4x4<f32>;
    @group(0) @binding(2) var<uniform> given: vec2f;
    @group(0) @binding(3) var<storage, read_write> sum: u32;
    @group(1) @binding(0) var image: texture_2d<f32>;
    @group(1) @binding(1) var linear: sampler;
    @group(1) @binding(2) var never: texture_2d<f32>;
    @compute @workgroup_size(size, 2) fn main() {
      sum = parts[0].n + u32(view[0][0] + given.x + textureSampleLevel(image, linear, vec2f(), 0).x);
    }`;
  const facts = describe({ text, constants: { size: 16 }, bindings: ["given"] });
  assert.deepEqual(facts.workgroups, { size: [16, 2, 1], whole: false });
  assert.deepEqual(
    facts.arrays.map(({ name, element, length }) => [name, nameOfType(element), length]),
    [
      ["parts", "Part", 6],
      ["sum", "u32", 1],
    ],
  );
  assert.deepEqual(
    facts.uniforms.map(({ name, type, bytes }) => [name, nameOfType(type), bytes]),
    [["view", "mat4x4<f32>", 64]],
  );
  assert.deepEqual(
    facts.bindings.map(({ name, kind }) => [name, kind]),
    [
      ["given", "uniform"],
      ["image", "texture"],
      ["linear", "sampler"],
    ],
  );
});

const collective: Readonly<Record<string, string>> = {
  "a barrier": main("inner();") + "fn inner() { workgroupBarrier(); }",
  "workgroup memory": `var<workgroup> w: u32; ${main("w = 1u;")}`,
  subgroups: `enable subgroups; ${main("_ = subgroupAdd(1u);")}`,
};

for (const [what, text] of Object.entries(collective)) {
  test(`workgroups are kept whole for ${what}, and only where the entry point reaches it`, () => {
    assert.equal(describe({ text }).workgroups.whole, true);
    const other = "@compute @workgroup_size(1) fn other() { }";
    assert.equal(describe({ text: text + other, entryPoint: "other" }).workgroups.whole, false);
    assert.equal(describe({ text }).subgroups, what === "subgroups");
  });
}

const refusals: readonly (readonly [text: string, line: number, column: number, reason: RegExp])[] = [
  [main("let pageferry_x = 1;"), 1, 46, /names that begin with pageferry_ are taken \("pageferry_x"\)/],
  [
    `struct S { n: u32, x: array<u32> }\n@group(0) @binding(0) var<storage> s: S; ${main("_ = s.n;")}`,
    1,
    20,
    /bindings/,
  ],
  [`@group(0) @binding(0) var<storage> s: array<f16>; ${main("_ = s[0];")}`, 1, 45, /f16 .* arrays and uniforms/],
  [`@group(0) @binding(0) var<storage> s: array<array<u32, 4>>; ${main("_ = s[0];")}`, 1, 1, /arrays inside/],
];

for (const [text, line, column, reason] of refusals) {
  test(`refused, with its place: ${text}`, () => {
    assert.throws(
      () => describe({ text }),
      (error) => {
        assert.ok(error instanceof KernelError, String(error));
        assert.match(error.reason, reason);
        assert.deepEqual([error.line, error.column], [line, column]);
        return true;
      },
    );
  });
}

test("an entry point that needs a builtin which no step has is refused where it names it", () => {
  const text = "@compute @workgroup_size(1)\nfn main(@builtin(position) p: vec4f) { }";
  assert.throws(
    () => rewriteStep(describe({ text }), { based: [], writable: [], dimensions: 1, isWhole: true, isOnly: true }),
    (error) => error instanceof KernelError && error.line === 2 && error.column === 18,
  );
});

test("bindings that the kernel does not use are refused", () => {
  assert.throws(() => describe({ text: main(""), bindings: ["x"] }), memoryError("EINVAL", /binding "x"/));
});
