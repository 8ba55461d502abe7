/** The driver of a device, which may be given as where a driver is made. */

import type { DeviceDriver } from "../../device/driver.js";
import { loadPart } from "../../device/load-part.js";
import type { DeviceModule } from "./device-module.js";
import { isDeviceModule } from "./device-module-shape.js";

/** At once for a driver. */
export function driverOf(device: DeviceDriver | DeviceModule): DeviceDriver | Promise<DeviceDriver> {
  return isDeviceModule(device) ? importDriver(device) : device;
}

async function importDriver(device: DeviceModule): Promise<DeviceDriver> {
  const { importDevice } = await loadPart("devices as modules", () => import("./device-module.js"));
  return importDevice(device);
}
