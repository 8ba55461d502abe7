/** Expressions: their types by WGSL's rules, and their numbers as JavaScript without effects. */

import { commonScalar, concrete, convert, innerScalar, operate, replaceScalar, spread, zeroOf } from "./arithmetic.js";
import { callBuiltin, isBuiltin } from "./builtins.js";
import { callFunction } from "./calls.js";
import type { Compilation } from "./compilation.js";
import { convertConstant, foldUnary, inRange, writeConversion, writeUnary } from "./operators.js";
import {
  type BinaryExpression,
  calledName,
  type ExpressionElem,
  type FunctionCallExpression,
  type SyntaxNode,
  type UnaryExpression,
} from "./parse.js";
import { choose, clampIndex, indexPlace, load, memberPlace, store } from "./places.js";
import { namedType, type WrittenType } from "./type-syntax.js";
import {
  ABSTRACT_FLOAT,
  ABSTRACT_INT,
  type ArrayOf,
  BOOL,
  countOf,
  F32,
  I32,
  isAbstract,
  nameOfType,
  type Scalar,
  scalarOfType,
  type Struct,
  type Type,
  U32,
  vectorOf,
  withScalar,
} from "./types.js";
import { constantValue, type Place, type Value } from "./value.js";

const SWIZZLES = ["xyzw", "rgba"];

/** The value of an expression. */
export function expression(c: Compilation, node: ExpressionElem): Value {
  switch (node.kind) {
    case "literal":
      return literal(c, node, node.value);
    case "parenthesized-expression":
      return expression(c, node.expression);
    case "unary-expression":
      return unary(c, node);
    case "binary-expression":
      return binary(c, node);
    case "call-expression":
      return call(c, node) ?? c.refuse(node, "a function without a result is used as a value");
    case "ref": {
      const name = node.ident.originalName;
      const binding = c.lookup(name);
      if (binding?.kind === "value") return binding.value;
      if (binding?.kind === "place") return load(c, node, binding.place);
      if (binding?.kind === "pointer") return c.refuse(node, `pointer "${name}" is used as a value`);
      return c.refuse(node, binding === null ? `"${name}" is not declared` : `"${name}" is no value`);
    }
    case "component-expression":
    case "component-member-expression": {
      const denoted = denote(c, node);
      return isPlace(denoted) ? load(c, node, denoted) : denoted;
    }
    case "type":
      return c.refuse(node, `"${node.name.originalName}" is no value`);
  }
}

/** An expression of one type, after the conversions that WGSL does unasked. */
export function expressionOf(c: Compilation, node: ExpressionElem, type: Type): Value {
  return convert(c, node, expression(c, node), type);
}

/** What a declaration begins with: of its type if it says one, else of its own; null when it begins with nothing. */
export function initializer(c: Compilation, init: ExpressionElem | undefined, declared: Type | null): Value | null {
  if (init === undefined) return null;
  return declared === null ? concrete(c, init, expression(c, init)) : expressionOf(c, init, declared);
}

/** Some expressions, in order: what the effects of later ones may change is settled before. */
export function expressions(c: Compilation, nodes: readonly ExpressionElem[]): Value[] {
  return nodes.map((node, i) => {
    const value = expression(c, node);
    return nodes.slice(i + 1).some((later) => hasEffects(c, later)) ? c.settle(value) : value;
  });
}

/** Whether working an expression out may write what others read. */
export function hasEffects(c: Compilation, node: ExpressionElem): boolean {
  switch (node.kind) {
    case "parenthesized-expression":
    case "unary-expression":
      return hasEffects(c, node.expression);
    case "binary-expression":
      return hasEffects(c, node.left) || hasEffects(c, node.right);
    case "component-expression":
      return hasEffects(c, node.base) || hasEffects(c, node.access);
    case "component-member-expression":
      return hasEffects(c, node.base);
    case "call-expression": {
      const name = calledName(node);
      if (name.startsWith("atomic") || c.lookup(name)?.kind === "function") return true;
      return node.arguments.some((argument) => hasEffects(c, argument));
    }
    case "literal":
    case "ref":
    case "type":
      return false;
  }
}

/** The place that an expression denotes; null for one that denotes a value only. */
export function placeOf(c: Compilation, node: ExpressionElem): Place | null {
  const denoted = denote(c, node);
  return isPlace(denoted) ? denoted : null;
}

function isPlace(denoted: Place | Value): denoted is Place {
  return "kind" in denoted;
}

/** What an expression denotes: a place, or else a value. */
function denote(c: Compilation, node: ExpressionElem): Place | Value {
  switch (node.kind) {
    case "parenthesized-expression":
      return denote(c, node.expression);
    case "ref": {
      const binding = c.lookup(node.ident.originalName);
      return binding?.kind === "place" ? binding.place : expression(c, node);
    }
    case "unary-expression":
      if (node.operator.value !== "*") return expression(c, node);
      return pointerOf(c, node.expression) ?? c.refuse(node, "what * is before is no pointer");
    case "component-expression": {
      const base = denoteBase(c, node.base);
      if (isPlace(base)) return indexPlace(c, node, base, indexOf(c, node.access));
      const settled = hasEffects(c, node.access) ? c.settle(base) : base;
      return indexValue(c, node, settled, indexOf(c, node.access));
    }
    case "component-member-expression": {
      const base = denoteBase(c, node.base);
      if (!isPlace(base)) return memberValue(c, node, base, node.access.name);
      return (
        placeOfMember(c, node, base, node.access.name) ?? memberValue(c, node, load(c, node, base), node.access.name)
      );
    }
    case "binary-expression":
    case "call-expression":
    case "literal":
    case "type":
      return expression(c, node);
  }
}

/** The place that a pointer points to; null for what is no pointer. */
export function pointerOf(c: Compilation, node: ExpressionElem): Place | null {
  if (node.kind === "parenthesized-expression") return pointerOf(c, node.expression);
  if (node.kind === "ref") {
    const binding = c.lookup(node.ident.originalName);
    return binding?.kind === "pointer" ? binding.place : null;
  }
  if (node.kind !== "unary-expression" || node.operator.value !== "&") return null;
  const place = placeOf(c, node.expression);
  if (place === null) return c.refuse(node, "only variables have an address");
  if (place.type.kind === "scalar" && isComponent(c, node.expression)) {
    c.refuse(node, "a component of a vector has no address");
  }
  return place;
}

function isComponent(c: Compilation, node: ExpressionElem): boolean {
  if (node.kind === "parenthesized-expression") return isComponent(c, node.expression);
  if (node.kind !== "component-expression" && node.kind !== "component-member-expression") return false;
  return c.capture(() => denoteBase(c, node.base)).result.type.kind === "vector";
}

/** What is indexed or has members; a pointer stands for what it points to: `p.x` is `(*p).x`. */
function denoteBase(c: Compilation, node: ExpressionElem): Place | Value {
  return pointerOf(c, node) ?? denote(c, node);
}

function placeOfMember(c: Compilation, node: SyntaxNode, base: Place, name: string): Place | null {
  if (base.type.kind === "struct") return memberPlace(base, base.type, memberOf(c, node, base.type, name));
  if (base.type.kind !== "vector" || name.length !== 1) return null;
  const [component] = swizzleOf(c, node, base.type.size, name);
  return indexPlace(c, node, base, constantValue(U32, [component]));
}

function memberOf(c: Compilation, node: SyntaxNode, type: Struct, name: string): number {
  const member = type.members.findIndex((candidate) => candidate.name === name);
  return member >= 0 ? member : c.refuse(node, `structure "${type.name}" has no member "${name}"`);
}

function memberValue(c: Compilation, node: SyntaxNode, { type, parts, constants }: Value, name: string): Value {
  if (type.kind === "struct") {
    const member = memberOf(c, node, type, name);
    const first = type.members.slice(0, member).reduce((sum, before) => sum + countOf(before.type), 0);
    const end = first + countOf(type.members[member].type);
    return sliceValue({ type, parts, ...(constants && { constants }) }, type.members[member].type, first, end);
  }
  if (type.kind !== "vector") return c.refuse(node, `${nameOfType(type)} has no members`);
  const chosen = swizzleOf(c, node, type.size, name);
  return {
    type: chosen.length === 1 ? type.of : vectorOf(chosen.length, type.of),
    parts: chosen.map((component) => parts[component]),
    ...(constants && { constants: chosen.map((component) => constants[component]) }),
  };
}

function sliceValue({ parts, constants }: Value, type: Type, first: number, end: number): Value {
  return { type, parts: parts.slice(first, end), ...(constants && { constants: constants.slice(first, end) }) };
}

function swizzleOf(c: Compilation, node: SyntaxNode, size: number, name: string): number[] {
  for (const letters of SWIZZLES) {
    const chosen = Array.from(name, (letter) => letters.indexOf(letter));
    if (chosen.length <= 4 && chosen.every((component) => component >= 0 && component < size)) return chosen;
  }
  return c.refuse(node, `a vector of ${size} has no "${name}"`);
}

/** An index: of type i32 or u32. */
function indexOf(c: Compilation, node: ExpressionElem): Value {
  const index = concrete(c, node, expression(c, node));
  if (index.type !== I32 && index.type !== U32) c.refuse(node, `an index is i32 or u32, not ${nameOfType(index.type)}`);
  return index;
}

function indexValue(c: Compilation, node: SyntaxNode, base: Value, index: Value): Value {
  const { type } = base;
  if (type.kind !== "vector" && type.kind !== "array") return c.refuse(node, `${nameOfType(type)} has no elements`);
  const length = type.kind === "vector" ? type.size : (type.length ?? 0);
  const each = countOf(type.of);
  if (index.constants !== undefined) {
    const at = Number(index.constants[0]);
    if (at < 0 || at >= length) c.refuse(node, `index ${at} is outside of ${nameOfType(type)}`);
    return sliceValue(base, type.of, at * each, (at + 1) * each);
  }
  const value = concrete(c, node, base);
  if (type.kind === "vector") {
    return { type: (value.type as typeof type).of, parts: [choose(c, value.parts, clampIndex(c, index, length))] };
  }
  return load(c, node, indexPlace(c, node, spill(c, node, value), index));
}

/** A place that holds an array's value: constants are written once, before the first invocation. */
export function spill(c: Compilation, node: SyntaxNode, value: Value): Place {
  const word = c.reserve(node, countOf(value.type));
  const place: Place = { kind: "memory", type: value.type, root: c.memory("read"), dynamic: "", word };
  const writable: Place = { ...place, root: c.memory("read_write") };
  const write = (): void => store(c, node, writable, value);
  if (value.constants !== undefined) c.tables.push(...c.capture(write).lines);
  else write();
  return place;
}

function literal(c: Compilation, node: SyntaxNode, text: string): Value {
  if (text === "true" || text === "false") return constantValue(BOOL, [text === "true"]);
  if (text.endsWith("h") && !/^0[xX][^pP]*$/.test(text)) c.refuse(node, "f16 is not supported by the software device");
  const integer = /^(0[xX][\da-fA-F]+|\d+)([iu])?$/.exec(text);
  return c.constant(node, () => {
    if (integer !== null) {
      const type = integer[2] === "i" ? I32 : integer[2] === "u" ? U32 : ABSTRACT_INT;
      return constantValue(type, [inRange(BigInt(integer[1]), type.name)]);
    }
    const isF32 = text.endsWith("f") && !/^0[xX][^pP]*$/.test(text);
    const type = isF32 ? F32 : ABSTRACT_FLOAT;
    const digits = isF32 ? text.slice(0, -1) : text;
    const number = /^0[xX]/.test(digits) ? hexadecimal(digits) : Number(digits);
    if (Number.isNaN(number)) c.refuse(node, `"${text}" is no number`);
    return constantValue(type, [inRange(number, type.name)]);
  });
}

/** `0x1.8p3`: digits before and after the point, times a power of two. */
function hexadecimal(text: string): number {
  const match = /^0[xX]([\da-fA-F]*)(?:\.([\da-fA-F]*))?(?:[pP]([+-]?\d+))?$/.exec(text);
  if (match === null) return NaN;
  const [, whole, fraction = "", exponent = "0"] = match;
  const power = Number(exponent) - 4 * fraction.length;
  const half = Math.trunc(power / 2);
  return Number(BigInt(`0x0${whole}${fraction}`)) * 2 ** half * 2 ** (power - half);
}

function unary(c: Compilation, node: UnaryExpression): Value {
  const operator = node.operator.value;
  if (operator === "*")
    return load(c, node, pointerOf(c, node.expression) ?? c.refuse(node, "what * is before is no pointer"));
  if (operator === "&") return c.refuse(node, "a pointer can only be given to a function or a let");
  const value = expression(c, node.expression);
  const scalar = scalarOfType(value.type);
  const fits =
    scalar !== null &&
    (operator === "!"
      ? scalar === BOOL
      : operator === "~"
        ? scalar === I32 || scalar === U32 || scalar === ABSTRACT_INT
        : scalar !== BOOL && scalar !== U32);
  if (!fits) c.refuse(node, `${operator} does not take ${nameOfType(value.type)}`);
  const { constants, parts, type } = value;
  if (constants !== undefined) {
    return constantValue(
      type,
      c.constant(node, () => constants.map((constant) => foldUnary(operator, scalar.name, constant))),
    );
  }
  return { type, parts: parts.map((part) => writeUnary(operator, scalar.name, part)) };
}

function binary(c: Compilation, node: BinaryExpression): Value {
  const operator = node.operator.value;
  if (operator === "&&" || operator === "||") return shortCircuit(c, node, operator);
  const [left, right] = expressions(c, [node.left, node.right]);
  return operate(c, node, operator, left, right);
}

/** The right operand is worked out only where the left one does not decide. */
function shortCircuit(c: Compilation, node: BinaryExpression, operator: "&&" | "||"): Value {
  const left = expressionOf(c, node.left, BOOL);
  const settled = hasEffects(c, node.right) ? c.settle(left) : left;
  const { result: right, lines } = c.capture(() => expressionOf(c, node.right, BOOL));
  if (left.constants !== undefined && right.constants !== undefined) {
    const [[a], [b]] = [left.constants, right.constants];
    return constantValue(BOOL, [operator === "&&" ? a === true && b === true : a === true || b === true]);
  }
  if (lines.length === 0) return { type: BOOL, parts: [`(${settled.parts[0]} ${operator} ${right.parts[0]})`] };
  const name = c.fresh("t");
  c.emit(`var ${name} = ${settled.parts[0]};`);
  c.emit(`if (${operator === "&&" ? name : `!${name}`}) {`);
  for (const line of lines) c.emit(line);
  c.emit(`${name} = ${right.parts[0]};`);
  c.emit("}");
  return { type: BOOL, parts: [name] };
}

/** A call's result; null for a function that has none. */
export function call(c: Compilation, node: FunctionCallExpression): Value | null {
  const name = calledName(node);
  const binding = c.lookup(name);
  if (binding?.kind === "function") return callFunction(c, node, binding.fn);
  const templates = node.function.kind === "type" ? node.function.templateParams : node.templateArgs;
  const written = namedType(c, node.function, name, templates);
  if (written !== null) return construct(c, node, written);
  if (binding !== null) return c.refuse(node, `"${name}" is no function`);
  if (!isBuiltin(name))
    return c.refuse(node, `function "${name}" is not declared, and not supported by the software device`);
  return callBuiltin(c, node, name, templates ?? []);
}

function construct(c: Compilation, node: FunctionCallExpression, written: WrittenType): Value {
  const values = expressions(c, node.arguments);
  if (written.kind === "vector") return constructVector(c, node, written.size, null, values);
  if (written.kind === "array") return constructArrayOf(c, node, values);
  const { type } = written;
  if (values.length === 0) return zeroOf(c, node, type);
  switch (type.kind) {
    case "scalar":
      return convertTo(c, node, values, type);
    case "vector":
      return constructVector(c, node, type.size, type.of, values);
    case "array":
      return constructParts(
        c,
        node,
        type,
        values,
        Array.from({ length: type.length ?? 0 }, () => type.of),
      );
    case "struct":
      return constructParts(
        c,
        node,
        type,
        values,
        type.members.map((member) => member.type),
      );
    case "atomic":
    case "matrix":
      return c.refuse(node, `${nameOfType(type)} cannot be constructed here`);
  }
}

function convertTo(c: Compilation, node: SyntaxNode, values: readonly Value[], type: Type): Value {
  const [value] = values;
  const from = scalarOfType(value.type);
  const to = scalarOfType(type)!;
  if (values.length !== 1 || from === null || value.parts.length !== countOf(type)) {
    return c.refuse(node, `${nameOfType(type)} is not made of ${values.map((v) => nameOfType(v.type)).join(", ")}`);
  }
  const { constants } = value;
  if (constants !== undefined) {
    return constantValue(
      type,
      c.constant(node, () => constants.map((constant) => convertConstant(constant, from.name, to.name))),
    );
  }
  return { type, parts: value.parts.map((part) => writeConversion(part, from.name, to.name, c.call)) };
}

function constructVector(
  c: Compilation,
  node: SyntaxNode,
  size: number,
  of: Scalar | null,
  values: readonly Value[],
): Value {
  const refuse = (): never =>
    c.refuse(
      node,
      `a vector of ${size} is not made of ${values.map((v) => nameOfType(v.type)).join(", ") || "nothing"}`,
    );
  const scalars = values.map(({ type }) => scalarOfType(type) ?? refuse());
  const scalar = of ?? commonScalar(scalars) ?? refuse();
  const [only] = values;
  if (values.length === 1 && only.type.kind === "vector") return convertTo(c, node, values, vectorOf(size, scalar));
  const converted = values.map((value) => convert(c, node, value, withScalar(value.type, scalar)));
  if (values.length === 1) return spread(c, node, converted[0], scalar, size);
  if (converted.reduce((sum, { parts }) => sum + parts.length, 0) !== size) refuse();
  return joined(vectorOf(size, scalar), converted);
}

function constructArrayOf(c: Compilation, node: SyntaxNode, values: readonly Value[]): Value {
  if (values.length === 0) c.refuse(node, "an array of nothing");
  const scalars = values.map(({ type }) => innerScalar(type));
  let of = values.find(({ type }) => !isAbstract(type))?.type ?? values[0].type;
  if (isAbstract(of) && scalars.includes(ABSTRACT_FLOAT)) of = replaceScalar(of, ABSTRACT_FLOAT);
  const type: ArrayOf = { kind: "array", of, length: values.length };
  return constructParts(
    c,
    node,
    type,
    values,
    values.map(() => of),
  );
}

function constructParts(
  c: Compilation,
  node: SyntaxNode,
  type: Type,
  values: readonly Value[],
  types: readonly Type[],
): Value {
  if (values.length !== types.length) {
    c.refuse(node, `${nameOfType(type)} is made of ${types.length} values, not of ${values.length}`);
  }
  return joined(
    type,
    values.map((value, i) => convert(c, node, value, types[i])),
  );
}

function joined(type: Type, values: readonly Value[]): Value {
  const parts = values.flatMap((value) => value.parts);
  if (!values.every(({ constants }) => constants !== undefined)) return { type, parts };
  return { type, parts, constants: values.flatMap(({ constants = [] }) => constants) };
}
