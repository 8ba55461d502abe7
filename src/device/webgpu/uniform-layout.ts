/** Where a kernel's uniforms are in a buffer, each where a binding can begin, and what comes behind them. */

import type { DispatchResources } from "../driver.js";
import { uniformBytes } from "../wgsl/bindings.js";
import type { KernelDescription } from "../wgsl/describe.js";

/** No device asks for more. */
const UNIFORM_ALIGNMENT = 256;

export class UniformLayout {
  /** Bytes that all of them take; what begins there is aligned. */
  readonly end: number;
  readonly #label: string;
  readonly #uniforms: KernelDescription["uniforms"];
  readonly #offsets: readonly number[];

  constructor(label: string, { uniforms }: KernelDescription) {
    let end = 0;
    this.#offsets = uniforms.map(({ bytes }) => {
      const offset = end;
      end += alignedUniform(bytes);
      return offset;
    });
    this.end = end;
    this.#label = label;
    this.#uniforms = uniforms;
  }

  /** The `n`-th uniform's part of a buffer in which all of them begin at `from`. */
  resource(n: number, buffer: GPUBuffer, from = 0): GPUBufferBinding {
    return { buffer, offset: from + this.#offsets[n], size: this.#uniforms[n].bytes };
  }

  /** Throws a `KernelError` for a value that is missing or not one of its type. */
  write(into: Uint8Array, values: DispatchResources["uniforms"], from = 0): void {
    for (const [n, { name, type }] of this.#uniforms.entries())
      into.set(uniformBytes(this.#label, name, type, values[name]), from + this.#offsets[n]);
  }
}

/** Where the next uniform can begin. */
export function alignedUniform(bytes: number): number {
  return Math.ceil(bytes / UNIFORM_ALIGNMENT) * UNIFORM_ALIGNMENT;
}
