/**
 * The header of NumPy's .npy files, versions 1 to 3: read strictly, written in version 1. Only what the search can take
 * as it lies in the file passes: two dimensions, little-endian float32, rows one after another. Everything else is
 * refused by its name.
 *
 *     byte 0   "\x93NUMPY"
 *     byte 6   major version, minor version
 *     byte 8   length of the text: 2 bytes in version 1, 4 bytes from version 2 on, little endian
 *     then     "{'descr': '<f4', 'fortran_order': False, 'shape': (341479, 100), }", spaces, a newline
 *     then     the numbers
 */

import { JobFailure } from "./failure.js";

const magic = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);

/** So many bytes from the start of a file always hold a header that this reader accepts. */
export const headerBound = 65_536;

export interface NpyHeader {
  readonly rows: number;
  readonly dimensions: number;
  /** Where the numbers begin. */
  readonly dataOffset: number;
}

const typeNames: Readonly<Record<string, string>> = {
  b1: "bool",
  f2: "float16",
  f4: "float32",
  f8: "float64",
  f16: "float128",
  c8: "complex64",
  c16: "complex128",
  i1: "int8",
  i2: "int16",
  i4: "int32",
  i8: "int64",
  u1: "uint8",
  u2: "uint16",
  u4: "uint32",
  u8: "uint64",
};

export function isNpy(start: Uint8Array): boolean {
  return start.length >= magic.length && magic.every((byte, index) => start[index] === byte);
}

/** `start` is the beginning of the file, `headerBound` bytes of it or all; `file` is what messages call it. */
export function readNpyHeader(start: Uint8Array, file: string): NpyHeader {
  const refuse = (why: string): JobFailure => new JobFailure("EINVAL", `${file}: ${why}`);
  if (!isNpy(start)) throw refuse("not a .npy file: it does not begin with \\x93NUMPY");
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const version = start[6] ?? 0;
  if (start.length > 6 && (version < 1 || version > 3))
    throw refuse(`.npy version ${version}; versions 1 to 3 can be read`);
  const textOffset = version === 1 ? 10 : 12;
  if (start.length < textOffset) throw refuse(`cut off inside the .npy header, after ${start.length} bytes`);
  const textLength = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const dataOffset = textOffset + textLength;
  if (dataOffset > headerBound)
    throw refuse(`the .npy header takes ${dataOffset} bytes; at most ${headerBound} can be read`);
  if (start.length < dataOffset) {
    throw refuse(`cut off inside the .npy header: ${start.length} bytes of ${dataOffset}`);
  }
  const text = new TextDecoder(version === 3 ? "utf-8" : "latin1").decode(start.subarray(textOffset, dataOffset));

  const type = /['"]descr['"]\s*:\s*(?:['"]([^'"]*)['"]|(\[))/.exec(text);
  if (type === null) throw refuse("the .npy header names no type of element");
  if (type[1] !== "<f4") throw refuse(`the elements are ${typeName(type[1])}; little-endian float32 ('<f4') is needed`);

  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text);
  if (order === null) throw refuse("the .npy header does not say whether the order is Fortran's");
  if (order[1] === "True") {
    throw refuse("the array is in Fortran order (columns one after another); rows one after another are needed");
  }

  const shape = /['"]shape['"]\s*:\s*\(([\d\s,]*)\)/.exec(text);
  if (shape === null) throw refuse("the .npy header gives no shape");
  const lengths = (shape[1] ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(Number);
  const [rows, dimensions] = lengths;
  if (lengths.length !== 2 || rows === undefined || dimensions === undefined) {
    throw refuse(
      `the array has ${lengths.length} dimensions, shape (${lengths.join(", ")}); 2 are needed, words by numbers`,
    );
  }
  return { rows, dimensions, dataOffset };
}

export function writeNpyHeader(rows: number, dimensions: number): Uint8Array {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${dimensions}), }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const header = new Uint8Array(length).fill(0x20);
  header.set(magic);
  header.set([1, 0, (length - 10) & 0xff, (length - 10) >> 8], 6);
  header.set(new TextEncoder().encode(text), 10);
  header[length - 1] = 0x0a;
  return header;
}

function typeName(descriptor: string | undefined): string {
  if (descriptor === undefined) return "structured";
  const order = descriptor.startsWith(">") ? "big-endian " : "";
  const name = typeNames[descriptor.replace(/^[<>=|]/, "")];
  return name === undefined ? `of type '${descriptor}'` : `${order}${name} ('${descriptor}')`;
}
