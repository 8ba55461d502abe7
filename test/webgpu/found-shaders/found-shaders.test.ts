// Shaders of other projects either run in a memory as they run without one, or are refused with line, column and reason.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type ElementType, isElementType, type StructType } from "../../../src/device/element.js";
import { KernelError } from "../../../src/device/kernel-error.js";
import { layoutOf } from "../../../src/device/layout.js";
import { describe, type KernelDescription } from "../../../src/device/wgsl/describe.js";
import { elementNameOf } from "../../../src/device/wgsl/index.js";
import { rewriteStep } from "../../../src/device/wgsl/rewrite/step.js";
import type { Type } from "../../../src/device/wgsl/types.js";
import { webgpuDevice } from "../../../src/device/webgpu/index.js";
import { createUnifiedMemory } from "../../../src/index.js";
import { struct } from "../../../src/struct/index.js";
import { PAGE } from "../../builders.js";
import type { Shader } from "../../corpus/index.js";
import { startsOf } from "../../corpus/starts.js";
import { skip } from "../gpu.js";
import { ownDevice, sharedDevice } from "../opened-device.js";
import { runPlainly } from "../plain-program.js";
import { babylonShaders } from "./babylon.js";
import { onnxruntimeShaders } from "./onnxruntime.js";
import type { FoundShader } from "./packages.js";
import { threeShaders } from "./three.js";
import { typegpuShaders } from "./typegpu.js";

const SEED = 7;
/** What uniforms are filled with: a number that is no great many as a count, and next to nothing as a float. */
const FILL = 8;
/** Elements of arrays whose length the shader leaves open. */
const LENGTH = 600;
/** Shaders that are dispatched as one workgroup, which goes through an array in place: several would race for it. */
const ONE_WORKGROUP = /ScanSums/;

const PACKAGES: Readonly<Record<string, { find: () => Promise<FoundShader[]>; ran: number }>> = {
  "three.js": { find: async () => threeShaders(await ownDevice()), ran: 3 },
  "Babylon.js": { find: babylonShaders, ran: 12 },
  TypeGPU: { find: typegpuShaders, ran: 5 },
  "onnxruntime-web": { find: onnxruntimeShaders, ran: 15 },
};

for (const [name, { find, ran }] of Object.entries(PACKAGES)) {
  test(`shaders of ${name}`, { skip }, async (t) => {
    const outcomes = { ran: 0, "rewritten, not run": 0, refused: 0 };
    const found = await find();
    for (const shader of found) {
      for (const entryPoint of entryPointsOf(shader.text)) {
        const outcome = await judge(shader, entryPoint);
        outcomes[outcome.what]++;
        t.diagnostic(`${shader.from}, ${entryPoint}: ${outcome.what}${outcome.why}`);
      }
    }
    t.diagnostic(`${name}: ${JSON.stringify(outcomes)}, seed ${SEED}`);
    assert.ok(outcomes.ran >= ran, `fewer than ${ran} of ${found.length} shaders ran`);
  });
}

function entryPointsOf(text: string): string[] {
  return [...text.matchAll(/@compute[^{;]*?\bfn\s+(\w+)/g)].map((match) => match[1] ?? "");
}

interface Outcome {
  readonly what: "ran" | "rewritten, not run" | "refused";
  readonly why: string;
}

async function judge({ from, text }: FoundShader, entryPoint: string): Promise<Outcome> {
  let description: KernelDescription;
  try {
    description = describe({ text, entryPoint });
  } catch (error) {
    assert.ok(error instanceof KernelError, `${from}: ${String(error)}`);
    assert.ok(error.line <= text.split("\n").length && error.reason !== "");
    return { what: "refused", why: `, ${error.message}` };
  }
  await assertAccepted(description, from);
  const shader = shaderOf(description, text, ONE_WORKGROUP.test(from) ? 1 : 4);
  if (typeof shader === "string") return { what: "rewritten, not run", why: `, ${shader}` };
  const device = await sharedDevice();
  const starts = startsOf(shader, SEED);
  const expected = await runPlainly(device, shader, starts);
  const results = await runInMemory(shader, starts);
  for (const array of Object.keys(starts)) {
    if (bytesOf(results[array]).equals(bytesOf(expected[array]))) continue;
    const again = await runPlainly(device, shader, starts);
    assert.ok(!bytesOf(again[array]).equals(bytesOf(expected[array])), `${from}: ${array}`);
    return { what: "rewritten, not run", why: ", it races" };
  }
  return { what: "ran", why: "" };
}

/** Tint takes what was made of it, in whatever variant. */
async function assertAccepted(description: KernelDescription, from: string): Promise<void> {
  const device = await sharedDevice();
  const based = description.arrays.filter(({ length }) => length === null).map(({ name }) => name);
  const writable = description.arrays.filter(({ written }) => !written).map(({ name }) => name);
  for (const variant of [
    { based: [], writable: [], dimensions: 1 as const, isWhole: true, isOnly: true },
    { based, writable, dimensions: 3 as const, isWhole: false, isOnly: false },
  ]) {
    const { code } = rewriteStep(description, variant);
    device.pushErrorScope("validation");
    const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
    await device.popErrorScope();
    const errors = messages.filter(({ type }) => type === "error");
    assert.deepEqual(
      errors.map(({ lineNum, message }) => `${lineNum}: ${message}`),
      [],
      `${from}\n${code}`,
    );
  }
}

/** The shader with arrays for all it binds; else why it has none. */
function shaderOf(
  { arrays, uniforms, bindings, entryPoint, workgroups }: KernelDescription,
  text: string,
  count: number,
): Shader | string {
  if (bindings.length > 0) return `it has the binding "${bindings[0]?.name}"`;
  const made: Record<string, Shader["arrays"][string]> = {};
  for (const { name, element, length } of arrays) {
    const type = elementOf(element);
    if (type === null) return `no array is of ${elementNameOf(element)}`;
    made[name] = { type, length: length ?? LENGTH, start: { below: 50 } };
  }
  const fill = (bytes: number): Uint8Array<ArrayBuffer> =>
    new Uint8Array(new Uint32Array(Math.ceil(bytes / 4)).fill(FILL).buffer).subarray(0, bytes);
  return {
    name: entryPoint,
    properties: [],
    text,
    entryPoint,
    arrays: made,
    shape: [workgroups.size[0] * count, workgroups.size[1], workgroups.size[2]],
    footprint: {},
    uniforms: Object.fromEntries(uniforms.map(({ name, bytes }) => [name, fill(bytes)])),
  };
}

function elementOf(type: Type): ElementType | null {
  const made = memberOf(type);
  return made !== null && isElementType(made) ? made : null;
}

function memberOf(type: Type): ElementType | StructType["members"][string] | null {
  if (type.kind === "array") return null;
  if (type.kind !== "struct") {
    const name = elementNameOf(type);
    return layoutOf(name) === undefined ? null : (name as ElementType);
  }
  const members = type.members.map((member) => [member.name, memberOf(member.type)] as const);
  if (members.some(([, member]) => member === null)) return null;
  return struct(Object.fromEntries(members) as Parameters<typeof struct>[0]);
}

async function runInMemory(
  shader: Shader,
  starts: ReturnType<typeof startsOf>,
): Promise<Record<string, ArrayBufferView>> {
  const device = await webgpuDevice({ device: await sharedDevice(), budget: 64 * 16 * PAGE });
  await using memory = await createUnifiedMemory({ device, pageSize: PAGE });
  const kernel = await memory.createKernel({
    wgsl: shader.text,
    footprint: Object.fromEntries(Object.keys(shader.arrays).map((name) => [name, "whole"] as const)),
    ...(shader.entryPoint !== undefined && { entryPoint: shader.entryPoint }),
  });
  const arrays = Object.fromEntries(
    Object.entries(shader.arrays).map(([name, { type, length }]) => [name, memory.createArray(type, length)]),
  );
  for (const [name, array] of Object.entries(arrays)) await array.write(starts[name] as never);
  const { mode } = await kernel.dispatch({ invocations: shader.shape, arrays, uniforms: shader.uniforms ?? {} });
  assert.equal(mode, "resident");
  return Object.fromEntries(
    await Promise.all(Object.entries(arrays).map(async ([name, array]) => [name, await array.read()] as const)),
  );
}

function bytesOf(view: ArrayBufferView | undefined): Buffer {
  assert.ok(view !== undefined);
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}
