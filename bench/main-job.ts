/**
 * The main job: the ten nearest of 341,479 vectors, by a kernel over arrays in unified memory and a pin of the scores.
 * Device memory is a quarter of the data, or has room for all of it; every pass after the first is the same work again.
 */

import { nearest, type Neighbour } from "../examples/nearest-words/nearest.js";
import {
  createUnifiedMemory,
  type DispatchReport,
  mirrorDevice,
  type PagedArray,
  type UnifiedMemory,
} from "../src/index.js";
import type { Kernel } from "../src/index.js";
import type { Figure } from "./figure.js";
import { compare } from "./rounds.js";
import { expect, type Scenario } from "./scenario.js";
import { cosine, DIMENSIONS, makeVectors, queryFrom, scoreRange } from "./vectors.js";

const PAGE_SIZE = 65_536;
const NEIGHBOURS = 10;
const QUERY = 4_711;

/** Vectors in unified memory, and what the search asks of them. */
class Search {
  private constructor(
    readonly memory: UnifiedMemory,
    readonly vectors: PagedArray<"f32">,
    readonly scores: PagedArray<"f32">,
    readonly kernel: Kernel,
    readonly query: Float32Array,
    readonly invocations: number,
  ) {}

  /** `share` of the data is what fits into device memory. */
  static async create(data: Float32Array, share: number): Promise<Search> {
    const invocations = data.length / DIMENSIONS;
    const budget = Math.ceil(((data.byteLength + invocations * 4) * share) / PAGE_SIZE + 2) * PAGE_SIZE;
    const memory = await createUnifiedMemory({ device: mirrorDevice({ budget }), pageSize: PAGE_SIZE });
    const vectors = memory.createArray("f32", data.length, { label: "vectors" });
    const scores = memory.createArray("f32", invocations, { label: "scores" });
    await vectors.write(data);
    const kernel = await memory.createKernel({
      label: "cosine",
      footprint: { vectors: { each: DIMENSIONS }, scores: { each: 1 } },
      host: cosine,
    });
    return new Search(memory, vectors, scores, kernel, queryFrom(data, QUERY), invocations);
  }

  async dispatch(): Promise<DispatchReport> {
    const { kernel, vectors, scores, query, invocations } = this;
    return kernel.dispatch({ invocations, arrays: { vectors, scores }, uniforms: { query } });
  }

  async pass(): Promise<readonly Neighbour[]> {
    await this.dispatch();
    const pin = await this.scores.pin("read");
    try {
      return nearest(pin.runs, { k: NEIGHBOURS, exclude: QUERY });
    } finally {
      pin.release();
    }
  }

  /** The same scores as the plain loop, bit for bit, and so the same neighbours. */
  async check(expected: Float32Array): Promise<void> {
    const scores = await this.scores.read();
    const wrong = scores.findIndex((score, i) => score !== expected[i]);
    expect(wrong < 0, `score ${wrong} is ${scores[wrong]}, not ${expected[wrong]}`);
    const neighbours = nearest([{ start: 0, view: expected }], { k: NEIGHBOURS, exclude: QUERY });
    expect(
      JSON.stringify(await this.pass()) === JSON.stringify(neighbours),
      "the neighbours are not those of the plain loop",
    );
  }
}

function plainScores(data: Float32Array, scores: Float32Array): void {
  const arrays = { vectors: data, scores };
  scoreRange({
    first: 0,
    count: scores.length,
    arrays,
    base: { vectors: 0, scores: 0 },
    uniforms: { query: queryFrom(data, QUERY) },
  });
}

export const mainJob: Scenario = {
  name: "main job, a quarter on the device",
  async run({ smoke }) {
    const data = makeVectors(smoke);
    const expected = new Float32Array(data.length / DIMENSIONS);
    plainScores(data, expected);
    const quarter = await Search.create(data, 1 / 4);
    const resident = await Search.create(data, 1);
    const before = quarter.memory.stats;
    const { samples, baseline } = await compare(
      smoke ? 1 : 25,
      () => quarter.pass(),
      () => resident.pass(),
    );
    const { mode } = await quarter.dispatch();
    expect(mode === "streamed", `a quarter of the data is enough device memory for mode ${mode}`);
    expect(
      (await resident.dispatch()).mode === "resident",
      "everything does not fit into device memory for everything",
    );
    const streamed = quarter.memory.stats.migrations.toDevice.kernel.bytes - before.migrations.toDevice.kernel.bytes;
    expect(
      streamed >= samples.length * data.byteLength,
      `only ${streamed} bytes went to the device in ${samples.length} passes`,
    );
    await quarter.check(expected);
    await resident.check(expected);
    return [
      {
        row: "main job, device memory a quarter of the data",
        unit: "ms",
        pageSize: PAGE_SIZE,
        samples,
        baseline: { name: "resident", samples: baseline },
        bounds: [{ of: "ratio", most: 1.35 }],
      },
    ];
  },
};

export const residentKernel: Scenario = {
  name: "resident kernel",
  async run({ smoke }) {
    const data = makeVectors(smoke);
    const expected = new Float32Array(data.length / DIMENSIONS);
    const resident = await Search.create(data, 1);
    const { samples, baseline } = await compare(
      smoke ? 1 : 15,
      () => resident.dispatch(),
      () => plainScores(data, expected),
    );
    await resident.check(expected);
    const figure: Figure = {
      row: "kernel over resident arrays",
      unit: "ms",
      pageSize: PAGE_SIZE,
      samples,
      baseline: { name: "plain Float32Array", samples: baseline },
      bounds: [{ of: "ratio", most: 1.1 }],
    };
    return [figure];
  },
};
