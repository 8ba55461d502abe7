/** What a kernel as TypeScript has to have. */

import type { HostKernel } from "./driver.js";

export function isHostKernel(host: unknown): host is HostKernel {
  const { writes, run } = (host ?? {}) as Partial<HostKernel>;
  return typeof run === "function" && Array.isArray(writes);
}
