/** Makes kernels of WGSL. Loaded when the first one is made: most of it is the parser. */

import type { DeviceKernel, WgslKernel } from "../driver.js";
import { describe } from "../wgsl/describe.js";
import { checkKernel } from "./check-kernel.js";
import type { EffectiveLimits } from "./limits.js";
import { StepPipelines } from "./step-pipelines.js";
import { type KernelContext, WebgpuKernel } from "./webgpu-kernel.js";

/** Throws a `KernelError` for what cannot be run here. The kernel as it is run when everything is resident is compiled then. */
export async function createKernel(
  context: KernelContext,
  limits: EffectiveLimits,
  label: string,
  { text, entryPoint, constants, bindings }: WgslKernel,
): Promise<DeviceKernel> {
  const { device, gone } = context;
  const description = describe({ text, entryPoint, constants, bindings });
  await checkKernel(device, gone, description, limits);
  const pipelines = new StepPipelines(device, gone, description, label);
  const { module } = await pipelines.take({ based: [], writable: [], dimensions: 1 });
  const arrays = description.arrays.map(({ name, length }, n) => ({
    name,
    length,
    writable: module.bindings[n].writable,
  }));
  return new WebgpuKernel(context, label, description, pipelines, arrays);
}
