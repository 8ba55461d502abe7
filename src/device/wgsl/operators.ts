/**
 * WGSL's operators on single numbers: as JavaScript, and on constants. f32 is rounded after every operation, i32 and u32
 * wrap around, abstract numbers are exact and must stay in range.
 */

import * as numbers from "./numbers.js";
import type { NumberFunction } from "./numbers.js";
import type { ScalarName } from "./types.js";

/** A number that is known when the kernel is compiled: bigint for "abstract-int". */
export type Constant = number | bigint | boolean;

/** Why there is no such constant. */
export class ConstantError extends Error {}

/** Writes a call of one of `NUMBERS`. */
export type WriteCall = (name: NumberFunction, ...parts: readonly string[]) => string;

const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">="]);
const BITWISE: ReadonlySet<string> = new Set(["&", "|", "^"]);

export function isComparison(operator: string): boolean {
  return COMPARISONS.has(operator);
}

export function isShift(operator: string): boolean {
  return operator === "<<" || operator === ">>";
}

/** Whether both operands of a scalar type may stand beside the operator. */
export function takes(operator: string, scalar: ScalarName): boolean {
  if (operator === "==" || operator === "!=") return true;
  if (operator === "&" || operator === "|") return scalar !== "f32" && scalar !== "abstract-float";
  if (scalar === "bool") return false;
  if (operator === "^" || isShift(operator)) return scalar !== "f32" && scalar !== "abstract-float";
  return true;
}

/** The operation as JavaScript, on operands that are written already and have no effects. */
export function writeBinary(operator: string, scalar: ScalarName, a: string, b: string, call: WriteCall): string {
  if (operator === "==") return `(${a} === ${b})`;
  if (operator === "!=") return `(${a} !== ${b})`;
  if (isComparison(operator)) return `(${a} ${operator} ${b})`;
  if (scalar === "bool") return `(${a} ${operator === "&" ? "&&" : "||"} ${b})`;
  if (scalar === "f32") return call("fround", `${a} ${operator} ${b}`);
  const wrap = scalar === "i32" ? "| 0" : ">>> 0";
  if (operator === "*") return scalar === "i32" ? call("imul", a, b) : `(${call("imul", a, b)} >>> 0)`;
  const power = scalar === "u32" && /^[1-9]\d*$/.test(b) ? Math.log2(Number(b)) : NaN;
  if (operator === "/") {
    if (Number.isInteger(power)) return `(${a} >>> ${power})`;
    if (/^[1-9]\d*$/.test(b)) return `(${a} / ${b} ${wrap})`;
    return call(scalar === "i32" ? "divideI32" : "divideU32", a, b);
  }
  if (operator === "%" && Number.isInteger(power)) return `((${a} & ${Number(b) - 1}) >>> 0)`;
  if (operator === "<<") return scalar === "i32" ? `(${a} << ${b})` : `(${a} << ${b} >>> 0)`;
  if (operator === ">>") return scalar === "i32" ? `(${a} >> ${b})` : `(${a} >>> ${b})`;
  if (BITWISE.has(operator)) return scalar === "i32" ? `(${a} ${operator} ${b})` : `((${a} ${operator} ${b}) >>> 0)`;
  return `(${a} ${operator} ${b} ${wrap})`;
}

export function writeUnary(operator: string, scalar: ScalarName, a: string): string {
  if (operator === "!") return `(!${a})`;
  if (operator === "~") return scalar === "i32" ? `(~${a})` : `(~${a} >>> 0)`;
  return scalar === "i32" ? `(-${a} | 0)` : `(-${a})`;
}

export function foldBinary(operator: string, scalar: ScalarName, a: Constant, b: Constant): Constant {
  if (operator === "==") return a === b;
  if (operator === "!=") return a !== b;
  if (operator === "<") return a < b;
  if (operator === "<=") return a <= b;
  if (operator === ">") return a > b;
  if (operator === ">=") return a >= b;
  if (scalar === "bool") return operator === "&" ? a === true && b === true : a === true || b === true;
  if (isShift(operator)) return foldShift(operator, scalar, a, Number(b));
  if (scalar === "abstract-int") return inRange(foldIntegers(operator, a as bigint, b as bigint), scalar);
  if (scalar === "i32" || scalar === "u32") {
    const exact = foldIntegers(operator, BigInt(a), BigInt(b));
    return Number(scalar === "i32" ? BigInt.asIntN(32, exact) : BigInt.asUintN(32, exact));
  }
  return inRange(foldFloats(operator, a as number, b as number), scalar);
}

export function foldUnary(operator: string, scalar: ScalarName, a: Constant): Constant {
  if (operator === "!") return a !== true;
  if (operator === "~") {
    if (typeof a === "bigint") return ~a;
    return scalar === "i32" ? ~(a as number) : ~(a as number) >>> 0;
  }
  if (typeof a === "bigint") return inRange(-a, scalar);
  return scalar === "i32" ? -(a as number) | 0 : -(a as number);
}

/** The constant, rounded to its type; throws for what the type cannot hold. */
export function inRange(value: Constant, scalar: ScalarName): Constant {
  switch (scalar) {
    case "bool":
      return value;
    case "abstract-int":
      if (BigInt.asIntN(64, value as bigint) !== value) throw new ConstantError(`${value} exceeds 64 bits`);
      return value;
    case "i32":
    case "u32": {
      const exact = BigInt(value);
      const wrapped = scalar === "i32" ? BigInt.asIntN(32, exact) : BigInt.asUintN(32, exact);
      if (wrapped !== exact) throw new ConstantError(`${exact} cannot be represented as ${scalar}`);
      return Number(exact);
    }
    case "f32":
    case "abstract-float": {
      const number = scalar === "f32" ? Math.fround(Number(value)) : Number(value);
      if (!Number.isFinite(number)) throw new ConstantError(`${value} cannot be represented as ${scalar}`);
      return number;
    }
  }
}

/** A conversion that is written out, as `u32(x)`, between concrete types. */
export function convertConstant(value: Constant, from: ScalarName, to: ScalarName): Constant {
  if (from === to) return value;
  if (to === "bool") return from === "abstract-int" ? value !== 0n : value !== 0;
  if (from === "bool") return value === true ? 1 : 0;
  if (to === "f32" || from === "abstract-int") return inRange(value, to);
  if (from === "f32" || from === "abstract-float") {
    return to === "i32" ? numbers.floatToI32(value as number) : numbers.floatToU32(value as number);
  }
  return to === "i32" ? Number(value) | 0 : Number(value) >>> 0;
}

/** The same as JavaScript. */
export function writeConversion(a: string, from: ScalarName, to: ScalarName, call: WriteCall): string {
  if (from === to) return a;
  if (to === "bool") return `(${a} !== 0)`;
  if (from === "bool") return `(${a} ? 1 : 0)`;
  if (to === "f32") return call("fround", a);
  if (from === "f32") return call(to === "i32" ? "floatToI32" : "floatToU32", a);
  return to === "i32" ? `(${a} | 0)` : `(${a} >>> 0)`;
}

export function writeConstant(value: Constant): string {
  if (typeof value === "number" && (value < 0 || Object.is(value, -0)))
    return `(${Object.is(value, -0) ? "-0" : value})`;
  return String(value);
}

function foldShift(operator: string, scalar: ScalarName, a: Constant, by: number): Constant {
  if (scalar === "abstract-int") {
    if (by >= 64) throw new ConstantError(`a shift by ${by} exceeds 63`);
    return operator === "<<" ? inRange((a as bigint) << BigInt(by), scalar) : (a as bigint) >> BigInt(by);
  }
  if (by >= 32) throw new ConstantError(`a shift by ${by} exceeds 31`);
  const value = a as number;
  if (operator === ">>") return scalar === "i32" ? value >> by : value >>> by;
  return scalar === "i32" ? value << by : (value << by) >>> 0;
}

function foldIntegers(operator: string, a: bigint, b: bigint): bigint {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
    case "%":
      if (b === 0n) throw new ConstantError("a division by zero");
      return operator === "/" ? a / b : a % b;
    case "&":
      return a & b;
    case "|":
      return a | b;
    default:
      return a ^ b;
  }
}

function foldFloats(operator: string, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    default:
      return a % b;
  }
}
