/** Devices for the pager's thread: the software device, and ones with which the pager comes to grief. */

import type { Device, DeviceDriver } from "../../../src/device/driver.js";
import { mirrorDevice } from "../../../src/device/mirror/index.js";

const BUDGET = 2 ** 24;

/** Its first download throws where nobody catches it. */
export function crashing(): DeviceDriver {
  return downloading(() => {
    setImmediate(() => {
      throw new Error("the device driver has a bug");
    });
    return new Promise<never>(() => {});
  });
}

/** Its first download takes the pager's thread for ever. */
export function silent(): DeviceDriver {
  return downloading(() => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
}

/** Its downloads fail. */
export function failing(): DeviceDriver {
  return downloading(() => {
    throw new Error("the link is down");
  });
}

function downloading(download: () => void | Promise<void>): DeviceDriver {
  const driver = mirrorDevice({ budget: BUDGET });
  const open = async (...host: Parameters<DeviceDriver["open"]>): Promise<Device> => {
    const device = await driver.open(...host);
    return new Proxy(device, {
      get(target, name) {
        if (name === "download") return async () => download();
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  };
  return { ...driver, open };
}
