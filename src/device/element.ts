/**
 * Element types: those of WGSL with a power-of-two stride, so that no element straddles a page, and the 8, 16 and 64-bit
 * types that exist on the host and on the software device only.
 */

const CONSTRUCTORS = {
  f32: Float32Array,
  i32: Int32Array,
  u32: Uint32Array,
  f64: Float64Array,
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
} as const;

/** Types of elements, by their short names: "f32" is a 32-bit float. Each has a stride that is a power of two. */
export type ElementType = keyof typeof CONSTRUCTORS;

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

/** The typed array over elements of a type, of any buffer or of one kind of buffer. */
export type View<T extends ElementType = ElementType, B extends ArrayBufferLike = ArrayBufferLike> = Views<B>[T];

/** A typed array in a kernel: its author knows which. */
// Kernels index views of a type that only their author knows; a union of number and bigint arrays could not be used.
// oxlint-disable-next-line no-explicit-any
export type ElementArray = any;

/** All element types. */
export const ELEMENT_TYPES = Object.keys(CONSTRUCTORS) as readonly ElementType[];

/** Whether a value names an element type. */
export function isElementType(type: unknown): type is ElementType {
  return typeof type === "string" && Object.hasOwn(CONSTRUCTORS, type);
}

/** Bytes an element. */
export function strideOf(type: ElementType): number {
  return CONSTRUCTORS[type].BYTES_PER_ELEMENT;
}

/** Elements `[byteOffset / stride, ...)` of a buffer; the offset is a multiple of the stride. */
export function viewOf<T extends ElementType>(
  type: T,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): View<T, ArrayBuffer> {
  return new CONSTRUCTORS[type](buffer as ArrayBuffer, byteOffset, length) as View<T, ArrayBuffer>;
}

export function isViewOf<T extends ElementType>(type: T, value: unknown): value is View<T> {
  return value instanceof CONSTRUCTORS[type];
}
