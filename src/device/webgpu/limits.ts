/** The limits that this device keeps to: those of the GPUDevice, or lower ones that the program asks for. */

import { MemoryError } from "../../mm/errors.js";
import { checkOptions, type OptionNames } from "../options.js";

/** Limits of WebGPU that can be set lower than the device has them; each may be left out. */
export interface WebgpuLimits {
  /** Bytes of one buffer. */
  maxBufferSize?: number;
  /** Bytes of one buffer that a kernel can use. */
  maxStorageBufferBindingSize?: number;
  /** Buffers of arrays that one kernel can use. */
  maxStorageBuffersPerShaderStage?: number;
  /** Workgroups that one dispatch has in each dimension; more are several rows of them. */
  maxComputeWorkgroupsPerDimension?: number;
}

export type EffectiveLimits = Readonly<Required<WebgpuLimits>>;

const NAMES: OptionNames<WebgpuLimits> = {
  maxBufferSize: true,
  maxStorageBufferBindingSize: true,
  maxStorageBuffersPerShaderStage: true,
  maxComputeWorkgroupsPerDimension: true,
};
export const LIMITS = Object.keys(NAMES) as readonly (keyof WebgpuLimits)[];

/** Throws EINVAL for a limit that does not exist, and for what is no whole number above 0. */
export function checkLimits(limits: unknown): asserts limits is WebgpuLimits {
  checkOptions<WebgpuLimits>("limits of webgpuDevice", limits, NAMES);
  for (const [name, value] of Object.entries(limits as object)) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0))
      throw new MemoryError("EINVAL", `${name} of ${String(value)} is not a whole number above 0`);
  }
}

/** Throws EINVAL, with both numbers, for a limit above that of the device. */
export function effectiveLimits(given: WebgpuLimits, own: EffectiveLimits): EffectiveLimits {
  const limits: Partial<Record<keyof WebgpuLimits, number>> = {};
  for (const name of LIMITS) {
    const value = given[name] ?? own[name];
    if (value > own[name])
      throw new MemoryError("EINVAL", `${name} of ${value} is more than the ${own[name]} of the device`);
    limits[name] = value;
  }
  return limits as EffectiveLimits;
}
