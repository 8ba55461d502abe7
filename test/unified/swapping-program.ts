/**
 * A program for the test of a process's memory: writes, reads and computes on an array of so many MiB with a host budget of
 * 64 MiB and a swap file, checks every element, and prints the peak of its resident set in bytes.
 */

import { createUnifiedMemory, MiB, mirrorDevice } from "../../src/index.js";

const [path = "", size = "1"] = process.argv.slice(2);
const length = (Number(size) * MiB) / 4;
const part = MiB / 4;
const memory = await createUnifiedMemory({
  device: mirrorDevice({ budget: 16 * MiB }),
  hostBudget: 64 * MiB,
  swapFile: path,
});
const array = memory.createArray("u32", length);
const chunk = new Uint32Array(part);
for (let start = 0; start < length; start += part) {
  for (let i = 0; i < part; i++) chunk[i] = Math.imul(start + i, 2_654_435_761);
  await array.write(chunk, { start });
}
const kernel = await memory.createKernel({
  footprint: { x: { each: 1 } },
  host: {
    writes: ["x"],
    run({ count, arrays }) {
      const x = arrays["x"] as Uint32Array;
      for (let i = 0; i < count; i++) x[i] ^= 0x5555_5555;
    },
  },
});
await kernel.dispatch({ invocations: length, arrays: { x: array } });
for (let start = 0; start < length; start += part) {
  await array.read(chunk, { start });
  for (let i = 0; i < part; i++) {
    const right = (Math.imul(start + i, 2_654_435_761) ^ 0x5555_5555) >>> 0;
    if (chunk[i] !== right) throw new Error(`element ${start + i} is ${chunk[i]}, not ${right}`);
  }
}
const swapped = memory.stats.swap?.writtenBytes ?? 0;
await memory.destroy();
process.stdout.write(JSON.stringify({ peak: process.resourceUsage().maxRSS * 1024, swapped }));
