/** Whether a device is given as the place of its driver. */

import type { DeviceDriver } from "../../device/driver.js";
import type { DeviceModule } from "./device-module.js";

export function isDeviceModule(device: DeviceDriver | DeviceModule): device is DeviceModule {
  return typeof device === "object" && device !== null && "export" in device;
}
