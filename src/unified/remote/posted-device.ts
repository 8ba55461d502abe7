/** A device as it can be posted to the pager's thread: where its driver is made. */

import type { DeviceDriver } from "../../device/driver.js";
import { MemoryError } from "../../mm/errors.js";
import type { DeviceModule } from "../local/device-module.js";
import { isDeviceModule } from "../local/device-module-shape.js";

/** EINVAL for a driver, which is made of functions. */
export function postedDevice(device: DeviceDriver | DeviceModule): DeviceModule {
  if (!isDeviceModule(device)) {
    throw new MemoryError(
      "EINVAL",
      "device is a driver, which cannot be posted to the pager: give { module, export, options }, where export makes it",
    );
  }
  return { ...device, ...(device.module && { module: String(device.module) }) };
}
