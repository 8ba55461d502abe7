/** A kernel in WGSL as the software device has it: compiled in the thread of the pager, wherever it runs. */

import type { WgslKernel } from "../driver.js";
import { loadPart } from "../load-part.js";
import type { CompiledKernel } from "../wgsl/compiled/index.js";

export interface CompiledWgsl {
  readonly steps: CompiledKernel;
  /** For paged dispatches, when the first one is. */
  readonly paged: () => CompiledKernel;
}

/** Throws as the compiler does. */
export async function compileWgsl(wgsl: WgslKernel): Promise<CompiledWgsl> {
  const { compile } = await loadPart("WGSL", () => import("../wgsl/index.js"));
  let paged: CompiledKernel | null = null;
  return { steps: compile(wgsl), paged: () => (paged ??= compile({ ...wgsl, paged: true })) };
}
