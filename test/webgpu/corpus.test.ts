// Shaders do in a memory, on every device and in every mode, what they do in a program without one.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeviceDriver } from "../../src/device/driver.js";
import { type ElementType, strideOf, type View } from "../../src/device/element.js";
import { mirrorDevice } from "../../src/device/mirror/index.js";
import { webgpuDevice } from "../../src/device/webgpu/index.js";
import { createUnifiedMemory } from "../../src/index.js";
import type { DispatchMode } from "../../src/unified/kernel.js";
import { PAGE } from "../builders.js";
import { ACCEPTED, type Shader } from "../corpus/index.js";
import { startsOf } from "../corpus/starts.js";
import { skip } from "./gpu.js";
import { sharedDevice } from "./opened-device.js";
import { runPlainly } from "./plain-program.js";
import { sameBytes } from "../bytes.js";

type Arrays = Readonly<Record<string, View<ElementType, ArrayBuffer>>>;

const SEED = 2026;

const DEVICES: Readonly<Record<string, (budget: number) => Promise<DeviceDriver>>> = {
  mirror: async (budget) => mirrorDevice({ budget }),
  WebGPU: async (budget) => webgpuDevice({ device: await sharedDevice(), budget }),
};

for (const shader of ACCEPTED) {
  test(`${shader.name} (${shader.properties.join(", ")})`, { skip }, async (t) => {
    t.diagnostic(`seed ${SEED}`);
    const starts = startsOf(shader, SEED);
    const expected = await runPlainly(await sharedDevice(), shader, starts);
    const changed = Object.keys(starts).filter((name) => !sameViews(starts[name], expected[name]));
    assert.ok(changed.length > 0, "a shader that changes nothing shows nothing");
    for (const [name, open] of Object.entries(DEVICES)) {
      if (name === "mirror" && shader.notOnMirror !== undefined) {
        await refusedByMirror(shader, shader.notOnMirror);
        continue;
      }
      for (const mode of modesOf(shader)) {
        const results = await runInMemory(await open(budgetOf(shader, mode)), shader, starts, mode);
        for (const array of Object.keys(starts)) {
          assert.ok(sameViews(results[array], expected[array]), `${array} on ${name}, ${mode}`);
        }
      }
    }
  });
}

function sameViews(left: View | undefined, right: View | undefined): boolean {
  return sameBytes(left ?? assert.fail(), right ?? assert.fail());
}

function modesOf({ arrays, footprint, notPaged }: Shader): DispatchMode[] {
  const isKnown = Object.keys(arrays).every((name) => footprint[name] !== undefined);
  return [
    "resident",
    ...(isKnown ? (["streamed"] as const) : []),
    ...(notPaged === undefined ? (["paged"] as const) : []),
  ];
}

/** Everything; about a third of the data for steps; for pages that come as they are asked for, at random here, two thirds. */
function budgetOf({ arrays }: Shader, mode: DispatchMode): number {
  const pages = Object.values(arrays).map(({ type, length }) => Math.ceil((length * strideOf(type)) / PAGE));
  const all = pages.reduce((sum, count) => sum + count, 0);
  if (mode === "resident") return PAGE * all;
  const part = Math.ceil(mode === "streamed" ? all / 3 : (all * 2) / 3);
  return PAGE * Math.min(all - 1, Math.max(part, pages.length * 2 + 2));
}

async function runInMemory(
  device: DeviceDriver,
  shader: Shader,
  starts: Arrays,
  mode: DispatchMode,
): Promise<Record<string, View>> {
  await using memory = await createUnifiedMemory({ device, pageSize: PAGE });
  const { text: wgsl, entryPoint, constants = {}, footprint, shape: invocations, uniforms = {} } = shader;
  const kernel = await memory.createKernel({
    wgsl,
    constants,
    footprint,
    ...(entryPoint !== undefined && { entryPoint }),
  });
  const arrays = Object.fromEntries(
    Object.entries(shader.arrays).map(([name, { type, length }]) => [name, memory.createArray(type, length)]),
  );
  for (const [name, array] of Object.entries(arrays)) await array.write(starts[name] as never);
  const report = await kernel.dispatch({ invocations, arrays, uniforms, mode });
  assert.equal(report.mode, mode);
  if (mode !== "resident") assert.ok(report.steps > 1, `${report.steps} steps`);
  return Object.fromEntries(
    await Promise.all(Object.entries(arrays).map(async ([name, array]) => [name, await array.read()] as const)),
  );
}

async function refusedByMirror({ text: wgsl, footprint }: Shader, reason: RegExp): Promise<void> {
  await using memory = await createUnifiedMemory({ pageSize: PAGE });
  await assert.rejects(memory.createKernel({ wgsl, footprint }), reason);
}
