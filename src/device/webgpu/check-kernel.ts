/** What a GPU has to say of a kernel as it was written, before any of it is rewritten: so that places are those of its own text. */

import { KernelError } from "../kernel-error.js";
import type { KernelDescription } from "../wgsl/describe.js";
import { errorAt } from "../wgsl/error-at.js";
import type { DeviceGone } from "./device-gone.js";
import type { EffectiveLimits } from "./limits.js";

/** Throws a `KernelError` for what the device's compiler refuses, and for more arrays than the device can bind. */
export async function checkKernel(
  device: GPUDevice,
  gone: DeviceGone,
  { arrays, bindings, source: { text } }: KernelDescription,
  { maxStorageBuffersPerShaderStage: most }: EffectiveLimits,
): Promise<void> {
  const storage = [...arrays, ...bindings.filter(({ kind }) => kind === "storage")];
  if (storage.length > most) {
    const { name, node } = storage[most];
    throw errorAt(
      text,
      node.start,
      `"${name}" is one of ${storage.length} arrays and buffers, more than the ${most} that the device can bind (maxStorageBuffersPerShaderStage)`,
    );
  }
  device.pushErrorScope("validation");
  const shader = device.createShaderModule({ label: "pageferry: a kernel as it was written", code: text });
  const invalid = device.popErrorScope();
  const { messages } = await gone.until(shader.getCompilationInfo());
  await gone.until(invalid);
  const error = messages.find(({ type }) => type === "error");
  if (error !== undefined) throw new KernelError(error.message, error.lineNum, error.linePos);
}
