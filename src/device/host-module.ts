/**
 * Kernels that are given as a module and the name of an export, because a function cannot be posted to a worker. They are
 * found in the same way wherever they run, with the same errors.
 */

import { MemoryError } from "../mm/errors.js";
import type { HostKernel, HostModule } from "./driver.js";
import { isHostKernel } from "./host-kernel.js";

/** A module by its address alone, as it is posted. */
export interface HostModuleAddress {
  readonly module: string;
  readonly export: string;
}

/** EINVAL for what is no URL of a module, or no name of an export. */
export function addressOf(label: string, { module, export: name }: HostModule): HostModuleAddress {
  if (typeof name !== "string" || name === "")
    throw new MemoryError("EINVAL", `kernel "${label}" needs host: { module, export }, the name of an export`);
  try {
    return { module: new URL(module).href, export: name };
  } catch (cause) {
    throw new MemoryError(
      "EINVAL",
      `kernel "${label}" has module "${String(module)}", which is no whole URL: give it as new URL("./kernels.js", import.meta.url)`,
      { cause },
    );
  }
}

/** Imports the kernel. EINVAL, naming module and export, when it is not there or is no kernel. */
export async function importHostKernel(label: string, address: HostModuleAddress): Promise<HostKernel> {
  const { module, export: name } = address;
  let exports: Readonly<Record<string, unknown>>;
  try {
    exports = (await import(/* @vite-ignore */ /* webpackIgnore: true */ module)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, "");
    throw new MemoryError(
      "EINVAL",
      `kernel "${label}": no export "${name}", as ${module} cannot be imported: ${reason}`,
      {
        cause,
      },
    );
  }
  if (!Object.hasOwn(exports, name)) {
    const found = Object.keys(exports).join(", ") || "none";
    throw new MemoryError("EINVAL", `kernel "${label}": ${module} has no export "${name}"; it exports ${found}`);
  }
  const kernel = exports[name];
  if (!isHostKernel(kernel))
    throw new MemoryError("EINVAL", `kernel "${label}": export "${name}" of ${module} is no kernel { writes, run }`);
  return kernel;
}
