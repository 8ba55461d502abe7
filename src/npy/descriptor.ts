/**
 * NumPy's types for element types. Vectors and matrices are numbers with dimensions of their own, the innermost: (rows), or
 * (columns, rows). Structures are structured types. Padding stays out of files: NumPy's types have none that is not asked for.
 */

import { type ElementType, isStructType, type MemberType, strideOf } from "../device/element.js";
import { CONSTRUCTORS, type Layout, layoutOf, type ScalarType } from "../device/layout.js";

export const SCALAR_OF_NAME: Readonly<Record<string, ScalarType>> = {
  f4: "f32",
  f8: "f64",
  i1: "i8",
  i2: "i16",
  i4: "i32",
  i8: "i64",
  u1: "u8",
  u2: "u16",
  u4: "u32",
  u8: "u64",
  b1: "u8",
};

const DESCRIPTORS: Readonly<Record<ScalarType, string>> = {
  f32: "'<f4'",
  f64: "'<f8'",
  i8: "'|i1'",
  i16: "'<i2'",
  i32: "'<i4'",
  i64: "'<i8'",
  u8: "'|u1'",
  u16: "'<u2'",
  u32: "'<u4'",
  u64: "'<u8'",
};

/** The `descr` of a header, and the dimensions within an element. */
export function descriptorOf(type: ElementType | MemberType): { descriptor: string; dimensions: readonly number[] } {
  if (!isStructType(type)) {
    const layout = layoutOf(type);
    return { descriptor: DESCRIPTORS[layout.scalar], dimensions: dimensionsOf(layout) };
  }
  const fields = Object.entries(type.members).map(([name, member]) => {
    const { descriptor, dimensions } = descriptorOf(member);
    return `('${name}', ${descriptor}${dimensions.length === 0 ? "" : `, ${tuple(dimensions)}`})`;
  });
  return { descriptor: `[${fields.join(", ")}]`, dimensions: [] };
}

/** As Python writes it. */
export function tuple(lengths: readonly number[]): string {
  return lengths.length === 1 ? `(${lengths[0]},)` : `(${lengths.join(", ")})`;
}

/** Takes the padding out of whole elements; the chunk itself where they have none. */
export function packer(type: ElementType): (chunk: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> {
  const stride = strideOf(type);
  const runs = runsOf(type, 0);
  const packed = runs.reduce((bytes, { from, to }) => bytes + to - from, 0);
  if (packed === stride) return (chunk) => chunk;
  return (chunk) => {
    const out = new Uint8Array((chunk.byteLength / stride) * packed);
    let at = 0;
    for (let element = 0; element < chunk.byteLength; element += stride) {
      for (const { from, to } of runs) {
        for (let i = element + from; i < element + to; i++) out[at++] = chunk[i];
      }
    }
    return out;
  };
}

interface Run {
  readonly from: number;
  readonly to: number;
}

/** The bytes of an element that hold numbers, neighbours as one. */
function runsOf(type: ElementType | MemberType, at: number): Run[] {
  const runs: Run[] = [];
  const add = ({ from, to }: Run): void => {
    const last = runs.at(-1);
    if (last?.to === from) runs[runs.length - 1] = { from: last.from, to };
    else runs.push({ from, to });
  };
  if (isStructType(type)) {
    for (const [name, member] of Object.entries(type.members)) runsOf(member, at + type.offsets[name]).forEach(add);
    return runs;
  }
  const { scalar, columns, rows, columnStride } = layoutOf(type);
  for (let column = 0; column < columns; column++) {
    const from = at + column * columnStride;
    add({ from, to: from + rows * CONSTRUCTORS[scalar].BYTES_PER_ELEMENT });
  }
  return runs;
}

function dimensionsOf({ columns, rows }: Layout): number[] {
  if (columns > 1) return [columns, rows];
  return rows > 1 ? [rows] : [];
}
