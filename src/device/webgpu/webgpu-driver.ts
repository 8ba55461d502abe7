/** What a program makes of WebGPU before a memory opens it: checked options, and a GPUDevice. */

import { softwareName } from "./software-adapter.js";
import { MemoryError } from "../../mm/errors.js";
import type { Device, DeviceDriver, DeviceHost } from "../driver.js";
import { checkOptions, type OptionNames } from "../options.js";
import type { Gpu, GpuAdapter, GpuDevice } from "./gpu-types.js";
import { checkLimits, type EffectiveLimits, effectiveLimits, type WebgpuLimits } from "./limits.js";
import { type AdapterRequest, adapterName, lossErrorOf, requestAdapter, requestDevice } from "./request-device.js";
import { WebgpuDevice, type WebgpuShape } from "./webgpu-device.js";

/** Of a WebGPU device; all but the budget may be left out. */
export interface WebgpuOptions {
  /** Bytes of GPU memory for pages; rounded down to whole pages. Buffers for copies, and a page in each large buffer, come on top. */
  budget: number;
  /** The program's own device, which is never destroyed. Default: one of our own, destroyed with the memory. */
  device?: GpuDevice;
  /** Where a device of our own comes from. Default: the one that `gpu` gives. An adapter gives one device only. */
  adapter?: GpuAdapter;
  /** WebGPU itself. Default: `navigator.gpu`, in Node that of the package `webgpu`. */
  gpu?: Gpu;
  /** Which adapter is asked for. */
  powerPreference?: "low-power" | "high-performance";
  /** Limits that are lower than those of the device. */
  limits?: WebgpuLimits;
  /** A name for messages and tools. Default: "webgpu", with the name of the adapter. */
  label?: string;
}

const OPTIONS: OptionNames<WebgpuOptions> = {
  budget: true,
  device: true,
  adapter: true,
  gpu: true,
  powerPreference: true,
  limits: true,
  label: true,
};

/**
 * The GPU, by WebGPU: `createUnifiedMemory({ device: await webgpuDevice({ budget }) })`. Rejects with EINVAL for bad options,
 * ENODEV where there is no WebGPU, no adapter or no device, saying what to install. The buffers are made when a memory opens
 * the device, which rejects with ENOMEM for a budget that the GPU has no room for.
 */
export async function webgpuDevice(options: WebgpuOptions): Promise<DeviceDriver> {
  checkOptions("webgpuDevice", options, OPTIONS);
  const { budget, device: given, adapter, gpu, powerPreference, limits = {}, label } = options;
  if (!Number.isSafeInteger(budget) || budget <= 0)
    throw new MemoryError("EINVAL", `device budget of ${String(budget)} bytes is not a whole number above 0`);
  if (given !== undefined && (adapter ?? gpu ?? powerPreference) !== undefined)
    throw new MemoryError(
      "EINVAL",
      "webgpuDevice takes a device, or where one comes from (adapter, gpu, powerPreference), not both",
    );
  if (given !== undefined && typeof given.createBuffer !== "function")
    throw new MemoryError("EINVAL", "what webgpuDevice was given as its device is no GPUDevice");
  checkLimits(limits);
  const request: AdapterRequest = { gpu, adapter, powerPreference };
  const source = given === undefined ? await OwnDevice.request(request) : new GivenDevice(given);
  const name = label ?? `webgpu (${adapterName(source.device.adapterInfo)})`;
  try {
    return driverOf(name, budget, source, effectiveLimits(limits, source.device.limits));
  } catch (error) {
    source.closed();
    throw error;
  }
}

function driverOf(
  name: string,
  budget: number,
  source: OwnDevice | GivenDevice,
  limits: EffectiveLimits,
): DeviceDriver {
  let isOpen = false;
  const shape: WebgpuShape = {
    name,
    budget,
    limits,
    isSoftware: softwareName(source.device.adapterInfo) !== null,
    onClose: () => {
      isOpen = false;
      source.closed();
    },
  };
  return {
    name,
    kind: "private",
    budget,
    open: async (host: DeviceHost): Promise<Device> => {
      if (isOpen) throw new MemoryError("EBUSY", `${name} is open already: a memory needs a device of its own`);
      isOpen = true;
      try {
        return await WebgpuDevice.open(await source.usable(name), host, shape);
      } catch (error) {
        isOpen = false;
        throw error;
      }
    },
  };
}

/** The program's: whatever becomes of it is the program's affair. */
class GivenDevice {
  readonly device: GPUDevice;

  constructor(device: GPUDevice) {
    this.device = device;
  }

  async usable(name: string): Promise<GPUDevice> {
    const lost = await lossErrorOf(name, this.device);
    if (lost !== null) throw lost;
    return this.device;
  }

  closed(): void {}
}

/** Ours: destroyed with the memory, and asked for anew when another one opens it or it was lost. */
class OwnDevice {
  device: GPUDevice;
  readonly #request: AdapterRequest;
  #closed = false;

  private constructor(request: AdapterRequest, device: GPUDevice) {
    this.#request = request;
    this.device = device;
  }

  static async request(request: AdapterRequest): Promise<OwnDevice> {
    return new OwnDevice(request, await requestDevice(await requestAdapter(request)));
  }

  async usable(name: string): Promise<GPUDevice> {
    if (this.#closed || (await lossErrorOf(name, this.device)) !== null) {
      this.device = await requestDevice(await requestAdapter(this.#request));
      this.#closed = false;
    }
    return this.device;
  }

  closed(): void {
    this.#closed = true;
    this.device.destroy();
  }
}
