/**
 * Which device a job runs on, and why: the GPU where there is one, else the mirror, the software device that is always
 * there. Invariant: what is asked for by name is what runs, or the job ends and says what is missing; only "auto" chooses.
 */

import { type DeviceDriver, MemoryError, mirrorDevice } from "../../src/index.js";
import { JobFailure } from "./failure.js";

export const deviceNames = ["auto", "webgpu", "mirror"] as const;

export type DeviceName = (typeof deviceNames)[number];

export const deviceOptions = { device: { type: "string", default: "auto" } } as const;

export const deviceUsage = `  --device NAME            webgpu, mirror (software), or auto: webgpu where there is a GPU (auto)
`;

export interface ChosenDevice {
  readonly name: "webgpu" | "mirror";
  readonly driver: DeviceDriver;
  /** A sentence without its end. */
  readonly why: string;
}

/** The one line that brings WebGPU to Node. */
export const installLine = "npm install webgpu";

/** What of WebGPU there is: an adapter, or why there is none. */
export type FoundAdapter =
  | { readonly adapter: GPUAdapter; readonly missing?: undefined }
  | { readonly adapter: null; readonly missing: string; readonly install: boolean };

export async function chooseDevice(
  asked: DeviceName,
  budget: number,
  find: () => Promise<FoundAdapter> = findAdapter,
): Promise<ChosenDevice> {
  if (asked === "mirror") return mirror(budget, "it was asked for");
  const found = await find();
  if (found.adapter === null) {
    const { missing, install } = found;
    if (asked === "auto") return mirror(budget, install ? `${missing}; for a GPU: ${installLine}` : missing);
    throw new JobFailure("ENODEV", `--device webgpu: ${missing}`, {
      waysOut: [
        ...(install ? [`${installLine}                           WebGPU for Node`] : []),
        "npm start -- --device mirror                 the software device",
      ],
    });
  }
  const { softwareName, webgpuDevice } = await import("../../src/device/webgpu/index.js");
  const { adapter } = found;
  const software = softwareName(adapter.info);
  if (asked === "auto" && software !== null) {
    return mirror(
      budget,
      `the only WebGPU adapter is ${software}, which computes on the CPU (--device webgpu takes it)`,
    );
  }
  try {
    const driver = await webgpuDevice({ budget, adapter });
    return { name: "webgpu", driver, why: asked === "webgpu" ? "it was asked for" : "there is a GPU" };
  } catch (error) {
    if (!(error instanceof MemoryError) || error.code !== "ENODEV") throw error;
    const missing = error.message.replace(/^ENODEV: /, "");
    if (asked === "auto") return mirror(budget, missing);
    throw new JobFailure("ENODEV", `--device webgpu: ${missing}`, {
      waysOut: ["npm start -- --device mirror                 the software device"],
      cause: error,
    });
  }
}

function mirror(budget: number, why: string): ChosenDevice {
  return { name: "mirror", driver: mirrorDevice({ budget }), why };
}

/** Dawn crashes when the object that it was entered by is collected. */
let entered: GPU | null = null;

async function findAdapter(): Promise<FoundAdapter> {
  const { navigator } = globalThis as { navigator?: { gpu?: GPU } };
  const gpu = navigator?.gpu ?? (await dawn());
  if (typeof gpu === "string") return { adapter: null, missing: gpu, install: true };
  entered = gpu;
  const adapter = await entered.requestAdapter({ powerPreference: "high-performance" });
  if (adapter !== null) return { adapter };
  return { adapter: null, missing: "WebGPU finds no adapter: no GPU, or no driver that it accepts", install: false };
}

/** WebGPU as the package brings it; else why not. */
async function dawn(): Promise<GPU | string> {
  // Not a literal: the package is optional, and so are its types.
  const name: string = "webgpu";
  try {
    const { create } = (await import(name)) as { create: (options: string[]) => GPU };
    return create([]);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")
      return "the package webgpu is not installed";
    const [why] = String(error).split("\n");
    return `the package webgpu cannot be loaded (${why})`;
  }
}
