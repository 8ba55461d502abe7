// Where no code may be made from text, as a page's policy can say, a kernel in WGSL is refused on the software device.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const WGSL = `
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = 1; }`;

test("a page whose policy lets no code be made is told so", async () => {
  const program = `
    import { createUnifiedMemory } from ${JSON.stringify(new URL("../../src/index.js", import.meta.url).href)};
    const memory = await createUnifiedMemory();
    const descriptor = ${JSON.stringify({ wgsl: WGSL, footprint: { y: { each: 1 } } })};
    const error = await memory.createKernel(descriptor).catch((error) => error);
    console.log(error.code, error.message);
    await memory.destroy();`;
  const flags = ["--disallow-code-generation-from-strings", "--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, flags);
  assert.match(stdout, /^ENOTSUP ENOTSUP: the Content-Security-Policy .* script-src 'unsafe-eval'/);
});
