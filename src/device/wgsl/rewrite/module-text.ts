/** What modules that are made of a kernel have in common: its declarations without its functions, and where its variables are bound. */

import type { KernelDescription } from "../describe.js";
import type { GlobalVarElem } from "../parse.js";
import { addressSpaceOf, nameOf } from "./instances.js";

/** What is bound at a number of group 0. */
export interface BindingPlace {
  readonly name: string;
  readonly binding: number;
  readonly kind: "array" | "uniform" | "bound";
  /** Of an array: whether it is declared as storage that can be written. */
  readonly writable: boolean;
}

/** Numbers for the kernel's arrays, uniforms and bindings, in this order. */
export function placesOf(
  { arrays, uniforms, bindings }: KernelDescription,
  writable: readonly string[],
): BindingPlace[] {
  const places: BindingPlace[] = [];
  for (const { name, node } of arrays) {
    const isWritable = node.template?.[1]?.name === "read_write" || writable.includes(name);
    places.push({ name, binding: places.length, kind: "array", writable: isWritable });
  }
  for (const { name } of uniforms) places.push({ name, binding: places.length, kind: "uniform", writable: false });
  for (const { name } of bindings) places.push({ name, binding: places.length, kind: "bound", writable: false });
  return places;
}

/**
 * Everything that is declared beside functions, save for variables that the entry point does not reach. `variable` gives the text
 * of those that it reaches; empty to leave one out.
 */
export function declarationsOf(
  { source: { text, declarations, variables } }: KernelDescription,
  variable: (node: GlobalVarElem) => string,
): string[] {
  const lines: string[] = [];
  for (const node of declarations) {
    if (node.kind === "fn" || (node.kind === "gvar" && !variables.has(node))) continue;
    lines.push(node.kind === "gvar" ? variable(node) : text.slice(node.start, node.end));
  }
  return lines;
}

/** A variable, bound where it has its place; as it stands for what is not bound. */
export function withPlace(text: string, node: GlobalVarElem, places: readonly BindingPlace[]): string {
  const space = addressSpaceOf(node);
  if (space === "private" || space === "workgroup") return text.slice(node.start, node.end);
  const name = nameOf(node);
  const place = places.find((candidate) => candidate.name === name);
  if (place === undefined) return "";
  const isArray = place.kind === "array";
  const template = isArray
    ? `<storage, ${place.writable ? "read_write" : "read"}>`
    : node.template === undefined
      ? ""
      : `<${node.template.map((word) => word.name).join(", ")}>`;
  const { typeRef } = node.name;
  const type = typeRef === undefined ? "" : `: ${text.slice(typeRef.start, typeRef.end)}`;
  return `@group(0) @binding(${place.binding}) var${template} ${name}${type};`;
}
