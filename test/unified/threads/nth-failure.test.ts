// A worker uses a memory, and the n-th copy, or the n-th allocation of each kind and the two after it, fail in the pager's thread, for every n
// (one alone is often made good unseen): the worker hears of it, loses nothing, and can do again what failed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import type { AllocationSite } from "../../../src/mm/environment.js";
import { TestEnvironment } from "../../environments.js";
import { openUntended } from "../opened-memory.js";
import type { FailingWork } from "./failing-worker.js";

const kernels = new URL("./kernels-under-test.js", import.meta.url).href;
const PLACES: readonly (AllocationSite | "copy")[] = ["copy", "frame", "table", "anon-vma", "charge", "device-frame"];

for (const kind of ["private", "coherent"] as const) {
  test(`the n-th allocation or copy fails while a worker uses a memory with a ${kind} device`, async (t) => {
    const worker = new Worker(new URL("./failing-worker.js", import.meta.url));
    t.after(() => worker.terminate());
    let failed = 0;
    let runs = 0;
    for (const place of PLACES) {
      for (let n = 0; ; n++) {
        const environment = new TestEnvironment();
        let copies = 0;
        const link = { fails: () => copies++ === n && place === "copy" };
        const opened = await openUntended({ shared: true, kind, devicePages: 3, environment, link });
        const asked = (): number => (place === "copy" ? copies : environment.asked[place]);
        const before = asked();
        if (place !== "copy") for (const later of [n, n + 1, n + 2]) environment.refuse(place, later);
        const port = await opened.memory.port({ label: "worker" });
        const work: FailingWork = { port, kernels };
        worker.postMessage(work, [port as never]);
        const [{ error, failures }] = (await once(worker, "message")) as [{ error?: unknown; failures?: number }];
        assert.equal(error, undefined, `${place} ${n}: ${String(error)}`);
        opened.check();
        await opened.destroyed();
        if (asked() - before <= n) break;
        failed += failures ?? 0;
        runs++;
      }
    }
    t.diagnostic(`${runs} runs with allocations or copies that failed; ${failed} operations of the worker failed`);
    assert.ok(runs >= 30 && failed >= 12);
  });
}
