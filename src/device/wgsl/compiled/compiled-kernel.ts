/** What the compiler makes of a kernel: data, which may be posted to the thread that runs it. */

import type { UniformUse } from "../compilation.js";
import type { StorageUse } from "../value.js";

export interface CompiledKernel {
  readonly text: string;
  readonly entryPoint: string;
  /** Arrays of storage that the entry point uses, by number. */
  readonly storage: readonly StorageUse[];
  readonly uniforms: readonly UniformUse[];
  readonly uniformBytes: number;
  readonly memoryBytes: number;
  /** The body of a function of `numbers`, `outside`, `memory` and `uniforms`, which returns the function that runs invocations. */
  readonly code: string;
}
