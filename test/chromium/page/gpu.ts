/** What `test/webgpu/gpu.ts` is in Node, for a page: pages get this file in its place. The adapter is the browser's own. */

import type * as counterpart from "../../webgpu/gpu.js";
import { setting } from "../../setting.js";

const { navigator } = globalThis as { navigator?: { readonly gpu?: GPU } };
const adapter = (await navigator?.gpu?.requestAdapter()) ?? null;
const missing = adapter === null ? "this browser has no WebGPU adapter" : false;
if (missing !== false && setting("PAGEFERRY_REQUIRE_WEBGPU") === "1") throw new Error(missing);

/** Why tests of WebGPU cannot run here; false where they can. */
export const skip: string | false = missing;

/** WebGPU; null where `skip` says why not. */
export const gpu: GPU | null = adapter === null ? null : (navigator?.gpu ?? null);

void ({ gpu, skip } satisfies typeof counterpart);
