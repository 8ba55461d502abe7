/**
 * The header of NumPy's .npy files: versions 1 to 3 are read, and the lowest that can say it is written, mostly 1.
 *
 *     byte 0   "\x93NUMPY"
 *     byte 6   major version, minor version
 *     byte 8   length of the text: 2 bytes in version 1, 4 bytes from version 2 on, little endian
 *     then     "{'descr': '<f4', 'fortran_order': False, 'shape': (1000, 100), }", spaces, a newline
 *     then     the elements
 */

import type { ElementType } from "../device/element.js";
import type { ScalarType } from "../device/layout.js";
import { MemoryError } from "../mm/errors.js";
import { descriptorOf, SCALAR_OF_NAME, tuple } from "./descriptor.js";

/** What the header of a .npy file says. */
export interface NpyHeader {
  readonly type: ScalarType;
  /** Else the bytes of each element are in the other order. */
  readonly littleEndian: boolean;
  /** Lengths of the dimensions, the outermost first; none for a single element. */
  readonly shape: readonly number[];
  /** Elements. */
  readonly length: number;
  /** Bytes of the file before the elements. */
  readonly dataOffset: number;
}

const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);
/** Bytes of the longest header that is read. Longer ones are those of structured types, which are no elements here. */
export const MAX_NPY_HEADER_BYTES = 65_536;

/** Whether these first bytes of a file are those of .npy files. */
export function isNpy(start: Uint8Array): boolean {
  return start.length >= MAGIC.length && beginsLikeNpy(start);
}

/** As far as there are bytes. */
function beginsLikeNpy(start: Uint8Array): boolean {
  return MAGIC.every((byte, i) => i >= start.length || start[i] === byte);
}

/** The header in the first bytes of a file; null when more of them are needed. EINVAL names what cannot be read. */
export function readNpyHeader(start: Uint8Array): NpyHeader | null {
  if (!beginsLikeNpy(start)) throw refusal("does not begin with \\x93NUMPY, as .npy files do");
  const version = start.length > 6 ? start[6] : 1;
  if (version < 1 || version > 3) throw refusal(`is of .npy version ${version}; versions 1 to 3 can be read`);
  const textOffset = version === 1 ? 10 : 12;
  if (start.length < textOffset) return null;
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const dataOffset = textOffset + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (dataOffset > MAX_NPY_HEADER_BYTES)
    throw refusal(`has a header of ${dataOffset} bytes; at most ${MAX_NPY_HEADER_BYTES} can be read`);
  if (start.length < dataOffset) return null;
  const text = new TextDecoder(version === 3 ? "utf-8" : "latin1").decode(start.slice(textOffset, dataOffset));
  return { ...typeIn(text), ...shapeIn(text), dataOffset };
}

/**
 * A header of elements of a type; `shape` is that of the array of elements. Byte for byte as NumPy writes it, with room for a
 * first dimension of any length, so that files can be grown in place.
 */
export function writeNpyHeader(type: ElementType, shape: readonly number[]): Uint8Array<ArrayBuffer> {
  const { descriptor, dimensions } = descriptorOf(type);
  const lengths = [...shape, ...dimensions];
  const room = lengths.length === 0 ? "" : " ".repeat(21 - String(lengths[0]).length);
  const text = `{'descr': ${descriptor}, 'fortran_order': False, 'shape': ${tuple(lengths)}, }${room}`;
  // Version 1 has the first 256 letters and 2 bytes for its length, version 2 has 4 bytes, version 3 all letters.
  const letters = Array.from(text, (letter) => letter.codePointAt(0) ?? 0);
  const encoded = letters.every((code) => code < 256) ? Uint8Array.from(letters) : new TextEncoder().encode(text);
  const version = encoded.length !== letters.length ? 3 : encoded.length < 0x10000 - 64 ? 1 : 2;
  const textOffset = version === 1 ? 10 : 12;
  const length = Math.floor((textOffset + encoded.length + 1) / 64 + 1) * 64;
  const header = new Uint8Array(length).fill(0x20);
  const data = new DataView(header.buffer);
  header.set(MAGIC);
  header.set([version, 0], 6);
  if (version === 1) data.setUint16(8, length - textOffset, true);
  else data.setUint32(8, length - textOffset, true);
  header.set(encoded, textOffset);
  header[length - 1] = 0x0a;
  return header;
}

function typeIn(text: string): { type: ScalarType; littleEndian: boolean } {
  const match = /['"]descr['"]\s*:\s*(?:['"]([^'"]*)['"]|\[)/.exec(text);
  if (match === null) throw refusal("names no type of element");
  const descriptor = match[1];
  if (descriptor === undefined) {
    const fields = [...text.matchAll(/\(\s*['"]([^'"]+)['"]\s*,/g)].map(([, field]) => field);
    throw refusal(
      `has elements of a structured type, with the fields ${fields.join(", ")}: only single numbers can be read`,
    );
  }
  const name = /^[<>|=](\w+)$/.exec(descriptor)?.[1] ?? "";
  if (!Object.hasOwn(SCALAR_OF_NAME, name)) {
    throw refusal(
      `has elements of type '${descriptor}', which is none of float32 and 64, int and uint8 to 64, and bool`,
    );
  }
  return { type: SCALAR_OF_NAME[name], littleEndian: !descriptor.startsWith(">") };
}

function shapeIn(text: string): { shape: number[]; length: number } {
  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1];
  if (order === undefined) throw refusal("does not say whether its order is Fortran's");
  const lengths = /['"]shape['"]\s*:\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
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

export function refusal(what: string): MemoryError {
  return new MemoryError("EINVAL", `the .npy source ${what}`);
}
