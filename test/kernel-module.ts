/** Kernels of tests as modules: a module that imports what a test's file exports, and exports one kernel of that. */

import type { HostModule } from "../src/device/driver.js";

/** `kernel` is an expression over `name`, which the file exports. */
export function kernelModule(file: URL, name: string, kernel: string): HostModule {
  const text = `import { ${name} } from ${JSON.stringify(file.href)};\nexport const kernel = ${kernel};`;
  return { module: `data:text/javascript,${encodeURIComponent(text)}`, export: "kernel" };
}
