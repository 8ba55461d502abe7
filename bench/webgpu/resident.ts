/**
 * A kernel over arrays that are on the GPU as a whole, by a dispatch of this library, beside the same kernel over two buffers
 * by a program of its own: what a dispatch costs beside the kernel, and what rewriting costs in it.
 */

import type { Figure } from "../figure.js";
import { wallTime } from "../clock.js";
import { compare } from "../rounds.js";
import { expect, type Scenario } from "../scenario.js";
import { openMemory, PAGE_SIZE, requestGpu } from "./graphics-memory.js";
import { PlainProgram } from "./plain-program.js";

const WORKGROUP = 64;

/** Two numbers read and one written for two operations: nothing hides what is beside the arithmetic. */
const KERNEL = `
  @group(0) @binding(0) var<storage, read> x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform> factor: f32;
  @compute @workgroup_size(${WORKGROUP})
  fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.x + id.y * groups.x * ${WORKGROUP}u;
    if (i < arrayLength(&y)) { y[i] = 0.5 * y[i] + factor * x[i]; }
  }`;

const FACTOR = 3;

export const residentOnGpu: Scenario = {
  name: "webgpu, resident kernel",
  async run({ smoke }) {
    const device = await requestGpu();
    const length = ((smoke ? 2 : 64) << 20) / 4;
    const start = Float32Array.from({ length }, (_, i) => i % 1021);

    const memory = await openMemory(device, 2 * length * 4);
    const x = memory.createArray("f32", length, { label: "x" });
    const y = memory.createArray("f32", length, { label: "y" });
    await x.write(start);
    await y.write(start);
    const kernel = await memory.createKernel({ wgsl: KERNEL, footprint: { x: { each: 1 }, y: { each: 1 } } });
    const dispatch = async (): Promise<void> => {
      const { mode } = await kernel.dispatch({
        invocations: length,
        arrays: { x, y },
        uniforms: { factor: FACTOR },
      });
      expect(mode === "resident", `the dispatch was ${mode}`);
    };

    const plain = new PlainProgram(device);
    const [plainX, plainY] = [plain.storage(length * 4), plain.storage(length * 4)];
    device.queue.writeBuffer(plainX, 0, start);
    device.queue.writeBuffer(plainY, 0, start);
    const pipeline = await plain.pipeline(KERNEL);
    const group = plain.bind(pipeline, [plainX, plainY, plain.uniform(new Float32Array([FACTOR]))]);
    const run = async (): Promise<void> => {
      const encoder = device.createCommandEncoder();
      plain.run(encoder, pipeline, group, Math.ceil(length / WORKGROUP));
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
    };

    const { samples, baseline } = await compare(smoke ? 1 : 31, dispatch, run, wallTime);
    const found = await y.read();
    const expected = new Float32Array(await plain.read(plainY));
    const wrong = found.findIndex((value, i) => value !== expected[i]);
    expect(
      wrong < 0,
      `element ${wrong} is ${found[wrong]}, not ${expected[wrong]} as in the program without the library`,
    );
    expect(found[7] !== start[7], "the kernel did nothing");
    await memory.destroy();
    plain.destroy();
    const figure: Figure = {
      row: "WebGPU, resident kernel",
      unit: "ms",
      pageSize: PAGE_SIZE,
      samples,
      baseline: { name: "hand-written program", samples: baseline },
      bounds: [{ of: "ratio", most: 1.1 }],
    };
    return [figure];
  },
};
