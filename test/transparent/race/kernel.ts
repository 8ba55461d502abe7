/** What the device does: increments its counters. */

import type { HostKernel } from "../../../src/device/driver.js";
import { cellOf, groups, KERNEL } from "./cells.js";

export const increment: HostKernel = {
  writes: ["counters"],
  run({ first, count, arrays, base, uniforms }) {
    const counters = arrays["counters"] as Uint32Array;
    const { wordsPerPage } = uniforms as { wordsPerPage: number };
    for (let page = first; page < first + count; page++) {
      for (let group = 0; group < groups; group++) {
        counters[cellOf(wordsPerPage, page, group, KERNEL) - (base["counters"] ?? 0)]++;
      }
    }
  },
};
