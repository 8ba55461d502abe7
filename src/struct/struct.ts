/**
 * Structures as element types, in WGSL's layout: each member at the next multiple of its alignment, the whole as long as a
 * multiple of the largest one. A structure holds data alone in its own properties, so that its structured clone in another
 * thread has the same layout.
 */

import { isStructType, type MemberType, nameOf, type ScalarOf, type StructType, type View } from "../device/element.js";
import { type Layout, layoutNames, layoutOf, type MatrixType, type VectorType } from "../device/layout.js";
import { MemoryError } from "../mm/errors.js";
import { atOffset, readStruct, viewsOf, writeStruct } from "./struct-values.js";

/** The members of a structure by their names, in order. */
export type Members = Readonly<Record<string, MemberType>>;

/** What views of a structure of these members are made of. */
export type ScalarOfMembers<M extends Members> = [ScalarOf<M[keyof M]>] extends ["f32"]
  ? "f32"
  : [ScalarOf<M[keyof M]>] extends ["i32"]
    ? "i32"
    : [ScalarOf<M[keyof M]>] extends ["u32"]
      ? "u32"
      : "u8";

/** A structure's values by the names of its members: vectors and matrices are their numbers, column after column. */
export type StructValue<M extends Members> = {
  readonly [name in keyof M]: M[name] extends Struct<infer N>
    ? StructValue<N>
    : M[name] extends VectorType | MatrixType
      ? readonly number[]
      : number;
};

/** The same as it may be given: numbers in anything that has them by index. */
export type StructInput<M extends Members> = {
  readonly [name in keyof M]: M[name] extends Struct<infer N>
    ? StructInput<N>
    : M[name] extends VectorType | MatrixType
      ? ArrayLike<number>
      : number;
};

/** A typed array for each member, of the member's own type of number, from the member's first number in the first element on. */
export type MemberViews<M extends Members, B extends ArrayBufferLike = ArrayBufferLike> = {
  readonly [name in keyof M]: M[name] extends Struct<infer N>
    ? MemberViews<N, B>
    : ScalarOf<M[name]> extends "f32"
      ? Float32Array<B>
      : ScalarOf<M[name]> extends "i32"
        ? Int32Array<B>
        : Uint32Array<B>;
};

/** A structure in WGSL's layout, to make arrays of and to be a member of others. Sizes are in bytes. */
export class Struct<M extends Members = Members> implements StructType<ScalarOfMembers<M>> {
  readonly members: M;
  readonly offsets: { readonly [name in keyof M]: number };
  readonly scalar: ScalarOfMembers<M>;
  readonly size: number;
  readonly align: number;
  readonly stride: number;
  /** Numbers of 32 bits from one element to the next, in each of the `views`. */
  readonly step: number;

  /** Made by `struct`. */
  constructor(members: M) {
    const offsets: Record<string, number> = {};
    const scalars = new Set<string>();
    let end = 0;
    let align = 4;
    for (const [name, type] of Object.entries(members)) {
      const member = memberLayout(name, type);
      offsets[name] = roundUp(end, member.align);
      end = offsets[name] + member.size;
      align = Math.max(align, member.align);
      scalars.add(member.scalar);
    }
    const [scalar] = scalars.size === 1 ? scalars : ["u8"];
    this.members = Object.freeze({ ...members });
    this.offsets = Object.freeze(offsets) as { readonly [name in keyof M]: number };
    this.scalar = scalar as ScalarOfMembers<M>;
    this.align = align;
    this.size = roundUp(end, align);
    this.stride = this.size;
    this.step = this.stride / 4;
    Object.freeze(this);
  }

  /**
   * A typed array for each member over elements in memory, such as a pin's view, what `read` resolved with, or an array in a
   * kernel: number `c` of the member in element `i` is at `[i * step + c]`. EINVAL for what is no whole number of elements.
   */
  views<B extends ArrayBufferLike>(elements: ArrayBufferView<B>): MemberViews<M, B> {
    this.#checkWhole(elements);
    return viewsOf(this, elements) as MemberViews<M, B>;
  }

  /** Elements of these values, for `write`, `fill` and `set` of typed arrays. EINVAL for a member that is missing or too short. */
  of(...values: readonly StructInput<M>[]): View<Struct<M>, ArrayBuffer> {
    const bytes = new Uint8Array(values.length * this.stride);
    const data = new DataView(bytes.buffer);
    for (const [i, value] of values.entries()) writeStruct(this, data, i * this.stride, value);
    return atOffset(this.scalar, bytes, 0, bytes.byteLength) as View<Struct<M>, ArrayBuffer>;
  }

  /** The values of element `index` of elements in memory. EINVAL when there is none. */
  at(elements: ArrayBufferView, index: number): StructValue<M> {
    this.#checkWhole(elements);
    const length = elements.byteLength / this.stride;
    if (!Number.isSafeInteger(index) || index < 0 || index >= length)
      throw new MemoryError("EINVAL", `there is no element ${index} among ${length} of ${nameOf(this)}`);
    const data = new DataView(elements.buffer, elements.byteOffset, elements.byteLength);
    return readStruct(this, data, index * this.stride) as StructValue<M>;
  }

  /** As WGSL declares it, without a name. */
  toString(): string {
    return nameOf(this);
  }

  #checkWhole({ byteLength, byteOffset }: ArrayBufferView): void {
    if (byteLength % this.stride === 0 && byteOffset % 4 === 0) return;
    throw new MemoryError(
      "EINVAL",
      `${byteLength} bytes from byte ${byteOffset} of their buffer on are no whole, aligned elements: ${nameOf(this)} has ${this.stride}`,
    );
  }
}

/**
 * A structure with these members, in order: `struct({ position: "vec3f", mass: "f32" })`. They are at WGSL's offsets, so a
 * kernel in WGSL declares the same. As an array's elements its stride is to be a power of two; a member may have any. EINVAL
 * for no members, names that are none in WGSL, and types that are none of `MemberType`.
 */
export function struct<const M extends Members>(members: M): Struct<M> {
  if (typeof members !== "object" || members === null || Object.keys(members).length === 0)
    throw new MemoryError("EINVAL", "a structure has at least 1 member: struct({ name: type, ... })");
  return new Struct(members);
}

/** WGSL's identifiers. Names that are numbers would also not keep their order. */
const IDENTIFIER = /^(?!__|_$)[\p{XIDS}_]\p{XIDC}*$/u;

function memberLayout(name: string, type: MemberType): Pick<Layout, "align" | "size"> & { scalar: string } {
  if (!IDENTIFIER.test(name)) throw new MemoryError("EINVAL", `"${name}" is no name of a member in WGSL`);
  if (isStructType(type)) return type;
  const layout = typeof type === "string" && isMemberName(type) ? layoutOf(type) : undefined;
  if (layout !== undefined) return layout;
  const names = layoutNames().filter((known) => isMemberName(known));
  throw new MemoryError(
    "EINVAL",
    `member "${name}" is of type "${String(type)}", which is no structure, and none of ${names.join(", ")}`,
  );
}

/** Types that WGSL has, which are those of 32-bit numbers. */
function isMemberName(name: string): boolean {
  return /^[fiu]32$|^vec|^mat/.test(name);
}

function roundUp(bytes: number, align: number): number {
  return Math.ceil(bytes / align) * align;
}
