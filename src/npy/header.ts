/**
 * The header of NumPy's .npy files: versions 1 to 3 are read, version 1 is written.
 *
 *     byte 0   "\x93NUMPY"
 *     byte 6   major version, minor version
 *     byte 8   length of the text: 2 bytes in version 1, 4 bytes from version 2 on, little endian
 *     then     "{'descr': '<f4', 'fortran_order': False, 'shape': (1000, 100), }", spaces, a newline
 *     then     the elements
 */

import type { ElementType } from "../device/element.js";
import { MemoryError } from "../mm/errors.js";

export interface NpyHeader {
  readonly type: ElementType;
  readonly littleEndian: boolean;
  /** Lengths of the dimensions, the outermost first; none for a single element. */
  readonly shape: readonly number[];
  /** Elements. */
  readonly length: number;
  /** Bytes of the file before the elements. */
  readonly dataOffset: number;
}

const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);
/** Longer headers are those of structured types, which are no elements here. */
const MAX_HEADER_BYTES = 65_536;

const TYPES: Readonly<Record<string, ElementType>> = {
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

const DESCRIPTORS: Readonly<Record<ElementType, string>> = {
  f32: "<f4",
  f64: "<f8",
  i8: "|i1",
  i16: "<i2",
  i32: "<i4",
  i64: "<i8",
  u8: "|u1",
  u16: "<u2",
  u32: "<u4",
  u64: "<u8",
};

/** The header in the first bytes of a file; null when more of them are needed. EINVAL names what cannot be read. */
export function readNpyHeader(start: Uint8Array): NpyHeader | null {
  if (MAGIC.some((byte, i) => i < start.length && start[i] !== byte))
    throw refusal("does not begin with \\x93NUMPY, as .npy files do");
  const [version = 1] = start.subarray(6);
  if (version < 1 || version > 3) throw refusal(`is of .npy version ${version}; versions 1 to 3 can be read`);
  const textOffset = version === 1 ? 10 : 12;
  if (start.length < textOffset) return null;
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const dataOffset = textOffset + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (dataOffset > MAX_HEADER_BYTES)
    throw refusal(`has a header of ${dataOffset} bytes; at most ${MAX_HEADER_BYTES} can be read`);
  if (start.length < dataOffset) return null;
  const text = new TextDecoder(version === 3 ? "utf-8" : "latin1").decode(start.slice(textOffset, dataOffset));
  return { ...typeIn(text), ...shapeIn(text), dataOffset };
}

export function writeNpyHeader(type: ElementType, shape: readonly number[]): Uint8Array<ArrayBuffer> {
  const lengths = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${DESCRIPTORS[type]}', 'fortran_order': False, 'shape': (${lengths}), }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const header = new Uint8Array(length).fill(0x20);
  header.set(MAGIC);
  header.set([1, 0, (length - 10) & 0xff, (length - 10) >> 8], 6);
  header.set(new TextEncoder().encode(text), 10);
  header[length - 1] = 0x0a;
  return header;
}

function typeIn(text: string): { type: ElementType; littleEndian: boolean } {
  const match = /['"]descr['"]\s*:\s*(?:['"]([^'"]*)['"]|\[)/.exec(text);
  if (match === null) throw refusal("names no type of element");
  const descriptor = match[1];
  if (descriptor === undefined) throw refusal("has elements of a structured type");
  const name = /^[<>|=](\w+)$/.exec(descriptor)?.[1] ?? "";
  if (!Object.hasOwn(TYPES, name)) {
    throw refusal(
      `has elements of type '${descriptor}', which is none of float32 and 64, int and uint8 to 64, and bool`,
    );
  }
  return { type: TYPES[name], littleEndian: !descriptor.startsWith(">") };
}

function shapeIn(text: string): { shape: number[]; length: number } {
  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1];
  if (order === undefined) throw refusal("does not say whether its order is Fortran's");
  const lengths = /['"]shape['"]\s*:\s*\(([\d\s,]*)\)/.exec(text)?.[1];
  if (lengths === undefined) throw refusal("gives no shape");
  const shape = (lengths.match(/\d+/g) ?? []).map(Number);
  // With one dimension the two orders are one.
  if (order === "True" && shape.length > 1)
    throw refusal(
      `is in Fortran order, shape (${shape.join(", ")}): only C order, rows one after another, can be read`,
    );
  const length = shape.reduce((product, dimension) => product * dimension, 1);
  if (!Number.isSafeInteger(length) || length < 1)
    throw refusal(`has the shape (${shape.join(", ")}), ${length} elements: an array has at least 1`);
  return { shape, length };
}

function refusal(what: string): MemoryError {
  return new MemoryError("EINVAL", `the .npy source ${what}`);
}
