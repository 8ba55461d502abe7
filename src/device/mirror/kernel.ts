/** Kernels of the mirror that run in the pager's own thread. */

import type { DeviceKernel, KernelStep, PagedDispatch, PagedRun } from "../driver.js";
import type { StepKernel } from "../step-kernel.js";
import type { PagedKernel } from "../wgsl/compiled/index.js";
import { LocalPagedRun } from "./paged-run.js";
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

/** One in WGSL, which can be run page by page as well. It is compiled for that when it first is. */
export class MirrorWgslKernel extends MirrorKernel {
  readonly #memory: StepMemory;
  readonly #compilePaged: () => PagedKernel;
  #paged: PagedKernel | null = null;

  constructor(memory: StepMemory, kernel: StepKernel, compilePaged: () => PagedKernel) {
    super(memory, kernel);
    this.#memory = memory;
    this.#compilePaged = compilePaged;
  }

  async beginPaged(dispatch: PagedDispatch): Promise<PagedRun> {
    this.#paged ??= this.#compilePaged();
    return new LocalPagedRun(dispatch, this.#paged.begin(dispatch, this.#memory));
  }
}
