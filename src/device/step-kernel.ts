/** What runs the steps of a dispatch on the software device: a function that was given, or one made from WGSL. */

import type { DispatchShape, KernelRange } from "./driver.js";

/** A range of invocations, and what WGSL can ask of the whole dispatch. */
export interface StepRange extends KernelRange {
  /** Of the whole dispatch. */
  readonly shape: DispatchShape;
  /** Elements of each whole array. */
  readonly lengths: Readonly<Record<string, number>>;
}

/** A `HostKernel` is one. */
export interface StepKernel {
  run(range: StepRange): void;
}
