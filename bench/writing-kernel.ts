/** A kernel that writes every page, so that each pass copies everything to the device and back. */

import { createUnifiedMemory, type HostKernel, type Kernel, mirrorDevice, type PagedArray } from "../src/index.js";
import { compare } from "./rounds.js";
import { expect, type Scenario } from "./scenario.js";

const PAGE_SIZE = 65_536;

/** One step of a relaxation towards 1, which every element takes in place. */
const relax: HostKernel = {
  writes: ["values"],
  run({ first, count, arrays, base, uniforms }) {
    const values = arrays["values"] as Float32Array;
    const rate = uniforms["rate"] as number;
    const begin = first - base["values"];
    for (let i = begin; i < begin + count; i++) values[i] += (1 - values[i]) * rate;
  },
};
const RATE = 1 / 64;

class Relaxation {
  passes = 0;

  private constructor(
    readonly values: PagedArray<"f32">,
    readonly kernel: Kernel,
  ) {}

  static async create(length: number, budget: number): Promise<Relaxation> {
    const memory = await createUnifiedMemory({ device: mirrorDevice({ budget }), pageSize: PAGE_SIZE });
    const values = memory.createArray("f32", length, { label: "values" });
    await values.write(Float32Array.from({ length }, (_, i) => startAt(i)));
    const kernel = await memory.createKernel({ label: "relax", footprint: { values: { each: 1 } }, host: relax });
    return new Relaxation(values, kernel);
  }

  async pass(): Promise<void> {
    this.passes++;
    await this.kernel.dispatch({
      invocations: this.values.length,
      arrays: { values: this.values },
      uniforms: { rate: RATE },
    });
  }

  async check(): Promise<void> {
    const found = await this.values.read();
    const expected = new Float32Array(1000);
    for (let from = 0; from < found.length; from += expected.length) {
      const count = Math.min(expected.length, found.length - from);
      for (let i = 0; i < count; i++) expected[i] = startAt(from + i);
      for (let pass = 0; pass < this.passes; pass++) {
        relax.run({ first: 0, count, arrays: { values: expected }, base: { values: 0 }, uniforms: { rate: RATE } });
      }
      for (let i = 0; i < count; i++) {
        if (found[from + i] !== expected[i])
          expect(false, `element ${from + i} is ${found[from + i]}, not ${expected[i]}`);
      }
    }
  }
}

function startAt(element: number): number {
  return (element % 1009) / 1009;
}

export const writingKernel: Scenario = {
  name: "kernel that writes every page",
  async run({ smoke }) {
    const length = smoke ? 1 << 20 : 32 << 20;
    const quarter = await Relaxation.create(length, length);
    const resident = await Relaxation.create(length, length * 4);
    const { samples, baseline } = await compare(
      smoke ? 1 : 21,
      () => quarter.pass(),
      () => resident.pass(),
    );
    await quarter.check();
    await resident.check();
    return [
      {
        row: "kernel that writes every page, a quarter on the device",
        unit: "ms",
        pageSize: PAGE_SIZE,
        samples,
        baseline: { name: "resident", samples: baseline },
        bounds: [{ of: "ratio", most: 1.8 }],
      },
    ];
  },
};
