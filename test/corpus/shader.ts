/**
 * Shaders that every device has to run alike, in every mode. Each is complete and valid by itself: as a program without this
 * library would have it.
 */

import type { DispatchShape } from "../../src/device/driver.js";
import type { ElementType } from "../../src/device/element.js";
import type { Footprint } from "../../src/unified/footprint.js";

/** What a kernel does with its arrays. */
export type Property =
  | "streaming"
  | "gather"
  | "scatter"
  | "in place"
  | "reduction"
  | "data-dependent loop"
  | "workgroups";

/** How an array begins: whole numbers below a bound that a seed decides, or all of one. */
export type Start = { readonly below: number } | { readonly all: number };

export interface ShaderArray {
  readonly type: ElementType;
  readonly length: number;
  readonly start: Start;
}

export interface Shader {
  readonly name: string;
  readonly properties: readonly Property[];
  readonly text: string;
  readonly arrays: Readonly<Record<string, ShaderArray>>;
  readonly shape: DispatchShape;
  /** Of the arrays whose use is known before. Those that are not here make the kernel a paged one. */
  readonly footprint: Readonly<Record<string, Footprint>>;
  readonly uniforms?: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
  readonly constants?: Readonly<Record<string, number>>;
  readonly entryPoint?: string;
  /** Why the software device has none of it; missing for what it runs. */
  readonly notOnMirror?: RegExp;
  /** Why it cannot be paged, and where; missing for what can. */
  readonly notPaged?: { readonly line: number; readonly column: number; readonly reason: RegExp };
}

/** Declares storage: group 0, in the order of the names. `rw` before a type: written. */
export function storage(arrays: Readonly<Record<string, string>>): string {
  return Object.entries(arrays)
    .map(([name, type], i) => {
      const isWritten = type.startsWith("rw ");
      const access = isWritten ? "read_write" : "read";
      return `@group(0) @binding(${i}) var<storage, ${access}> ${name}: ${type.replace("rw ", "")};\n`;
    })
    .join("");
}

/** The entry point: `i` is the invocation's number. */
export function main(body: string, workgroup = "64"): string {
  return `@compute @workgroup_size(${workgroup})\nfn main(@builtin(global_invocation_id) id: vec3u) {\n  let i = id.x;\n${body}\n}\n`;
}

export const below = (bound: number): Start => ({ below: bound });
export const all = (value: number): Start => ({ all: value });
