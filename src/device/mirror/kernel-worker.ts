/** The worker of `KernelThread`: imports kernels, and runs their steps over the device's shared memory. */

import { assert } from "../../mm/errors.js";
import { answerRequests } from "../answer-requests.js";
import { importHostKernel } from "../host-module.js";
import { loadPart } from "../load-part.js";
import type { StepKernel } from "../step-kernel.js";
import type { CompiledKernel, PagedKernel, UnitRun } from "../wgsl/compiled/index.js";
import type { HostPages, KernelOrder, PostedCode } from "./kernel-thread.js";
import { runStep, type StepMemory } from "./run-step.js";

/** By number: kernels as steps run them, and those that have been paged. */
const kernels = new Map<number, StepKernel>();
const pagedKernels = new Map<number, PagedKernel>();
const runs = new Map<number, UnitRun>();
let memory: WorkerMemory | null = null;

class WorkerMemory implements StepMemory {
  readonly pageSize: number;
  readonly #bytes: Uint8Array;
  readonly #hostPages = new Map<number, Uint8Array>();

  constructor(bytes: Uint8Array, pageSize: number) {
    this.#bytes = bytes;
    this.pageSize = pageSize;
  }

  /** The pages of the step that is run next. */
  setHostPages(pages: HostPages): void {
    this.#hostPages.clear();
    for (const [frame, bytes] of pages) this.#hostPages.set(frame, bytes);
  }

  bytes(): Uint8Array {
    return this.#bytes;
  }

  run(frame: number, count: number): Uint8Array {
    return this.#bytes.subarray(frame * this.pageSize, (frame + count) * this.pageSize);
  }

  hostPage(frame: number): Uint8Array {
    const bytes = this.#hostPages.get(frame);
    assert(bytes !== undefined, `host frame ${frame} was not posted with the step that reads it`);
    return bytes;
  }
}

async function stepsOf(label: string, code: PostedCode): Promise<StepKernel> {
  if ("module" in code) return importHostKernel(label, code.module);
  const { createStepKernel } = await loadPart("WGSL", () => import("../wgsl/compiled/index.js"));
  return createStepKernel(code.wgsl);
}

async function page(kernel: number, code: CompiledKernel): Promise<void> {
  const { createPagedKernel } = await loadPart("WGSL", () => import("../wgsl/compiled/index.js"));
  pagedKernels.set(kernel, createPagedKernel(code));
}

function loaded<Kernel>(map: ReadonlyMap<number, Kernel>, number: number): Kernel {
  const kernel = map.get(number);
  assert(kernel !== undefined, `kernel ${number} is run before it is loaded`);
  return kernel;
}

function opened(): WorkerMemory {
  assert(memory !== null, "a kernel is run before the worker has the device's memory");
  return memory;
}

answerRequests((message) => {
  const order = message as KernelOrder;
  switch (order.do) {
    case "open":
      memory = new WorkerMemory(order.memory, order.pageSize);
      return undefined;
    case "load":
      return stepsOf(order.label, order.code).then((kernel) => void kernels.set(order.kernel, kernel));
    case "page":
      return page(order.kernel, order.code);
    case "run":
      opened().setHostPages(order.hostPages);
      return runStep(loaded(kernels, order.kernel), order.step, opened());
    case "begin":
      runs.set(order.run, loaded(pagedKernels, order.kernel).begin(order.dispatch, opened()));
      return undefined;
    case "round": {
      const run = runs.get(order.run);
      assert(run !== undefined, `paged dispatch ${order.run} has not begun`);
      opened().setHostPages(order.hostPages);
      const { changes } = order;
      for (let n = 0; n < changes.length; n += 3) run.map(changes[n], changes[n + 1], changes[n + 2] === 1);
      const { pending, misses, touched } = run.round(order.units);
      // Of its own, as the rest of what it lies in would be posted, too.
      return { pending: pending.slice(), misses, touched };
    }
    case "end":
      runs.delete(order.run);
      return undefined;
    default:
      return order satisfies never;
  }
});
