/** Kernels that are exports of modules: imported here, to know what they write, and by the worker that runs them. */

import type { HostModule } from "../device/driver.js";
import { addressOf, importHostKernel } from "../device/host-module.js";
import { MemoryError } from "../mm/errors.js";
import type { KernelCode } from "./kernel.js";

export async function prepareModule(label: string, given: HostModule): Promise<KernelCode> {
  const module = addressOf(label, given);
  const host = await importHostKernel(label, module);
  return {
    device: { label, host, module },
    writes: [...host.writes],
    checkArray: () => {},
    takeUniforms: (uniforms) => cloneUniforms(label, uniforms),
  };
}

/** A kernel that is a module takes only what can be posted to a worker, wherever it runs. */
function cloneUniforms(label: string, given: Record<string, unknown>): Record<string, unknown> {
  try {
    return structuredClone({ ...given });
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, "");
    throw new MemoryError("EINVAL", `uniforms of kernel "${label}" cannot be posted to a worker: ${reason}`, { cause });
  }
}
