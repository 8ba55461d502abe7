/** Kernels over arrays, as programs see them: what is dispatched is checked here, and the pager runs it in its turn. */

import type {
  DeviceKernelDescriptor,
  DispatchShape,
  HostKernel,
  HostModule,
  WorkgroupShape,
} from "../device/driver.js";
import { isHostKernel } from "../device/host-kernel.js";
import type { ElementType } from "../device/element.js";
import { loadPart } from "../device/load-part.js";
import { checkOptions, type OptionNames } from "../device/options.js";
import { MemoryError } from "../mm/errors.js";
import { checkFootprint, type Footprint } from "./footprint.js";
import type { MemoryCore } from "./memory-core.js";
import { PagedArray } from "./paged-array.js";
import { type BoundArray, isSameMapping, type PagerKernel } from "./pager.js";

/** What a kernel is made from: its code, and the elements that one invocation uses. */
export interface KernelDescriptor {
  /** A name for messages and reports. */
  label?: string;
  /**
   * The kernel as a TypeScript function, or as the module that exports one. A module is imported here, and where the machine
   * is shared the software device runs it in a worker, while the next step is copied; its uniforms are cloned.
   */
  host?: HostKernel | HostModule;
  /**
   * The kernel in WGSL: a whole module. Its storage variables are the arrays, by name; which of them it writes is taken from
   * the code. Throws a `KernelError`, with line and column, for what cannot be run. Beside `host`, which then has to do the
   * same: the software device runs the function, except page by page, and others the WGSL.
   */
  wgsl?: string;
  /** Names of storage and uniform variables that are no arrays and no uniforms, but buffers that each dispatch gives. */
  bindings?: readonly string[];
  /** The function with `@compute` that is run, where the module has several. */
  entryPoint?: string;
  /** Values of the module's `override`s, by name or by the number of their `@id`. */
  constants?: Record<string, number>;
  /**
   * Which elements of each array an invocation uses; its keys are the names of the kernel's arrays. A kernel in WGSL may
   * leave arrays out, of which nobody knows what it uses before it runs: where they are larger than the device, it is paged.
   */
  footprint?: Record<string, Footprint>;
}

/** How far a dispatch is. */
export interface Progress {
  /** Invocations that are done, of how many. */
  readonly completed: number;
  readonly invocations: number;
}

/** What a kernel is run with: how often, over which arrays, how. */
export interface DispatchOptions {
  /** How many, or how many in each dimension, of which x changes fastest. */
  invocations: number | readonly [x: number, y: number, z: number];
  /** By the names of the kernel's arrays. */
  arrays: Record<string, PagedArray<ElementType, ArrayBufferLike>>;
  /**
   * Passed to a function as they are. To WGSL by the names of its uniform variables: numbers, typed arrays of the variable's
   * own numbers, or bytes, laid out as WGSL has them.
   */
  uniforms?: Record<string, unknown>;
  /**
   * Default "auto": resident when everything fits at once; else streamed, where footprints say what each step uses and a step
   * fits; else paged. A kernel with more arrays than the device can bind is always paged.
   */
  mode?: "auto" | DispatchMode;
  /**
   * The caller's own buffers, textures and samplers, by the names of the kernel's variables: those that the kernel was created
   * with as `bindings`, and all textures and samplers. WebGPU's `GPUBindingResource`.
   */
  bindings?: Record<string, object>;
  signal?: AbortSignal;
  onProgress?(progress: Progress): void;
}

/** Everything on the device from the start; step by step, as footprints say; or page by page, as the kernel asks for them. */
export type DispatchMode = "resident" | "streamed" | "paged";

/** How a dispatch was run. */
export interface DispatchReport {
  readonly mode: DispatchMode;
  /** Why it was run in that mode, as a sentence. */
  readonly why: string;
  /** Times that the kernel was started: steps, or rounds of a paged dispatch. */
  readonly steps: number;
  readonly invocations: number;
  /** Bytes that were copied during the dispatch: to the device, and from it. */
  readonly moved: { readonly toDevice: number; readonly toHost: number };
  /** Bytes of the pages that it used. */
  readonly footprintBytes: number;
  /** What would have been better, as a sentence, if anything. */
  readonly advice?: string;
  /** Milliseconds in copies to the device, in copies from it (evictions), and in the kernel. */
  readonly phases: { readonly upload: number; readonly evict: number; readonly compute: number };
}

const MODES: readonly ("auto" | DispatchMode)[] = ["auto", "resident", "streamed", "paged"];

const KERNEL_OPTIONS: OptionNames<KernelDescriptor> = {
  label: true,
  host: true,
  wgsl: true,
  entryPoint: true,
  constants: true,
  bindings: true,
  footprint: true,
};
const DISPATCH_OPTIONS: OptionNames<DispatchOptions> = {
  invocations: true,
  arrays: true,
  uniforms: true,
  mode: true,
  bindings: true,
  signal: true,
  onProgress: true,
};

/** An array of a dispatch, and where its pages are. */
interface Bound extends BoundArray {
  readonly array: PagedArray<ElementType, ArrayBufferLike>;
}

/** What a kernel is made of, whatever it is written in. */
export interface KernelCode {
  readonly device: DeviceKernelDescriptor;
  /** The names of all arrays; missing where only the footprint tells. */
  readonly arrays?: readonly string[];
  readonly writes: readonly string[];
  /** Missing where invocations are not grouped. */
  readonly workgroups?: WorkgroupShape;
  /** Names of what each dispatch gives beside arrays and uniforms. */
  readonly bindings?: readonly string[];
  /** Throws EINVAL for an array that the kernel cannot have under a name. */
  checkArray(name: string, array: PagedArray<ElementType, ArrayBufferLike>): void;
  /** The uniforms as they are now, in a form that can go wherever the kernel runs. */
  takeUniforms(given: Record<string, unknown>, invocations: number): Record<string, unknown>;
}

/** A kernel of one memory, to be dispatched any number of times. */
export class Kernel {
  readonly label: string;
  readonly #core: MemoryCore;
  readonly #kernel: PagerKernel;
  /** Of all arrays; null of one whose use nobody knows before. */
  readonly #footprint: Readonly<Record<string, Footprint | null>>;
  readonly #code: KernelCode;

  private constructor(
    core: MemoryCore,
    kernel: PagerKernel,
    label: string,
    footprint: Readonly<Record<string, Footprint | null>>,
    code: KernelCode,
  ) {
    this.label = label;
    this.#core = core;
    this.#kernel = kernel;
    this.#footprint = footprint;
    this.#code = code;
  }

  /** Made by `UnifiedMemory.createKernel`. */
  static async create(core: MemoryCore, descriptor: KernelDescriptor): Promise<Kernel> {
    checkOptions("createKernel", descriptor, KERNEL_OPTIONS);
    const { label = "kernel", footprint: asked = {} } = descriptor;
    const isKnown = descriptor.wgsl === undefined ? Object.keys(asked ?? {}).length > 0 : true;
    if (typeof asked !== "object" || asked === null || !isKnown) {
      throw new MemoryError("EINVAL", `kernel "${label}" needs a footprint for each of its arrays`);
    }
    const footprint = { ...asked };
    for (const [name, used] of Object.entries(footprint)) checkFootprint(name, used);
    const code = await codeOf(label, descriptor, footprint);
    const arrays = code.arrays ?? Object.keys(footprint);
    for (const name of code.writes) {
      if (!arrays.includes(name))
        throw new MemoryError("EINVAL", `kernel "${label}" writes "${name}", which has no footprint`);
    }
    core.queue.assertOpen();
    const used = Object.fromEntries(arrays.map((name) => [name, footprint[name] ?? null]));
    const kernel = await core.pager.createKernel(code.device).catch((error: unknown) => {
      // What the device says of its own end is no news to whoever destroyed the memory.
      core.queue.assertOpen();
      throw error;
    });
    return new Kernel(core, kernel, label, used, code);
  }

  /**
   * Runs the kernel. Rejects with EINVAL for arrays or counts that do not fit the footprint, ENOMEM when one step exceeds
   * device memory, ENOTSUP for a mode that the kernel cannot be run in, EBUSY for a page that a conflicting pin holds (any pin; on a coherent device, one for writing or of an array that
   * the kernel writes); once the kernel has begun, with a `DispatchError` that says how many invocations completed, or with
   * the signal's reason when it was aborted: the arrays that the kernel writes are then unspecified, all others untouched.
   */
  async dispatch(options: DispatchOptions): Promise<DispatchReport> {
    this.#core.queue.assertOpen();
    checkOptions("dispatch", options, DISPATCH_OPTIONS);
    if (options.onProgress !== undefined && typeof options.onProgress !== "function")
      throw new MemoryError("EINVAL", "onProgress is no function");
    const shape = shapeOf(options.invocations);
    const invocations = shape[0] * shape[1] * shape[2];
    this.#checkWorkgroups(shape);
    this.#checkBindings(options.bindings);
    const bound = this.#bind(options, invocations);
    // Until its turn comes the caller may use its options for something else.
    const { mode = "auto", uniforms: given = {} } = options;
    const bindings = { ...options.bindings };
    const uniforms = this.#code.takeUniforms(given, invocations);
    const onProgress = options.onProgress?.bind(options);
    return this.#core.queue.run((operation) => {
      const arrays = bound.map(({ array, ...rest }) => {
        array.assertMapped();
        return rest;
      });
      return this.#kernel.dispatch({ invocations, shape, arrays, uniforms, bindings, mode, onProgress }, operation);
    }, options.signal);
  }

  #checkWorkgroups(shape: DispatchShape): void {
    const { workgroups } = this.#code;
    if (workgroups?.whole !== true || shape.every((count, axis) => count % workgroups.size[axis] === 0)) return;
    throw new MemoryError(
      "EINVAL",
      `kernel "${this.label}" runs whole workgroups of ${workgroups.size.join(" by ")}, whose invocations use what others do: ${shape.join(" by ")} invocations are no multiple`,
    );
  }

  #checkBindings(given: Record<string, object> = {}): void {
    const { bindings = [] } = this.#code;
    for (const name of bindings) {
      if (typeof given?.[name] !== "object" || given[name] === null)
        throw new MemoryError("EINVAL", `kernel "${this.label}" needs binding "${name}"`);
    }
    for (const name of Object.keys(given ?? {})) {
      if (!bindings.includes(name)) throw new MemoryError("EINVAL", `kernel "${this.label}" has no binding "${name}"`);
    }
  }

  #bind({ arrays = {}, mode = "auto" }: Partial<DispatchOptions>, invocations: number): Bound[] {
    if (!MODES.includes(mode))
      throw new MemoryError("EINVAL", `mode is "auto", "resident", "streamed" or "paged", not "${String(mode)}"`);
    if (typeof arrays !== "object" || arrays === null)
      throw new MemoryError("EINVAL", `kernel "${this.label}" takes arrays by name, not ${String(arrays)}`);
    for (const name of Object.keys(arrays)) {
      if (!Object.hasOwn(this.#footprint, name))
        throw new MemoryError("EINVAL", `kernel "${this.label}" has no array "${name}"`);
    }
    const bound = Object.entries(this.#footprint).map(([name, footprint]) =>
      this.#bindArray(name, footprint, arrays[name], invocations),
    );
    for (const { array, mapping, name, written } of bound) {
      const other = bound.find((candidate) => isSameMapping(candidate.mapping, mapping) && candidate.name !== name);
      if (other !== undefined && (written || other.written)) {
        throw new MemoryError(
          "EINVAL",
          `kernel "${this.label}" writes array "${array.label}", given as both "${name}" and "${other.name}"`,
        );
      }
    }
    return bound;
  }

  #bindArray(
    name: string,
    footprint: Footprint | null,
    array: PagedArray<ElementType, ArrayBufferLike> | undefined,
    invocations: number,
  ): Bound {
    if (array === undefined) throw new MemoryError("EINVAL", `kernel "${this.label}" needs array "${name}"`);
    if (!(array instanceof PagedArray)) {
      throw new MemoryError(
        "EINVAL",
        `what is given as "${name}" to kernel "${this.label}" is not an array of this memory`,
      );
    }
    if (array.destroyed) throw new MemoryError("EINVAL", `array "${array.label}" is destroyed`);
    if (!array.belongsTo(this.#core))
      throw new MemoryError("EINVAL", `array "${array.label}" belongs to another memory`);
    // Of whole workgroups the last may reach past the end of an array; what is there is for the kernel to say.
    const mayExceed = this.#code.workgroups?.whole === true;
    if (footprint !== null && footprint !== "whole" && !mayExceed && invocations * footprint.each > array.length) {
      throw new MemoryError(
        "EINVAL",
        `${invocations} invocations of ${footprint.each} elements each exceed the ${array.length} elements of array "${array.label}"`,
      );
    }
    this.#code.checkArray(name, array);
    const written = this.#code.writes.includes(name);
    if (written) array.assertWritable();
    const { label, mapping, type, length } = array;
    return { name, label, mapping, type, length, footprint, written, array };
  }
}

async function codeOf(
  label: string,
  { host, wgsl, entryPoint, constants, bindings }: Omit<KernelDescriptor, "footprint" | "label">,
  footprint: Record<string, Footprint>,
): Promise<KernelCode> {
  if (wgsl !== undefined) {
    if (typeof wgsl !== "string") throw new MemoryError("EINVAL", `kernel "${label}" needs wgsl as a string`);
    const { alsoHost, prepareWgsl } = await loadPart("WGSL", () => import("./wgsl-kernel.js"));
    const code = prepareWgsl({ label, text: wgsl, entryPoint, constants, footprint, bindings });
    return host === undefined ? code : alsoHost(label, code, await codeOf(label, { host }, footprint));
  }
  if (entryPoint !== undefined || constants !== undefined || bindings !== undefined)
    throw new MemoryError("EINVAL", `kernel "${label}" has entryPoint, constants or bindings, which are for wgsl`);
  if (isModule(host)) {
    const { prepareModule } = await loadPart("kernels as modules", () => import("./module-kernel.js"));
    return prepareModule(label, host);
  }
  if (!isHostKernel(host))
    throw new MemoryError("EINVAL", `kernel "${label}" needs host: { writes, run } or { module, export }, or wgsl`);
  return {
    device: { label, host },
    writes: [...host.writes],
    checkArray: () => {},
    takeUniforms: (given) => ({ ...given }),
  };
}

function isModule(host: unknown): host is HostModule {
  return typeof host === "object" && host !== null && "module" in host;
}

/** Throws EINVAL for what is no number of invocations in one dimension, or in three. */
function shapeOf(invocations: unknown): DispatchShape {
  const shape = Array.isArray(invocations) ? (invocations as unknown[]) : [invocations, 1, 1];
  if (shape.length !== 3) throw new MemoryError("EINVAL", `invocations in ${shape.length} dimensions, not in 3`);
  for (const count of shape) {
    if (!Number.isSafeInteger(count) || (count as number) < 0)
      throw new MemoryError("EINVAL", `${String(count)} invocations are not a whole number of at least 0`);
  }
  const [x, y, z] = shape as [number, number, number];
  if (!Number.isSafeInteger(x * y * z))
    throw new MemoryError("EINVAL", `${x} by ${y} by ${z} invocations are more than ${Number.MAX_SAFE_INTEGER}`);
  return [x, y, z];
}
