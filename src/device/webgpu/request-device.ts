/**
 * Where a GPUDevice comes from when the program does not give one: `navigator.gpu` in browsers, the package `webgpu` (Dawn) in
 * Node. It has the adapter's own limits for buffers, since those that every device has are low.
 */

import { MemoryError } from "../../mm/errors.js";
import { DeviceLostError } from "../device-lost-error.js";
import { lossOf } from "./device-loss.js";
import { gpuMessage } from "./gpu-message.js";
import { LIMITS } from "./limits.js";

/** Not a literal: bundlers for browsers would look for what only Node needs. */
const DAWN = "webgpu";

const INSTALL = "in Node it comes with a package: npm install webgpu";

/** What an adapter is asked for beside limits, where it has it: kernels may use it, and nothing else changes. */
const FEATURES: readonly GPUFeatureName[] = ["shader-f16"];

/** Dawn crashes when the object that it was entered by is collected. */
let dawn: GPU | null = null;

export interface AdapterRequest {
  readonly gpu: GPU | undefined;
  readonly adapter: GPUAdapter | undefined;
  readonly powerPreference: GPUPowerPreference | undefined;
}

/** Throws ENODEV, saying what to install, where there is no WebGPU or no adapter. */
export async function requestAdapter({ gpu, adapter, powerPreference }: AdapterRequest): Promise<GPUAdapter> {
  if (adapter !== undefined) return adapter;
  const entry = gpu ?? (await findGpu());
  const found = await entry.requestAdapter(powerPreference === undefined ? {} : { powerPreference });
  if (found === null)
    throw new MemoryError("ENODEV", "WebGPU has no adapter here: no GPU, or no driver that it accepts");
  return found;
}

/** Throws ENODEV when the adapter gives no device. */
export async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  const requiredFeatures = FEATURES.filter((name) => adapter.features.has(name));
  try {
    return await adapter.requestDevice({ label: "pageferry", requiredLimits, requiredFeatures });
  } catch (cause) {
    throw new MemoryError("ENODEV", `the WebGPU adapter gives no device: ${gpuMessage(cause)}`, { cause });
  }
}

/** The name of an adapter, as messages and reports have it. */
export function adapterName({ description, device, architecture, vendor }: GPUAdapterInfo): string {
  return [description, device, architecture, vendor].find((name) => name !== "") ?? "unnamed adapter";
}

/** Is the device lost already? Then nothing works on it, and nothing says so. */
export async function lossErrorOf(name: string, device: GPUDevice): Promise<DeviceLostError | null> {
  const info = await lossOf(device);
  return info === null ? null : new DeviceLostError(name, info.reason, info.message);
}

async function findGpu(): Promise<GPU> {
  const { navigator, process } = globalThis as {
    navigator?: { gpu?: GPU };
    process?: { versions?: { node?: string } };
  };
  if (navigator?.gpu !== undefined) return navigator.gpu;
  if (process?.versions?.node === undefined)
    throw new MemoryError("ENODEV", "there is no WebGPU here: browsers have it on secure pages (https, or localhost)");
  return (dawn ??= await importDawn());
}

async function importDawn(): Promise<GPU> {
  try {
    const { create } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ DAWN)) as {
      create: (options: readonly string[]) => GPU;
    };
    return create([]);
  } catch (cause) {
    throw new MemoryError("ENODEV", `there is no WebGPU here (${INSTALL}): ${gpuMessage(cause)}`, { cause });
  }
}
