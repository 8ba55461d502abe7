/** Types as a kernel writes them: names, templates and structures. What the software device has not is refused by name. */

import type { Compilation } from "./compilation.js";
import type { AttributeElem, ExpressionElem, StructElem, SyntaxNode, TypeRefElem } from "./parse.js";
import {
  alignOf,
  type ArrayOf,
  BOOL,
  F32,
  I32,
  matrixOf,
  nameOfType,
  roundUp,
  type Scalar,
  sizeOf,
  type Struct,
  type Type,
  U32,
  vectorOf,
} from "./types.js";

const SCALARS: Readonly<Record<string, Scalar>> = { f32: F32, i32: I32, u32: U32, bool: BOOL };
const LETTERS: Readonly<Record<string, Scalar>> = { f: F32, i: I32, u: U32 };

/** A type, or one whose element is worked out from what it is made of: `vec3(…)`, `array(…)`. */
export type WrittenType =
  | { readonly kind: "whole"; readonly type: Type }
  | { readonly kind: "vector"; readonly size: number }
  | { readonly kind: "array" };

/** The name and the templates of what may be a type. */
export function namedType(
  c: Compilation,
  node: SyntaxNode,
  name: string,
  templates: readonly ExpressionElem[] = [],
): WrittenType | null {
  const binding = c.lookup(name);
  if (binding?.kind === "type") {
    if (templates.length > 0) c.refuse(node, `type "${name}" takes no templates`);
    return { kind: "whole", type: binding.type };
  }
  if (binding !== null) return null;
  if (Object.hasOwn(SCALARS, name)) return { kind: "whole", type: SCALARS[name] };
  const vector = /^vec([234])([fiuh])?$/.exec(name);
  if (vector !== null) return vectorType(c, node, Number(vector[1]), vector[2], templates);
  if (name === "array") return arrayType(c, node, templates);
  if (name === "atomic") {
    const of = templates.length === 1 ? typeOf(c, templates[0]) : null;
    if (of !== I32 && of !== U32) return c.refuse(node, "an atomic is of i32 or u32");
    return { kind: "whole", type: { kind: "atomic", of } };
  }
  if (name === "f16") c.refuse(node, noF16(c));
  const matrix = /^mat([234])x([234])([fh])?$/.exec(name);
  if (matrix !== null) return matrixType(c, node, name, matrix, templates);
  if (/^(?:texture_|sampler)/.test(name)) c.refuse(node, `${name} is not supported by the software device`);
  return null;
}

function noF16({ described }: Compilation): string {
  return `f16 is not supported ${described ? "in arrays and uniforms" : "by the software device"}`;
}

/** A whole type, as a declaration has it. */
export function typeOf(c: Compilation, node: ExpressionElem): Type {
  let written: WrittenType | null = null;
  let name = "an expression";
  if (node.kind === "type") {
    name = node.name.originalName;
    written = namedType(c, node, name, node.templateParams);
  } else if (node.kind === "ref") {
    name = node.ident.originalName;
    written = namedType(c, node, name);
  }
  if (written?.kind === "whole") return written.type;
  return c.refuse(node, written === null ? `"${name}" is no type` : `type "${name}" needs its element type`);
}

/** The type that a pointer points to, as a parameter declares it; null for what is no pointer. */
export function pointerType(c: Compilation, { name, templateParams = [], start, end }: TypeRefElem): Type | null {
  if (name.originalName !== "ptr" || c.lookup("ptr") !== null) return null;
  if (templateParams.length < 2) c.refuse({ start, end }, "a pointer needs an address space and a type");
  return typeOf(c, templateParams[1]);
}

export function structType(c: Compilation, node: StructElem): Struct {
  const { name, members } = node;
  let offset = 0;
  let align = 4;
  const laidOut = members.map(({ name: member, typeRef, attributes = [] }) => {
    const type = typeOf(c, typeRef);
    const memberAlign = attributeOf(c, attributes, "align") ?? alignOf(type);
    const size = attributeOf(c, attributes, "size") ?? sizeOf(type);
    if (size < sizeOf(type))
      c.refuse(member, `a size of ${size} bytes is less than the ${sizeOf(type)} of ${nameOfType(type)}`);
    if (memberAlign % alignOf(type) !== 0 || !Number.isInteger(Math.log2(memberAlign))) {
      c.refuse(member, `an alignment of ${memberAlign} bytes does not suit ${nameOfType(type)}`);
    }
    if (type.kind === "array" && type.length === null) {
      c.refuse(
        member,
        c.described
          ? "an array without a length is the elements of an array where it is its structure's only member: with others beside it, name the variable in bindings"
          : "an array without a length beside other members is not supported by the software device",
      );
    }
    const at = roundUp(offset, memberAlign);
    offset = at + size;
    align = Math.max(align, memberAlign);
    return { name: member.name, type, offset: at };
  });
  const twice = laidOut.findIndex(({ name: member }, i) => laidOut.findIndex((other) => other.name === member) < i);
  if (twice >= 0) c.refuse(members[twice], `member "${members[twice].name.name}" is declared twice`);
  const { originalName } = name.ident;
  const type: Struct = { kind: "struct", name: originalName, members: laidOut, size: roundUp(offset, align), align };
  c.structs.set(type, node);
  return type;
}

/** The whole number that an attribute has; null when it is not there. */
export function attributeOf(c: Compilation, attributes: readonly AttributeElem[], name: string): number | null {
  for (const { attribute } of attributes) {
    if (attribute.kind !== "@attribute" || attribute.name !== name) continue;
    const param = attribute.params?.[0];
    if (param !== undefined) return wholeNumber(c, param.expression, `@${name}`);
  }
  return null;
}

/** A constant that is a whole number of at least 1. */
export function wholeNumber(c: Compilation, node: ExpressionElem, what: string): number {
  const { type, constants } = c.reader.expression(c, node);
  if (constants === undefined) c.refuse(node, `${what} is no constant`);
  const count = Number(constants[0]);
  if (type.kind !== "scalar" || type.name === "bool" || !Number.isSafeInteger(count) || count < 1) {
    c.refuse(node, `${what} is ${String(constants[0])}, not a whole number of at least 1`);
  }
  return count;
}

function vectorType(
  c: Compilation,
  node: SyntaxNode,
  size: number,
  letter: string | undefined,
  templates: readonly ExpressionElem[],
): WrittenType {
  if (letter === "h") c.refuse(node, noF16(c));
  if (letter !== undefined) return { kind: "whole", type: vectorOf(size, LETTERS[letter]) };
  if (templates.length === 0) return { kind: "vector", size };
  const of = typeOf(c, templates[0]);
  if (of.kind !== "scalar") return c.refuse(node, `a vector is of scalars, not of ${nameOfType(of)}`);
  return { kind: "whole", type: vectorOf(size, of) };
}

function matrixType(
  c: Compilation,
  node: SyntaxNode,
  name: string,
  [, columns, rows, letter]: RegExpExecArray,
  templates: readonly ExpressionElem[],
): WrittenType {
  if (!c.described) return c.refuse(node, `matrices (${name}) are not supported by the software device`);
  if (letter === "h" || (templates.length > 0 && typeOf(c, templates[0]) !== F32))
    return c.refuse(node, "matrices in buffers are of f32");
  return { kind: "whole", type: matrixOf(Number(columns), Number(rows)) };
}

function arrayType(c: Compilation, node: SyntaxNode, templates: readonly ExpressionElem[]): WrittenType {
  if (templates.length === 0) return { kind: "array" };
  const of = typeOf(c, templates[0]);
  if (of.kind === "array" && of.length === null) c.refuse(node, "an array without a length is no element of an array");
  const length = templates.length > 1 ? wholeNumber(c, templates[1], "the length of an array") : null;
  return { kind: "whole", type: { kind: "array", of, length } satisfies ArrayOf };
}
