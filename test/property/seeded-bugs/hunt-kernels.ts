/**
 * The search for one bug as in `hunt.ts`, by random kernels that are run page by page.
 *
 * node hunt-kernels.js KERNELS mirror|webgpu
 */

import { choose } from "../../setting.js";
import { combinedKernels, PROPERTIES } from "../random-kernels/kernel.js";
import { search } from "./search.js";

const [, , most, device] = process.argv;
choose("PAGEFERRY_TEST_DEVICE", device);
const { tryAll } = await import("../random-kernels/dispatch.js");
const properties = PROPERTIES.filter((property) => device === "webgpu" || property !== "workgroups");
await search(combinedKernels(properties), (kernel) => tryAll(kernel, ["paged"]), Number(most));
