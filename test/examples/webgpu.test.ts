import assert from "node:assert/strict";
import { test } from "node:test";
import { skip } from "../webgpu/gpu.js";
import { type Ended, runProgram } from "./run-program.js";

const resolveWebgpu = new URL("resolve-webgpu.js", import.meta.url).href;

interface Answer {
  readonly queries: readonly { neighbours: readonly { word: string }[] }[];
  readonly clusters: readonly { size: number }[];
  readonly mode: string;
  readonly pageRank: { mode: string; top: readonly { name: string; rank: number }[] };
  readonly searches: readonly { mode: string; levels: readonly number[] }[];
  readonly device: { name: string; why: string };
  readonly verified: boolean;
}

const run = (name: string, ...args: string[]): Promise<Ended> =>
  runProgram(name, args, { nodeOptions: ["--import", resolveWebgpu] });

async function answer(name: string, ...args: string[]): Promise<Answer> {
  const { code, output, messages } = await run(name, "--demo", "--json", ...args);
  assert.equal(code, 0, messages);
  return JSON.parse(output) as Answer;
}

test("the main job gives the same neighbours on WebGPU, verified", { skip }, async () => {
  const onGpu = await answer("nearest-words", "--device", "webgpu", "--device-memory", "512KiB", "king", "seven");
  assert.match(onGpu.device.name, /^webgpu \(/);
  assert.deepEqual([onGpu.device.why, onGpu.verified], ["it was asked for", true]);
  const onMirror = await answer("nearest-words", "--device", "mirror", "king", "seven");
  const words = ({ queries }: Answer) => queries.map(({ neighbours }) => neighbours.map(({ word }) => word));
  assert.deepEqual(words(onGpu), words(onMirror));
});

test("k-means streams through a quarter of the vectors on WebGPU, and the reference agrees", { skip }, async () => {
  const { device, mode, verified, clusters } = await answer(
    "k-means",
    "--device",
    "webgpu",
    "--clusters",
    "6",
    "--iterations",
    "3",
  );
  assert.match(device.name, /^webgpu \(/);
  assert.deepEqual([mode, verified], ["streamed", true]);
  assert.equal(
    clusters.reduce((sum, { size }) => sum + size, 0),
    2000,
  );
});

test("the graph is ranked and searched page by page on WebGPU, as on the mirror, verified", { skip }, async () => {
  const args = ["--graph", "neighbours", "--iterations", "3", "piano"];
  const onGpu = await answer("graph", "--device", "webgpu", ...args);
  const onMirror = await answer("graph", "--device", "mirror", ...args);
  assert.match(onGpu.device.name, /^webgpu \(/);
  assert.deepEqual([onGpu.pageRank.mode, onGpu.searches[0].mode, onGpu.verified], ["paged", "paged", true]);
  assert.deepEqual(onGpu.searches[0].levels, onMirror.searches[0].levels);
  for (const [i, { name, rank }] of onGpu.pageRank.top.entries()) {
    assert.equal(name, onMirror.pageRank.top[i].name);
    assert.ok(Math.abs(rank - onMirror.pageRank.top[i].rank) < 1e-4);
  }
});

test(
  "auto says which device it takes: a GPU where there is one, the mirror where WebGPU is software",
  { skip },
  async () => {
    const { device } = await answer("nearest-words", "king");
    if (device.name.startsWith("webgpu")) assert.equal(device.why, "there is a GPU");
    else
      assert.match(
        device.why,
        /^the only WebGPU adapter is .+, which computes on the CPU \(--device webgpu takes it\)$/,
      );
  },
);
