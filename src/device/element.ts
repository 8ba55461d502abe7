/**
 * Element types: those of WGSL with a power-of-two stride, so that no element straddles a page, structures among them, and
 * the 8, 16 and 64-bit numbers that exist on the host and on the software device only.
 *
 * A view of elements is flat: a typed array of the one type of number that the elements are made of, padding included, so
 * four numbers an element for "vec4f" and for "vec3f". Structures of several types of number are viewed as bytes.
 */

import { MemoryError } from "../mm/errors.js";
import {
  CONSTRUCTORS,
  isPowerOfTwo,
  layoutNames,
  layoutOf,
  type MatrixType,
  type ScalarType,
  type VectorType,
} from "./layout.js";

/** What structures are made of: WGSL's 32-bit numbers, vectors and matrices, and other structures. */
export type MemberType = "f32" | "i32" | "u32" | VectorType | MatrixType | StructType;

/** What all views of a structure are made of: the numbers of its members if they are of one type, else bytes. */
export type StructScalar = "f32" | "i32" | "u32" | "u8";

/** A structure in WGSL's layout, as `struct` of `pageferry/struct` makes it. A structured clone of it is one too. Sizes are in bytes. */
export interface StructType<S extends StructScalar = StructScalar> {
  readonly members: Readonly<Record<string, MemberType>>;
  /** Bytes of the structure before each member. */
  readonly offsets: Readonly<Record<string, number>>;
  readonly scalar: S;
  readonly size: number;
  readonly align: number;
  /** From one element of an array to the next. */
  readonly stride: number;
}

/**
 * Types of elements: by a name, as "f32" for a 32-bit float or "vec4f" for a vector of four, or a structure. Each has a
 * stride that is a power of two.
 */
export type ElementType = ScalarType | VectorType | Exclude<MatrixType, `mat3${string}`> | StructType;

interface Views<B extends ArrayBufferLike> {
  f32: Float32Array<B>;
  i32: Int32Array<B>;
  u32: Uint32Array<B>;
  f64: Float64Array<B>;
  i8: Int8Array<B>;
  u8: Uint8Array<B>;
  i16: Int16Array<B>;
  u16: Uint16Array<B>;
  i64: BigInt64Array<B>;
  u64: BigUint64Array<B>;
}

/** The type of number in views of a type of element. */
export type ScalarOf<T extends ElementType | MemberType> = T extends ScalarType
  ? T
  : T extends StructType<infer S>
    ? S
    : T extends `${string}f`
      ? "f32"
      : T extends `${string}i`
        ? "i32"
        : "u32";

/** The typed array over elements of a type, of any buffer or of one kind of buffer. */
export type View<
  T extends ElementType = ElementType,
  B extends ArrayBufferLike = ArrayBufferLike,
> = Views<B>[ScalarOf<T>];

/** A typed array in a kernel: its author knows which. */
// Kernels index views of a type that only their author knows; a union of number and bigint arrays could not be used.
// oxlint-disable-next-line no-explicit-any
export type ElementArray = any;

/** All single numbers that are element types. */
export const SCALAR_TYPES = Object.keys(CONSTRUCTORS) as readonly ScalarType[];

/** All element types that have a name. */
export const ELEMENT_TYPES = layoutNames().filter((name) => isElementType(name)) as readonly Exclude<
  ElementType,
  StructType
>[];

/** Whether a value is an element type. */
export function isElementType(type: unknown): type is ElementType {
  const stride = strideOfAny(type);
  return stride !== undefined && isPowerOfTwo(stride);
}

/** The stride of what may be no element type; undefined for no type at all. */
function strideOfAny(type: unknown): number | undefined {
  if (typeof type === "string") return layoutOf(type)?.stride;
  return isStructType(type) ? type.stride : undefined;
}

/** Whether a value is a structure, of any stride. */
export function isStructType(type: unknown): type is StructType {
  const { members, offsets, stride } = (type ?? {}) as Partial<StructType>;
  return typeof members === "object" && typeof offsets === "object" && typeof stride === "number";
}

/** Throws EINVAL, which says what is wrong with it, for what is no type of elements in pages of `pageSize` bytes. */
export function checkElementType(type: unknown, pageSize: number): asserts type is ElementType {
  const stride = strideOfAny(type);
  if (stride !== undefined) {
    if (isPowerOfTwo(stride) && stride <= pageSize) return;
    const bound = isPowerOfTwo(stride)
      ? `more than the ${pageSize} of a page`
      : `which is no power of two: the next is ${2 ** Math.ceil(Math.log2(stride))}`;
    throw new MemoryError("EINVAL", `${nameOf(type as ElementType)} has a stride of ${stride} bytes, ${bound}`);
  }
  if (typeof type === "object" && type !== null)
    throw new MemoryError("EINVAL", "an object is no element type, unless struct() of pageferry/struct made it");
  throw new MemoryError("EINVAL", `element type "${String(type)}" is none of ${ELEMENT_TYPES.join(", ")}`);
}

/** A type as messages name it. */
export function nameOf(type: ElementType | MemberType): string {
  if (typeof type === "string") return type;
  const members = Object.entries(type.members).map(([name, member]) => `${name}: ${nameOf(member)}`);
  return `struct { ${members.join(", ")} }`;
}

/** Bytes from one element to the next. */
export function strideOf(type: ElementType): number {
  return typeof type === "string" ? layoutOf(type).stride : type.stride;
}

/** The type of number in views. */
export function scalarOf(type: ElementType): ScalarType {
  return typeof type === "string" ? layoutOf(type).scalar : type.scalar;
}

/** Numbers an element in views. */
export function numbersOf(type: ElementType): number {
  return strideOf(type) / CONSTRUCTORS[scalarOf(type)].BYTES_PER_ELEMENT;
}

/** `length` elements of a buffer from a byte on, which is a multiple of the stride. */
export function viewOf<T extends ElementType, B extends ArrayBufferLike = ArrayBuffer>(
  type: T,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): View<T, B> {
  const { [scalarOf(type)]: View } = CONSTRUCTORS;
  return new View(buffer as ArrayBuffer, byteOffset, length * numbersOf(type)) as unknown as View<T, B>;
}

export function isViewOf<T extends ElementType>(type: T, value: unknown): value is View<T> {
  return value instanceof CONSTRUCTORS[scalarOf(type)];
}
