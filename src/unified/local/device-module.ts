/** Devices that are given as a module and the name of an export, because a driver cannot be posted to the pager's thread. */

import { mirrorDevice } from "../../device/mirror/index.js";
import type { DeviceDriver } from "../../device/driver.js";
import { MemoryError } from "../../mm/errors.js";

/** Where the pager finds a function that makes the driver. */
export interface DeviceModule {
  /** A whole URL, as `new URL("./device.js", import.meta.url)`. Default: that of `mirrorDevice`. */
  readonly module?: URL | string;
  /** The name of an export: a function from `options` to a `DeviceDriver`, or to the promise of one. */
  readonly export: string;
  /** What the function is called with; whatever can be posted. */
  readonly options?: unknown;
}

/** Imports the module and makes the driver. EINVAL, naming module and export, when it is not there or makes none. */
export async function importDevice({ module, export: name, options }: DeviceModule): Promise<DeviceDriver> {
  if (module === undefined) {
    if (name !== "mirrorDevice") throw new MemoryError("EINVAL", `device has export "${name}", but no module`);
    return mirrorDevice(options as Parameters<typeof mirrorDevice>[0]);
  }
  const address = String(module);
  let exports: Readonly<Record<string, unknown>>;
  try {
    exports = (await import(/* @vite-ignore */ /* webpackIgnore: true */ address)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MemoryError("EINVAL", `device module ${address} cannot be imported: ${reason}`, { cause });
  }
  const make = exports[name];
  if (typeof make !== "function") {
    const found = Object.keys(exports).join(", ") || "none";
    throw new MemoryError("EINVAL", `device module ${address} has no function "${name}"; it exports ${found}`);
  }
  const driver = (await make(options)) as Partial<DeviceDriver> | undefined;
  if (typeof driver?.open !== "function")
    throw new MemoryError("EINVAL", `what "${name}" of ${address} makes is no device driver`);
  return driver as DeviceDriver;
}
