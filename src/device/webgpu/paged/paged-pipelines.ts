/** A kernel's pipelines for paged dispatches: for one and for three dimensions, compiled when they are first needed. */

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

  /** Throws a `KernelError` for what the GPU cannot run: ENOTSUP where only its limits are too low. */
  async take(dimensions: 1 | 3): Promise<PagedPipeline> {
    const known = this.#made.get(dimensions);
    if (known !== undefined) return known;
    this.#checkLimits(this.#limits);
    const { pageSize, pools } = this.#pools;
    const module = this.#text.write({ dimensions, pageSize, pools: pools.length, poolShift: this.poolShift });
    const made = await this.#gone.until(this.#make(module));
    this.#made.set(dimensions, made);
    return made;
  }

  #checkLimits({ maxStorageBuffersPerShaderStage: most }: EffectiveLimits): void {
    const { bindings, source } = this.#description;
    const { pools } = this.#pools;
    const bound = bindings.filter(({ kind }) => kind === "storage").length;
    const buffers = pools.length + OWN_STORAGE_BUFFERS + bound;
    const refuse = (why: string): never => {
      throw errorAt(source.text, source.entry.start, `the kernel cannot be paged on this device: ${why}`, "ENOTSUP");
    };
    if (buffers > most) {
      refuse(
        `its memory is in ${pools.length} buffers, with ${buffers - pools.length} others ${buffers}, more than the ${most} that it can bind (maxStorageBuffersPerShaderStage)`,
      );
    }
    if (this.poolShift + Math.log2(pools.length) > ADDRESS_BITS)
      refuse(`${pools.length} buffers of ${2 ** this.poolShift * 4} bytes are more than ${ADDRESS_BITS} bits address`);
  }

  async #make(module: PagedModule): Promise<PagedPipeline> {
    const device = this.#device;
    const { constants, bindings, source } = this.#description;
    const label = `pageferry: ${this.#label}, paged`;
    device.pushErrorScope("validation");
    const shader = device.createShaderModule({ label, code: module.code });
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
    if (cause !== undefined) {
      throw errorAt(
        source.text,
        source.entry.start,
        `the GPU refuses the kernel where it is paged: ${gpuMessage(cause)}`,
      );
    }
    const stages = made.flatMap((result) => {
      if (result.status === "rejected") return [];
      return [{ pipeline: result.value, layout: own ?? result.value.getBindGroupLayout(0) }];
    });
    return { module, stages };
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
