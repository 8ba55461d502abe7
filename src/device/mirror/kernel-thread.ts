/**
 * Kernels of the mirror that run in a worker, so that the pager copies while they compute: one worker for each device, made
 * for the first kernel, and again for the first that is run after it ended. Device memory is shared with it; a step is
 * posted as the numbers of its frames, and gathered and scattered there.
 *
 * Host frames that a coherent device reads in place are posted as views of shared host memory.
 */

import { assert, type MemoryError } from "../../mm/errors.js";
import type { DeviceKernel, KernelStep, PagedDispatch, PagedRound, PagedRun, PagedUnits } from "../driver.js";
import type { CompiledKernel } from "../wgsl/compiled/index.js";
import type { HostModuleAddress } from "../host-module.js";
import type { CompiledWgsl } from "./compiled-wgsl.js";
import { Thread } from "../thread.js";
import { type PageChanges, PostedPagedRun } from "./paged-run.js";
import type { StepMemory } from "./run-step.js";

/** What the worker is asked for; it answers a step with the bytes of scratch memory that it took. */
export type KernelOrder =
  | { readonly do: "open"; readonly memory: Uint8Array; readonly pageSize: number }
  | {
      readonly do: "load";
      readonly kernel: number;
      readonly label: string;
      readonly code: PostedCode;
    }
  | { readonly do: "page"; readonly kernel: number; readonly code: CompiledKernel }
  | { readonly do: "run"; readonly kernel: number; readonly step: KernelStep; readonly hostPages: HostPages }
  | { readonly do: "begin"; readonly kernel: number; readonly run: number; readonly dispatch: PagedDispatch }
  | {
      readonly do: "round";
      readonly run: number;
      readonly changes: PageChanges;
      readonly hostPages: HostPages;
      readonly units: PagedUnits;
    }
  | { readonly do: "end"; readonly run: number };

/** What a kernel's steps run. */
export type PostedCode = { readonly module: HostModuleAddress } | { readonly wgsl: CompiledKernel };

/** Host frames that a step reads in place, and their bytes. */
export type HostPages = readonly (readonly [frame: number, bytes: Uint8Array])[];

const NO_PAGES: HostPages = [];

/** A worker, and the kernels that it has: for steps, and for paged dispatches. */
interface Running {
  readonly thread: Thread;
  readonly loaded: Set<number>;
  readonly paged: Set<number>;
}

export class KernelThread {
  readonly #name: string;
  readonly #bytes: Uint8Array;
  readonly #memory: StepMemory;
  #running: Running | null = null;
  #kernels = 0;
  #runs = 0;
  #closed: MemoryError | null = null;
  #ended: Promise<void> | null = null;

  /** `bytes` is all of the device's memory, which is shared. */
  constructor(name: string, bytes: Uint8Array, memory: StepMemory) {
    this.#name = name;
    this.#bytes = bytes;
    this.#memory = memory;
  }

  /**
   * A kernel that is a module, or in WGSL; of one that is both, the module is run in steps. Rejects with EINVAL when the worker
   * cannot import it, EIO when the worker ends before it could.
   */
  async createKernel(label: string, module?: HostModuleAddress, wgsl?: CompiledWgsl): Promise<DeviceKernel> {
    assert(module !== undefined || wgsl !== undefined, `kernel "${label}" is to be posted, and has no code`);
    const kernel = this.#kernels++;
    const code: PostedCode = module === undefined ? { wgsl: wgsl!.steps() } : { module };
    const load = (): Promise<Running> => this.#load({ do: "load", kernel, label, code });
    await load();
    const execute = async (step: KernelStep): Promise<number> => {
      // A step is posted before anything else is done, where that can be: so it runs while the next one is loaded.
      const { thread } = this.#runningWith(kernel) ?? (await load());
      const hostPages = this.#hostPagesOf(step);
      return thread.request<number>({ do: "run", kernel, step, hostPages } satisfies KernelOrder);
    };
    if (wgsl === undefined) return new ThreadKernel(execute);
    return new ThreadWgslKernel(execute, async (dispatch) => {
      const running = this.#runningWith(kernel) ?? (await load());
      return this.#beginPaged(running, kernel, wgsl, dispatch);
    });
  }

  async #beginPaged(
    { thread, paged }: Running,
    kernel: number,
    wgsl: CompiledWgsl,
    dispatch: PagedDispatch,
  ): Promise<PagedRun> {
    if (!paged.has(kernel)) {
      await thread.request({ do: "page", kernel, code: wgsl.paged() } satisfies KernelOrder);
      paged.add(kernel);
    }
    const run = this.#runs++;
    const { shape, uniforms, operands } = dispatch;
    const posted = { shape, uniforms, operands, bindings: {} };
    await thread.request({ do: "begin", kernel, run, dispatch: posted } satisfies KernelOrder);
    return new PostedPagedRun(
      dispatch,
      (changes, units) => {
        const hostPages = this.#changedHostPages(changes);
        return thread.request<PagedRound>({ do: "round", run, changes, hostPages, units } satisfies KernelOrder);
      },
      // The runs of a worker that has ended are gone with it.
      () => void thread.request({ do: "end", run } satisfies KernelOrder).catch(() => {}),
    );
  }

  /** Ends the worker, whatever it does; what is pending rejects with `reason`. */
  close(reason: MemoryError): Promise<void> {
    this.#closed ??= reason;
    this.#ended ??= this.#running?.thread.terminate(reason) ?? Promise.resolve();
    return this.#ended;
  }

  #runningWith(kernel: number): Running | null {
    return this.#running?.loaded.has(kernel) === true ? this.#running : null;
  }

  /** The worker, which has the kernel now. */
  async #load(order: KernelOrder & { readonly do: "load" }): Promise<Running> {
    if (this.#closed !== null) throw this.#closed;
    const running = (this.#running ??= this.#start());
    await running.thread.request(order);
    running.loaded.add(order.kernel);
    return running;
  }

  #start(): Running {
    const thread = new Thread(
      `kernels of ${this.#name}`,
      (Worker) => new Worker(new URL("./kernel-worker.js", import.meta.url), { type: "module" }),
      () => {
        this.#running = null;
      },
    );
    const { pageSize } = this.#memory;
    // Whoever asks for a kernel hears of a worker that did not start.
    thread.request({ do: "open", memory: this.#bytes, pageSize } satisfies KernelOrder).catch(() => {});
    return { thread, loaded: new Set(), paged: new Set() };
  }

  #hostPagesOf({ slices }: KernelStep): HostPages {
    let pages: (readonly [number, Uint8Array])[] | null = null;
    for (const { frames } of slices) {
      for (const frame of frames) {
        if (frame >= 0) continue;
        pages ??= [];
        pages.push([-1 - frame, this.#memory.hostPage(-1 - frame)]);
      }
    }
    return pages ?? NO_PAGES;
  }

  #changedHostPages(changes: PageChanges): HostPages {
    const pages: (readonly [number, Uint8Array])[] = [];
    for (let n = 1; n < changes.length; n += 3) {
      const frame = -1 - changes[n];
      if (frame > 0) pages.push([frame, this.#memory.hostPage(frame)]);
    }
    return pages;
  }
}

class ThreadKernel implements DeviceKernel {
  readonly lookahead = 1;
  scratchBytes = 0;
  readonly #run: (step: KernelStep) => Promise<number>;

  constructor(run: (step: KernelStep) => Promise<number>) {
    this.#run = run;
  }

  async execute(step: KernelStep): Promise<void> {
    this.scratchBytes = Math.max(this.scratchBytes, await this.#run(step));
  }
}

/** One in WGSL. */
class ThreadWgslKernel extends ThreadKernel {
  readonly beginPaged: (dispatch: PagedDispatch) => Promise<PagedRun>;

  constructor(run: (step: KernelStep) => Promise<number>, beginPaged: (dispatch: PagedDispatch) => Promise<PagedRun>) {
    super(run);
    this.beginPaged = beginPaged;
  }
}
