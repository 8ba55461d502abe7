/** Kernels that the thread tests give as modules. */

import type { HostKernel } from "../../../src/device/driver.js";

export const addOne: HostKernel = {
  writes: ["x"],
  run({ count, arrays: { x } }) {
    for (let i = 0; i < count; i++) x[i]++;
  },
};
