// What the software device does not run is refused where it stands: line, column and reason.

import assert from "node:assert/strict";
import { test } from "node:test";
import { KernelError } from "../../../src/device/kernel-error.js";
import { compile } from "../../../src/device/wgsl/index.js";
import { memoryError } from "../../builders.js";

const OUT = "@group(0) @binding(0) var<storage, read_write> out: array<f32>;\n";
const main = (body: string): string => `${OUT}@compute @workgroup_size(1)\nfn main() {\n${body}\n  out[0] = 1;\n}\n`;
const global = (text: string, use = ""): string => `${text}\n${main(use)}`;

/** The place is where ⟨ stands. */
const REFUSED: readonly (readonly [text: string, reason: RegExp])[] = [
  [main("  let x = ⟨;"), /[Ee]xpected expression/],
  [global("⟨var<workgroup> tile: array<f32, 64>;", "tile[0] = 1;"), /workgroup variables \("tile"\)/],
  [main("  ⟨workgroupBarrier();"), /"workgroupBarrier" is not declared, and not supported/],
  [main("  let m = ⟨mat2x2f(1, 0, 0, 1);"), /matrices \(mat2x2f\)/],
  [global("enable ⟨f16;"), /enable f16/],
  [main("  let h = ⟨1.0h;"), /f16/],
  [main("  var h: ⟨f16;"), /f16/],
  [main("  ⟨discard;"), /discard/],
  [main("  let x = 1 +\n    ⟨missing;"), /"missing" is not declared/],
  [main("  let x: i32 = ⟨1.5;"), /expected i32, found abstract-float/],
  [main("  let x: u32 = ⟨-1;"), /-1 cannot be represented as u32/],
  [main("  let x = ⟨2147483648i;"), /cannot be represented as i32/],
  [main("  let x = ⟨1i + 1u;"), /\+ does not take i32 and u32/],
  [main("  let x = ⟨vec2f(1) + vec3f(1);"), /\+ does not take vec2<f32> and vec3<f32>/],
  [main("  let a = 1; let x = ⟨a / 0;"), /division by zero/],
  [main("  let x = ⟨1 % 0;"), /division by zero/],
  [main("  let a = 1; let x = ⟨a << 32;"), /shift by 32/],
  [main("  let x = ⟨3.0e38f * 10.0f;"), /cannot be represented as f32/],
  [main("  if ⟨(1) { }"), /expected bool, found abstract-int/],
  [main("  let x = 1; ⟨x = 2;"), /"x" cannot be assigned to/],
  [main("  var v = vec2f(); ⟨v.xy = vec2f(1);"), /a swizzle cannot be assigned to/],
  [main("  var v = vec2f(); let x = ⟨v.z;"), /a vector of 2 has no "z"/],
  [main("  var v = vec2f(); let x = ⟨v[2];"), /index 2 is outside of vec2<f32>/],
  [main("  var a: array<i32, 3>; ⟨a[3] = 1;"), /index 3 is outside of array<i32, 3>/],
  [main("  let p = &⟨out[0].x;"), /f32 has no members/],
  [main("  var v = vec2f(); let p = ⟨&v.x;"), /component of a vector has no address/],
  [main("  ⟨break;"), /break outside/],
  [main("  ⟨continue;"), /continue outside/],
  [main("  var a = 1; var ⟨a = 2;"), /"a" is declared twice/],
  [main("  switch 1 { case 1: { } case ⟨1: { } default: { } }"), /twice/],
  [main("  let x = ⟨sin(1u);"), /sin does not take u32/],
  [main("  let x = ⟨dot(1.0, 2.0);"), /takes vectors/],
  [main("  let x = ⟨clamp(1, 3, 2);"), /from 3 down to 2/],
  [main("  let x = ⟨textureLoad(0);"), /"textureLoad"/],
  [global("fn f() -> i32 { return 1; }", "  let x: u32 = ⟨f();"), /expected u32, found i32/],
  [global("fn f(x: i32) { }", "  ⟨f();"), /takes 1 arguments, not 0/],
  [global("fn f(x: ptr<function, i32>) { }", "  f(⟨1);"), /expected a pointer/],
  [global("fn f() { g(); }\nfn g() { ⟨f(); }", "  f();"), /"f" calls itself/],
  [
    global("const a = ⟨b; const b = a;", "  let x = a;").replace("⟨", "").replace("const a", "⟨const a"),
    /declared by itself/,
  ],
  [global("override n: i32;".replace("override", "⟨override"), "  let x = n;"), /override "n" has no value/],
  [global("⟨const_assert 1 > 2;"), /const_assert does not hold/],
  [
    global("@group(0) @binding(1) ⟨var<storage, read> x: array<f32>;", "  x[0] = 1;")
      .replace("⟨", "")
      .replace("  x[0] = 1;", "  ⟨x[0] = 1;"),
    /read only/,
  ],
  [global("⟨@group(0) @binding(1) var<uniform> u: array<f32, 4>;", "  out[0] = u[0];"), /4 bytes apart/],
  [
    global("⟨@group(0) @binding(1) var t: texture_2d<f32>;", "  let x = t;")
      .replace("⟨", "")
      .replace("var t: ", "var t: ⟨"),
    /texture_2d is not supported/,
  ],
  [global("struct S { a: f32 }", "  let s = S(1); let x = ⟨s.b;"), /no member "b"/],
  [
    `${OUT}@compute @workgroup_size(1)\nfn main(@builtin(⟨subgroup_size) n: u32) { out[0] = 1; }`,
    /builtin subgroup_size/,
  ],
];

test("what is not supported, or no WGSL, is refused with line, column and reason", () => {
  for (const [marked, reason] of REFUSED) {
    const offset = marked.indexOf("⟨");
    const before = marked.slice(0, offset).split("\n");
    const text = marked.replace("⟨", "");
    let error: Error | null = null;
    try {
      compile({ text });
    } catch (caught) {
      error = caught as Error;
    }
    assert.ok(error instanceof KernelError, `${marked}\nwas ${error?.message ?? "accepted"}`);
    assert.match(error.reason, reason, marked);
    const place = [before.length, (before.at(-1)?.length ?? 0) + 1];
    assert.deepEqual([error.line, error.column], place, `${marked}\n${error.message}`);
    assert.ok(error.message.startsWith(`EINVAL: line ${error.line}, column ${error.column}: `));
  }
});

test("lines are counted as WGSL ends them, in a text that has other than ASCII", () => {
  const text = "// été 🙂\r\n\n  const ok = 1;\r\n  @compute @workgroup_size(1) fn main() { let x = äh; }";
  assert.throws(
    () => compile({ text }),
    (error) => error instanceof KernelError && error.line === 4 && error.column === 51,
  );
});

test("entry points are found by name, and constants belong to overrides", () => {
  const two = "@compute @workgroup_size(1) fn a() { } @compute @workgroup_size(1) fn b() { }";
  assert.equal(compile({ text: two, entryPoint: "b" }).entryPoint, "b");
  assert.throws(() => compile({ text: two }), memoryError("EINVAL", /one of a, b/));
  assert.throws(
    () => compile({ text: two, entryPoint: "c" }),
    memoryError("EINVAL", /no compute entry point "c": there is a, b/),
  );
  assert.throws(() => compile({ text: "fn a() { }" }), memoryError("EINVAL", /no function has @compute/));
  assert.throws(
    () => compile({ text: main(""), constants: { n: 1 } }),
    memoryError("EINVAL", /constant "n" belongs to no override/),
  );
  const whole = `override n: u32 = 1; ${main("  let x = n;")}`;
  assert.throws(
    () => compile({ text: whole, constants: { n: 1.5 } }),
    memoryError("EINVAL", /constant 1.5 cannot be override "n"/),
  );
  assert.throws(
    () => compile({ text: whole, constants: { n: -1 } }),
    memoryError("EINVAL", /constant -1 cannot be override "n"/),
  );
  assert.throws(() => compile({ text: whole, constants: { n: NaN } }), memoryError("EINVAL", /no finite number/));
});

test("what is read, written and used is taken from the code that runs", () => {
  const text = `
    @group(0) @binding(0) var<storage, read_write> a: array<f32>;
    @group(0) @binding(1) var<storage, read_write> b: array<f32>;
    @group(0) @binding(2) var<storage, read_write> c: array<f32>;
    @group(0) @binding(3) var<storage, read_write> unused: array<f32>;
    @group(0) @binding(4) var<uniform> u: vec4f;
    fn put(p: ptr<storage, array<f32>, read_write>, x: f32) { (*p)[0] += x; }
    fn never() { unused[0] = u.x; }
    @compute @workgroup_size(1) fn main() { put(&a, b[0]); let q = &c; (*q)[1] = 2; }`;
  const { storage, uniforms } = compile({ text });
  const uses = storage
    .map(({ name, read, written }) => [name, read, written])
    .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  assert.deepEqual(uses, [
    ["a", true, true],
    ["b", true, false],
    ["c", false, true],
  ]);
  assert.deepEqual(uniforms, []);
});

test("a text that grows too much when its functions are written out is refused", () => {
  const functions = Array.from(
    { length: 24 },
    (_, i) => `fn f${i}() { ${i === 0 ? "out[0] += 1;" : `f${i - 1}(); f${i - 1}();`} }`,
  );
  assert.throws(
    () => compile({ text: `${functions.join("\n")}\n${main("  f23();")}` }),
    memoryError("EINVAL", /too long/),
  );
});
