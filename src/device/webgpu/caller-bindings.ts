/** What the caller of a dispatch binds beside arrays: WebGPU's own objects, by the names of the kernel's variables. */

import { MemoryError } from "../../mm/errors.js";
import type { BoundVariable } from "../wgsl/describe.js";

/** Throws EINVAL for a variable for which nothing is given, and for what is given but is no variable of the kernel. */
export function checkBindings(
  label: string,
  variables: readonly BoundVariable[],
  given: Readonly<Record<string, object>>,
): void {
  for (const { name, kind } of variables) {
    const value: unknown = given[name];
    if (typeof value !== "object" || value === null)
      throw new MemoryError("EINVAL", `kernel "${label}" needs a ${kind} as its binding "${name}"`);
  }
  for (const name of Object.keys(given)) {
    if (!variables.some((variable) => variable.name === name))
      throw new MemoryError("EINVAL", `kernel "${label}" has no binding "${name}"`);
  }
}

/** A buffer or a texture stands for all of it. */
export function resourceOf(given: object): GPUBindingResource {
  if ("mapAsync" in given) return { buffer: given as GPUBuffer };
  if ("createView" in given) return (given as GPUTexture).createView();
  return given as GPUBindingResource;
}
