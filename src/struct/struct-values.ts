/** The values of structures in memory: member by member, little endian, padding left alone. */

import { isStructType, nameOf, type StructType } from "../device/element.js";
import { CONSTRUCTORS, type Layout, layoutOf, type ScalarType } from "../device/layout.js";
import { MemoryError } from "../mm/errors.js";

type Stored = number | number[] | { [name: string]: Stored };
type Views = ArrayBufferView | { [name: string]: Views };

/** Bytes `[from, to)` of a view as numbers of a type. */
export function atOffset(scalar: ScalarType, view: ArrayBufferView, from: number, to: number): ArrayBufferView {
  const { [scalar]: Numbers } = CONSTRUCTORS;
  const length = Math.floor((to - from) / Numbers.BYTES_PER_ELEMENT);
  return new Numbers(view.buffer as ArrayBuffer, view.byteOffset + from, length);
}

export function viewsOf({ members, offsets }: StructType, view: ArrayBufferView, from = 0): Record<string, Views> {
  const views: Record<string, Views> = {};
  for (const [name, type] of Object.entries(members)) {
    // No elements have no member to begin at.
    const at = Math.min(from + offsets[name], view.byteLength);
    views[name] = isStructType(type)
      ? viewsOf(type, view, from + offsets[name])
      : atOffset(layoutOf(type).scalar, view, at, view.byteLength);
  }
  return views;
}

export function readStruct({ members, offsets }: StructType, data: DataView, at: number): { [name: string]: Stored } {
  const values: { [name: string]: Stored } = {};
  for (const [name, type] of Object.entries(members)) {
    const from = at + offsets[name];
    values[name] = isStructType(type) ? readStruct(type, data, from) : readNumbers(layoutOf(type), data, from);
  }
  return values;
}

function readNumbers(layout: Layout, data: DataView, at: number): number | number[] {
  const { scalar, columns, rows, columnStride } = layout;
  if (columns * rows === 1) return readNumber(scalar, data, at);
  return Array.from({ length: columns * rows }, (_, i) =>
    readNumber(scalar, data, at + Math.floor(i / rows) * columnStride + (i % rows) * 4),
  );
}

function readNumber(scalar: ScalarType, data: DataView, at: number): number {
  if (scalar === "f32") return data.getFloat32(at, true);
  return scalar === "i32" ? data.getInt32(at, true) : data.getUint32(at, true);
}

/** EINVAL, naming the member, for values that do not fit the structure. */
export function writeStruct(type: StructType, data: DataView, at: number, values: unknown): void {
  const { members, offsets } = type;
  if (typeof values !== "object" || values === null)
    throw new MemoryError("EINVAL", `the value of ${nameOf(type)} is an object of its members, not ${String(values)}`);
  const unknown = Object.keys(values).find((name) => !Object.hasOwn(members, name));
  if (unknown !== undefined) throw new MemoryError("EINVAL", `${nameOf(type)} has no member "${unknown}"`);
  for (const [name, member] of Object.entries(members)) {
    const value = (values as Record<string, unknown>)[name];
    if (isStructType(member)) writeStruct(member, data, at + offsets[name], value);
    else writeNumbers(layoutOf(member), data, at + offsets[name], value, `member "${name}", a ${member},`);
  }
}

function writeNumbers(layout: Layout, data: DataView, at: number, value: unknown, what: string): void {
  const { scalar, columns, rows, columnStride } = layout;
  const count = columns * rows;
  const numbers: unknown = count === 1 ? [value] : value;
  if (!isNumbers(numbers, count))
    throw new MemoryError(
      "EINVAL",
      `${what} takes ${count === 1 ? "a number" : `${count} numbers`}, not ${shown(value)}`,
    );
  for (let i = 0; i < count; i++) {
    const place = at + Math.floor(i / rows) * columnStride + (i % rows) * 4;
    if (scalar === "f32") data.setFloat32(place, numbers[i], true);
    else data.setUint32(place, numbers[i], true);
  }
}

function isNumbers(value: unknown, count: number): value is ArrayLike<number> {
  if (typeof value !== "object" || value === null) return false;
  const numbers = value as ArrayLike<unknown>;
  return numbers.length === count && Array.from(numbers).every((number) => typeof number === "number");
}

function shown(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  return "length" in value ? `${String(value.length)} of them` : "an object";
}
