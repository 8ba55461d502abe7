/** Writes every page on the device, so that each has to be copied back. */

import type { HostKernel } from "../../src/device/driver.js";

/** Increments the first byte of each page. */
export const writePages: HostKernel = {
  writes: ["bytes"],
  run({ count, arrays, uniforms }) {
    const bytes = arrays["bytes"] as Uint8Array;
    const { pageSize } = uniforms as { pageSize: number };
    for (let i = 0; i < count; i++) bytes[i * pageSize]++;
  },
};
