/** Pins that workers take by themselves, one and two of them, each of pages of its own: how many a second, on the wall. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { createUnifiedMemory, mirrorDevice } from "../src/index.js";
import type { PinningWork } from "./pinning-worker.js";
import { expect, type Scenario } from "./scenario.js";

const PAGE_SIZE = 65_536;
const ELEMENTS_OF_A_PAGE = PAGE_SIZE / 4;
/** Pages of each worker. */
const PAGES = 64;
const PINS = 200_000;
const WORKERS = 2;

export const workerPins: Scenario = {
  name: "pins from workers",
  async run({ smoke }) {
    const memory = await createUnifiedMemory({
      shared: true,
      device: mirrorDevice({ budget: 1 << 20 }),
      pageSize: PAGE_SIZE,
    });
    const array = memory.createArray("f32", WORKERS * PAGES * ELEMENTS_OF_A_PAGE, { label: "pinned" });
    await array.fill(1);
    const workers: Worker[] = [];
    for (let i = 0; i < WORKERS; i++) {
      const port = await memory.port();
      const place = { elementsOfPage: ELEMENTS_OF_A_PAGE, first: i * PAGES, pages: PAGES };
      const workerData: PinningWork = { port, handle: array.handle, ...place };
      const worker = new Worker(new URL("./pinning-worker.js", import.meta.url), {
        workerData,
        transferList: [port as never],
      });
      await once(worker, "message");
      workers.push(worker);
    }
    const pins = smoke ? 1000 : PINS;
    /** Pins a second of the first so many workers together. */
    const rate = async (count: number): Promise<number> => {
      const began = performance.now();
      const counts = await Promise.all(
        workers.slice(0, count).map(async (worker) => {
          worker.postMessage(pins);
          return ((await once(worker, "message")) as [number])[0];
        }),
      );
      const seconds = (performance.now() - began) / 1000;
      expect(
        counts.every((taken) => taken === pins),
        `${counts.join(" and ")} of ${pins} pins were had`,
      );
      return (count * pins) / seconds;
    };
    const one: number[] = [];
    const two: number[] = [];
    for (let round = -1; round < (smoke ? 1 : 9); round++) {
      const alone = await rate(1);
      const together = await rate(WORKERS);
      if (round < 0) continue;
      one.push(alone);
      two.push(together);
    }
    await Promise.all(workers.map((worker) => worker.terminate()));
    await memory.destroy();
    const unit = "pins/s";
    return [
      {
        row: "pins from 1 worker",
        unit,
        pageSize: PAGE_SIZE,
        samples: one,
        bounds: [{ of: "value", least: 150_000 }],
      },
      {
        row: "pins from 2 workers",
        unit,
        pageSize: PAGE_SIZE,
        samples: two,
        baseline: { name: "1 worker", samples: one },
        bounds: [{ of: "value", least: 150_000 }],
      },
    ];
  },
};
