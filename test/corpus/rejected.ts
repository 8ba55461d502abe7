/** Shaders that no device is asked for: what is wrong is where ⟨ stands, which is no part of the text. */

import { main, storage } from "./shader.js";

export interface Rejected {
  readonly text: string;
  readonly reason: RegExp;
  readonly constants?: Readonly<Record<string, number>>;
}

const Y = storage({ y: "rw array<u32>" });
const kernel = (body: string): string => Y + main(body);
/** Before a kernel that uses what is declared. */
const declared = (text: string, use = ""): string => `${text}\n${kernel(`${use}\n  y[i] = 1u;`)}`;

/** Refused where they are created, before any device has seen them. */
export const REJECTED: readonly Rejected[] = [
  { text: kernel("  y[i] = ⟨;"), reason: /[Ee]xpected expression/ },
  { text: kernel("  y[i] = 1u⟨ }"), reason: /[Ee]xpected/ },
  { text: kernel("  let pageferry = 1; let ⟨pageferry_x = 2;"), reason: /names that begin with pageferry_ are taken/ },
  {
    text: declared("⟨fn pageferry_f() {}", "  pageferry_f();").replace("⟨fn ", "fn ⟨"),
    reason: /are taken \("pageferry_f"\)/,
  },
  {
    text: declared("fn ⟨min(a: u32, b: u32) -> u32 { return a; }", "  _ = min(1u, 2u);"),
    reason: /"min" is a name of WGSL's own that no module may hide/,
  },
  { text: declared("struct pageferry_S { a: u32 }".replace("struct ", "struct ⟨")), reason: /are taken/ },
  {
    text: declared("@group(1) @binding(0) var<storage> x: array<⟨f16>;", "  _ = x[i];"),
    reason: /f16 .* in arrays and uniforms/,
  },
  {
    text: declared("@group(1) @binding(0) var<storage> x: array<⟨vec2h>;", "  _ = x[i];"),
    reason: /f16 .* in arrays and uniforms/,
  },
  { text: declared("@group(1) @binding(0) var<storage> x: array<⟨mat2x2h>;", "  _ = x[i];"), reason: /of f32/ },
  {
    text: declared("⟨@group(1) @binding(0) var<storage> x: array<bool>;", "  _ = x[i];"),
    reason: /no storage can be of type array<bool>/,
  },
  {
    text: declared("⟨@group(1) @binding(0) var<storage> x: array<array<u32, 4>>;", "  _ = x[i][0];"),
    reason: /has arrays inside/,
  },
  {
    text: declared(
      "struct S { n: u32, ⟨items: array<u32> }\n@group(1) @binding(0) var<storage> s: S;",
      "  _ = s.items[i];",
    ),
    reason: /array without a length .* only member.* name the variable in bindings/,
  },
  {
    text: declared("struct S { value: array<u32> }\n@group(1) @binding(0) var<storage> s: S;", "  _ = ⟨s[i];"),
    reason: /structure "S" is no array: its member "value" is/,
  },
  {
    text: declared(
      "struct S { value: array<u32> }\n@group(1) @binding(0) var<storage> s: S;",
      "  _ = arrayLength(⟨&s);",
    ),
    reason: /structure "S" is no array: its member "value" is/,
  },
  {
    text: declared(
      "struct S { value: ⟨array<array<u32>> }\n@group(1) @binding(0) var<storage> s: S;",
      "  _ = s.value[i][0];",
    ),
    reason: /an array without a length is no element of an array/,
  },
  {
    text: declared("⟨@group(1) @binding(0) var<storage> x: array<atomic<u32>>;", "  _ = atomicLoad(&x[i]);"),
    reason: /an atomic needs storage that can be written/,
  },
  {
    text: declared("⟨@group(1) @binding(0) var<storage, write> x: array<u32>;", "  x[i] = 1u;"),
    reason: /no access mode "write"/,
  },
  {
    text: declared("@group(1) @binding(0) var<storage> x: array<⟨missing>;", "  _ = x[i];"),
    reason: /"missing" is no type/,
  },
  {
    text: declared("@group(1) @binding(0) var<storage> x: array<u32, ⟨0>;", "  _ = x[0];"),
    reason: /length of an array is 0/,
  },
  {
    text: declared("@group(1) @binding(0) var<storage> x: array<atomic<⟨f32>>;", "  _ = x[i];")
      .replace("⟨", "")
      .replace("array<atomic", "array<⟨atomic"),
    reason: /an atomic is of i32 or u32/,
  },
  {
    text: declared("⟨@group(1) @binding(0) var<uniform> u: array<f32, 4>;", "  _ = u[0];"),
    reason: /4 bytes apart, in uniforms a multiple of 16/,
  },
  {
    text: declared("⟨@group(1) @binding(0) var<uniform> u: array<vec4f>;", "  _ = u[0];"),
    reason: /no uniform can be of type/,
  },
  {
    text: declared(
      "struct S { a: u32, ⟨@align(3) b: u32 }\n@group(1) @binding(0) var<uniform> s: S;",
      "  _ = s.b;",
    ).replace("⟨@align(3) b", "@align(3) ⟨b"),
    reason: /alignment of 3 bytes/,
  },
  {
    text: declared("struct S { a: u32, @size(2) ⟨b: u32 }\n@group(1) @binding(0) var<uniform> s: S;", "  _ = s.b;"),
    reason: /size of 2 bytes is less than the 4/,
  },
  {
    text: declared("struct S { a: u32, ⟨a: u32 }\n@group(1) @binding(0) var<uniform> s: S;", "  _ = s.a;")
      .replace("⟨", "")
      .replace(", a: u32 }", ", ⟨a: u32 }"),
    reason: /declared twice/,
  },
  {
    text: declared("⟨override n: u32;", "  _ = n;").replace("@workgroup_size(64)", "@workgroup_size(n)"),
    reason: /override "n" has no value/,
  },
  {
    text: declared("⟨override n: u32;", "  _ = n;").replace("@workgroup_size(64)", "@workgroup_size(n)"),
    constants: { n: -1 },
    reason: /constant -1 cannot be override "n" of type u32/,
  },
  { text: `⟨${kernel("  y[i] = 1u;")}`, constants: { k: 1 }, reason: /constant "k" belongs to no override/ },
  { text: kernel("  y[i] = 1u;").replace("@workgroup_size(64)", "@workgroup_size(⟨0)"), reason: /at least 1/ },
  {
    text: kernel("  y[i] = 1u;")
      .replace("@workgroup_size(64) ", "")
      .replace("@workgroup_size(64)", "")
      .replace("fn main", "fn ⟨main"),
    reason: /needs @workgroup_size/,
  },
  { text: declared("⟨const_assert 2 < 1;"), reason: /const_assert does not hold/ },
  { text: declared("const a = 1;\n⟨const a = 2;"), reason: /"a" is declared twice/ },
  {
    text: declared("⟨const a = b;\nconst b = a;\n@group(1) @binding(0) var<storage> x: array<u32, a>;", "  _ = x[0];"),
    reason: /declared by itself/,
  },
  { text: declared("⟨import other::thing;"), reason: /import is not WGSL/ },
];
