/**
 * Kernels over arrays: a dispatch is cut into steps, each of which loads what it uses, runs, and lets it go. The next
 * step's pages are loaded while a kernel runs, where the device can do both at once.
 */

import type { DeviceKernel, HostKernel, HostModule, KernelSlice } from "../device/driver.js";
import { type ElementType, strideOf } from "../device/element.js";
import { addressOf, importHostKernel, isHostKernel, isHostModule } from "../device/host-module.js";
import { checkOptions, type OptionNames } from "../device/options.js";
import { unsharePages } from "../device/unshare.js";
import { MemoryError } from "../mm/errors.js";
import { DispatchError } from "./dispatch-error.js";
import { checkFootprint, elementsOf, type Footprint, type Operand, pagesOf } from "./footprint.js";
import type { MemoryCore } from "./memory-core.js";
import type { Checkpoint } from "./operation-queue.js";
import { PagedArray } from "./paged-array.js";
import { type DispatchMode, planSteps, type StepPlan } from "./step-plan.js";
import { Turns } from "./turn.js";

/** What a kernel is made from: its code, and the elements that one invocation uses. */
export interface KernelDescriptor {
  /** A name for messages and reports. */
  label?: string;
  /**
   * The kernel as a TypeScript function, or as the module that exports one, which is imported here and, where device and
   * memory are shared with threads, run in a worker while the next step is copied. Such a kernel's uniforms are cloned.
   */
  host: HostKernel | HostModule;
  /** Which elements of each array an invocation uses; its keys are the names of the kernel's arrays. */
  footprint: Record<string, Footprint>;
}

/** How far a dispatch is. */
export interface Progress {
  /** Invocations that are done, of how many. */
  readonly completed: number;
  readonly invocations: number;
}

/** What a kernel is run with: how often, over which arrays, how. */
export interface DispatchOptions {
  invocations: number;
  /** By the names that the footprint uses. */
  arrays: Record<string, PagedArray>;
  /** Passed to the kernel as they are. */
  uniforms?: Record<string, unknown>;
  /** Default "auto": resident when everything fits at once, else streamed. */
  mode?: "auto" | DispatchMode;
  signal?: AbortSignal;
  onProgress?(progress: Progress): void;
}

/** How a dispatch was run. */
export interface DispatchReport {
  readonly mode: DispatchMode;
  readonly steps: number;
  readonly invocations: number;
  /** Milliseconds in copies to the device, in copies from it (evictions), and in the kernel. */
  readonly phases: { readonly upload: number; readonly evict: number; readonly compute: number };
}

/** `wgsl` is for a later version, and refused by a message of its own. */
const KERNEL_OPTIONS: OptionNames<KernelDescriptor & { wgsl: string }> = {
  label: true,
  host: true,
  footprint: true,
  wgsl: true,
};
const DISPATCH_OPTIONS: OptionNames<DispatchOptions> = {
  invocations: true,
  arrays: true,
  uniforms: true,
  mode: true,
  signal: true,
  onProgress: true,
};

/** An array of a dispatch: its geometry, and where it is. */
interface Bound extends Operand {
  readonly array: PagedArray;
  readonly type: ElementType;
  readonly written: boolean;
}

/** A step whose pages are held on the device. */
interface LoadedStep {
  readonly first: number;
  readonly count: number;
  readonly slices: readonly KernelSlice[];
  /** What `release` gives back. */
  readonly held: readonly Int32Array[];
}

/** A kernel of one memory, to be dispatched any number of times. */
export class Kernel {
  readonly label: string;
  readonly #core: MemoryCore;
  readonly #kernel: DeviceKernel;
  readonly #footprint: Record<string, Footprint>;
  readonly #writes: readonly string[];
  readonly #isModule: boolean;

  private constructor(
    core: MemoryCore,
    kernel: DeviceKernel,
    label: string,
    footprint: Record<string, Footprint>,
    writes: readonly string[],
    isModule: boolean,
  ) {
    this.label = label;
    this.#core = core;
    this.#kernel = kernel;
    this.#footprint = footprint;
    this.#writes = writes;
    this.#isModule = isModule;
  }

  /** Made by `UnifiedMemory.createKernel`. */
  static async create(core: MemoryCore, descriptor: KernelDescriptor): Promise<Kernel> {
    checkOptions("createKernel", descriptor, KERNEL_OPTIONS);
    const { label = "kernel", host: given, footprint: asked } = descriptor;
    if (Object.hasOwn(descriptor, "wgsl")) {
      throw new MemoryError("EINVAL", `kernel "${label}" has wgsl, which this version does not run: give it as host`);
    }
    const module = isHostModule(given) ? addressOf(label, given) : null;
    if (module === null && !isHostKernel(given)) {
      throw new MemoryError("EINVAL", `kernel "${label}" needs host: { writes, run } or { module, export }`);
    }
    if (typeof asked !== "object" || asked === null || Object.keys(asked).length === 0) {
      throw new MemoryError("EINVAL", `kernel "${label}" needs a footprint for each of its arrays`);
    }
    const footprint = { ...asked };
    for (const [name, used] of Object.entries(footprint)) checkFootprint(name, used);
    const host = module === null ? (given as HostKernel) : await importHostKernel(label, module);
    const writes = [...host.writes];
    for (const name of writes) {
      if (!Object.hasOwn(footprint, name))
        throw new MemoryError("EINVAL", `kernel "${label}" writes "${name}", which has no footprint`);
    }
    core.queue.assertOpen();
    const kernel = await core.attached.device.createKernel({ label, host, ...(module !== null && { module }) });
    return new Kernel(core, kernel, label, footprint, writes, module !== null);
  }

  /**
   * Runs the kernel. Rejects with EINVAL for arrays or counts that do not fit the footprint, ENOMEM when one step exceeds
   * device memory, EBUSY for a page that a conflicting pin holds (any pin; on a coherent device, one for writing or of an array that
   * the kernel writes); once the kernel has begun, with a `DispatchError` that says how many invocations completed, or with
   * the signal's reason when it was aborted: the arrays that the kernel writes are then unspecified, all others untouched.
   */
  async dispatch(options: DispatchOptions): Promise<DispatchReport> {
    this.#core.queue.assertOpen();
    checkOptions("dispatch", options, DISPATCH_OPTIONS);
    if (options.onProgress !== undefined && typeof options.onProgress !== "function")
      throw new MemoryError("EINVAL", "onProgress is no function");
    const operands = this.#bind(options);
    // Until its turn comes the caller may use its options for something else.
    const request = { ...options, uniforms: this.#copyUniforms(options.uniforms) };
    return this.#core.queue.run((checkpoint) => this.#run(request, operands, checkpoint), options.signal);
  }

  /** A kernel that is a module takes only what can be posted to a worker, wherever it runs. */
  #copyUniforms(uniforms: Record<string, unknown> = {}): Record<string, unknown> {
    if (!this.#isModule) return { ...uniforms };
    try {
      return structuredClone({ ...uniforms });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new MemoryError("EINVAL", `uniforms of kernel "${this.label}" cannot be posted to a worker: ${reason}`, {
        cause,
      });
    }
  }

  #bind({ arrays = {}, invocations, mode = "auto" }: Partial<DispatchOptions>): Bound[] {
    if (invocations === undefined || !Number.isSafeInteger(invocations) || invocations < 0) {
      throw new MemoryError("EINVAL", `${invocations} invocations are not a whole number of at least 0`);
    }
    if (mode !== "auto" && mode !== "resident" && mode !== "streamed") {
      throw new MemoryError("EINVAL", `mode is "auto", "resident" or "streamed", not "${String(mode)}"`);
    }
    if (typeof arrays !== "object" || arrays === null)
      throw new MemoryError("EINVAL", `kernel "${this.label}" takes arrays by name, not ${String(arrays)}`);
    for (const name of Object.keys(arrays)) {
      if (!Object.hasOwn(this.#footprint, name))
        throw new MemoryError("EINVAL", `kernel "${this.label}" has no array "${name}"`);
    }
    const bound = Object.entries(this.#footprint).map(([name, footprint]) =>
      this.#bindArray(name, footprint, arrays[name], invocations),
    );
    for (const { array, name, written } of bound) {
      const other = bound.find((candidate) => candidate.array === array && candidate.name !== name);
      if (other !== undefined && (written || other.written)) {
        throw new MemoryError(
          "EINVAL",
          `kernel "${this.label}" writes array "${array.label}", given as both "${name}" and "${other.name}"`,
        );
      }
    }
    return bound;
  }

  #bindArray(name: string, footprint: Footprint, array: PagedArray | undefined, invocations: number): Bound {
    if (array === undefined) throw new MemoryError("EINVAL", `kernel "${this.label}" needs array "${name}"`);
    if (!(array instanceof PagedArray)) {
      throw new MemoryError(
        "EINVAL",
        `what is given as "${name}" to kernel "${this.label}" is not an array of this memory`,
      );
    }
    if (array.destroyed) throw new MemoryError("EINVAL", `array "${array.label}" is destroyed`);
    if (!this.#core.arrays.has(array))
      throw new MemoryError("EINVAL", `array "${array.label}" belongs to another memory`);
    if (footprint !== "whole" && invocations * footprint.each > array.length) {
      throw new MemoryError(
        "EINVAL",
        `${invocations} invocations of ${footprint.each} elements each exceed the ${array.length} elements of array "${array.label}"`,
      );
    }
    const written = this.#writes.includes(name);
    if (written) array.assertWritable();
    return { name, footprint, array, type: array.type, stride: strideOf(array.type), length: array.length, written };
  }

  async #run(request: DispatchOptions, operands: readonly Bound[], checkpoint: Checkpoint): Promise<DispatchReport> {
    const { machine, attached, residency } = this.#core;
    const { invocations, mode = "auto", uniforms = {}, signal } = request;
    const lookahead = this.#kernel.lookahead ?? attached.device.lookahead;
    checkpoint();
    this.#refusePinned(operands, invocations);
    const before = { ...attached.counters.time };
    const plan = planSteps({
      kernel: this.label,
      operands,
      invocations,
      pageSize: machine.pageSize,
      frames: residency.frames,
      lookahead,
      mode,
    });
    const held: Int32Array[] = [];
    let completed = 0;
    let steps = 0;
    let began = false;
    let ahead: Promise<LoadedStep> | null = null;
    const turns = new Turns(machine.environment);
    try {
      await this.#unshareWritten(operands, invocations, checkpoint);
      await this.#loadHeld(plan, operands, invocations, held, checkpoint);
      const load = (first: number): Promise<LoadedStep> =>
        this.#loadStep(plan, operands, invocations, first, checkpoint);
      while (completed < invocations) {
        const step: LoadedStep = await (ahead ?? load(completed));
        ahead = null;
        const next = completed + step.count;
        began = true;
        const running = this.#execute(step, uniforms);
        if (plan.lookahead > 0 && next < invocations) ahead = observed(load(next));
        await running;
        completed = next;
        steps++;
        request.onProgress?.({ completed, invocations });
        if (completed === invocations) break;
        await turns.take();
        checkpoint();
      }
    } catch (error) {
      const loaded = await ahead?.catch(() => null);
      for (const frames of loaded?.held ?? []) residency.release(frames);
      const aborted = signal?.aborted === true && error === signal.reason;
      if (aborted || (!began && error instanceof MemoryError)) throw error;
      throw DispatchError.of(error, this.label, completed, invocations);
    } finally {
      for (const frames of held) residency.release(frames);
    }
    const { time } = attached.counters;
    const phases = {
      upload: time.upload - before.upload,
      evict: time.download - before.download,
      compute: time.compute - before.compute,
    };
    return { mode: plan.mode, steps, invocations, phases };
  }

  /**
   * What the kernel writes becomes the arrays' own before any step has loaded what it reads, which may be a snapshot that has
   * the same pages.
   */
  async #unshareWritten(operands: readonly Bound[], invocations: number, checkpoint: Checkpoint): Promise<void> {
    const { attached, machine, mm } = this.#core;
    for (const operand of operands) {
      if (!operand.written) continue;
      const { page, pages } = pagesOf(operand, elementsOf(operand, 0, invocations), machine.pageSize);
      const start = operand.array.firstPage + page;
      await unsharePages(attached, mm, start, start + pages, checkpoint);
    }
  }

  /** Loads what stays for the whole dispatch: whole arrays, or everything in resident mode. */
  async #loadHeld(
    plan: StepPlan,
    operands: readonly Bound[],
    invocations: number,
    held: Int32Array[],
    checkpoint: Checkpoint,
  ): Promise<void> {
    for (const operand of operands) {
      if (plan.mode !== "resident" && operand.footprint !== "whole") continue;
      const { page, pages } = pagesOf(operand, elementsOf(operand, 0, invocations), this.#core.machine.pageSize);
      if (pages > 0) held.push(await this.#hold(operand, page, pages, checkpoint));
    }
  }

  async #loadStep(
    plan: StepPlan,
    operands: readonly Bound[],
    invocations: number,
    first: number,
    checkpoint: Checkpoint,
  ): Promise<LoadedStep> {
    const { pageSize } = this.#core.machine;
    const count = Math.min(plan.stepAt(first), invocations - first);
    const held: Int32Array[] = [];
    try {
      const slices: KernelSlice[] = [];
      for (const operand of operands) {
        const elements = elementsOf(operand, first, count);
        const { page, pages } = pagesOf(operand, elements, pageSize);
        const frames = pages === 0 ? new Int32Array(0) : await this.#hold(operand, page, pages, checkpoint);
        held.push(frames);
        const { name, type, stride, written } = operand;
        slices.push({ name, type, ...elements, offset: (elements.first * stride) % pageSize, frames, written });
      }
      return { first, count, slices, held };
    } catch (error) {
      for (const frames of held) this.#core.residency.release(frames);
      throw error;
    }
  }

  async #hold(operand: Bound, page: number, pages: number, checkpoint: Checkpoint): Promise<Int32Array> {
    const { residency } = this.#core;
    const start = operand.array.firstPage + page;
    const inPlace = this.#readsInPlace(operand);
    const frames = await residency.load(start, start + pages, "kernel", checkpoint, inPlace);
    if (operand.written) residency.grantWrite(start, frames);
    residency.hold(frames);
    return frames;
  }

  async #execute(step: LoadedStep, uniforms: Record<string, unknown>): Promise<void> {
    const { residency, attached, machine } = this.#core;
    const began = machine.environment.now();
    try {
      for (const { written, frames } of step.slices) if (written) residency.willWrite(frames);
      await this.#kernel.execute({ first: step.first, count: step.count, slices: step.slices, uniforms });
    } finally {
      attached.counters.time.compute += machine.environment.now() - began;
      for (const frames of step.held) residency.release(frames);
    }
  }

  /** A coherent device reaches host memory: what it only reads, and a pin only reads, can stay there. */
  #readsInPlace({ written }: Bound): boolean {
    return this.#core.attached.driver.kind === "coherent" && !written;
  }

  /** A page that a pin holds in host memory cannot go to the device: better to say so before anything has run. */
  #refusePinned(operands: readonly Bound[], invocations: number): void {
    for (const operand of operands) {
      const { first, length } = elementsOf(operand, 0, invocations);
      for (const pin of operand.array.pins) {
        if (pin.mode === "read" && this.#readsInPlace(operand)) continue;
        if (!sharesPage(operand, first, length, pin.start, pin.length, this.#core.machine.pageSize)) continue;
        throw new MemoryError(
          "EBUSY",
          `kernel "${this.label}" needs elements ${first} to ${first + length} of array "${operand.array.label}", on a page that a ${pin.mode} pin of ${pin.start} to ${pin.start + pin.length} holds in host memory`,
        );
      }
    }
  }
}

function sharesPage(
  { stride }: Operand,
  first: number,
  length: number,
  pinStart: number,
  pinLength: number,
  pageSize: number,
): boolean {
  const pageOf = (element: number): number => Math.floor((element * stride) / pageSize);
  return (
    length > 0 && pageOf(first) <= pageOf(pinStart + pinLength - 1) && pageOf(pinStart) <= pageOf(first + length - 1)
  );
}

/** A promise that is awaited later: its rejection is not unhandled meanwhile. */
function observed<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
