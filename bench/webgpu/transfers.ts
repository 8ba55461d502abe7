/**
 * Arrays that move to the GPU and back as a whole, beside the quickest way of a program without this library, from and to host
 * memory of the same kind.
 */

import { wallTime } from "../clock.js";
import type { Figure } from "../figure.js";
import { compare } from "../rounds.js";
import { expect, type Scenario } from "../scenario.js";
import { hostMemory, openMemory, PAGE_SIZE, requestGpu } from "./graphics-memory.js";
import { PlainProgram } from "./plain-program.js";
import { downloads, quickest, type RawTransfer, stagedCopies, writes } from "./raw-transfers.js";

/** Adds one to every word, so that no page's copy at the other side is right any more. */
const KERNEL = `
  @group(0) @binding(0) var<storage, read_write> x: array<u32>;
  @compute @workgroup_size(64)
  fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = id.x + id.y * groups.x * 64u;
    if (i < arrayLength(&x)) { x[i] = x[i] + 1u; }
  }`;

const ROUNDS = 31;

export const transfersOnGpu: Scenario = {
  name: "webgpu, upload and download",
  async run({ smoke }) {
    const device = await requestGpu();
    const bytes = (smoke ? 2 : 64) << 20;
    const length = bytes / 4;
    const plain = new PlainProgram(device);
    const data = hostMemory(bytes);
    const words = new Uint32Array(data.buffer, 0, length);
    for (let i = 0; i < length; i++) words[i] = Math.imul(i, 0x9e3779b1);
    const back = hostMemory(bytes);

    const memory = await openMemory(device, bytes);
    const x = memory.createArray("u32", length, { label: "x" });
    await x.write(words);
    const kernel = await memory.createKernel({ wgsl: KERNEL, footprint: { x: { each: 1 } } });
    let moved = memory.stats.migrations;
    const expectMoved = (direction: "toDevice" | "toHost"): void => {
      const before = moved[direction].prefetch.pages;
      moved = memory.stats.migrations;
      const pages = moved[direction].prefetch.pages - before;
      expect(pages === bytes / PAGE_SIZE, `${pages} pages moved, not ${bytes / PAGE_SIZE}`);
    };
    const atHome = async (): Promise<void> => {
      await x.prefetch("host");
      await device.queue.onSubmittedWorkDone();
      moved = memory.stats.migrations;
    };
    const upload = async (): Promise<void> => {
      await x.prefetch("device");
      await device.queue.onSubmittedWorkDone();
      expectMoved("toDevice");
    };
    let runs = 0;
    const onDevice = async (): Promise<void> => {
      await kernel.dispatch({ invocations: length, arrays: { x } });
      runs++;
      moved = memory.stats.migrations;
    };
    const download = async (): Promise<void> => {
      await x.prefetch("host");
      expectMoved("toHost");
    };

    const figures: Figure[] = [];
    const measure = async (
      what: string,
      transfer: () => Promise<void>,
      ways: RawTransfer[],
      prepare: () => Promise<void>,
    ): Promise<void> => {
      const best = await quickest(ways, prepare);
      const { samples, baseline } = await compare(smoke ? 1 : ROUNDS, transfer, () => best.run(), wallTime, prepare);
      const gigabytes = (ms: number): number => bytes / ms / 1e6;
      figures.push({
        row: `WebGPU, ${what}`,
        unit: "GB/s",
        pageSize: PAGE_SIZE,
        samples: samples.map(gigabytes),
        baseline: { name: best.name, samples: baseline.map(gigabytes) },
        bounds: [{ of: "ratio", least: 0.9 }],
      });
    };
    // Such as nothing but `writeBuffer` ever wrote to, first: on many devices it is quick on these alone.
    const [fresh, written] = [plain.storage(bytes), plain.storage(bytes)];
    const ways = [...writes(plain, data, fresh), ...stagedCopies(plain, data, written)];
    await measure("upload", upload, ways, atHome);

    const pipeline = await plain.pipeline(KERNEL);
    const encoder = device.createCommandEncoder();
    plain.run(encoder, pipeline, plain.bind(pipeline, [written]), length / 64);
    device.queue.submit([encoder.finish()]);
    await onDevice();
    const slower = [...writes(plain, data, written), ...stagedCopies(plain, data, written)];
    await measure("upload to what kernels have written", upload, slower, atHome);
    await measure("download", download, downloads(plain, back, written), onDevice);

    const found = await x.read();
    const wrong = found.findIndex((value, i) => value !== (words[i] + runs) >>> 0);
    expect(wrong < 0, `element ${wrong} is ${found[wrong]}, not ${(words[wrong] + runs) >>> 0}`);
    const raw = new Uint32Array(back.buffer, 0, length);
    const lost = raw.findIndex((value, i) => value !== words[i]);
    expect(lost < 0, `without the library, element ${lost} is ${raw[lost]}, not ${words[lost]}`);
    await memory.destroy();
    plain.destroy();
    return figures;
  },
};
