/**
 * WebGPU in Node, for tests: this machine's own adapter, else SwiftShader, the software adapter that Debian's `chromium`
 * brings. Where there is neither, tests are skipped and say what is missing; with PAGEFERRY_REQUIRE_WEBGPU=1 they fail.
 *
 * The package is that of test/webgpu/package.json: `npm run tools:webgpu`.
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { repository } from "../packaging/sample-project.js";

interface Dawn {
  create(options: string[]): GPU;
}

const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** The object that has an adapter; else why there is none. */
async function findAdapter(dawn: Dawn): Promise<GPU | string> {
  const own = await withAdapter(dawn);
  if (own !== null) return own;
  if (!existsSync(SWIFTSHADER)) return "no WebGPU adapter, and no SwiftShader (apt-get install chromium libvulkan1)";
  // The Vulkan loader reads it when the next instance is made.
  process.env["VK_ICD_FILENAMES"] ??= SWIFTSHADER;
  return (await withAdapter(dawn)) ?? "no WebGPU adapter, although SwiftShader is here (apt-get install libvulkan1)";
}

async function withAdapter(dawn: Dawn): Promise<GPU | null> {
  const gpu = dawn.create([]);
  return (await gpu.requestAdapter()) === null ? null : gpu;
}

async function findGpu(): Promise<GPU | string> {
  let dawn: Dawn;
  try {
    dawn = createRequire(join(repository, "test/webgpu/package.json"))("webgpu") as Dawn;
  } catch (error) {
    const [why] = String(error).split("\n");
    return `WebGPU for Node is not installed (npm run tools:webgpu): ${why}`;
  }
  return findAdapter(dawn);
}

const found = await findGpu();
if (typeof found === "string" && process.env["PAGEFERRY_REQUIRE_WEBGPU"] === "1") throw new Error(found);

/** Why tests of WebGPU cannot run here; false where they can. An option of `test`. */
export const skip: string | false = typeof found === "string" ? found : false;

/** WebGPU; null where `skip` says why not. The package crashes when this is collected, so it is kept here. */
export const gpu: GPU | null = typeof found === "string" ? null : found;
