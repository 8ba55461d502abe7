/** Drivers whose device is lost in a certain operation, for memories whose pager is in a worker. */

import type { DeviceDriver } from "../../src/device/driver.js";
import { mirrorDevice } from "../../src/device/mirror/index.js";
import { LosableDriver } from "./losable-driver.js";

export interface LosableOptions {
  readonly budget: number;
  /** The number of the operation that the device does not survive. */
  readonly operation: number;
}

export function losable({ budget, operation }: LosableOptions): DeviceDriver {
  const driver = new LosableDriver(mirrorDevice({ budget }));
  driver.loseAt = { operation, done: true };
  return driver;
}
