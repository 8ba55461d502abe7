/**
 * Kernels of the mirror that run in a worker, so that the pager copies while they compute: one worker for each device, made
 * for the first kernel, and again for the first that is run after it ended. Device memory is shared with it; a step is
 * posted as the numbers of its frames, and gathered and scattered there.
 *
 * Host frames that a coherent device reads in place are posted as views of shared host memory.
 */

import type { MemoryError } from "../../mm/errors.js";
import type {
  DeviceKernel,
  KernelStep,
  PagedDispatch,
  PagedRound,
  PagedRun,
  PagedUnits,
  PostableKernel,
} from "../driver.js";
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
      readonly code: PostableKernel;
    }
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

/** Host frames that a step reads in place, and their bytes. */
export type HostPages = readonly (readonly [frame: number, bytes: Uint8Array])[];

const NO_PAGES: HostPages = [];

/** A worker, and the kernels that it has. */
interface Running {
  readonly thread: Thread;
  readonly loaded: Set<number>;
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

  /** Rejects with EINVAL when the worker cannot import the kernel, EIO when the worker ends before it could. */
  async createKernel(label: string, code: PostableKernel): Promise<DeviceKernel> {
    const kernel = this.#kernels++;
    await this.#load(kernel, label, code);
    const execute = async (step: KernelStep): Promise<number> => {
      // A step is posted before anything else is done, where that can be: so it runs while the next one is loaded.
      const thread = this.#threadWith(kernel) ?? (await this.#load(kernel, label, code));
      const hostPages = this.#hostPagesOf(step);
      return thread.request<number>({ do: "run", kernel, step, hostPages } satisfies KernelOrder);
    };
    if (code.wgsl === undefined) return new ThreadKernel(execute);
    return new ThreadWgslKernel(execute, async (dispatch) => {
      const thread = this.#threadWith(kernel) ?? (await this.#load(kernel, label, code));
      return this.#beginPaged(thread, kernel, dispatch);
    });
  }

  async #beginPaged(thread: Thread, kernel: number, dispatch: PagedDispatch): Promise<PagedRun> {
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

  #threadWith(kernel: number): Thread | null {
    return this.#running?.loaded.has(kernel) === true ? this.#running.thread : null;
  }

  /** The worker, which has the kernel now. */
  async #load(kernel: number, label: string, code: PostableKernel): Promise<Thread> {
    if (this.#closed !== null) throw this.#closed;
    const { thread, loaded } = (this.#running ??= this.#start());
    await thread.request({ do: "load", kernel, label, code } satisfies KernelOrder);
    loaded.add(kernel);
    return thread;
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
    return { thread, loaded: new Set() };
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
