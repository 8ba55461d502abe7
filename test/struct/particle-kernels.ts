/** Structures, and a kernel over arrays of them, for this thread and for workers. */

import assert from "node:assert/strict";
import type { HostKernel } from "../../src/device/driver.js";
import { struct } from "../../src/struct/index.js";

export const particle = struct({ position: "vec3f", mass: "f32" });
export const cell = struct({ place: "vec2f", count: "u32", flag: "i32" });

/** Of each particle its height times its mass, and its number. */
export const weigh: HostKernel = {
  writes: ["cells"],
  run({ first, count, arrays, base }) {
    assert.ok(arrays["particles"] instanceof Float32Array && arrays["cells"] instanceof Uint8Array);
    const { position, mass } = particle.views(arrays["particles"]);
    const { place, count: counts } = cell.views(arrays["cells"]);
    for (let i = first; i < first + count; i++) {
      const from = (i - base["particles"]) * particle.step;
      const to = (i - base["cells"]) * cell.step;
      place[to + 1] = (position[from + 2] ?? 0) * (mass[from] ?? 0);
      counts[to] = i;
    }
  },
};
