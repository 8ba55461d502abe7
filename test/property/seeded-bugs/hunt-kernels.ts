/**
 * The search for one bug as in `hunt.ts`, by random kernels that are run page by page. Exit code 3 and the complaint when one does
 * not do what it should, 0 when all do.
 *
 * node hunt-kernels.js KERNELS mirror|webgpu
 */

import fc from "fast-check";
import { choose } from "../../setting.js";
import { combinedKernels, PROPERTIES } from "../random-kernels/kernel.js";

const FOUND = 3;
const SEED = 4;

const [, , most, device] = process.argv;
choose("PAGEFERRY_TEST_DEVICE", device);
const { tryAll } = await import("../random-kernels/dispatch.js");
const properties = PROPERTIES.filter((property) => device === "webgpu" || property !== "workgroups");
const samples = fc.sample(combinedKernels(properties), { seed: SEED, numRuns: Number(most) });
for (const [i, kernel] of samples.entries()) {
  try {
    await tryAll(kernel, ["paged"]);
  } catch (error) {
    const complaint = String(error).replace(/\s+/g, " ").slice(0, 300);
    process.stdout.write(`kernel ${i} of seed ${SEED}: ${complaint}\n`);
    process.exit(FOUND);
  }
}
process.exit();
