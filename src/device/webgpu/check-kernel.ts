/** What a GPU and its limits say of a kernel as it was written, before it is rewritten: so that places are those of its own text. */

import { KernelError } from "../kernel-error.js";
import type { KernelDescription } from "../wgsl/describe.js";
import type { SyntaxNode } from "../wgsl/parse.js";
import type { DeviceGone } from "./device-gone.js";
import type { EffectiveLimits } from "./limits.js";

/** What is too much of a kernel for its device to bind: the first variable that is, and why. */
export interface TooMany {
  readonly node: SyntaxNode;
  readonly why: string;
}

/** null for a kernel whose arrays, and buffers of its caller's, the device can bind one by one. */
export function tooManyArrays(
  { arrays, bindings }: KernelDescription,
  { maxStorageBuffersPerShaderStage: most }: EffectiveLimits,
): TooMany | null {
  const storage = [...arrays, ...bindings.filter(({ kind }) => kind === "storage")];
  if (storage.length <= most) return null;
  const { name, node } = storage[most];
  const why = `"${name}" is one of ${storage.length} arrays and buffers, more than the ${most} that the device can bind (maxStorageBuffersPerShaderStage)`;
  return { node, why };
}

/** Throws a `KernelError` for what the device's compiler refuses. */
export async function checkKernel(
  device: GPUDevice,
  gone: DeviceGone,
  { source: { text } }: KernelDescription,
): Promise<void> {
  device.pushErrorScope("validation");
  const shader = device.createShaderModule({ label: "pageferry: a kernel as it was written", code: text });
  const invalid = device.popErrorScope();
  const { messages } = await gone.until(shader.getCompilationInfo());
  await gone.until(invalid);
  const error = messages.find(({ type }) => type === "error");
  if (error !== undefined) throw new KernelError(error.message, error.lineNum, error.linePos);
}
