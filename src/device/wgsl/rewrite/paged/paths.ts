/** Places in paged arrays: which array, which element, and which words of it. */

import { isPowerOfTwo } from "../../../layout.js";
import type { ArrayUse, KernelDescription } from "../../describe.js";
import { errorAt } from "../../error-at.js";
import type { ExpressionElem, GlobalVarElem } from "../../parse.js";
import { F32, nameOfType, strideOfArray, type Type, vectorOf } from "../../types.js";
import { type Instance, rootOf } from "../instances.js";
import type { Names } from "../names.js";

export interface PagedArray {
  readonly number: number;
  readonly use: ArrayUse;
  /** Words from one element to the next. */
  readonly words: number;
}

/** An index within an element: of a vector, a matrix or an array of fixed length. */
export interface InnerIndex {
  readonly node: ExpressionElem;
  readonly length: number;
  readonly words: number;
}

export interface Path {
  readonly array: PagedArray;
  /** null for a variable that is no array. */
  readonly index: ExpressionElem | null;
  readonly type: Type;
  /** Words of the element before what is meant, save for what inner indices add. */
  readonly words: number;
  readonly inner: readonly InnerIndex[];
}

export class Paths {
  readonly arrays: ReadonlyMap<GlobalVarElem, PagedArray>;
  readonly #names: Names;
  readonly #text: string;

  constructor({ arrays, source: { names, text } }: KernelDescription) {
    this.#names = names;
    this.#text = text;
    this.arrays = new Map(
      arrays.map((use, number): [GlobalVarElem, PagedArray] => {
        const words = strideOfArray({ kind: "array", of: use.element, length: null }) / 4;
        if (!isPowerOfTwo(words))
          throw errorAt(
            text,
            use.node.start,
            `elements of ${words * 4} bytes would lie on two pages: this kernel cannot be paged`,
          );
        return [use.node, { number, use, words }];
      }),
    );
  }

  /**
   * The place in a paged array that an expression means; null for all else, for whole arrays, and for what is made of a loaded
   * value (the swizzle of a vector). Throws a `KernelError` for places that the type does not have.
   */
  of(instance: Instance, node: ExpressionElem): Path | null {
    const root = rootOf(this.#names, instance, node);
    const array = root === null ? undefined : this.arrays.get(root.variable);
    return array === undefined ? null : this.#path(instance, node, array);
  }

  #path(instance: Instance, node: ExpressionElem, array: PagedArray): Path | null {
    switch (node.kind) {
      case "parenthesized-expression":
        return this.#path(instance, node.expression, array);
      case "unary-expression":
        return this.#path(instance, node.expression, array);
      case "ref":
        // A name of what points to an element is refused where it is declared.
        return array.use.indexed ? null : { array, index: null, type: array.use.element, words: 0, inner: [] };
      case "component-expression": {
        const base = this.#path(instance, node.base, array);
        if (base !== null) return this.#indexed(base, node.access);
        if (!this.#isWhole(instance, node.base)) return null;
        return { array, index: node.access, type: array.use.element, words: 0, inner: [] };
      }
      case "component-member-expression": {
        const base = this.#path(instance, node.base, array);
        return base === null ? null : this.#member(base, node.access.name, node);
      }
      case "binary-expression":
      case "call-expression":
      case "literal":
      case "type":
        return null;
    }
  }

  #isWhole(instance: Instance, node: ExpressionElem): boolean {
    return rootOf(this.#names, instance, node)?.whole === true;
  }

  #indexed(base: Path, node: ExpressionElem): Path | null {
    const { type } = base;
    const inner = (length: number, words: number, of: Type): Path => ({
      ...base,
      type: of,
      inner: [...base.inner, { node, length, words }],
    });
    if (type.kind === "vector") return inner(type.size, 1, type.of);
    if (type.kind === "matrix") return inner(type.columns, columnWords(type.rows), vectorOf(type.rows, F32));
    if (type.kind === "array") return inner(type.length ?? 0, strideOfArray(type) / 4, type.of);
    throw errorAt(this.#text, node.start, `${nameOfType(type)} has no elements`);
  }

  #member(base: Path, name: string, node: ExpressionElem): Path | null {
    const { type } = base;
    if (type.kind === "struct") {
      const member = type.members.find((candidate) => candidate.name === name);
      if (member === undefined)
        throw errorAt(this.#text, node.start, `structure "${type.name}" has no member "${name}"`);
      return { ...base, type: member.type, words: base.words + member.offset / 4 };
    }
    if (type.kind !== "vector" || name.length !== 1) return null;
    const component = "xyzw".includes(name) ? "xyzw".indexOf(name) : "rgba".indexOf(name);
    if (component < 0 || component >= type.size)
      throw errorAt(this.#text, node.start, `a vector of ${type.size} has no "${name}"`);
    return { ...base, type: type.of, words: base.words + component };
  }
}

/** Words from one column of a matrix to the next. */
export function columnWords(rows: number): number {
  return rows === 2 ? 2 : 4;
}
