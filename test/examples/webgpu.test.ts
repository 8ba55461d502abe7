import assert from "node:assert/strict";
import { test } from "node:test";
import { skip } from "../webgpu/gpu.js";
import { type Ended, runProgram } from "./run-program.js";

const resolveWebgpu = new URL("resolve-webgpu.js", import.meta.url).href;

interface Answer {
  readonly queries: readonly { neighbours: readonly { word: string }[] }[];
  readonly clusters: readonly { size: number }[];
  readonly mode: string;
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
