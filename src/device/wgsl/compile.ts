/**
 * From the text of a kernel to JavaScript: one function that runs a range of invocations over words of the arrays.
 *
 * The function's own names: `sN` begins those of array N (Low: first element that the invocation uses, Count: how many,
 * Length: of the whole array, Word: where element Low is in the views), `u` views all uniforms, `m` the kernel's own memory.
 */

import { MemoryError } from "../../mm/errors.js";
import type { DispatchShape, WgslKernel } from "../driver.js";
import { Compilation, type Reader } from "./compilation.js";
import type { CompiledKernel } from "./compiled/compiled-kernel.js";
import { writeOut } from "./calls.js";
import { expression, expressions, hasEffects, pointerOf } from "./expressions.js";
import { type Constants, Module, workgroupSize } from "./module.js";
import type { AttributeElem, FnElem, SyntaxNode } from "./parse.js";
import { statements } from "./statements.js";
import { pointerType, typeOf } from "./type-syntax.js";
import { sameType, type Struct, type Type, U32, vectorOf, wordsOfElement } from "./types.js";
import type { StorageUse, Value } from "./value.js";

export interface CompileRequest {
  readonly text: string;
  /** May be left out where there is only one. */
  readonly entryPoint?: string;
  readonly constants?: Constants;
  /** Of arrays that are not in it, an invocation may use every element. */
  readonly footprint?: WgslKernel["footprint"];
  /** For paged dispatches: arrays are reached page by page. Default false. */
  readonly paged?: boolean;
}

export const READER: Reader = { expression, expressions, pointerOf, hasEffects, statements };
const VEC3U = vectorOf(3, U32);

/** Throws a `KernelError` for what is no WGSL, or not supported; EINVAL when there is no such entry point. */
export function compile({
  text,
  entryPoint,
  constants = {},
  footprint = {},
  paged = false,
}: CompileRequest): CompiledKernel {
  // Of what a module declares, its functions know only through this.
  const resolver: { module: Module | null } = { module: null };
  const c = new Compilation(
    { text, footprint, purpose: paged ? "paged run" : "run" },
    READER,
    (compilation, name) => resolver.module?.resolve(compilation, name) ?? null,
  );
  const module = new Module(c, constants);
  resolver.module = module;
  module.checkAsserts(c);
  const entry = entryOf(module.entryPoints, entryPoint);
  const size = workgroupSize(c, entry);
  const { lines } = c.capture(() => writeEntry(c, entry, size));
  return {
    text,
    entryPoint: entry.name.ident.originalName,
    storage: [...c.storage.values()],
    uniforms: [...c.uniforms.values()],
    uniformBytes: c.uniformWords * 4,
    memoryBytes: c.memoryWords * 4,
    code: assemble(c, lines),
  };
}

/** The entry point that is wanted, or the only one. */
export function entryOf(entryPoints: readonly FnElem[], wanted: string | undefined): FnElem {
  const names = entryPoints.map(({ name }) => name.ident.originalName);
  if (wanted !== undefined) {
    const found = entryPoints[names.indexOf(wanted)];
    if (found !== undefined) return found;
    throw new MemoryError("EINVAL", `no compute entry point "${wanted}": there is ${names.join(", ") || "none"}`);
  }
  if (entryPoints.length === 1) return entryPoints[0];
  throw new MemoryError(
    "EINVAL",
    names.length === 0 ? "no function has @compute" : `entryPoint has to be one of ${names.join(", ")}`,
  );
}

function writeEntry(c: Compilation, entry: FnElem, size: DispatchShape): void {
  if (entry.returnType !== undefined) c.refuse(entry.returnType, "a compute shader returns nothing");
  const builtins = builtinsOf(c, size);
  c.inScope(null, () => {
    for (const { name, attributes } of entry.params) {
      const { decl, typeRef } = name;
      if (typeRef === undefined || pointerType(c, typeRef) !== null)
        c.refuse(decl, "a parameter of an entry point needs a type");
      const type = typeOf(c, typeRef);
      const value =
        type.kind === "struct"
          ? structOf(c, entry, decl, type, builtins)
          : builtinOf(c, decl, attributes, type, builtins);
      c.declare(decl, decl.ident.originalName, { kind: "value", value });
    }
    writeOut(c, entry);
  });
}

type Builtins = Readonly<Record<string, () => Value>>;

/** Where an invocation is in each dimension, by its number; most dispatches have one dimension. */
const PLACES = [
  "(flat ? g : g % shape[0]) >>> 0",
  "(flat ? 0 : Math.floor(g / shape[0]) % shape[1]) >>> 0",
  "(flat ? 0 : g / (shape[0] * shape[1])) >>> 0",
];

/** Written once each, where they are used. */
function builtinsOf(c: Compilation, size: DispatchShape): Builtins {
  const vector = (part: (axis: number) => string): Value => ({
    type: VEC3U,
    parts: size.map((_, axis) => c.settlePart(part(axis))),
  });
  const local = (axis: number): string => (size[axis] === 1 ? "0" : `(${PLACES[axis]}) % ${size[axis]} >>> 0`);
  return {
    global_invocation_id: () => vector((axis) => PLACES[axis]),
    local_invocation_id: () => vector(local),
    local_invocation_index: () => ({
      type: U32,
      parts: [c.settlePart(`(${local(0)}) + ${size[0]} * ((${local(1)}) + ${size[1]} * (${local(2)})) >>> 0`)],
    }),
    workgroup_id: () => vector((axis) => `(${PLACES[axis]}) / ${size[axis]} >>> 0`),
    num_workgroups: () => vector((axis) => `Math.ceil(shape[${axis}] / ${size[axis]}) >>> 0`),
  };
}

function builtinOf(
  c: Compilation,
  node: SyntaxNode,
  attributes: readonly AttributeElem[] = [],
  type: Type,
  builtins: Builtins,
): Value {
  for (const { attribute } of attributes) {
    if (attribute.kind !== "@builtin") continue;
    const { name } = attribute.param;
    if (!Object.hasOwn(builtins, name))
      c.refuse(attribute.param, `builtin ${name} is not supported by the software device`);
    const value = builtins[name]();
    if (!sameType(value.type, type)) c.refuse(node, `builtin ${name} is of another type`);
    return value;
  }
  return c.refuse(node, "a parameter of an entry point needs @builtin");
}

function structOf(c: Compilation, entry: FnElem, node: SyntaxNode, type: Struct, builtins: Builtins): Value {
  const declared = c.structs.get(type) ?? c.refuse(entry, `structure "${type.name}" is not declared`);
  const values = declared.members.map((member, i) =>
    builtinOf(c, node, member.attributes, type.members[i].type, builtins),
  );
  return { type, parts: values.flatMap(({ parts }) => parts) };
}

/** Which elements of an array an invocation uses, and where the first of them is. */
function rangeOf({ footprint, paged }: Compilation, { name, number, element }: StorageUse): string[] {
  const { [name]: used = "whole" } = footprint;
  const words = wordsOfElement({ kind: "array", of: element, length: null }, false);
  const s = `s${number}`;
  const at = paged ? "" : `var ${s}Word = (${s}Low - ${s}Base) * ${words} >>> 0;`;
  if (used === "whole") return [`var ${s}Low = 0, ${s}Count = ${s}Length;`, at];
  const { each, before = 0, after = 0 } = used;
  const low = before === 0 ? `g * ${each} >>> 0` : `Math.max(g * ${each} - ${before}, 0) >>> 0`;
  return [
    `var ${s}Low = ${low}, ${s}Count = Math.max(Math.min(g * ${each} + ${each + after}, ${s}Length) - ${s}Low, 0) >>> 0;`,
    at,
  ];
}

function assemble(c: Compilation, lines: readonly string[]): string {
  const views = (prefix: string): string[] =>
    [...c.views].filter((view) => view.startsWith(prefix) && view.length === prefix.length + 1);
  const typed: Readonly<Record<string, string>> = { f: "Float32Array", i: "Int32Array", u: "Uint32Array" };
  const own = (prefix: string, buffer: string): string[] =>
    views(prefix).map((view) => `const ${view} = new ${typed[view.slice(-1)]}(${buffer});`);
  const storage = [...c.storage.values()];
  return [
    `"use strict";`,
    ...[...c.functions].map((name) => `const ${name} = numbers.${name};`),
    ...own("m", "memory"),
    ...own("u", "uniforms"),
    ...c.tables,
    ...(c.paged ? pagedHead(storage) : stepHead(storage, views)),
    ...storage.flatMap((use) => rangeOf(c, use)),
    ...c.starts,
    ...lines,
    ...(c.paged ? PAGED_END : ["}", "};"]),
  ].join("\n");
}

const FLAT = "const flat = shape[1] === 1 && shape[2] === 1;";

/** A function that runs the invocations of a step. */
function stepHead(storage: readonly StorageUse[], viewsOf: (prefix: string) => string[]): string[] {
  return [
    "return function run(first, count, shape, arrays) {",
    FLAT,
    ...storage.flatMap(({ number }) => [
      `const s${number}Base = arrays[${number}].base, s${number}Length = arrays[${number}].length;`,
      ...viewsOf(`s${number}`).map((view) => `const ${view} = arrays[${number}].${view.slice(-1)};`),
    ]),
    "for (let g = first, end = first + count; g < end; g++) {",
  ];
}

/** A function that runs units, the listed ones if there is a list, and puts into `pending` those that miss a page. */
function pagedHead(storage: readonly StorageUse[]): string[] {
  return [
    "return function run(first, count, shape, arrays, p, list, pending) {",
    FLAT,
    "const df = p.f, di = p.i, du = p.u;",
    "let left = 0;",
    ...storage.map(({ number }) => {
      const parts = ["Page", "Length", "Shift", "Mask"];
      return `const ${parts.map((part) => `s${number}${part} = arrays[${number}].${part.toLowerCase()}`).join(", ")};`;
    }),
    "for (let n = 0; n < count; n++) {",
    "const g = list === null ? first + n : list[n];",
    "p.begin();",
  ];
}

const PAGED_END = ["if (!p.end()) pending[left++] = g;", "}", "return left;", "};"];
