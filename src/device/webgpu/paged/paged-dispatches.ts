/** The paged dispatches of a kernel: what they share, and how one begins. */

import type { MemoryError } from "../../../mm/errors.js";
import type { DispatchShape, PagedDispatch, PagedRun } from "../../driver.js";
import type { KernelDescription } from "../../wgsl/describe.js";
import { errorAt } from "../../wgsl/error-at.js";
import { resourceOf } from "../binding-resource.js";
import { gpuMessage } from "../gpu-message.js";
import type { EffectiveLimits } from "../limits.js";
import type { KernelContext } from "../webgpu-kernel.js";
import { alignedUniform, UniformLayout } from "../uniform-layout.js";
import { workgroupsOf } from "../workgroups.js";
import { type PagedPipeline, PagedPipelines } from "./paged-pipelines.js";
import { RoundBuffers, roundLayout } from "./round-buffers.js";
import { WebgpuPagedRun } from "./webgpu-paged-run.js";

/** Units of a round: their list takes 4 bytes each, and whether they have run, a bit each in what is read back. */
const MOST_UNITS = 2 ** 20;

export class PagedDispatches {
  /** Bytes of device memory beside the frames. */
  bytes = 0;
  readonly #context: KernelContext;
  readonly #description: KernelDescription;
  readonly #label: string;
  readonly #pipelines: PagedPipelines;
  readonly #uniforms: UniformLayout;
  /** Of the last dispatch, unless one is under way. */
  #spare: RoundBuffers | null = null;

  /** Throws a `KernelError` for a kernel that cannot be paged. */
  constructor(context: KernelContext, limits: EffectiveLimits, label: string, description: KernelDescription) {
    const { device, gone, pools } = context;
    this.#context = context;
    this.#description = description;
    this.#label = label;
    this.#pipelines = new PagedPipelines(device, gone, description, label, pools, limits);
    this.#uniforms = new UniformLayout(label, description);
  }

  /** Throws a `KernelError` for a kernel that the GPU's compiler refuses where it is paged. */
  check(): Promise<void> {
    return this.#pipelines.check();
  }

  /** Compiles it for one dimension. Throws a `KernelError` as well where the device's limits are too low for the pools. */
  async prepare(): Promise<void> {
    await this.#pipelines.take(1);
  }

  async begin(dispatch: PagedDispatch): Promise<PagedRun> {
    const { device, gone, pools, mostWorkgroups } = this.#context;
    gone.assertUsable();
    const { shape, operands } = dispatch;
    const { workgroups } = this.#description;
    const inWorkgroups = workgroupsOf(shape, workgroups);
    const units = product(workgroups.whole ? inWorkgroups : shape);
    const pages = operands.reduce((most, operand) => Math.max(most, operand.firstPage + operand.pages), 0);
    const layout = roundLayout(pages, Math.min(units, MOST_UNITS));
    const pipeline = await this.#pipelines.take(shape[1] === 1 && shape[2] === 1 ? 1 : 3);
    const buffers = await this.#take(layout, pipeline);
    try {
      const inputs = new Uint32Array(buffers.tables / 4 + layout.list + layout.units);
      this.#uniforms.write(new Uint8Array(inputs.buffer), dispatch.uniforms, uniformsFrom(pipeline));
      pools.fillTrap(device);
      pools.allWillChange();
      const groups = buffers.groups.get(pipeline) ?? (await this.#groups(pipeline, buffers, dispatch));
      const violation = (array: number): MemoryError => {
        // What it stored meanwhile went there.
        pools.spoilTrap();
        return this.#violation(array);
      };
      const { poolShift } = this.#pipelines;
      const onClose = (): void => this.#give(buffers);
      return new WebgpuPagedRun(
        {
          device,
          gone,
          pools,
          pipeline,
          groups,
          buffers,
          inputs,
          layout,
          units,
          poolShift,
          mostWorkgroups,
          workgroups: inWorkgroups,
          violation,
          onClose,
        },
        dispatch,
      );
    } catch (error) {
      this.#give(buffers);
      throw error;
    }
  }

  async #take(layout: ReturnType<typeof roundLayout>, pipeline: PagedPipeline): Promise<RoundBuffers> {
    const spare = this.#spare;
    this.#spare = null;
    if (spare?.fits(layout) === true) return spare;
    spare?.destroy();
    const made = await RoundBuffers.make(this.#context.buffers, layout, uniformsFrom(pipeline) + this.#uniforms.end);
    this.bytes = Math.max(this.bytes, made.bytes);
    return made;
  }

  #give(buffers: RoundBuffers): void {
    if (this.#spare === null) this.#spare = buffers;
    else buffers.destroy();
  }

  async #groups(
    pipeline: PagedPipeline,
    buffers: RoundBuffers,
    { bindings }: PagedDispatch,
  ): Promise<readonly GPUBindGroup[]> {
    const { module, stages } = pipeline;
    const { device, gone, pools } = this.#context;
    const entries: GPUBindGroupEntry[] = module.pools.map((binding, n) => ({
      binding,
      resource: { buffer: pools.pools[n].buffer },
    }));
    entries.push(
      { binding: module.tables, resource: { buffer: buffers.inputs, offset: buffers.tables } },
      { binding: module.state, resource: { buffer: buffers.state } },
      {
        binding: module.parameters.binding,
        resource: { buffer: buffers.inputs, size: module.parameters.bytes },
      },
    );
    let uniform = 0;
    for (const { binding, kind, name } of module.bindings) {
      const resource =
        kind === "bound"
          ? resourceOf(bindings[name])
          : this.#uniforms.resource(uniform++, buffers.inputs, uniformsFrom(pipeline));
      entries.push({ binding, resource });
    }
    device.pushErrorScope("validation");
    const made = new Map<GPUBindGroupLayout, GPUBindGroup>();
    const groups = stages.map(({ layout }) => {
      const group = made.get(layout) ?? device.createBindGroup({ layout, entries });
      made.set(layout, group);
      return group;
    });
    const invalid = await gone.until(device.popErrorScope());
    if (invalid !== null) throw this.#failed(invalid);
    return groups;
  }

  #violation(array: number): MemoryError {
    const { arrays, source } = this.#description;
    const { name, node } = arrays[array];
    const why = `kernel "${this.#label}" used "${name}" where it had not touched it before: which elements it uses depends on what is stored while it runs`;
    return errorAt(source.text, node.start, why, "EFAULT");
  }

  #failed(cause: unknown): MemoryError {
    const { source } = this.#description;
    return errorAt(
      source.text,
      source.entry.start,
      `what is bound to kernel "${this.#label}" does not suit it: ${gpuMessage(cause)}`,
    );
  }
}

/** Where the kernel's uniforms begin behind the parameters of a round. */
function uniformsFrom({ module }: PagedPipeline): number {
  return alignedUniform(module.parameters.bytes);
}

function product([x, y, z]: DispatchShape): number {
  return x * y * z;
}
