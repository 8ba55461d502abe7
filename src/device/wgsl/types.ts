/**
 * Types of WGSL, and where their numbers are: in storage and uniform buffers by WGSL's layout, in a kernel's own memory
 * one after another. A number takes one word of 32 bits in both.
 */

import { layoutOf, type MatrixType } from "../layout.js";

/** "abstract-int" and "abstract-float" are the types of literals without a suffix. */
export type ScalarName = "f32" | "i32" | "u32" | "bool" | "abstract-int" | "abstract-float";

export interface Scalar {
  readonly kind: "scalar";
  readonly name: ScalarName;
}

export interface Vector {
  readonly kind: "vector";
  readonly size: 2 | 3 | 4;
  readonly of: Scalar;
}

/** Of f32, column by column. The software device has none. */
export interface Matrix {
  readonly kind: "matrix";
  readonly columns: 2 | 3 | 4;
  readonly rows: 2 | 3 | 4;
}

/** `length` is null for as many as the bound array has. */
export interface ArrayOf {
  readonly kind: "array";
  readonly of: Type;
  readonly length: number | null;
}

export interface Atomic {
  readonly kind: "atomic";
  readonly of: Scalar;
}

export interface Member {
  readonly name: string;
  readonly type: Type;
  /** In bytes, by WGSL's layout. */
  readonly offset: number;
}

export interface Struct {
  readonly kind: "struct";
  readonly name: string;
  readonly members: readonly Member[];
  readonly size: number;
  readonly align: number;
}

export type Type = Scalar | Vector | Matrix | ArrayOf | Atomic | Struct;

const scalar = (name: ScalarName): Scalar => ({ kind: "scalar", name });

export const F32 = scalar("f32");
export const I32 = scalar("i32");
export const U32 = scalar("u32");
export const BOOL = scalar("bool");
export const ABSTRACT_INT = scalar("abstract-int");
export const ABSTRACT_FLOAT = scalar("abstract-float");

export function vectorOf(size: number, of: Scalar): Vector {
  return { kind: "vector", size: size as 2 | 3 | 4, of };
}

export function matrixOf(columns: number, rows: number): Matrix {
  return { kind: "matrix", columns: columns as 2 | 3 | 4, rows: rows as 2 | 3 | 4 };
}

/** The matrix as element types name it. */
export function matrixName({ columns, rows }: Matrix): MatrixType {
  return `mat${columns}x${rows}f`;
}

export function nameOfType(type: Type): string {
  switch (type.kind) {
    case "scalar":
      return type.name;
    case "vector":
      return `vec${type.size}<${type.of.name}>`;
    case "matrix":
      return `mat${type.columns}x${type.rows}<f32>`;
    case "array":
      return type.length === null ? `array<${nameOfType(type.of)}>` : `array<${nameOfType(type.of)}, ${type.length}>`;
    case "atomic":
      return `atomic<${type.of.name}>`;
    case "struct":
      return type.name;
  }
}

export function sameType(a: Type, b: Type): boolean {
  return a === b || (a.kind === b.kind && a.kind !== "struct" && nameOfType(a) === nameOfType(b) && sameParts(a, b));
}

/** Structures are the same by declaration, not by name. */
function sameParts(a: Type, b: Type): boolean {
  return a.kind !== "array" || sameType(a.of, (b as ArrayOf).of);
}

export function isAbstract(type: Type): boolean {
  if (type.kind === "scalar") return type.name === "abstract-int" || type.name === "abstract-float";
  return type.kind === "vector" || type.kind === "array" ? isAbstract(type.of) : false;
}

/** The scalar of a scalar or vector; null for all else. */
export function scalarOfType(type: Type): Scalar | null {
  if (type.kind === "scalar") return type;
  return type.kind === "vector" ? type.of : null;
}

/** The type with another scalar. */
export function withScalar(type: Type, of: Scalar): Type {
  return type.kind === "vector" ? vectorOf(type.size, of) : of;
}

export function hasArray(type: Type): boolean {
  if (type.kind === "struct") return type.members.some((member) => hasArray(member.type));
  return type.kind === "array";
}

/** Whether buffers can hold it, and dispatches bind it. */
export function isHostShareable(type: Type): boolean {
  switch (type.kind) {
    case "scalar":
      return type.name !== "bool" && !isAbstract(type);
    case "vector":
    case "array":
      return isHostShareable(type.of);
    case "atomic":
    case "matrix":
      return true;
    case "struct":
      return type.members.every((member) => isHostShareable(member.type));
  }
}

export function hasAtomic(type: Type): boolean {
  if (type.kind === "struct") return type.members.some((member) => hasAtomic(member.type));
  return type.kind === "array" ? hasAtomic(type.of) : type.kind === "atomic";
}

/** Bytes, by WGSL's layout. A bool has four, although it is never in a buffer. */
export function sizeOf(type: Type): number {
  switch (type.kind) {
    case "scalar":
    case "atomic":
      return 4;
    case "vector":
      return type.size * 4;
    case "matrix":
      return layoutOf(matrixName(type)).size;
    case "array":
      return strideOfArray(type) * (type.length ?? 0);
    case "struct":
      return type.size;
  }
}

export function alignOf(type: Type): number {
  switch (type.kind) {
    case "scalar":
    case "atomic":
      return 4;
    case "vector":
      return layoutOf(`vec${type.size}f`).align;
    case "matrix":
      return layoutOf(matrixName(type)).align;
    case "array":
      return alignOf(type.of);
    case "struct":
      return type.align;
  }
}

/** Bytes from one element to the next, by WGSL's layout. */
export function strideOfArray({ of }: ArrayOf): number {
  return roundUp(sizeOf(of), alignOf(of));
}

export function roundUp(bytes: number, align: number): number {
  return Math.ceil(bytes / align) * align;
}

/** Numbers that a value has; infinite for an array of any length. */
export function countOf(type: Type): number {
  switch (type.kind) {
    case "scalar":
    case "atomic":
      return 1;
    case "vector":
      return type.size;
    case "matrix":
      return type.columns * type.rows;
    case "array":
      return type.length === null ? Infinity : countOf(type.of) * type.length;
    case "struct":
      return type.members.reduce((sum, member) => sum + countOf(member.type), 0);
  }
}

/** Words from one element to the next. `packed`: in a kernel's own memory. */
export function wordsOfElement(type: ArrayOf, packed: boolean): number {
  return packed ? countOf(type.of) : strideOfArray(type) / 4;
}

/** Words of a structure before a member. */
export function wordsBefore(type: Struct, index: number, packed: boolean): number {
  if (!packed) return type.members[index].offset / 4;
  return type.members.slice(0, index).reduce((sum, member) => sum + countOf(member.type), 0);
}

/** One number of a value. */
export interface Leaf {
  readonly scalar: ScalarName;
  /** Words before it. */
  readonly word: number;
}

/** All numbers of a value, in order. */
export function leavesOf(type: Type, packed: boolean): Leaf[] {
  const leaves: Leaf[] = [];
  collectLeaves(type, packed, 0, leaves);
  return leaves;
}

function collectLeaves(type: Type, packed: boolean, word: number, leaves: Leaf[]): void {
  switch (type.kind) {
    case "scalar":
      leaves.push({ scalar: type.name, word });
      break;
    case "atomic":
      leaves.push({ scalar: type.of.name, word });
      break;
    case "vector":
      for (let i = 0; i < type.size; i++) leaves.push({ scalar: type.of.name, word: word + i });
      break;
    case "matrix": {
      const columnWords = packed ? type.rows : layoutOf(matrixName(type)).columnStride / 4;
      for (let column = 0; column < type.columns; column++) {
        for (let row = 0; row < type.rows; row++)
          leaves.push({ scalar: "f32", word: word + column * columnWords + row });
      }
      break;
    }
    case "array": {
      const words = wordsOfElement(type, packed);
      for (let i = 0; i < (type.length ?? 0); i++) collectLeaves(type.of, packed, word + i * words, leaves);
      break;
    }
    case "struct":
      type.members.forEach((member, index) => {
        collectLeaves(member.type, packed, word + wordsBefore(type, index, packed), leaves);
      });
  }
}
