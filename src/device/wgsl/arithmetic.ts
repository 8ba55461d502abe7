/** Operators and conversions on values, whatever expressions they come from: by WGSL's rules for types. */

import { type Compilation, isSimple } from "./compilation.js";
import { foldBinary, inRange, isComparison, isShift, takes, writeBinary } from "./operators.js";
import type { SyntaxNode } from "./parse.js";
import {
  ABSTRACT_FLOAT,
  ABSTRACT_INT,
  BOOL,
  countOf,
  F32,
  I32,
  isAbstract,
  nameOfType,
  sameType,
  type Scalar,
  scalarOfType,
  type Type,
  U32,
  vectorOf,
  withScalar,
} from "./types.js";
import { constantValue, type Value } from "./value.js";

/** Abstract numbers become concrete; all else has to be of the type already. */
export function convert(c: Compilation, node: SyntaxNode, value: Value, type: Type): Value {
  if (sameType(value.type, type)) return value;
  const converted = convertAbstract(c, node, value, type);
  return converted ?? c.refuse(node, `expected ${nameOfType(type)}, found ${nameOfType(value.type)}`);
}

/** The value as a type that a variable can have. */
export function concrete(c: Compilation, node: SyntaxNode, value: Value): Value {
  return isAbstract(value.type) ? convert(c, node, value, concreteOf(value.type)) : value;
}

export function concreteOf(type: Type): Type {
  if (type.kind === "scalar") return type.name === "abstract-int" ? I32 : type.name === "abstract-float" ? F32 : type;
  if (type.kind === "vector") return vectorOf(type.size, concreteOf(type.of) as Scalar);
  return type.kind === "array" ? { ...type, of: concreteOf(type.of) } : type;
}

/** The scalar type that all of some values convert to; null when there is none. */
export function commonScalar(scalars: readonly Scalar[]): Scalar | null {
  const concreteOnes = scalars.filter((scalar) => !isAbstract(scalar));
  const [first] = concreteOnes;
  if (first === undefined) return scalars.includes(ABSTRACT_FLOAT) ? ABSTRACT_FLOAT : ABSTRACT_INT;
  if (concreteOnes.some((scalar) => scalar !== first)) return null;
  return scalars.every((scalar) => isAssignable(scalar, first)) ? first : null;
}

function isAssignable(from: Scalar, to: Scalar): boolean {
  if (from === to) return true;
  if (from === ABSTRACT_INT) return to !== BOOL;
  return from === ABSTRACT_FLOAT && to === F32;
}

function convertAbstract(c: Compilation, node: SyntaxNode, value: Value, type: Type): Value | null {
  const { constants } = value;
  if (constants === undefined) return null;
  const from = abstractScalar(value.type);
  const to = innerScalar(type);
  if (from === null || to === null || !isAssignable(from, to)) return null;
  if (nameOfType(replaceScalar(value.type, to)) !== nameOfType(type)) return null;
  return constantValue(
    type,
    c.constant(node, () => constants.map((constant) => inRange(constant, to.name))),
  );
}

export function innerScalar(type: Type): Scalar | null {
  return type.kind === "array" ? innerScalar(type.of) : scalarOfType(type);
}

function abstractScalar(type: Type): Scalar | null {
  return isAbstract(type) ? innerScalar(type) : null;
}

export function replaceScalar(type: Type, scalar: Scalar): Type {
  return type.kind === "array" ? { ...type, of: replaceScalar(type.of, scalar) } : withScalar(type, scalar);
}

/** A binary operator on values, a component at a time; a scalar beside a vector stands for a vector of it. */
export function operate(c: Compilation, node: SyntaxNode, operator: string, left: Value, right: Value): Value {
  const refuse = (): never =>
    c.refuse(node, `${operator} does not take ${nameOfType(left.type)} and ${nameOfType(right.type)}`);
  const a = scalarOfType(left.type) ?? refuse();
  const b = scalarOfType(right.type) ?? refuse();
  if (isShift(operator)) return shift(c, node, operator, left, right, refuse);
  const scalar = commonScalar([a, b]) ?? refuse();
  if (!takes(operator, scalar.name)) refuse();
  const size = Math.max(left.parts.length, right.parts.length);
  const mixes = "+-*/%".includes(operator);
  if (left.parts.length !== right.parts.length && !(mixes && (left.parts.length === 1 || right.parts.length === 1)))
    refuse();
  const of = isComparison(operator) ? BOOL : scalar;
  const type = size === 1 ? of : vectorOf(size, of);
  const x = spread(c, node, left, scalar, size);
  const y = spread(c, node, right, scalar, size);
  const { constants: xs } = x;
  const { constants: ys } = y;
  if (xs !== undefined && ys !== undefined) {
    return constantValue(
      type,
      c.constant(node, () => xs.map((constant, i) => foldBinary(operator, scalar.name, constant, ys[i]))),
    );
  }
  if ((operator === "/" || operator === "%") && ys !== undefined && scalar !== F32 && ys.includes(0)) {
    c.refuse(node, "a division by zero");
  }
  return { type, parts: x.parts.map((part, i) => writeBinary(operator, scalar.name, part, y.parts[i], c.call)) };
}

/** The value as `size` numbers of a scalar type. */
export function spread(c: Compilation, node: SyntaxNode, value: Value, scalar: Scalar, size: number): Value {
  const converted = convert(c, node, value, withScalar(value.type, scalar));
  if (converted.parts.length === size) return converted;
  const { parts, constants } = converted;
  const part = isSimple(parts[0]) ? parts[0] : c.settlePart(parts[0]);
  const type = vectorOf(size, scalar);
  if (constants !== undefined)
    return constantValue(
      type,
      Array.from({ length: size }, () => constants[0]),
    );
  return { type, parts: Array.from({ length: size }, () => part) };
}

function shift(
  c: Compilation,
  node: SyntaxNode,
  operator: string,
  left: Value,
  right: Value,
  refuse: () => never,
): Value {
  if (left.parts.length !== right.parts.length) refuse();
  const b = scalarOfType(right.type);
  if (b !== U32 && b !== ABSTRACT_INT) refuse();
  const by = convert(c, node, right, withScalar(right.type, U32));
  // An abstract number is shifted exactly by a constant only.
  const shifted = by.constants === undefined ? concrete(c, node, left) : left;
  const scalar = scalarOfType(shifted.type)!;
  if (!takes(operator, scalar.name)) refuse();
  const { constants } = shifted;
  const { constants: counts } = by;
  if (constants !== undefined && counts !== undefined) {
    return constantValue(
      shifted.type,
      c.constant(node, () => constants.map((constant, i) => foldBinary(operator, scalar.name, constant, counts[i]))),
    );
  }
  if (counts?.some((count) => Number(count) >= 32) === true)
    c.refuse(node, `a shift by ${counts.join(", ")} exceeds 31`);
  return {
    type: shifted.type,
    parts: shifted.parts.map((part, i) => writeBinary(operator, scalar.name, part, by.parts[i], c.call)),
  };
}

export function zeroOf(c: Compilation, node: SyntaxNode, type: Type): Value {
  if (!Number.isFinite(countOf(type))) c.refuse(node, `${nameOfType(type)} has no value`);
  return constantValue(type, zeros(type));
}

function zeros(type: Type): (number | boolean | bigint)[] {
  switch (type.kind) {
    case "scalar":
      return [type.name === "bool" ? false : type.name === "abstract-int" ? 0n : 0];
    case "atomic":
      return [0];
    case "vector":
      return Array.from({ length: type.size }, () => zeros(type.of)[0]);
    case "matrix":
      return Array.from({ length: countOf(type) }, () => 0);
    case "array": {
      const element = zeros(type.of);
      return Array.from({ length: type.length ?? 0 }, () => element).flat();
    }
    case "struct":
      return type.members.flatMap((member) => zeros(member.type));
  }
}
