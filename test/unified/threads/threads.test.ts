// A memory that several threads use: with the pager in this thread and in a worker of its own, everything is the same.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, type TestContext, test } from "node:test";
import { createUnifiedMemory, mirrorDevice } from "../../../src/index.js";
import type { ArrayHandle } from "../../../src/unified/array-handle.js";
import type { UnifiedMemory } from "../../../src/unified/unified-memory.js";
import { memoryError, PAGE } from "../../builders.js";
import { type StartedWorker, startWorker } from "./started-worker.js";
import type { Numbers } from "./worker-under-test.js";

const ON_A_PAGE = PAGE / 4;
const kernels = new URL("./kernels-under-test.js", import.meta.url).href;

interface Opened {
  readonly memory: UnifiedMemory<SharedArrayBuffer>;
  /** Its elements are their own indices; two of its eight pages are on the device. */
  readonly array: Numbers;
  readonly worker: StartedWorker;
}

async function open(t: TestContext, pager: "here" | "worker"): Promise<Opened> {
  const budget = 4 * PAGE;
  const memory = await createUnifiedMemory({
    shared: true,
    pageSize: PAGE,
    pager,
    device: pager === "here" ? mirrorDevice({ budget }) : { export: "mirrorDevice", options: { budget } },
  });
  t.after(() => memory.destroy());
  const array = memory.createArray("u32", 8 * ON_A_PAGE, { label: "numbers" });
  await array.write(Uint32Array.from({ length: array.length }, (_, i) => i));
  await array.prefetch("device", { start: 2 * ON_A_PAGE, length: 2 * ON_A_PAGE });
  return { memory, array, worker: await startWorker(t, memory) };
}

/** When the pager has seen that a thread is gone. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 1));
}

for (const pager of ["here", "worker"] as const) {
  describe(`with the pager ${pager === "here" ? "in the main thread" : "in a worker"}, another thread`, () => {
    test("reads and writes pages wherever they are, and sees what others wrote", async (t) => {
      const { array, worker } = await open(t, pager);
      const read = await worker.order<Uint32Array>({ do: "read", of: array.handle });
      assert.deepEqual(
        read,
        Uint32Array.from({ length: array.length }, (_, i) => i),
      );
      await array.prefetch("device", { length: 4 * ON_A_PAGE });
      await worker.order({ do: "write", of: array.handle, start: ON_A_PAGE - 1, values: [7, 8, 9] });
      assert.deepEqual(
        [...(await array.read({ start: ON_A_PAGE - 2, length: 5 }))],
        [ON_A_PAGE - 2, 7, 8, 9, ON_A_PAGE + 2],
      );
    });

    test("pins pages, by itself where they are in host memory, and its stores are seen by everybody", async (t) => {
      const { memory, array, worker } = await open(t, pager);
      const of = array.handle;
      const pin = await worker.order<number>({ do: "pin", of, mode: "write", start: 2 * ON_A_PAGE, length: 8 });
      assert.equal(await worker.order({ do: "store", pin, at: 3, value: 77 }), true);
      assert.equal((await array.read({ start: 2 * ON_A_PAGE + 3, length: 1 }))[0], 77);
      await worker.order({ do: "release", pin });
      const own = await worker.order<number>({ do: "try pin", of, mode: "read", start: 0, length: 8 });
      assert.equal(await worker.order({ do: "store", pin: own, at: 0, value: 0 }), true);
      await worker.order({ do: "release", pin: own });
      await array.prefetch("device", { length: 4 * ON_A_PAGE });
      const away = await worker.order<number>({ do: "try pin", of, mode: "read", start: 0, length: 8 });
      assert.equal(await worker.order({ do: "store", pin: away, at: 0, value: 0 }), false, "null where pages are away");
      assert.ok((await memory.readStats()).host.usedBytes > 0);
    });

    test("is named when a dispatch needs what it has pinned", async (t) => {
      const { memory, array, worker } = await open(t, pager);
      const kernel = await memory.createKernel({
        label: "add one",
        host: { module: kernels, export: "addOne" },
        footprint: { x: { each: 1 } },
      });
      const dispatch = (): Promise<unknown> => kernel.dispatch({ invocations: array.length, arrays: { x: array } });
      for (const mode of ["read", "write"] as const) {
        const pin = await worker.order<number>({ do: "pin", of: array.handle, mode, start: ON_A_PAGE, length: 5 });
        const whose = new RegExp(
          `"add one" needs .* of array "numbers", on a page that a ${mode} pin of 1024 to .* by "worker" holds`,
        );
        await assert.rejects(dispatch(), memoryError("EBUSY", whose));
        await worker.order({ do: "release", pin });
      }
      await dispatch();
      assert.equal((await array.read({ start: 5, length: 1 }))[0], 6);
    });

    test("dispatches kernels, is told of progress, and a listener that throws stops the dispatch", async (t) => {
      const { array, worker } = await open(t, pager);
      const order = { do: "dispatch", of: array.handle, module: kernels, export: "addOne" } as const;
      const { report, told } = await worker.order<{ report: { steps: number }; told: number[] }>(order);
      assert.equal(told.length, report.steps);
      assert.equal(told.at(-1), array.length);
      assert.equal(await worker.order({ do: "sum", of: array.handle }), (array.length * (array.length + 1)) / 2);
      await assert.rejects(worker.order({ ...order, stopAt: 1 }), (error: unknown) => {
        const { name, message, code, cause } = error as Error & { code: string };
        assert.deepEqual([name, code], ["DispatchError", "EIO"]);
        assert.match(message, /kernel "of a worker" stopped after \d+ of 8192 invocations: enough/);
        assert.ok(cause instanceof RangeError);
        return true;
      });
    });

    test("makes arrays that others have by their handles, also before they are made", async (t) => {
      const { memory, worker } = await open(t, pager);
      const handle = await worker.order<ArrayHandle<"u32">>({ do: "make", length: 3 * ON_A_PAGE, value: 5 });
      const found = memory.arrayFrom(handle);
      assert.deepEqual([found.type, found.length, found.label], ["u32", 3 * ON_A_PAGE, "made in a worker"]);
      await until(async () => (await found.read({ length: 1 }))[0] === 5);
      await found.write(Uint32Array.of(6), { start: 1 });
      assert.equal(await worker.order({ do: "sum", of: handle }), 3 * ON_A_PAGE * 5 + 1);
    });

    test("finds an array destroyed that any thread destroys, and its place is nobody else's", async (t) => {
      const { memory, array, worker } = await open(t, pager);
      const of = array.handle;
      await worker.order({ do: "read", of });
      array.destroy();
      // Zeros, at the place of the first.
      const next = memory.createArray("u32", array.length);
      assert.ok((await next.read()).every((value) => value === 0));
      await next.fill(1);
      await assert.rejects(worker.order({ do: "read", of }), memoryError("EINVAL", /array "numbers" is destroyed/));
      await assert.rejects(
        worker.order({ do: "write", of, start: 0, values: [9] }),
        memoryError("EINVAL", /array "numbers" is destroyed/),
      );
      await worker.order({ do: "destroy array", of: next.handle });
      await until(async () => next.destroyed);
      assert.throws(() => next.handle, memoryError("EINVAL", /is destroyed/));
    });

    test("rejects an aborted operation with its own reason, and goes on", async (t) => {
      const { array, worker } = await open(t, pager);
      await assert.rejects(worker.order({ do: "abort a read", of: array.handle }), (error: unknown) => {
        assert.ok(error instanceof RangeError);
        assert.equal(error.message, "the worker's own reason");
        return true;
      });
      assert.equal(await worker.order({ do: "sum", of: array.handle, length: 3 }), 3);
    });

    for (const end of ["is terminated", "exits", "leaves"] as const) {
      test(`gives back what it holds when it ${end}`, async (t) => {
        const { memory, array, worker } = await open(t, pager);
        for (const start of [0, 3 * ON_A_PAGE]) {
          await worker.order({ do: "pin", of: array.handle, mode: "write", start, length: 4 });
        }
        const moved = async (): Promise<boolean> => {
          await array.prefetch("device", { length: 4 * ON_A_PAGE });
          return (await memory.readStats()).device.usedBytes === 4 * PAGE;
        };
        assert.equal(await moved(), false, "pinned pages stay");
        if (end === "is terminated") await worker.terminate();
        else if (end === "exits") void worker.order({ do: "exit" });
        else await worker.order({ do: "leave" });
        await until(moved);
        assert.deepEqual([...(await array.read({ start: 1, length: 3 }))], [1, 2, 3]);
      });
    }

    test("has nothing of the memory any more when its port is closed, or the memory destroyed", async (t) => {
      const { memory, array, worker } = await open(t, pager);
      const second = await startWorker(t, memory, "second");
      const of = array.handle;
      await second.order({ do: "pin", of, mode: "read", start: 0, length: 4 });
      await memory.disconnect(second.port);
      await assert.rejects(
        second.order({ do: "read", of }),
        memoryError("EINVAL", /has closed the port of this thread/),
      );
      await memory.disconnect(second.port);
      await memory.destroy();
      await assert.rejects(worker.order({ do: "read", of }), memoryError("EINVAL", /the memory is destroyed/));
      await assert.rejects(memory.port(), memoryError("EINVAL", /the memory is destroyed/));
    });
  });
}

test("what is no port, no handle, or one of another memory is refused", async (t) => {
  const { memory, array } = await open(t, "here");
  const other = await createUnifiedMemory({ shared: true });
  t.after(() => other.destroy());
  assert.throws(() => other.arrayFrom(array.handle), memoryError("EINVAL", /an array of another memory/));
  assert.throws(() => memory.arrayFrom({} as ArrayHandle), memoryError("EINVAL", /takes the handle of an array/));
  const alone = await createUnifiedMemory();
  t.after(() => alone.destroy());
  assert.throws(() => alone.createArray("f32", 4).handle, memoryError("EINVAL", /make it with shared: true/));
  await assert.rejects(alone.port(), memoryError("EINVAL", /only a memory made with shared: true has ports/));
  const port = await memory.port();
  await assert.rejects(other.disconnect(port), memoryError("EINVAL", /was not made by this memory/));
  await memory.disconnect(port, { terminated: true });
});

test("where memory cannot be shared, a memory that is to be is refused with what is missing", () => {
  const program = `
    Object.defineProperty(globalThis, "crossOriginIsolated", { value: false });
    const { createUnifiedMemory } = await import(${JSON.stringify(new URL("../../../src/index.js", import.meta.url).href)});
    await createUnifiedMemory({ shared: true }).catch((error) => console.log(error.code, error.message));
    await (await createUnifiedMemory()).destroy();
  `;
  const { stdout, status } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  assert.equal(status, 0);
  assert.match(stdout, /^ENOTSUP .*Cross-Origin-Opener-Policy.*Cross-Origin-Embedder-Policy/);
});

test("idle ports and workers do not keep a process alive", () => {
  const program = `
    const { createUnifiedMemory } = await import(${JSON.stringify(new URL("../../../src/index.js", import.meta.url).href)});
    for (const pager of ["here", "worker"]) {
      const memory = await createUnifiedMemory({ shared: true, pager });
      await memory.port();
      const array = memory.createArray("u32", 100);
      await array.fill(3);
      console.log((await array.read())[99]);
    }
  `;
  const { stdout, status } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  assert.deepEqual([stdout, status], ["3\n3\n", 0]);
});
