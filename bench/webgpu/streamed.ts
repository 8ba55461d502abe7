/**
 * Kernels over data of four times the GPU's memory, dispatched, beside the same kernels over tiles by a program of its own,
 * which may use as much memory and has the best of several tile sizes: data that is only read, that is written in place, and
 * that is reduced to a few numbers. All data begins and ends in host memory.
 */

import { wallTime } from "../clock.js";
import type { Figure } from "../figure.js";
import { compare } from "../rounds.js";
import { expect, type Scenario } from "../scenario.js";
import { hostMemory, openMemory, PAGE_SIZE, requestGpu } from "./graphics-memory.js";
import { PlainProgram } from "./plain-program.js";
import { TiledProgram, type Tiling } from "./tiled-program.js";

const WORKGROUP = 64;
/** Numbers of a row, which becomes one score or one sum. */
const ROW = 64;
const SUMS = 16;

const INDEX = `let i = id.x + id.y * groups.x * ${WORKGROUP}u;`;
const MAIN = `@compute @workgroup_size(${WORKGROUP})
  fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u`;

const READ_ONLY = `
  @group(0) @binding(0) var<storage, read> x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> scores: array<f32>;
  ${MAIN}) {
    ${INDEX}
    if (i >= arrayLength(&scores)) { return; }
    var score = 0.0;
    for (var k = 0u; k < ${ROW}u; k++) { score += x[i * ${ROW}u + k] * f32(k); }
    scores[i] = score;
  }`;

/** Four numbers an invocation: copying weighs as much as arithmetic. */
const IN_PLACE = `
  @group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
  ${MAIN}) {
    ${INDEX}
    if (i < arrayLength(&x)) { x[i] = 0.5 * x[i] + 1.0; }
  }`;

/** Whole numbers, so that no order of the sums matters. */
const REDUCE = `
  @group(0) @binding(0) var<storage, read> x: array<u32>;
  @group(0) @binding(1) var<storage, read_write> sums: array<atomic<u32>>;
  ${MAIN}) {
    ${INDEX}
    if (i * ${ROW}u >= arrayLength(&x)) { return; }
    var sum = 0u;
    for (var k = 0u; k < ${ROW}u; k++) { sum += x[i * ${ROW}u + k]; }
    atomicAdd(&sums[i % ${SUMS}u], sum);
  }`;

interface Sizes {
  /** Bytes that are streamed, and bytes of GPU memory. */
  readonly data: number;
  readonly budget: number;
}

interface Pair {
  readonly dispatched: () => Promise<unknown>;
  readonly tiled: TiledProgram;
  /** Both sides once, from the start: throws where they differ. */
  readonly check: () => Promise<void>;
}

function streamed(
  kind: string,
  make: (device: GPUDevice, plain: PlainProgram, sizes: Sizes) => Promise<Pair>,
): Scenario {
  return {
    name: `webgpu, streamed, ${kind}`,
    async run({ smoke }) {
      const device = await requestGpu();
      const plain = new PlainProgram(device);
      const sizes = smoke ? { data: 4 << 20, budget: 1 << 20 } : { data: 64 << 20, budget: 16 << 20 };
      const { dispatched, tiled, check } = await make(device, plain, sizes);
      const { samples, baseline } = await compare(smoke ? 1 : 15, dispatched, () => tiled.run(), wallTime);
      await check();
      plain.destroy();
      const figure: Figure = {
        row: `WebGPU, streamed, ${kind}`,
        unit: "ms",
        pageSize: PAGE_SIZE,
        samples,
        baseline: { name: tiled.name, samples: baseline },
        bounds: [{ of: "ratio", most: 1.15 }],
      };
      return [figure];
    },
  };
}

function expectStreamed({ mode }: { readonly mode: string }): void {
  expect(mode === "streamed", `the dispatch was ${mode}`);
}

function expectEqual(found: Float32Array | Uint32Array, expected: Float32Array | Uint32Array): void {
  const wrong = found.findIndex((value, i) => value !== expected[i]);
  expect(
    wrong < 0 && found.length === expected.length,
    `element ${wrong} is ${found[wrong]}, not ${expected[wrong]} as in the program without the library`,
  );
  expect(
    found.some((value) => value !== found[0]),
    `all numbers are ${found[0]}`,
  );
}

export const streamedReadOnly = streamed("read only", async (device, plain, { data, budget }) => {
  const bytes = hostMemory(data);
  const values = new Float32Array(bytes.buffer, 0, data / 4);
  for (let i = 0; i < values.length; i++) values[i] = ((i * 7) % 1021) / 1021;
  const memory = await openMemory(device, budget);
  const x = memory.createArray("f32", values.length, { label: "x" });
  const scores = memory.createArray("f32", values.length / ROW, { label: "scores" });
  await x.write(values);
  const kernel = await memory.createKernel({ wgsl: READ_ONLY, footprint: { x: { each: ROW }, scores: { each: 1 } } });
  const found = new Float32Array(scores.length);
  const dispatched = async (): Promise<void> => {
    expectStreamed(await kernel.dispatch({ invocations: scores.length, arrays: { x, scores } }));
    await scores.read(found);
  };

  const result = plain.storage(found.byteLength);
  const expected = hostMemory(found.byteLength);
  const tiling: Tiling = {
    pipeline: await plain.pipeline(READ_ONLY),
    data: bytes,
    written: false,
    workgroupBytes: WORKGROUP * ROW * 4,
    beside: (at, size) => [{ buffer: result, offset: at / ROW, size: size / ROW }],
    result: { buffer: result, into: expected },
  };
  const tiled = await TiledProgram.best(plain, tiling, budget - found.byteLength);
  const check = async (): Promise<void> => {
    found.fill(-1);
    await dispatched();
    expected.fill(0);
    await tiled.run();
    expectEqual(found, new Float32Array(expected.buffer, 0, found.length));
    await memory.destroy();
  };
  return { dispatched, tiled, check };
});

export const streamedInPlace = streamed("in place", async (device, plain, { data, budget }) => {
  const bytes = hostMemory(data);
  const values = new Float32Array(bytes.buffer, 0, data / 4);
  const start = (): void => {
    for (let i = 0; i < values.length; i++) values[i] = i % 1021;
  };
  start();
  const memory = await openMemory(device, budget);
  const x = memory.createArray("vec4f", values.length / 4, { label: "x" });
  await x.write(values);
  const kernel = await memory.createKernel({ wgsl: IN_PLACE, footprint: { x: { each: 1 } } });
  const dispatched = async (): Promise<void> => {
    expectStreamed(await kernel.dispatch({ invocations: x.length, arrays: { x } }));
    await x.prefetch("host");
  };

  const tiling: Tiling = {
    pipeline: await plain.pipeline(IN_PLACE),
    data: bytes,
    written: true,
    workgroupBytes: WORKGROUP * 16,
    beside: () => [],
  };
  const tiled = await TiledProgram.best(plain, tiling, budget);
  const check = async (): Promise<void> => {
    start();
    await x.write(values);
    await dispatched();
    await tiled.run();
    expectEqual(await x.read(), values);
    await memory.destroy();
  };
  return { dispatched, tiled, check };
});

export const streamedReduce = streamed("reduce", async (device, plain, { data, budget }) => {
  const bytes = hostMemory(data);
  const values = new Uint32Array(bytes.buffer, 0, data / 4);
  for (let i = 0; i < values.length; i++) values[i] = Math.imul(i, 0x9e3779b1) >>> 8;
  const memory = await openMemory(device, budget);
  const x = memory.createArray("u32", values.length, { label: "x" });
  const sums = memory.createArray("u32", SUMS, { label: "sums" });
  await x.write(values);
  const kernel = await memory.createKernel({ wgsl: REDUCE, footprint: { x: { each: ROW }, sums: "whole" } });
  const found = new Uint32Array(SUMS);
  const dispatched = async (): Promise<void> => {
    await sums.fill(0);
    expectStreamed(await kernel.dispatch({ invocations: x.length / ROW, arrays: { x, sums } }));
    await sums.read(found);
  };

  const result = plain.storage(found.byteLength);
  const expected = hostMemory(found.byteLength);
  const tiling: Tiling = {
    pipeline: await plain.pipeline(REDUCE),
    data: bytes,
    written: false,
    workgroupBytes: WORKGROUP * ROW * 4,
    beside: () => [result],
    result: { buffer: result, into: expected },
  };
  const tiled = await TiledProgram.best(plain, tiling, budget);
  const check = async (): Promise<void> => {
    await dispatched();
    await tiled.run();
    expectEqual(found, new Uint32Array(expected.buffer, 0, SUMS));
    await memory.destroy();
  };
  return { dispatched, tiled, check };
});
