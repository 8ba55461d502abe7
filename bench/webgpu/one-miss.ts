/**
 * One page that a kernel asks for and that is not on the GPU, though there is room: from the dispatch until the kernel has run
 * with it. Beside it, what nobody can do without to learn anything from a GPU: one dispatch, and a word mapped.
 */

import { BUFFER_COPY_DST, BUFFER_MAP_READ, MAP_READ } from "../../src/device/webgpu/usage.js";
import { wallTime } from "../clock.js";
import type { Figure } from "../figure.js";
import { compare } from "../rounds.js";
import { expect, type Scenario } from "../scenario.js";
import { openMemory, PAGE_SIZE, requestGpu } from "./graphics-memory.js";
import { PlainProgram } from "./plain-program.js";

const NUMBERS = PAGE_SIZE / 4;
const PAGES = 16;

const KERNEL = `
  @group(0) @binding(0) var<storage, read> x: array<u32>;
  @group(0) @binding(1) var<storage, read_write> sum: array<u32>;
  @group(0) @binding(2) var<uniform> first: u32;
  @compute @workgroup_size(1) fn main() { sum[0] = x[first] + 1; }`;

export const oneMiss: Scenario = {
  name: "webgpu, paged, one miss",
  async run({ smoke }) {
    const device = await requestGpu();
    const memory = await openMemory(device, 4 * PAGES * PAGE_SIZE);
    const x = memory.createArray("u32", PAGES * NUMBERS, { label: "x" });
    const sum = memory.createArray("u32", 1, { label: "sum" });
    await x.write(Uint32Array.from({ length: x.length }, (_, i) => i * 7));
    const kernel = await memory.createKernel({ wgsl: KERNEL });
    let page = 0;
    const dispatch = async (): Promise<void> => {
      const first = page * NUMBERS;
      const { moved } = await kernel.dispatch({
        invocations: 1,
        arrays: { x, sum },
        uniforms: { first },
        mode: "paged",
      });
      expect(moved.toDevice === PAGE_SIZE, `${moved.toDevice} bytes moved, not a page`);
    };
    const sums: number[] = [];
    const expected: number[] = [];
    // What was asked for last goes home, and the page of the result is there.
    const prepare = async (): Promise<void> => {
      sums.push((await sum.read())[0]);
      expected.push(page * NUMBERS * 7 + 1);
      await x.prefetch("host");
      await sum.prefetch("device");
      page = (page + 5) % PAGES;
      await device.queue.onSubmittedWorkDone();
    };

    const plain = new PlainProgram(device);
    const [buffer, result] = [plain.storage(PAGE_SIZE), plain.storage(16)];
    const readback = plain.mappable(16, BUFFER_MAP_READ | BUFFER_COPY_DST);
    const pipeline = await plain.pipeline(KERNEL);
    const group = plain.bind(pipeline, [buffer, result, plain.uniform(new Uint32Array(4))]);
    const bare = async (): Promise<void> => {
      const encoder = device.createCommandEncoder();
      plain.run(encoder, pipeline, group, 1);
      encoder.copyBufferToBuffer(result, 0, readback, 0, 16);
      device.queue.submit([encoder.finish()]);
      await readback.mapAsync(MAP_READ);
      expect(new Uint32Array(readback.getMappedRange())[0] === 1, "the bare kernel did nothing");
      readback.unmap();
    };
    const { samples, baseline } = await compare(smoke ? 3 : 1001, dispatch, bare, wallTime, prepare);
    await prepare();
    // The first was read before anything had run.
    for (const [i, value] of expected.entries())
      expect(i === 0 || sums[i] === value, `round ${i} has ${sums[i]}, not ${value}`);
    await memory.destroy();
    plain.destroy();
    const figure: Figure = {
      row: "WebGPU, one page that is missed",
      unit: "ms",
      pageSize: PAGE_SIZE,
      samples,
      baseline: { name: "a dispatch and a word mapped", samples: baseline },
      bounds: [{ of: "ratio", most: 3 }],
    };
    return [figure];
  },
};
