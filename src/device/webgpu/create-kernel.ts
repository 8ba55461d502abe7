/** Makes kernels of WGSL. Loaded when the first one is made: most of it is the parser. */

import type { DeviceKernel, WgslKernel } from "../driver.js";
import { KernelError } from "../kernel-error.js";
import { describe, type KernelDescription } from "../wgsl/describe.js";
import { errorAt } from "../wgsl/error-at.js";
import { checkKernel, type TooMany, tooManyArrays } from "./check-kernel.js";
import type { EffectiveLimits } from "./limits.js";
import { OnlyPagedKernel } from "./paged/only-paged-kernel.js";
import { PagedDispatches } from "./paged/paged-dispatches.js";
import type { StepVariant } from "../wgsl/rewrite/step.js";
import { StepPipelines } from "./step-pipelines.js";
import { type KernelContext, WebgpuKernel } from "./webgpu-kernel.js";

/** Everything at once, each array declared as the kernel has it. */
const WHOLE: StepVariant = { based: [], writable: [], dimensions: 1, isWhole: true, isOnly: true };

/**
 * Throws a `KernelError` for what cannot be run here. The kernel as it is run when everything is resident is compiled then, or
 * as it is paged where it cannot be resident.
 */
export async function createKernel(
  context: KernelContext,
  limits: EffectiveLimits,
  label: string,
  { text, entryPoint, constants, bindings, footprint }: WgslKernel,
): Promise<DeviceKernel> {
  const { device, gone } = context;
  const description = describe({ text, entryPoint, constants, bindings });
  await checkKernel(device, gone, description);
  const tooMany = tooManyArrays(description, limits);
  if (tooMany !== null) return onlyPaged(context, limits, label, description, tooMany);
  const pipelines = new StepPipelines(device, gone, description, label);
  const { module } = await pipelines.take(WHOLE);
  const isWritable = (n: number): boolean => module.bindings[n].writable;
  const read = description.arrays.filter((_, n) => !isWritable(n)).map(({ name }) => name);
  // Where invocations wait for each other, what is loaded from storage that nobody writes may decide how often.
  const mayDecide = description.workgroups.whole && read.length > 0;
  const staysReadOnly = mayDecide && !(await pipelines.isAccepted({ ...WHOLE, writable: read }));
  const arrays = description.arrays.map(({ name, length }, n) => {
    const writable = isWritable(n);
    return { name, length, writable, staysReadOnly: staysReadOnly && !writable };
  });
  const paged = await pagedDispatches(context, limits, label, description, footprint);
  return new WebgpuKernel(context, label, description, pipelines, arrays, paged);
}

/** Throws a `KernelError` at the first array that is too much, with both reasons, where the kernel cannot be paged either. */
async function onlyPaged(
  context: KernelContext,
  limits: EffectiveLimits,
  label: string,
  description: KernelDescription,
  { node, why }: TooMany,
): Promise<DeviceKernel> {
  try {
    const paged = new PagedDispatches(context, limits, label, description);
    await paged.prepare();
    return new OnlyPagedKernel(description.workgroups, paged, why);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw errorAt(description.source.text, node.start, `${why}; ${error.reason}`, error.code);
  }
}

/** null for a kernel that cannot be paged, and need not: all is said about what it uses. */
async function pagedDispatches(
  context: KernelContext,
  limits: EffectiveLimits,
  label: string,
  description: KernelDescription,
  footprint: WgslKernel["footprint"],
): Promise<PagedDispatches | null> {
  const isSaid = description.arrays.every(({ name }) => Object.hasOwn(footprint, name));
  try {
    const paged = new PagedDispatches(context, limits, label, description);
    if (!isSaid) await paged.check();
    return paged;
  } catch (error) {
    if (isSaid && error instanceof KernelError) return null;
    throw error;
  }
}
