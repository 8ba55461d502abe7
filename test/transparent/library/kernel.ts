/** Increments the last element of each page, on the device. */

import type { HostKernel } from "../../../src/device/driver.js";

/** Elements a page, of `f64`. */
export const ELEMENTS = 8192;

export const count: HostKernel = {
  writes: ["numbers"],
  run({ count: invocations, arrays }) {
    const numbers = arrays["numbers"] as Float64Array;
    for (let i = 1; i <= invocations; i++) numbers[i * ELEMENTS - 1]++;
  },
};
