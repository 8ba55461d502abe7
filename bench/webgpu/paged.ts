/**
 * Kernels whose pages come as they ask for them. With everything on the GPU: what asking costs beside the plain kernel. With a
 * quarter of the memory: what is moved beside what somebody would who knows the future, and what it costs beside a GPU that
 * has room for all, and beside a loop in JavaScript.
 */

import type { DispatchReport, Kernel, PagedArray, UnifiedMemory } from "../../src/index.js";
import {
  breadthFirst,
  gather,
  type NumberArrays,
  pageRank,
  type PagedWorkload,
} from "../../test/unified/paged-workloads.js";
import { fewestMoves, recordTouches, typeOf } from "../../test/unified/recorded-touches.js";
import { wallTime } from "../clock.js";
import type { Figure } from "../figure.js";
import { compare } from "../rounds.js";
import { expect, type Scenario } from "../scenario.js";
import { median } from "../statistics.js";
import { openMemory, PAGE_SIZE, requestGpu } from "./graphics-memory.js";
import { PlainProgram } from "./plain-program.js";

const NUMBERS = PAGE_SIZE / 4;
/** Milliseconds of a dispatch below which nobody is advised. */
const LEAST_TO_ADVISE = 50;
/** Pages behind the numbers that a kernel chooses from, which it never touches. */
const UNTOUCHED = 3;

/** Adds pages that are not used to one of the arrays: whoever counts what was touched does not count them. */
function withUntouched(workload: PagedWorkload, name: string): PagedWorkload {
  const start = (): NumberArrays => {
    const arrays = workload.start();
    const longer = new Float32Array(arrays[name].length + UNTOUCHED * NUMBERS);
    longer.set(arrays[name]);
    return { ...arrays, [name]: longer };
  };
  return { ...workload, start };
}

function pagesOf(arrays: NumberArrays): number {
  return Object.values(arrays).reduce((pages, { byteLength }) => pages + Math.ceil(byteLength / PAGE_SIZE), 0);
}

interface Dispatched {
  readonly memory: UnifiedMemory;
  readonly kernel: Kernel;
  readonly arrays: Readonly<Record<string, PagedArray>>;
}

/** The arrays of a workload, as they are at its start, in a memory with so many pages on the GPU. */
async function load(device: GPUDevice, { wgsl, footprint, start }: PagedWorkload, pages: number): Promise<Dispatched> {
  const memory = await openMemory(device, pages * PAGE_SIZE);
  const arrays: Record<string, PagedArray> = {};
  for (const [label, numbers] of Object.entries(start())) {
    const type = typeOf(label, numbers);
    arrays[label] = memory.createArray(type, numbers.length / (type === "vec2u" ? 2 : 1), { label });
    await arrays[label].write(numbers);
  }
  return { memory, kernel: await memory.createKernel({ wgsl, footprint }), arrays };
}

async function expectRight({ plainly, start }: PagedWorkload, { arrays }: Dispatched): Promise<void> {
  const expected = start();
  plainly(expected);
  for (const [name, numbers] of Object.entries(expected)) {
    const found = (await arrays[name].read()) as Float32Array | Uint32Array;
    const wrong = found.findIndex((value, i) => value !== numbers[i]);
    expect(wrong < 0, `element ${wrong} of ${name} is ${found[wrong]}, not ${numbers[wrong]} as a plain loop has it`);
  }
}

function resident(most: number, workloadOf: (scale: number) => PagedWorkload, untouched: string): Scenario {
  const { name } = workloadOf(1);
  const row = `WebGPU, ${name} page by page, all resident`;
  return {
    name: `webgpu, paged, ${name}, resident`,
    async run({ smoke }) {
      const device = await requestGpu();
      const workload = withUntouched(workloadOf(smoke ? 1 : 16), untouched);
      const { invocations } = workload;
      const start = workload.start();
      const pages = pagesOf(start);
      const dispatched = await load(device, workload, pages);
      const { kernel, arrays, memory } = dispatched;
      for (const array of Object.values(arrays)) await array.prefetch("device");
      const dispatch = async (): Promise<void> => {
        const { mode, moved, footprintBytes } = await kernel.dispatch({ invocations, arrays, mode: "paged" });
        expect(mode === "paged", `the dispatch was ${mode}`);
        expect(moved.toDevice + moved.toHost === 0, "pages moved, although all were there");
        expect(
          footprintBytes === (pages - UNTOUCHED) * PAGE_SIZE,
          `${footprintBytes} bytes were touched, not the ${pages} pages save ${UNTOUCHED}`,
        );
      };

      const plain = new PlainProgram(device);
      const buffers = Object.values(start).map((numbers) => {
        const buffer = plain.storage(numbers.byteLength);
        device.queue.writeBuffer(buffer, 0, numbers);
        return buffer;
      });
      const pipeline = await plain.pipeline(workload.wgsl);
      const group = plain.bind(pipeline, buffers);
      const run = async (): Promise<void> => {
        const encoder = device.createCommandEncoder();
        plain.run(encoder, pipeline, group, Math.ceil(invocations / 64));
        device.queue.submit([encoder.finish()]);
        await device.queue.onSubmittedWorkDone();
      };
      const { samples, baseline } = await compare(smoke ? 1 : 15, dispatch, run, wallTime);
      await expectRight(workload, dispatched);
      await memory.destroy();
      plain.destroy();
      const figure: Figure = {
        row,
        unit: "ms",
        pageSize: PAGE_SIZE,
        samples,
        baseline: { name: "plain kernel", samples: baseline },
        bounds: [{ of: "ratio", most }],
      };
      return [figure];
    },
  };
}

export const gatherResident = resident(2.6, (scale) => gather(scale * 16 * NUMBERS, scale * 8 * NUMBERS), "data");

export const pageRankResident = resident(5, (scale) => pageRank(scale * NUMBERS, scale * 16 * NUMBERS), "share");

function atAQuarter(workloadOf: (scale: number) => PagedWorkload): Scenario {
  const { name } = workloadOf(1);
  const row = `WebGPU, ${name}, a quarter of memory`;
  return {
    name: `webgpu, paged, ${name}, at a quarter`,
    async run({ smoke }) {
      const device = await requestGpu();
      const workload = workloadOf(smoke ? 1 : 4);
      const { invocations, uniforms, plainly } = workload;
      const pages = pagesOf(workload.start());
      const frames = Math.ceil(pages / 4);
      const touches = recordTouches(workload, PAGE_SIZE);
      const used = new Set(touches.flat()).size;
      const fewest = fewestMoves(touches, frames);

      const quarter = await load(device, workload, frames);
      const whole = await load(device, workload, pages);
      const moved: number[] = [];
      const atHome = async ({ arrays }: Dispatched): Promise<void> => {
        for (const array of Object.values(arrays)) await array.prefetch("host");
      };
      let isAdvised = true;
      const dispatch = async ({ kernel, arrays }: Dispatched): Promise<DispatchReport> =>
        kernel.dispatch({ invocations, arrays, uniforms });
      const paged = async (): Promise<void> => {
        const last = await dispatch(quarter);
        expect(last.mode === "paged", `the dispatch was ${last.mode}`);
        expect(
          last.footprintBytes === used * PAGE_SIZE,
          `${last.footprintBytes} bytes were touched, not the ${used} pages of the recorded touches`,
        );
        moved.push(last.moved.toDevice / PAGE_SIZE);
        isAdvised &&= last.advice !== undefined;
      };
      const inOneGo = async (): Promise<void> => {
        const { mode } = await dispatch(whole);
        expect(mode === "resident", `the dispatch with room for all was ${mode}`);
      };
      const numbers = workload.start();
      const rounds = smoke ? 1 : 7;
      const beside = await compare(rounds, paged, inOneGo, wallTime, () => atHome(quarter));
      const besideLoop = await compare(
        rounds,
        paged,
        () => plainly(numbers),
        wallTime,
        () => atHome(quarter),
      );
      await expectRight(workload, quarter);
      await expectRight(workload, whole);
      const isSlower = median(besideLoop.samples) > Math.max(LEAST_TO_ADVISE, median(besideLoop.baseline));
      const isMuch = Math.min(...moved) > 4 * used;
      expect(isAdvised || !(isSlower || isMuch), "no report said that the CPU is quicker, or how much was moved");
      await quarter.memory.destroy();
      await whole.memory.destroy();
      const figures: Figure[] = [
        {
          row: `${row}, moved`,
          unit: "pages",
          pageSize: PAGE_SIZE,
          samples: moved,
          baseline: { name: "by who knows the future", samples: moved.map(() => fewest) },
          bounds: [{ of: "ratio", most: 1.5 }],
        },
        {
          row: `${row}, time`,
          unit: "ms",
          pageSize: PAGE_SIZE,
          samples: beside.samples,
          baseline: { name: "with room for all", samples: beside.baseline },
          bounds: [],
        },
        {
          row: `${row}, time`,
          unit: "ms",
          pageSize: PAGE_SIZE,
          samples: besideLoop.samples,
          baseline: { name: "a loop in JavaScript", samples: besideLoop.baseline },
          bounds: [],
        },
      ];
      return figures;
    },
  };
}

export const gatherAtAQuarter = atAQuarter((scale) => gather(scale * 32 * NUMBERS, scale * 2 * NUMBERS));
export const pageRankAtAQuarter = atAQuarter((scale) => pageRank(scale * NUMBERS, scale * 16 * NUMBERS));
export const breadthFirstAtAQuarter = atAQuarter((scale) => {
  const workload = breadthFirst(scale * NUMBERS, scale * 16 * NUMBERS);
  // In the order of the vertices, as a frontier is collected.
  const start = (): NumberArrays => {
    const arrays = workload.start();
    return { ...arrays, frontier: arrays["frontier"].toSorted() };
  };
  return { ...workload, start };
});
