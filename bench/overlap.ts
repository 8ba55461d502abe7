/**
 * Copying and computing at once, in a shared machine: a kernel in a worker over four times device memory, beside the larger
 * of copying alone (the same dispatch with a kernel that does nothing, where the pager is) and computing alone (the same
 * kernel in a worker, over as much device memory as it needs). The kernel's work is chosen such that both take as long, which
 * is when overlapping gains most and is hardest. Wall time, because that is what it saves.
 */

import { AttachedDevice } from "../src/device/attached-device.js";
import { type HostKernel, type Kernel, MiB, mirrorDevice, type PagedArray } from "../src/index.js";
import { Machine } from "../src/mm/machine.js";
import { LocalPager } from "../src/unified/local/local-pager.js";
import { UnifiedMemory } from "../src/unified/unified-memory.js";
import type { Figure } from "./figure.js";
import { inverseRoot, nothing, RECORD } from "./overlap-kernels.js";
import { expect, type Scenario } from "./scenario.js";

const PAGE_SIZE = 65_536;
const MODULE = new URL("./overlap-kernels.js", import.meta.url);
/** So small that it is only a first guess. */
const SOME_WORK = 32;

class Pass {
  private constructor(
    readonly values: PagedArray<"f32">,
    readonly kernel: Kernel,
    readonly mode: "streamed" | "resident",
  ) {}

  static async create(length: number, budget: number, host: HostKernel | "newton"): Promise<Pass> {
    const machine = new Machine({ pageSize: PAGE_SIZE, shared: true });
    const attached = await AttachedDevice.attach(machine, mirrorDevice({ budget }));
    const memory = new UnifiedMemory(new LocalPager(machine, attached), false);
    const values = memory.createArray("f32", length, { label: "values" });
    const kernel = await memory.createKernel({
      footprint: { values: { each: RECORD } },
      host: host === "newton" ? { module: MODULE, export: host } : host,
    });
    const pass = new Pass(values, kernel, budget < length * 4 ? "streamed" : "resident");
    await pass.start();
    return pass;
  }

  async start(): Promise<void> {
    await this.values.write(Float32Array.from({ length: this.values.length }, (_, i) => startAt(i)));
  }

  /** Milliseconds on the wall. */
  async run(work: number): Promise<number> {
    const { values, kernel } = this;
    const began = performance.now();
    const { mode } = await kernel.dispatch({
      invocations: values.length / RECORD,
      arrays: { values },
      uniforms: { work },
    });
    const ended = performance.now();
    expect(mode === this.mode, `the dispatch was ${mode}, not ${this.mode}`);
    return ended - began;
  }

  async check(work: number): Promise<void> {
    await this.start();
    await this.run(work);
    const found = await this.values.read();
    const one = new Float32Array(1);
    for (let i = 0; i < found.length; i += 97) {
      one[0] = startAt(i);
      if (i % RECORD === 0) one[0] = inverseRoot(one[0], work);
      if (found[i] !== one[0]) expect(false, `element ${i} is ${found[i]}, not ${one[0]}`);
    }
  }
}

function startAt(element: number): number {
  return 1 + (element % 1009) / 1009;
}

export const overlap: Scenario = {
  name: "copying and computing at once",
  async run({ smoke }) {
    const length = (smoke ? 4 * MiB : 256 * MiB) / 4;
    const streamed = await Pass.create(length, length, "newton");
    const copying = await Pass.create(length, length, nothing);
    const computing = await Pass.create(length, length * 4, "newton");
    let work = SOME_WORK;
    for (let round = 0; round < (smoke ? 1 : 4); round++) {
      const wanted = await copying.run(0);
      work = Math.max(1, Math.round((work * wanted) / (await computing.run(work))));
      await streamed.run(work);
    }
    const samples: number[] = [];
    const alone = { copying: [] as number[], computing: [] as number[] };
    for (let round = 0; round < (smoke ? 1 : 21); round++) {
      samples.push(await streamed.run(work));
      alone.copying.push(await copying.run(0));
      alone.computing.push(await computing.run(work));
    }
    await streamed.check(work);
    await computing.check(work);
    const figure = (row: string, milliseconds: number[]): Figure => {
      return { row, unit: "ms", pageSize: PAGE_SIZE, samples: milliseconds, bounds: [] };
    };
    return [
      {
        ...figure("copying and computing at once, a quarter on the device", samples),
        baseline: {
          name: "larger of both alone",
          samples: samples.map((_, i) => Math.max(alone.copying[i], alone.computing[i])),
        },
        bounds: [{ of: "ratio", most: 1.25 }],
      },
      figure("copying alone", alone.copying),
      figure("computing alone", alone.computing),
    ];
  },
};
