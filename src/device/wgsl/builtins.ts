/** WGSL's own functions, by name. Those that the software device has not are refused by `call`, or here. */

import { atomicCall, isAtomicFunction } from "./atomics.js";
import type { Compilation } from "./compilation.js";
import { commonScalar, concrete, concreteOf, convert, operate } from "./arithmetic.js";
import { NUMBERS, type NumberFunction } from "./numbers.js";
import { type Constant, inRange, writeBinary } from "./operators.js";
import type { ExpressionElem, FunctionCallExpression, SyntaxNode } from "./parse.js";
import { typeOf } from "./type-syntax.js";
import {
  ABSTRACT_FLOAT,
  ABSTRACT_INT,
  BOOL,
  F32,
  I32,
  isAbstract,
  nameOfType,
  type Scalar,
  type ScalarName,
  scalarOfType,
  U32,
  vectorOf,
  withScalar,
} from "./types.js";
import { constantValue, type Value } from "./value.js";

/** Which functions of numbers do it; null where a type has none. */
interface Numeric {
  readonly arguments: number;
  readonly float: NumberFunction | null;
  readonly i32: NumberFunction | null;
  readonly u32: NumberFunction | null;
  /** Whatever is given is a number of f32 already. */
  readonly exact?: true;
}

const float = (name: NumberFunction, count = 1): Numeric => ({ arguments: count, float: name, i32: null, u32: null });
const exact = (name: NumberFunction, count = 1): Numeric => ({ ...float(name, count), exact: true });
const integer = (i32: NumberFunction, u32: NumberFunction = i32): Numeric => ({ arguments: 1, float: null, i32, u32 });

/** A component at a time, all arguments of one type. */
const NUMERIC: Readonly<Record<string, Numeric>> = {
  abs: { arguments: 1, float: "abs", i32: "absI32", u32: "abs", exact: true },
  acos: float("acos"),
  acosh: float("acosh"),
  asin: float("asin"),
  asinh: float("asinh"),
  atan: float("atan"),
  atan2: float("atan2", 2),
  atanh: float("atanh"),
  ceil: exact("ceil"),
  clamp: { arguments: 3, float: "clamp", i32: "clamp", u32: "clamp", exact: true },
  cos: float("cos"),
  cosh: float("cosh"),
  countLeadingZeros: integer("countLeadingZeros"),
  countOneBits: integer("countOneBits"),
  countTrailingZeros: integer("countTrailingZeros"),
  degrees: float("degrees"),
  exp: float("exp"),
  exp2: float("exp2"),
  firstLeadingBit: integer("firstLeadingBitI32", "firstLeadingBitU32"),
  firstTrailingBit: integer("firstTrailingBit"),
  floor: exact("floor"),
  fma: float("fma", 3),
  fract: float("fract"),
  inverseSqrt: float("inverseSqrt"),
  log: float("log"),
  log2: float("log2"),
  max: { arguments: 2, float: "max", i32: "max", u32: "max", exact: true },
  min: { arguments: 2, float: "min", i32: "min", u32: "min", exact: true },
  pow: float("pow", 2),
  quantizeToF16: exact("quantizeToF16"),
  radians: float("radians"),
  reverseBits: integer("reverseBits"),
  round: exact("roundEven"),
  saturate: exact("saturate"),
  sign: { arguments: 1, float: "sign", i32: "sign", u32: null, exact: true },
  sin: float("sin"),
  sinh: float("sinh"),
  smoothstep: float("smoothstep", 3),
  sqrt: float("sqrt"),
  step: exact("step", 2),
  tan: float("tan"),
  tanh: float("tanh"),
  trunc: exact("trunc"),
};

type Builtin = (c: Compilation, node: FunctionCallExpression, templates: readonly ExpressionElem[]) => Value;

const OTHERS: Readonly<Record<string, Builtin>> = {
  all: (c, node) => everyPart(c, node, "&&"),
  any: (c, node) => everyPart(c, node, "||"),
  arrayLength,
  bitcast,
  cross,
  distance: (c, node) => {
    const [a, b] = floats(c, node, 2);
    return lengthOf(c, node, operate(c, node, "-", a, b));
  },
  dot: (c, node) => {
    const [a, b] = sameNumbers(c, node, 2);
    return dotOf(c, node, a, b);
  },
  extractBits: (c, node) => bitField(c, node, 1),
  faceForward: (c, node) => {
    const [n, i, reference] = floats(c, node, 3);
    const [facing] = dotOf(c, node, i, reference).parts;
    const test = c.settlePart(`${facing} < 0`);
    return { type: n.type, parts: settled(c, n).parts.map((part) => `(${test} ? ${part} : (-${part}))`) };
  },
  insertBits: (c, node) => bitField(c, node, 2),
  ldexp,
  length: (c, node) => lengthOf(c, node, floats(c, node, 1)[0]),
  mix,
  normalize: (c, node) => {
    const [a] = floats(c, node, 1);
    const value = settled(c, a);
    return operate(c, node, "/", value, settled(c, lengthOf(c, node, value)));
  },
  reflect: (c, node) => {
    const [i, n] = floats(c, node, 2).map((value) => settled(c, value));
    const twice = operate(c, node, "*", constantValue(F32, [2]), dotOf(c, node, n, i));
    return operate(c, node, "-", i, operate(c, node, "*", settled(c, twice), n));
  },
  refract,
  select,
};

export function isBuiltin(name: string): boolean {
  return Object.hasOwn(NUMERIC, name) || Object.hasOwn(OTHERS, name) || isAtomicFunction(name);
}

/** The result; null for a function without one. */
export function callBuiltin(
  c: Compilation,
  node: FunctionCallExpression,
  name: string,
  templates: readonly ExpressionElem[],
): Value | null {
  if (name !== "bitcast" && templates.length > 0) c.refuse(node, `function "${name}" takes no templates`);
  if (isAtomicFunction(name)) return atomicCall(c, node, name);
  if (Object.hasOwn(OTHERS, name)) return OTHERS[name](c, node, templates);
  return numeric(c, node, name, NUMERIC[name]);
}

function numeric(c: Compilation, node: FunctionCallExpression, name: string, how: Numeric): Value {
  const onlyFloats = how.i32 === null && how.u32 === null;
  const given = sameNumbers(c, node, how.arguments, onlyFloats);
  const values = how.float === null ? given.map((value) => concrete(c, node, value)) : given;
  const { type } = values[0];
  const scalar = scalarOfType(type)!;
  const does = scalar === I32 ? how.i32 : scalar === U32 ? how.u32 : how.float;
  if (does === null) return c.refuse(node, `${name} does not take ${nameOfType(type)}`);
  const constants = values.map((value) => value.constants);
  if (name === "clamp") refuseEmptyRange(c, node, constants[1], constants[2]);
  if (constants.every((each) => each !== undefined)) {
    const known = constants;
    const results = c.constant(node, () =>
      known[0].map((_, i) =>
        foldCall(
          does,
          scalar.name,
          known.map((each) => each[i]),
        ),
      ),
    );
    return constantValue(type, results);
  }
  const parts = values[0].parts.map((_, i) => {
    const written = c.call(does, ...values.map((value) => value.parts[i]));
    if (scalar === F32) return how.exact === true ? written : c.call("fround", written);
    return scalar === I32 ? `(${written} | 0)` : `(${written} >>> 0)`;
  });
  return { type, parts };
}

function refuseEmptyRange(
  c: Compilation,
  node: SyntaxNode,
  lows: readonly Constant[] | undefined,
  highs: readonly Constant[] | undefined,
): void {
  lows?.forEach((low, i) => {
    if (highs !== undefined && low > highs[i]) c.refuse(node, `clamp to a range from ${low} down to ${highs[i]}`);
  });
}

function foldCall(name: NumberFunction, scalar: ScalarName, given: readonly Constant[]): Constant {
  const does: (...numbers: number[]) => number = NUMBERS[name];
  const result = does(...given.map(Number));
  if (scalar === "i32") return result | 0;
  if (scalar === "u32") return result >>> 0;
  // Of abstract integers only small ones get here by way of a double.
  return inRange(scalar === "abstract-int" ? BigInt(result) : result, scalar);
}

/** All arguments as numbers of one type: of scalars or of vectors of one size. */
function sameNumbers(c: Compilation, node: FunctionCallExpression, count: number, onlyFloats = false): Value[] {
  const values = argumentsOf(c, node, count);
  const scalars = values.map(({ type }) => scalarOfType(type));
  const known = scalars.filter((scalar): scalar is Scalar => scalar !== null && scalar !== BOOL);
  let scalar = known.length < count ? null : commonScalar(known);
  if (scalar === ABSTRACT_INT && onlyFloats) scalar = ABSTRACT_FLOAT;
  // What a double does not hold exactly is worked out as i32.
  const tooLarge = (value: Constant): boolean => typeof value === "bigint" && !Number.isSafeInteger(Number(value));
  if (scalar === ABSTRACT_INT && values.some(({ constants = [] }) => constants.some(tooLarge))) scalar = I32;
  const size = values[0].parts.length;
  if (scalar === null || values.some(({ parts }) => parts.length !== size)) {
    return c.refuse(node, `this function does not take ${values.map(({ type }) => nameOfType(type)).join(", ")}`);
  }
  return values.map((value, i) => convert(c, node.arguments[i], value, withScalar(value.type, scalar)));
}

function floats(c: Compilation, node: FunctionCallExpression, count: number): Value[] {
  const values = sameNumbers(c, node, count, true).map((value) => concrete(c, node, value));
  if (scalarOfType(values[0].type) !== F32) c.refuse(node, `this function does not take ${nameOfType(values[0].type)}`);
  return values;
}

function argumentsOf(c: Compilation, node: FunctionCallExpression, count: number): Value[] {
  if (node.arguments.length !== count) {
    c.refuse(node, `this function takes ${count} arguments, not ${node.arguments.length}`);
  }
  return c.reader.expressions(c, node.arguments);
}

/** The value in names, to be written more than once. */
function settled(c: Compilation, value: Value): Value {
  return c.settle(value);
}

function everyPart(c: Compilation, node: FunctionCallExpression, operator: string): Value {
  const [value] = argumentsOf(c, node, 1);
  if (scalarOfType(value.type) !== BOOL) c.refuse(node, `this function does not take ${nameOfType(value.type)}`);
  return { type: BOOL, parts: [`(${value.parts.join(` ${operator} `)})`] };
}

function arrayLength(c: Compilation, node: FunctionCallExpression): Value {
  const place = node.arguments.length === 1 ? c.reader.pointerOf(c, node.arguments[0]) : null;
  if (place?.kind !== "storage" || place.type.length !== null) {
    return c.refuse(node, "arrayLength takes a pointer to an array of storage without a length");
  }
  // The length alone is no read of the array, yet the array has to be there.
  place.root.storage.read = true;
  return { type: U32, parts: [`${place.root.prefix}Length`] };
}

function bitcast(c: Compilation, node: FunctionCallExpression, templates: readonly ExpressionElem[]): Value {
  const [given] = argumentsOf(c, node, 1);
  const value = concrete(c, node, given);
  if (templates.length !== 1) return c.refuse(node, "bitcast needs the type that it makes: bitcast<u32>(x)");
  const type = typeOf(c, templates[0]);
  const from = scalarOfType(value.type);
  const to = scalarOfType(type);
  const isVector = type.kind === "vector" ? type.size : 1;
  if (from === null || to === null || from === BOOL || to === BOOL || value.parts.length !== isVector) {
    return c.refuse(node, `bitcast of ${nameOfType(value.type)} to ${nameOfType(type)}`);
  }
  if (from === to) return value;
  const does = castOf(from, to);
  const { constants } = value;
  if (constants !== undefined) {
    const cast = constants.map((constant) => {
      if (does !== null) return (NUMBERS[does] as (x: number) => number)(Number(constant));
      return to === I32 ? Number(constant) | 0 : Number(constant) >>> 0;
    });
    return constantValue(
      type,
      c.constant(node, () => cast.map((constant) => inRange(constant, to.name))),
    );
  }
  return {
    type,
    parts: value.parts.map((part) => {
      if (does !== null) return c.call(does, part);
      return to === I32 ? `(${part} | 0)` : `(${part} >>> 0)`;
    }),
  };
}

function castOf(from: Scalar, to: Scalar): NumberFunction | null {
  if (to === F32) return "bitsToFloat";
  if (from !== F32) return null;
  return to === I32 ? "floatBitsToI32" : "floatBitsToU32";
}

function dotOf(c: Compilation, node: SyntaxNode, left: Value, right: Value): Value {
  if (left.type.kind !== "vector") return c.refuse(node, `this function takes vectors, not ${nameOfType(left.type)}`);
  const a = concrete(c, node, left);
  const b = concrete(c, node, right);
  const of = scalarOfType(a.type)!;
  const products = operate(c, node, "*", a, b);
  return products.parts
    .map((_, i): Value => partOf(products, of, i))
    .reduce((sum, product) => operate(c, node, "+", sum, product));
}

function partOf({ parts, constants }: Value, type: Scalar, i: number): Value {
  return { type, parts: [parts[i]], ...(constants && { constants: [constants[i]] }) };
}

function lengthOf(c: Compilation, node: SyntaxNode, given: Value): Value {
  const value = settled(c, given);
  if (value.type.kind !== "vector") return { type: F32, parts: [c.call("abs", value.parts[0])] };
  const square = dotOf(c, node, value, value).parts[0];
  return { type: F32, parts: [c.call("fround", c.call("sqrt", square))] };
}

function cross(c: Compilation, node: FunctionCallExpression): Value {
  const [a, b] = floats(c, node, 2).map((value) => settled(c, value).parts);
  if (a.length !== 3) return c.refuse(node, "cross takes vectors of 3");
  const write = (operator: string, x: string, y: string): string => writeBinary(operator, "f32", x, y, c.call);
  const minor = (i: number, j: number): string => write("-", write("*", a[i], b[j]), write("*", a[j], b[i]));
  return { type: vectorOf(3, F32), parts: [minor(1, 2), minor(2, 0), minor(0, 1)] };
}

function mix(c: Compilation, node: FunctionCallExpression): Value {
  const [a, b, part] = argumentsOf(c, node, 3);
  const size = a.parts.length;
  const to = size === 1 ? F32 : vectorOf(size, F32);
  const x = convert(c, node.arguments[0], a, to);
  const y = convert(c, node.arguments[1], b, to);
  const rest = part.parts.length === 1 ? F32 : to;
  const by = settled(c, convert(c, node.arguments[2], part, rest));
  return {
    type: to,
    parts: x.parts.map((one, i) =>
      c.call("fround", c.call("mix", one, y.parts[i], by.parts[by.parts.length === 1 ? 0 : i])),
    ),
  };
}

function ldexp(c: Compilation, node: FunctionCallExpression): Value {
  const [x, exponent] = argumentsOf(c, node, 2);
  const to = withScalar(x.type, F32);
  const value = convert(c, node.arguments[0], x, to);
  const by = convert(c, node.arguments[1], exponent, withScalar(to, I32));
  return { type: to, parts: value.parts.map((part, i) => c.call("fround", c.call("ldexp", part, by.parts[i]))) };
}

/** extractBits and insertBits: one or two values, and which bits of them. */
function bitField(c: Compilation, node: FunctionCallExpression, count: number): Value {
  const given = argumentsOf(c, node, count + 2);
  const type = concreteOf(given.slice(0, count).find((value) => !isAbstract(value.type))?.type ?? given[0].type);
  const scalar = scalarOfType(type);
  if (scalar !== I32 && scalar !== U32) return c.refuse(node, `this function does not take ${nameOfType(type)}`);
  const values = given.slice(0, count).map((value, i) => convert(c, node.arguments[i], value, type));
  const [offset, bits] = given
    .slice(count)
    .map((value, i) => convert(c, node.arguments[count + i], value, U32).parts[0]);
  const name = count === 2 ? "insertBits" : scalar === I32 ? "extractBitsI32" : "extractBitsU32";
  const end = scalar === I32 ? "| 0" : ">>> 0";
  const [from, many] = [c.settlePart(offset), c.settlePart(bits)];
  return {
    type,
    parts: values[0].parts.map(
      (_, i) => `(${c.call(name, ...values.map(({ parts }) => parts[i]), from, many)} ${end})`,
    ),
  };
}

function refract(c: Compilation, node: FunctionCallExpression): Value {
  const [first, second, third] = argumentsOf(c, node, 3);
  const to = withScalar(first.type, F32);
  if (to.kind !== "vector") return c.refuse(node, "refract takes vectors");
  const i = settled(c, convert(c, node.arguments[0], first, to));
  const n = settled(c, convert(c, node.arguments[1], second, to));
  const ratio = settled(c, convert(c, node.arguments[2], third, F32));
  const one = constantValue(F32, [1]);
  const op = (operator: string, a: Value, b: Value): Value => settled(c, operate(c, node, operator, a, b));
  const cosine = settled(c, dotOf(c, node, n, i));
  const k = op("-", one, op("*", op("*", ratio, ratio), op("-", one, op("*", cosine, cosine))));
  const root: Value = { type: F32, parts: [c.settlePart(c.call("fround", c.call("sqrt", k.parts[0])))] };
  const bent = op("-", op("*", ratio, i), op("*", op("+", op("*", ratio, cosine), root), n));
  return { type: to, parts: bent.parts.map((part) => `(${k.parts[0]} < 0 ? 0 : ${part})`) };
}

/** `select(f, t, condition)`: both are worked out. */
function select(c: Compilation, node: FunctionCallExpression): Value {
  const [no, yes, condition] = argumentsOf(c, node, 3);
  const type = concreteOf(isAbstract(no.type) ? commonAbstract(no, yes) : no.type);
  const scalar = scalarOfType(type);
  const tests = condition.parts.map((part) => c.settlePart(part));
  if (scalar === null || scalarOfType(condition.type) !== BOOL) {
    return c.refuse(node, `select does not take ${nameOfType(type)} by ${nameOfType(condition.type)}`);
  }
  const a = convert(c, node.arguments[0], no, type);
  const b = convert(c, node.arguments[1], yes, type);
  if (tests.length !== 1 && tests.length !== a.parts.length)
    c.refuse(node, "select takes a condition for each component");
  return {
    type,
    parts: a.parts.map((part, i) => `(${tests[tests.length === 1 ? 0 : i]} ? ${b.parts[i]} : ${part})`),
  };
}

function commonAbstract(no: Value, yes: Value): Value["type"] {
  if (!isAbstract(yes.type)) return yes.type;
  return scalarOfType(no.type) === ABSTRACT_FLOAT ? no.type : yes.type;
}
