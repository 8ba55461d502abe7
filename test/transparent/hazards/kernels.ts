/** Kernels of the hazards: one that takes its time, one that adds. */

import type { HostKernel } from "../../../src/device/driver.js";

/** Holds its pages on the device for `milliseconds`, then increments each element. */
export const slow: HostKernel = {
  writes: ["bytes"],
  run({ count, arrays, uniforms }) {
    const { milliseconds } = uniforms as { milliseconds: number };
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
    const bytes = arrays["bytes"] as Uint8Array;
    for (let i = 0; i < count; i++) bytes[i]++;
  },
};
