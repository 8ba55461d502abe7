/** Kernels of the mirror that run in the pager's own thread. */

import type { DeviceKernel, KernelStep } from "../driver.js";
import type { StepKernel } from "../step-kernel.js";
import { runStep, type StepMemory } from "./run-step.js";

export class MirrorKernel implements DeviceKernel {
  scratchBytes = 0;
  readonly #memory: StepMemory;
  readonly #kernel: StepKernel;

  constructor(memory: StepMemory, kernel: StepKernel) {
    this.#memory = memory;
    this.#kernel = kernel;
  }

  async execute(step: KernelStep): Promise<void> {
    this.scratchBytes = Math.max(this.scratchBytes, runStep(this.#kernel, step, this.#memory));
    await Promise.resolve();
  }
}
