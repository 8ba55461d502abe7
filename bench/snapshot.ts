/**
 * Snapshots: what taking one costs a page, in host memory and on the device, and what the first write afterwards costs,
 * which copies the page; beside memcpy of the same bytes, or the same kernel without a snapshot.
 */

import { createUnifiedMemory, type Kernel, mirrorDevice, type PagedArray, type UnifiedMemory } from "../src/index.js";
import { processorTime } from "./clock.js";
import type { Figure } from "./figure.js";
import { compare } from "./rounds.js";
import { expect, type Scenario } from "./scenario.js";

const PAGE_SIZE = 65_536;
const ELEMENTS_OF_A_PAGE = PAGE_SIZE / 4;
const MOST_NANOSECONDS = 150;
/** Snapshots a sample: the clock counts microseconds. */
const SNAPSHOTS = 4;

interface Scene {
  readonly memory: UnifiedMemory;
  readonly array: PagedArray<"f32">;
  readonly kernel: Kernel;
  readonly pages: number;
}

async function createScene(pages: number): Promise<Scene> {
  const memory = await createUnifiedMemory({
    device: mirrorDevice({ budget: pages * PAGE_SIZE }),
    pageSize: PAGE_SIZE,
  });
  const array = memory.createArray("f32", pages * ELEMENTS_OF_A_PAGE, { label: "state" });
  await array.fill(1);
  const kernel = await memory.createKernel({
    label: "halve",
    footprint: { state: { each: 1 } },
    host: {
      writes: ["state"],
      run({ first, count, arrays, base }) {
        const state = arrays["state"] as Float32Array;
        const begin = first - base["state"];
        for (let i = begin; i < begin + count; i++) state[i] *= 0.5;
      },
    },
  });
  return { memory, array, kernel, pages };
}

/** Makes every page the array's own again. */
async function own({ array }: Scene): Promise<void> {
  (await array.pin("write")).release();
}

const dispatch = ({ array, kernel }: Scene): Promise<unknown> =>
  kernel.dispatch({ invocations: array.length, arrays: { state: array } });

/** Nanoseconds a page of each round; `prepare` makes the pages the array's own, wherever they are to be. */
async function taking(scene: Scene, rounds: number, prepare: () => Promise<unknown>): Promise<number[]> {
  const { memory, array, pages } = scene;
  const samples: number[] = [];
  for (let round = -4; round < rounds; round++) {
    let milliseconds = 0;
    for (let i = 0; i < SNAPSHOTS; i++) {
      await prepare();
      const before = memory.stats;
      const began = processorTime();
      const snapshot = array.snapshot();
      milliseconds += processorTime() - began;
      await snapshot.dirtyRanges();
      const after = memory.stats;
      expect(
        after.host.usedBytes === before.host.usedBytes &&
          after.device.usedBytes === before.device.usedBytes &&
          after.copies.onWrite + after.copies.pinned === before.copies.onWrite + before.copies.pinned,
        "a snapshot copied something",
      );
      snapshot.destroy();
    }
    if (round >= 0) samples.push((milliseconds * 1e6) / (SNAPSHOTS * pages));
  }
  return samples;
}

const figure = (row: string, samples: readonly number[]): Figure => ({
  row,
  unit: "ns",
  pageSize: PAGE_SIZE,
  samples,
  bounds: [{ of: "value", most: MOST_NANOSECONDS }],
});

export const snapshotTaken: Scenario = {
  name: "snapshot",
  async run({ smoke }) {
    const scene = await createScene(smoke ? 64 : 4096);
    const rounds = smoke ? 1 : 11;
    const home = await taking(scene, rounds, () => own(scene));
    const device = await taking(scene, rounds, () => dispatch(scene));
    return [figure("snapshot, a page in host memory", home), figure("snapshot, a page on the device", device)];
  },
};

export const writeAfterSnapshot: Scenario = {
  name: "write after a snapshot",
  async run({ smoke }) {
    const scene = await createScene(smoke ? 64 : 1024);
    const { memory, array, pages } = scene;
    const [from, to] = [new Uint8Array(pages * PAGE_SIZE).fill(1), new Uint8Array(pages * PAGE_SIZE).fill(2)];
    let snapshot = array.snapshot();
    const rounds = smoke ? 1 : 21;
    const copied = memory.stats.copies.onWrite;
    const host = await compare(
      rounds,
      async () => {
        await own(scene);
        snapshot.destroy();
        snapshot = array.snapshot();
      },
      () => {
        for (let at = 0; at < to.length; at += PAGE_SIZE) to.set(from.subarray(at, at + PAGE_SIZE), at);
      },
    );
    expect(memory.stats.copies.onWrite === copied + (rounds + 4) * pages, "not every page was copied once a round");
    expect((await snapshot.read({ length: 1 }))[0] === 1, "the snapshot is not what the array was");

    snapshot.destroy();
    await dispatch(scene);
    const device = await compare(
      rounds,
      async () => {
        const taken = array.snapshot();
        await dispatch(scene);
        taken.destroy();
      },
      () => dispatch(scene),
    );
    const { unshare } = memory.stats.migrations.toHost;
    expect(unshare.pages === (rounds + 4) * pages, `${unshare.pages} pages were copied for snapshots`);
    const row = { unit: "ms", pageSize: PAGE_SIZE, bounds: [] };
    return [
      {
        ...row,
        row: "first write of every page after a snapshot, in host memory",
        samples: host.samples,
        baseline: { name: "memcpy", samples: host.baseline },
      },
      {
        ...row,
        row: "kernel that writes every page after a snapshot, on the device",
        samples: device.samples,
        baseline: { name: "without a snapshot", samples: device.baseline },
      },
    ];
  },
};
