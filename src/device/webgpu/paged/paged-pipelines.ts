/** A kernel's pipelines for paged dispatches: for one and for three dimensions, compiled when they are first needed. */

import type { KernelError } from "../../kernel-error.js";
import type { KernelDescription } from "../../wgsl/describe.js";
import { errorAt } from "../../wgsl/error-at.js";
import { OWN_STORAGE_BUFFERS } from "../../wgsl/rewrite/paged/contract.js";
import { PagedKernelText, type PagedModule } from "../../wgsl/rewrite/paged/index.js";
import type { DeviceGone } from "../device-gone.js";
import { gpuMessage } from "../gpu-message.js";
import type { EffectiveLimits } from "../limits.js";
import type { Pools } from "../pools.js";
import { STAGE_COMPUTE } from "../usage.js";

/** Bits of an address. */
const ADDRESS_BITS = 32;

interface PagedShader {
  readonly module: PagedModule;
  readonly shader: GPUShaderModule;
}

export interface PagedPipeline {
  readonly module: PagedModule;
  /** Run one after another, each with a layout of its own where the caller binds something. */
  readonly stages: readonly { readonly pipeline: GPUComputePipeline; readonly layout: GPUBindGroupLayout }[];
}

/** Does the kernel use buffers or textures of its caller's, which may be destroyed at any time? */
export function bindsForeign({ module }: PagedPipeline): boolean {
  return module.bindings.some(({ kind }) => kind === "bound");
}

export class PagedPipelines {
  readonly #device: GPUDevice;
  readonly #gone: DeviceGone;
  readonly #description: KernelDescription;
  readonly #label: string;
  readonly #pools: Pools;
  readonly #limits: EffectiveLimits;
  readonly #text: PagedKernelText;
  readonly #shaders = new Map<1 | 3, PagedShader>();
  readonly #made = new Map<1 | 3, PagedPipeline>();

  /** Throws a `KernelError` for a kernel that cannot be paged. */
  constructor(
    device: GPUDevice,
    gone: DeviceGone,
    description: KernelDescription,
    label: string,
    pools: Pools,
    limits: EffectiveLimits,
  ) {
    this.#device = device;
    this.#gone = gone;
    this.#description = description;
    this.#label = label;
    this.#pools = pools;
    this.#limits = limits;
    this.#text = new PagedKernelText(description);
  }

  /** Bits of an address that are its word in a pool. */
  get poolShift(): number {
    const { pageSize, runFrames } = this.#pools;
    return Math.ceil(Math.log2(((runFrames + 1) * pageSize) / 4));
  }

  /**
   * Throws a `KernelError` for what the GPU's compiler refuses once it is rewritten, such as a barrier that
   * a loaded value decides on. What is too large for the device's limits is told when it has to be paged.
   */
  async check(): Promise<void> {
    if (this.#tooLow === null) await this.#shaderOf(1);
  }

  /** Throws a `KernelError` for what the GPU cannot run: ENOTSUP where only its limits are too low. */
  async take(dimensions: 1 | 3): Promise<PagedPipeline> {
    const known = this.#made.get(dimensions);
    if (known !== undefined) return known;
    const why = this.#tooLow;
    if (why !== null) {
      const { text, entry } = this.#description.source;
      throw errorAt(text, entry.start, `the kernel cannot be paged on this device: ${why}`, "ENOTSUP");
    }
    const made = await this.#gone.until(this.#make(await this.#shaderOf(dimensions)));
    this.#made.set(dimensions, made);
    return made;
  }

  async #shaderOf(dimensions: 1 | 3): Promise<PagedShader> {
    const known = this.#shaders.get(dimensions);
    if (known !== undefined) return known;
    const device = this.#device;
    const { pageSize, pools } = this.#pools;
    const module = this.#text.write({ dimensions, pageSize, pools: pools.length, poolShift: this.poolShift });
    device.pushErrorScope("validation");
    const shader = device.createShaderModule({ label: this.#moduleLabel, code: module.code });
    const invalid = await this.#gone.until(device.popErrorScope());
    if (invalid !== null) throw this.#refusal(invalid);
    const made = { module, shader };
    this.#shaders.set(dimensions, made);
    return made;
  }

  /** Why the device's limits are too low for the kernel; null where they are not. */
  get #tooLow(): string | null {
    const { maxStorageBuffersPerShaderStage: most } = this.#limits;
    const { pools } = this.#pools;
    const bound = this.#description.bindings.filter(({ kind }) => kind === "storage").length;
    const buffers = pools.length + OWN_STORAGE_BUFFERS + bound;
    if (buffers > most)
      return `its memory is in ${pools.length} buffers, with ${buffers - pools.length} others ${buffers}, more than the ${most} that it can bind (maxStorageBuffersPerShaderStage)`;
    if (this.poolShift + Math.log2(pools.length) > ADDRESS_BITS)
      return `${pools.length} buffers of ${2 ** this.poolShift * 4} bytes are more than ${ADDRESS_BITS} bits address`;
    return null;
  }

  async #make({ module, shader }: PagedShader): Promise<PagedPipeline> {
    const device = this.#device;
    const { constants, bindings } = this.#description;
    const label = this.#moduleLabel;
    device.pushErrorScope("validation");
    // The layouts of the caller's textures and buffers are those that the shader asks for.
    const own = bindings.length > 0 ? null : this.#layoutOf(module);
    const layout = own === null ? "auto" : device.createPipelineLayout({ bindGroupLayouts: [own] });
    const making = Promise.allSettled(
      module.entryPoints.map((entryPoint) =>
        device.createComputePipelineAsync({
          label,
          layout,
          compute: { module: shader, entryPoint, constants: { ...constants } },
        }),
      ),
    );
    const [invalid, made] = await Promise.all([device.popErrorScope(), making]);
    const failed = made.find((result) => result.status === "rejected");
    const cause = invalid ?? (failed?.reason as Error | undefined);
    if (cause !== undefined) throw this.#refusal(cause);
    const stages = made.flatMap((result) => {
      if (result.status === "rejected") return [];
      return [{ pipeline: result.value, layout: own ?? result.value.getBindGroupLayout(0) }];
    });
    return { module, stages };
  }

  get #moduleLabel(): string {
    return `pageferry: ${this.#label}, paged`;
  }

  #refusal(cause: unknown): KernelError {
    const { text, entry } = this.#description.source;
    return errorAt(text, entry.start, `the GPU refuses the kernel where it is paged: ${gpuMessage(cause)}`);
  }

  #layoutOf({ pools, tables, state, parameters, bindings }: PagedModule): GPUBindGroupLayout {
    const entry = (binding: number, type: GPUBufferBindingType): GPUBindGroupLayoutEntry => ({
      binding,
      visibility: STAGE_COMPUTE,
      buffer: { type },
    });
    return this.#device.createBindGroupLayout({
      entries: [
        ...pools.map((binding) => entry(binding, "storage")),
        entry(tables, "read-only-storage"),
        entry(state, "storage"),
        entry(parameters.binding, "uniform"),
        ...bindings.map(({ binding }) => entry(binding, "uniform")),
      ],
    });
  }
}
