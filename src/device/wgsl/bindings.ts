/** What a kernel's variables are bound to: arrays by the type of their elements, uniforms as bytes in WGSL's layout. */

import { MemoryError } from "../../mm/errors.js";
import type { ElementType, StructType } from "../element.js";
import { matrixName, nameOfType, sizeOf, type Struct, type Type } from "./types.js";

/** Whether elements of an array lie as WGSL lays the type out: structures by offsets and types, whatever their members' names. */
export function isElementOf(type: Type, element: ElementType | StructType["members"][string]): boolean {
  switch (type.kind) {
    case "scalar":
      return element === type.name;
    case "atomic":
      return element === type.of.name;
    case "vector":
      return element === `vec${type.size}${type.of.name.charAt(0)}`;
    case "matrix":
      return element === matrixName(type);
    case "array":
      return false;
    case "struct":
      return typeof element !== "string" && isStructOf(type, element);
  }
}

function isStructOf(type: Struct, { members, offsets, size }: StructType): boolean {
  const entries = Object.entries(members);
  return (
    entries.length === type.members.length &&
    size === type.size &&
    type.members.every((member, i) => {
      const [name, element] = entries[i];
      return offsets[name] === member.offset && isElementOf(member.type, element);
    })
  );
}

/** The type as `createArray` takes it, for messages. */
export function elementNameOf(type: Type): string {
  switch (type.kind) {
    case "vector":
      return `vec${type.size}${type.of.name.charAt(0)}`;
    case "matrix":
      return matrixName(type);
    case "atomic":
      return type.of.name;
    case "struct":
      return `struct { ${type.members.map((member) => `${member.name}: ${elementNameOf(member.type)}`).join(", ")} }`;
    case "scalar":
    case "array":
      return nameOfType(type);
  }
}

const VIEWS = { f32: Float32Array, i32: Int32Array, u32: Uint32Array } as const;

/** A uniform's bytes, copied: from a number, a typed array of the type's own numbers, or bytes in WGSL's layout. */
export function uniformBytes(label: string, name: string, type: Type, value: unknown): Uint8Array {
  const size = sizeOf(type);
  const refuse = (found: string): never => {
    throw new MemoryError("EINVAL", `uniform "${name}" of kernel "${label}" is ${nameOfType(type)}, ${found}`);
  };
  const bytes = new Uint8Array(size);
  if (typeof value === "number") {
    if (type.kind !== "scalar") return refuse(`not a number: give its ${size} bytes`);
    const view = VIEWS[type.name as keyof typeof VIEWS];
    const [held] = view.of(value);
    if (type.name !== "f32" && held !== value) return refuse(`which cannot be ${value}`);
    bytes.set(new Uint8Array(view.of(value).buffer));
    return bytes;
  }
  const view = isBuffer(value) ? new Uint8Array(value) : value;
  if (!ArrayBuffer.isView(view)) {
    return refuse(`given as ${value === undefined ? "nothing" : typeof value}: give a number, a typed array or bytes`);
  }
  if (!isRaw(view) && !isOfNumbers(type, view)) return refuse(`given as ${view.constructor.name}`);
  const given = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  if (given.byteLength !== size) return refuse(`of ${size} bytes, not ${given.byteLength}`);
  bytes.set(given);
  return bytes;
}

function isBuffer(value: unknown): value is ArrayBufferLike {
  if (value instanceof ArrayBuffer) return true;
  return typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer;
}

function isRaw(value: ArrayBufferView): boolean {
  return value instanceof DataView || value instanceof Uint8Array || value instanceof Uint8ClampedArray;
}

/** Whether a typed array has the type's own kind of numbers; structures of several kinds take either. */
function isOfNumbers(type: Type, value: ArrayBufferView): boolean {
  const kinds = new Set(kindsOf(type));
  return [...kinds].some((kind) => value instanceof VIEWS[kind as keyof typeof VIEWS]);
}

function kindsOf(type: Type): string[] {
  switch (type.kind) {
    case "scalar":
      return [type.name];
    case "matrix":
      return ["f32"];
    case "struct":
      return type.members.flatMap((member) => kindsOf(member.type));
    case "vector":
    case "array":
    case "atomic":
      return kindsOf(type.of);
  }
}
