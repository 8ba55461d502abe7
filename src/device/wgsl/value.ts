/** What the compiler knows of a value, and of a place that holds one: its type, and each of its numbers as JavaScript. */

import { type Constant, writeConstant } from "./operators.js";
import type { ArrayOf, Scalar, Type } from "./types.js";

/**
 * A value as its numbers, which are JavaScript expressions without effects. They may read variables, so that they are good
 * until one of those is written.
 */
export interface Value {
  readonly type: Type;
  readonly parts: readonly string[];
  /** Of a constant: the numbers themselves. */
  readonly constants?: readonly Constant[];
}

export type Access = "read" | "write" | "read_write";

/** A buffer that the generated code reads and writes as words. */
export interface Root {
  /** Begins the names of its views in the generated code. */
  readonly prefix: string;
  /** Numbers lie one after another, without WGSL's padding. */
  readonly packed: boolean;
  readonly access: Access;
  /** Of a storage variable: notes its use. */
  readonly storage?: StorageUse;
}

/** A variable of storage that the code uses. */
export interface StorageUse {
  readonly name: string;
  readonly number: number;
  /** What one element of the bound array is. */
  readonly element: Type;
  /** Of an array with a fixed length, 1 for what is no array; null for as many as there are. */
  readonly length: number | null;
  read: boolean;
  written: boolean;
}

/** A place: what a variable's name, an index or a member denotes, and what a pointer points to. */
export type Place =
  | { readonly kind: "names"; readonly type: Type; readonly names: readonly string[]; readonly access: Access }
  /** One number of a vector in variables, by an index that is known when the kernel runs. */
  | {
      readonly kind: "component";
      readonly type: Scalar;
      readonly names: readonly string[];
      readonly index: string;
      readonly access: Access;
    }
  /** `dynamic` is the name of a word number, or empty; `word` is added to it. */
  | {
      readonly kind: "memory";
      readonly type: Type;
      readonly root: Root;
      readonly dynamic: string;
      readonly word: number;
      /** The name of the number of the page that the words are on, from whose start they are counted; of an array in pages. */
      readonly page?: string;
    }
  /** A whole array of storage: it can be indexed, and asked for its length. */
  | { readonly kind: "storage"; readonly type: ArrayOf; readonly root: Root & { readonly storage: StorageUse } };

export function constantValue(type: Type, constants: readonly Constant[]): Value {
  return { type, parts: constants.map((constant) => writeConstant(constant)), constants };
}
