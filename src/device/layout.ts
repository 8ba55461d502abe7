/**
 * WGSL's layout of scalars, vectors and matrices in storage buffers, and the 8, 16 and 64-bit scalars that exist on the host
 * and on the software device only. A vector of three takes the place of four; a matrix is its columns, one after another.
 */

export const CONSTRUCTORS = {
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

/** Types of single numbers, by their short names: "f32" is a 32-bit float. */
export type ScalarType = keyof typeof CONSTRUCTORS;

/** WGSL's vectors of 32-bit numbers: "vec4f" is four of "f32". */
export type VectorType = `vec${2 | 3 | 4}${"f" | "i" | "u"}`;

/** WGSL's matrices of "f32": "mat4x2f" has four columns of two rows. */
export type MatrixType = `mat${2 | 3 | 4}x${2 | 3 | 4}f`;

/** Where the numbers of one value are. Sizes are in bytes. */
export interface Layout {
  readonly scalar: ScalarType;
  readonly columns: number;
  readonly rows: number;
  /** From one column to the next. */
  readonly columnStride: number;
  readonly size: number;
  readonly align: number;
  /** From one value to the next in an array. */
  readonly stride: number;
}

const WGSL_SCALARS = { f: "f32", i: "i32", u: "u32" } as const;

const LAYOUTS: ReadonlyMap<string, Layout> = new Map(allLayouts());

/** The layout of a type by its name; undefined for what is no such name. */
export function layoutOf(name: ScalarType | VectorType | MatrixType): Layout;
export function layoutOf(name: string): Layout | undefined;
export function layoutOf(name: string): Layout | undefined {
  return LAYOUTS.get(name);
}

/** The names of all types that have a layout. */
export function layoutNames(): string[] {
  return [...LAYOUTS.keys()];
}

export function isPowerOfTwo(bytes: number): boolean {
  return Number.isInteger(Math.log2(bytes));
}

function* allLayouts(): Generator<[string, Layout]> {
  for (const [name, { BYTES_PER_ELEMENT }] of Object.entries(CONSTRUCTORS)) {
    yield [name, layoutFor(name as ScalarType, BYTES_PER_ELEMENT, 1, 1)];
  }
  for (const [letter, scalar] of Object.entries(WGSL_SCALARS)) {
    for (const rows of [2, 3, 4]) yield [`vec${rows}${letter}`, layoutFor(scalar, 4, 1, rows)];
  }
  for (const columns of [2, 3, 4]) {
    for (const rows of [2, 3, 4]) yield [`mat${columns}x${rows}f`, layoutFor("f32", 4, columns, rows)];
  }
}

function layoutFor(scalar: ScalarType, bytes: number, columns: number, rows: number): Layout {
  const align = (rows === 3 ? 4 : rows) * bytes;
  const size = columns === 1 ? rows * bytes : columns * align;
  return { scalar, columns, rows, columnStride: align, size, align, stride: columns * align };
}
