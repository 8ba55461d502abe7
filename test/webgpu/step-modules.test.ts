// Kernels that are rewritten to run step by step compute on a GPU what they compute as they were written.

import assert from "node:assert/strict";
import { test } from "node:test";
import { strideOf, type View } from "../../src/device/element.js";
import { describe, type KernelDescription } from "../../src/device/wgsl/describe.js";
import { rewriteStep, type StepVariant } from "../../src/device/wgsl/rewrite/step.js";
import { type ArrayPart, writeStepWords } from "../../src/device/wgsl/rewrite/step-words.js";
import { BUFFER_COPY_DST, BUFFER_UNIFORM } from "../../src/device/webgpu/usage.js";
import { below, type Shader, type ShaderArray } from "../corpus/shader.js";
import { startsOf } from "../corpus/starts.js";
import { gpu, skip } from "./gpu.js";
import { createBuffers, runPlainly, takeResults } from "./plain-program.js";

const SEED = 9;

interface Case extends Omit<Shader, "properties" | "footprint"> {
  /** Arrays that steps have by parts: each invocation uses its own element. */
  readonly based: readonly string[];
}

const words = (length: number): ShaderArray => ({ type: "u32", length, start: below(251) });

const CASES: readonly Case[] = [
  {
    name: "an array is read, another written, with a helper function over pointers to either",
    text: `
      @group(0) @binding(3) var<storage, read> x: array<u32>; // with a comment
      @group(1) @binding(0) var<storage, read_write> y: array<u32>;
      fn at(from_: ptr<storage, array<u32>, read>, i: u32) -> u32 { return (*from_)[i] + from_[i]; }
      fn through(from_: ptr<storage, array<u32>, read>, i: u32) -> u32 { return at(from_, i); }
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        let i = id.x;
        if (i >= arrayLength(&y)) { return; }
        y[i] += through(&x, i) * 3u + arrayLength(&x);
      }`,
    arrays: { x: words(1000), y: words(1000) },
    shape: [1000, 1, 1],
    based: ["x", "y"],
  },
  {
    name: "locals shadow arrays, elements are incremented in place, pointers and signed indices lead to elements",
    text: `
      struct Inputs { @builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u }
      @group(0) @binding(0) var<storage, read_write> x: array<vec2u>;
      fn twice(p: ptr<storage, vec2u, read_write>) { (*p).x *= 2u; p.y += 1u; }
      @compute @workgroup_size(32) fn main(in: Inputs, @builtin(local_invocation_index) local: u32) {
        let i = i32(in.id.x);
        if (i >= 700) { return; }
        { let x = array<u32, 2>(5u, 6u); let unused_ = x[1]; }
        x[i].x++;
        twice(&x[i]);
        let whole = &x;
        (*whole)[i].y += in.group.x * 1000u + in.groups.x * 7u + local;
        let element = &x[i];
        (*element)[0] ^= 21u;
      }`,
    arrays: { x: { type: "vec2u", length: 700, start: below(251) } },
    shape: [700, 1, 1],
    based: ["x"],
  },
  {
    name: "invocations of three dimensions, with overrides and uniforms",
    text: `
      override side: u32 = 2;
      @id(7) override factor: u32;
      const three = 3;
      @group(0) @binding(9) var<uniform> add: vec4u;
      @group(2) @binding(9) var<storage, read_write> x: array<u32>;
      @compute @workgroup_size(side, 4) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
        if (any(id >= vec3u(10, 6, 5))) { return; }
        x[id.x + 10u * (id.y + 6u * id.z)] = id.x + 100u * id.y + 10000u * id.z + factor * add[1] + three + group.z * 1000000u + group.y * 7777u;
      }
      @compute @workgroup_size(1) fn other() { x[0] = 1u; }`,
    arrays: { x: words(300) },
    shape: [10, 6, 5],
    constants: { side: 4, 7: 11 },
    uniforms: { add: new Uint8Array(Uint32Array.of(1, 2, 3, 4).buffer) },
    based: [],
  },
  {
    name: "workgroups share memory and wait for each other",
    text: `
      var<workgroup> part: array<u32, 64>;
      @group(0) @binding(0) var<storage, read> x: array<u32>;
      @group(0) @binding(1) var<storage, read_write> sums: array<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3u) {
        part[local] = select(0u, x[id.x], id.x < arrayLength(&x));
        workgroupBarrier();
        for (var width = 32u; width > 0u; width >>= 1u) {
          if (local < width) { part[local] += part[local + width]; }
          workgroupBarrier();
        }
        if (local == 0u) { sums[group.x] = part[0]; }
      }`,
    arrays: { x: words(640), sums: words(10) },
    shape: [640, 1, 1],
    based: [],
  },
  {
    name: "atomics, a variable that is no array, and a switch in a loop",
    text: `
      @group(0) @binding(0) var<storage, read> x: array<u32>;
      @group(0) @binding(1) var<storage, read_write> total: atomic<u32>;
      @group(0) @binding(2) var<storage, read_write> bins: array<atomic<u32>, 8>;
      // In a cell of its own: SwiftShader loses additions to a cell of which the maximum is taken as well.
      @group(0) @binding(3) var<storage, read_write> largest: atomic<u32>;
      var<private> seen: u32;
      fn note(i: u32) { seen = x[i] % 8u; atomicAdd(&bins[seen], 1u); }
      @compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x >= 333u) { return; }
        note(id.x);
        var i = 0u;
        loop {
          switch i { case 0u, 2u: { atomicAdd(&total, x[id.x]); } default: { atomicMax(&largest, x[id.x]); } }
          i++;
          continuing { break if i >= seen; }
        }
      }`,
    arrays: { x: words(333), total: words(1), bins: words(8), largest: words(1) },
    shape: [333, 1, 1],
    based: ["x"],
  },
  {
    name: "structures around arrays, one of them by an alias, and a parameter that is called arrayLength",
    text: `
      struct Numbers { values: array<u32> }
      alias Named = Numbers;
      @group(0) @binding(0) var<storage, read> x: Named;
      @group(0) @binding(1) var<storage, read_write> y: Numbers;
      fn put(arrayLength: u32, i: u32) { y.values[i] += arrayLength * x.values[i]; }
      @compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x >= arrayLength(&y.values)) { return; }
        put(arrayLength(&x.values), id.x);
      }`,
    arrays: { x: words(500), y: words(500) },
    shape: [500, 1, 1],
    based: ["x", "y"],
  },
];

for (const given of CASES) {
  test(`${given.name}: the same in one step, in several, and as it was written`, { skip }, async (t) => {
    t.diagnostic(`seed ${SEED}`);
    const shader: Shader = { ...given, properties: [], footprint: {} };
    const device = await open(t);
    const description = describe({ text: given.text, entryPoint: "main", constants: given.constants ?? {} });
    const [, y, z] = given.shape;
    const dimensions = y === 1 && z === 1 ? 1 : 3;
    const isWhole = false;
    const readOnly = description.arrays.filter(({ written }) => !written).map((array) => array.name);
    const expectSame = async (of: Shader, variants: readonly StepVariant[]): Promise<void> => {
      const expected = await runPlainly(device, of, startsOf(of, SEED));
      for (const variant of variants) {
        for (const count of [workgroupsOf(description, of)[0], 3]) {
          if (variant.isOnly && count === 3) continue;
          const result = await runSteps(device, description, of, variant, count);
          assert.deepEqual(result, expected, JSON.stringify({ ...variant, count, shape: of.shape }));
        }
      }
    };
    for (const writable of [[], readOnly]) {
      for (const based of [[], given.based]) {
        const variants: StepVariant[] = [{ based, writable, dimensions: 3, isWhole, isOnly: false }];
        if (dimensions === 1) variants.push({ based, writable, dimensions, isWhole, isOnly: false });
        await expectSame(shader, variants);
      }
    }
    const { size } = description.workgroups;
    const [width, height, depth] = given.shape.map((count, axis) => count - (count % (size[axis] ?? 1)));
    const whole: Shader = { ...shader, shape: [width ?? 0, height ?? 0, depth ?? 0] };
    const based = { based: given.based, writable: [], dimensions, isWhole: true } as const;
    await expectSame(whole, [
      { ...based, isOnly: false },
      { ...based, isOnly: true },
    ]);
  });
}

async function open(t: { after(done: () => void): void }): Promise<GPUDevice> {
  const adapter = (await gpu?.requestAdapter()) ?? assert.fail();
  const device = await adapter.requestDevice();
  device.addEventListener("uncapturederror", ({ error }) => assert.fail(error.message));
  t.after(() => device.destroy());
  return device;
}

/** All workgroups of the dispatch, and by dimension. */
function workgroupsOf({ workgroups: { size } }: KernelDescription, { shape }: Shader): number[] {
  const counts = shape.map((count, axis) => Math.ceil(count / (size[axis] ?? 1)));
  return [counts.reduce((product, count) => product * count, 1), ...counts];
}

/** By steps of so many workgroups, each with its part of the arrays that may be bound by a part. */
async function runSteps(
  device: GPUDevice,
  description: KernelDescription,
  shader: Shader,
  variant: StepVariant,
  count: number | undefined,
): Promise<Record<string, View>> {
  const { code, entryPoint, bindings, parameters } = rewriteStep(description, variant);
  const starts = startsOf(shader, SEED);
  const buffers = createBuffers(device, shader, starts);
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  assert.deepEqual(
    messages.filter(({ type }) => type === "error").map(({ message, lineNum }) => `${lineNum}: ${message}`),
    [],
    code,
  );
  const compute = { module, entryPoint, constants: shader.constants ?? {} };
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute });
  const [all = 0, ...grid] = workgroupsOf(description, shader);
  const step = device.createBuffer({ size: parameters.bytes, usage: BUFFER_UNIFORM | BUFFER_COPY_DST });
  const perWorkgroup = description.workgroups.size[0];
  for (let first = 0; first < all; first += count ?? all) {
    const end = Math.min(first + (count ?? all), all);
    const parameterWords = new Uint32Array(parameters.bytes / 4);
    const parts: Record<string, ArrayPart> = {};
    const entries: GPUBindGroupEntry[] = [{ binding: parameters.binding, resource: { buffer: step } }];
    for (const { name, binding, kind } of bindings) {
      const buffer = buffers.get(name) ?? assert.fail();
      const size = kind === "array" ? (starts[name]?.byteLength ?? assert.fail()) : buffer.size;
      const { type, length } = shader.arrays[name] ?? { type: "u32" as const, length: 0 };
      if (!variant.based.includes(name)) {
        entries.push({ binding, resource: { buffer, size } });
        continue;
      }
      const stride = strideOf(type);
      // Parts begin at 256 bytes, as bindings do.
      const offset = Math.floor((first * perWorkgroup * stride) / 256) * 256;
      const used = Math.min(size - offset, (end - first) * perWorkgroup * stride + 256);
      parts[name] = { base: offset / stride, part: used / stride, length };
      entries.push({ binding, resource: { buffer, offset, size: used } });
    }
    const [invocations, workgroups] = [shader.shape, grid].map(([x = 0, y = 0, z = 0]) => [x, y, z] as const);
    writeStepWords(parameterWords, parameters.words, { first, invocations, workgroups, parts });
    device.queue.writeBuffer(step, 0, parameterWords);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    // Folded into two rows where that is possible, as where there are more than one dimension can have.
    const rows = (end - first) % 2 === 0 ? 2 : 1;
    pass.dispatchWorkgroups((end - first) / rows, rows);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }
  step.destroy();
  return takeResults(device, shader, buffers);
}
