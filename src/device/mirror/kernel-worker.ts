/** The worker of `KernelThread`: imports kernels, and runs their steps over the device's shared memory. */

import { assert } from "../../mm/errors.js";
import { answerRequests } from "../answer-requests.js";
import type { WgslKernel } from "../driver.js";
import { type HostModuleAddress, importHostKernel } from "../host-module.js";
import { loadPart } from "../load-part.js";
import type { StepKernel } from "../step-kernel.js";
import type { HostPages, KernelOrder } from "./kernel-thread.js";
import { runStep, type StepMemory } from "./run-step.js";

const kernels = new Map<number, StepKernel>();
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

  run(frame: number, count: number): Uint8Array {
    return this.#bytes.subarray(frame * this.pageSize, (frame + count) * this.pageSize);
  }

  hostPage(frame: number): Uint8Array {
    const bytes = this.#hostPages.get(frame);
    assert(bytes !== undefined, `host frame ${frame} was not posted with the step that reads it`);
    return bytes;
  }
}

async function loadKernel(label: string, address: HostModuleAddress | WgslKernel): Promise<StepKernel> {
  if ("module" in address) return importHostKernel(label, address);
  const { createStepKernel } = await loadPart("WGSL", () => import("../wgsl/index.js"));
  return createStepKernel(address);
}

answerRequests((message) => {
  const order = message as KernelOrder;
  switch (order.do) {
    case "open":
      memory = new WorkerMemory(order.memory, order.pageSize);
      return undefined;
    case "load":
      return loadKernel(order.label, order.address).then((kernel) => void kernels.set(order.kernel, kernel));
    case "run": {
      const kernel = kernels.get(order.kernel);
      assert(memory !== null && kernel !== undefined, `kernel ${order.kernel} is run before it is loaded`);
      memory.setHostPages(order.hostPages);
      return runStep(kernel, order.step, memory);
    }
    default:
      return order satisfies never;
  }
});
