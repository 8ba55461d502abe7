/** Opens a machine with its device, and the pager over it. */

import { AttachedDevice } from "../../device/attached-device.js";
import type { DeviceDriver } from "../../device/driver.js";
import { mirrorDevice } from "../../device/mirror/index.js";
import { Machine, type MachineOptions } from "../../mm/machine.js";
import type { SharedMemoryOptions, UnifiedMemoryOptions } from "../create-unified-memory.js";
import { loadPart } from "../../device/load-part.js";
import { driverOf } from "./driver-of.js";
import { loadOnDemand } from "./load-on-demand.js";
import { LocalPager } from "./local-pager.js";

export async function openPager(options: UnifiedMemoryOptions | SharedMemoryOptions): Promise<LocalPager> {
  const { hostBudget, pageSize, debug = false, shared = false, signal, environment } = options;
  const machineOptions: MachineOptions = { debug, shared };
  if (hostBudget !== undefined) machineOptions.hostBudget = hostBudget;
  if (pageSize !== undefined) machineOptions.pageSize = pageSize;
  if (environment !== undefined) machineOptions.environment = environment;
  const wantsSwap = options.swapFile !== undefined || options.swapStore !== undefined;
  const part = wantsSwap ? await loadOnDemand("swap") : null;
  const sharing = shared ? await loadPart("shared memory", () => import("./sharing.js")) : null;
  const swap = part === null ? null : await part.openSwap(options);
  try {
    signal?.throwIfAborted();
    const machine = new Machine(machineOptions);
    if (swap !== null) part?.swapOn(machine, swap);
    const { device = mirrorDevice() } = options;
    const made = driverOf(device);
    const driver = made instanceof Promise ? await made : made;
    signal?.throwIfAborted();
    const attached = await attachUnlessAborted(machine, driver, signal);
    try {
      return new LocalPager(machine, attached, sharing === null ? null : (mm) => new sharing.Sharing(mm));
    } catch (error) {
      await attached.device.close();
      throw error;
    }
  } catch (error) {
    await swap?.close?.();
    throw error;
  }
}

/** Aborted while the driver opens the device, it does not wait for that; the device is closed once it is open. */
async function attachUnlessAborted(
  machine: Machine,
  driver: DeviceDriver,
  signal: AbortSignal | undefined,
): Promise<AttachedDevice> {
  const attaching = AttachedDevice.attach(machine, driver);
  let onAbort = (): void => {};
  const aborted = new Promise<"aborted">((resolve) => {
    onAbort = () => resolve("aborted");
  });
  signal?.addEventListener("abort", onAbort);
  try {
    const first = await Promise.race([attaching, aborted]);
    if (first !== "aborted") return first;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
  attaching.then(({ device }) => device.close()).catch(() => {});
  throw signal?.reason;
}
