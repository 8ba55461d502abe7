/** The worker of `KernelThread`: imports kernels, and runs their steps over the device's shared memory. */

import { assert } from "../../mm/errors.js";
import { answerRequests } from "../answer-requests.js";
import type { PostableKernel } from "../driver.js";
import { importHostKernel } from "../host-module.js";
import { loadPart } from "../load-part.js";
import type { StepKernel } from "../step-kernel.js";
import type { PagedKernel, UnitRun } from "../wgsl/index.js";
import type { HostPages, KernelOrder } from "./kernel-thread.js";
import { runStep, type StepMemory } from "./run-step.js";

/** A kernel, and how it is compiled for paged dispatches when it first has one. */
interface Loaded {
  readonly steps: StepKernel;
  readonly compilePaged: (() => PagedKernel) | null;
  paged: PagedKernel | null;
}

const kernels = new Map<number, Loaded>();
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

/** A function is taken for steps where there is one. */
async function loadKernel(label: string, { module, wgsl }: PostableKernel): Promise<Loaded> {
  const host = module === undefined ? null : await importHostKernel(label, module);
  if (wgsl === undefined) {
    assert(host !== null, `kernel "${label}" was posted without code`);
    return { steps: host, compilePaged: null, paged: null };
  }
  const { createPagedKernel, createStepKernel } = await loadPart("WGSL", () => import("../wgsl/index.js"));
  return { steps: host ?? createStepKernel(wgsl), compilePaged: () => createPagedKernel(wgsl), paged: null };
}

function loaded(number: number): Loaded {
  const kernel = kernels.get(number);
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
      return loadKernel(order.label, order.code).then((kernel) => void kernels.set(order.kernel, kernel));
    case "run": {
      const { steps } = loaded(order.kernel);
      opened().setHostPages(order.hostPages);
      return runStep(steps, order.step, opened());
    }
    case "begin": {
      const kernel = loaded(order.kernel);
      assert(kernel.compilePaged !== null, `kernel ${order.kernel} cannot be paged`);
      kernel.paged ??= kernel.compilePaged();
      runs.set(order.run, kernel.paged.begin(order.dispatch, opened()));
      return undefined;
    }
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
