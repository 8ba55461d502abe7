/** A kernel in WGSL as the software device has it: compiled in the thread of the pager, wherever it runs. */

import type { WgslKernel } from "../driver.js";
import { loadPart } from "../load-part.js";
import type { CompiledKernel } from "../wgsl/compiled/index.js";

/** For each purpose once, when it is first wanted: throws as the compiler does. */
export interface CompiledWgsl {
  readonly steps: () => CompiledKernel;
  readonly paged: () => CompiledKernel;
}

export async function compileWgsl(wgsl: WgslKernel): Promise<CompiledWgsl> {
  const { compile } = await loadPart("WGSL", () => import("../wgsl/index.js"));
  let [steps, paged]: (CompiledKernel | null)[] = [null, null];
  return {
    steps: () => (steps ??= compile(wgsl)),
    paged: () => (paged ??= compile({ ...wgsl, paged: true })),
  };
}
