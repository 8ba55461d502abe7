/** A kernel's pipelines: one for each way in which its arrays come to be bound, compiled when it is first needed. */

import type { KernelError } from "../kernel-error.js";
import type { KernelDescription } from "../wgsl/describe.js";
import { errorAt } from "../wgsl/error-at.js";
import { rewriteStep, type StepModule, type StepVariant } from "../wgsl/rewrite/step.js";
import type { DeviceGone } from "./device-gone.js";
import { gpuMessage } from "./gpu-message.js";
import { STAGE_COMPUTE } from "./usage.js";

export interface StepPipeline {
  readonly module: StepModule;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export class StepPipelines {
  readonly #device: GPUDevice;
  readonly #gone: DeviceGone;
  readonly #description: KernelDescription;
  readonly #label: string;
  readonly #made = new Map<string, StepPipeline>();

  constructor(device: GPUDevice, gone: DeviceGone, description: KernelDescription, label: string) {
    this.#device = device;
    this.#gone = gone;
    this.#description = description;
    this.#label = label;
  }

  /** null when it has to be made first. */
  peek(variant: StepVariant): StepPipeline | null {
    return this.#made.get(keyOf(variant)) ?? null;
  }

  /** Throws a `KernelError` for what the GPU cannot run. */
  async take(variant: StepVariant): Promise<StepPipeline> {
    const known = this.peek(variant);
    if (known !== null) return known;
    const made = await this.#gone.until(this.#make(rewriteStep(this.#description, variant)));
    this.#made.set(keyOf(variant), made);
    return made;
  }

  /** Whether the GPU's compiler takes the text. */
  async isAccepted(variant: StepVariant): Promise<boolean> {
    const { code } = rewriteStep(this.#description, variant);
    this.#device.pushErrorScope("validation");
    this.#device.createShaderModule({ label: `pageferry: ${this.#label}, tried`, code });
    return (await this.#gone.until(this.#device.popErrorScope())) === null;
  }

  async #make(module: StepModule): Promise<StepPipeline> {
    const device = this.#device;
    const { constants, bindings } = this.#description;
    const label = `pageferry: ${this.#label}`;
    device.pushErrorScope("validation");
    const shader = device.createShaderModule({ label, code: module.code });
    // The layouts of the caller's textures and buffers are those that the shader asks for.
    const own = bindings.length > 0 ? null : this.#layoutOf(module);
    const layout = own === null ? "auto" : device.createPipelineLayout({ bindGroupLayouts: [own] });
    const making = device.createComputePipelineAsync({
      label,
      layout,
      compute: { module: shader, entryPoint: module.entryPoint, constants: { ...constants } },
    });
    const [invalid, made] = await Promise.all([
      device.popErrorScope(),
      making.then(
        (pipeline) => ({ pipeline }),
        (error: unknown) => ({ error }),
      ),
    ]);
    if ("pipeline" in made && invalid === null)
      return { module, pipeline: made.pipeline, layout: own ?? made.pipeline.getBindGroupLayout(0) };
    throw refusal(this.#description, invalid ?? ("error" in made ? made.error : null));
  }

  #layoutOf({ bindings, parameters }: StepModule): GPUBindGroupLayout {
    const entries = bindings.map(({ binding, kind, writable }): GPUBindGroupLayoutEntry => {
      const type = kind === "uniform" ? "uniform" : writable ? "storage" : "read-only-storage";
      return { binding, visibility: STAGE_COMPUTE, buffer: { type } };
    });
    entries.push({ binding: parameters.binding, visibility: STAGE_COMPUTE, buffer: { type: "uniform" } });
    return this.#device.createBindGroupLayout({ entries });
  }
}

/** What the GPU says of a pipeline, at the kernel's entry point. */
function refusal({ source: { text, entry } }: KernelDescription, cause: unknown): KernelError {
  return errorAt(text, entry.start, `the GPU refuses the kernel: ${gpuMessage(cause)}`);
}

function keyOf({ based, writable, dimensions, isWhole, isOnly }: StepVariant): string {
  return `${dimensions} ${isWhole} ${isOnly} ${based.join()} ${writable.join()}`;
}
