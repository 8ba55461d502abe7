// Random programs in several threads at once over one memory whose device is much too small for them: every thread's arrays
// hold what plain typed arrays would. `PAGEFERRY_SEED` repeats what the threads do, `PAGEFERRY_STEPS` says how much.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { createUnifiedMemory, KiB } from "../../../src/index.js";
import { PAGE } from "../../builders.js";
import { runRandomThread, type Tally } from "./random-thread.js";
import type { RandomWork } from "./random-worker.js";
import { setting } from "../../setting.js";

const STEPS = Number(setting("PAGEFERRY_STEPS") ?? 150);
const kernels = new URL("./kernels-under-test.js", import.meta.url).href;

for (const kind of ["private", "coherent"] as const) {
  for (const pager of ["here", "worker"] as const) {
    const where = pager === "here" ? "in the main thread" : "in a worker of its own";
    test(`three threads over a ${kind} device, with the pager ${where}`, async (t) => {
      const seed = Number(setting("PAGEFERRY_SEED") ?? Date.now() % 1_000_000);
      t.diagnostic(`seed ${seed}`);
      const memory = await createUnifiedMemory({
        shared: true,
        pageSize: PAGE,
        pager,
        device: { export: "mirrorDevice", options: { kind, budget: 48 * KiB } },
      });
      t.after(() => memory.destroy());
      const workers: Promise<Tally>[] = [];
      for (const number of [1, 2]) {
        const port = await memory.port({ label: `worker ${number}` });
        const work: RandomWork = { port, seed: seed + number, steps: STEPS, kernels };
        const url = new URL("./random-worker.js", import.meta.url);
        const worker = new Worker(url, { workerData: work, transferList: [port as never] });
        t.after(() => worker.terminate());
        workers.push(once(worker, "message").then(([tally]) => tally as Tally));
      }
      const tallies = await Promise.all([runRandomThread(memory, seed, STEPS, kernels), ...workers]);
      for (const tally of tallies) {
        t.diagnostic(
          Object.entries(tally)
            .map((entry) => entry.join(" "))
            .join(", "),
        );
        if (STEPS >= 100) assert.equal(Object.keys(tally).length, 11, "every operation occurs");
      }
      const { migrations } = await memory.readStats();
      t.diagnostic(`${JSON.stringify(migrations)}`);
    });
  }
}
