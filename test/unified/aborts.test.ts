// Aborts: at every place where an operation can be stopped it rejects with the signal's reason, and the memory goes on.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import type { Pin } from "../../src/unified/pin.js";
import { PAGE } from "../builders.js";
import { openMemory, type OpenedMemory } from "./opened-memory.js";

const addOne: HostKernel = {
  writes: ["y"],
  run({ count, arrays }) {
    for (let i = 0; i < count * PAGE; i += PAGE) {
      (arrays["y"] as Uint8Array).fill(arrays["x"][i] + 1, i, i + PAGE);
    }
  },
};
const eachPage = { x: { each: PAGE }, y: { each: PAGE } };

interface Scene {
  readonly opened: OpenedMemory;
  readonly x: PagedArray<"u8">;
  readonly y: PagedArray<"u8">;
  act: (signal: AbortSignal) => Promise<unknown>;
}

/** Pages enough for several batches of copies, some on the device, most on the host. */
const PAGES = 700;
const SEVENS = Buffer.alloc(PAGES * PAGE, 7);

type Act = (scene: Omit<Scene, "act">, signal: AbortSignal) => Promise<unknown>;

const acts: Record<string, Act> = {
  write: ({ y }, signal) => y.write(new Uint8Array(y.length).fill(1), { signal }),
  "write from a source": ({ y }, signal) =>
    y.write(
      (async function* () {
        for (let i = 0; i < 5; i++) {
          await Promise.resolve();
          yield new Uint8Array((PAGES * PAGE) / 5);
        }
      })(),
      { signal },
    ),
  read: ({ x }, signal) => x.read({ signal }),
  "read into": ({ x }, signal) => x.read(new Uint8Array(x.length), { signal }),
  fill: ({ y }, signal) => y.fill(3, { signal }),
  pin: ({ y }, signal) => y.pin("write", { signal }),
  "prefetch to the device": ({ y }, signal) => y.prefetch("device", { signal }),
  "prefetch to the host": ({ x }, signal) => x.prefetch("host", { signal }),
  "a streamed dispatch": async ({ opened, x, y }, signal) => {
    const kernel = await opened.memory.createKernel({ host: addOne, footprint: eachPage });
    return kernel.dispatch({ invocations: PAGES, arrays: { x, y }, signal });
  },
  "a resident dispatch": async ({ opened, x, y }, signal) => {
    const kernel = await opened.memory.createKernel({ host: addOne, footprint: eachPage });
    return kernel.dispatch({ invocations: 250, arrays: { x, y }, mode: "resident", signal });
  },
};

async function prepared(t: TestContext, name: string, latency: number): Promise<Scene> {
  const opened = await openMemory(t, { devicePages: 560, link: { latency } });
  const x = opened.memory.createArray("u8", PAGES * PAGE, { label: "x" });
  const y = opened.memory.createArray("u8", PAGES * PAGE, { label: "y" });
  await x.fill(7);
  await y.fill(9, { length: 450 * PAGE });
  await x.prefetch("device", { start: 100 * PAGE, length: 540 * PAGE });
  const act = acts[name] ?? assert.fail();
  return { opened, x, y, act: (signal) => act({ opened, x, y }, signal) };
}

/** After an abort: what is only read is untouched, invariants hold, and every kind of operation works. */
async function goesOn({ opened, x, y }: Scene): Promise<void> {
  assert.ok(SEVENS.equals(opened.contents(x)), "what is only read is untouched");
  for (const array of [x, y]) assert.equal(array.pins.size, 0);
  opened.check();
  await y.fill(2, { length: 10 });
  const kernel = await opened.memory.createKernel({ host: addOne, footprint: eachPage });
  await kernel.dispatch({ invocations: 20, arrays: { x, y } });
  assert.deepEqual(await y.read({ length: 20 * PAGE }), new Uint8Array(20 * PAGE).fill(8));
  opened.check();
}

function isPin(value: unknown): value is Pin {
  return typeof value === "object" && value !== null && "release" in value;
}

for (const name of Object.keys(acts)) {
  test(`${name}: aborted at its first, second, ... checkpoint, until it completes`, async (t) => {
    let completed = false;
    let checkpoints = 0;
    for (; !completed; checkpoints++) {
      const scene = await prepared(t, name, 0);
      const controller = new AbortController();
      const { signal } = controller;
      const reason = { checkpoint: checkpoints };
      let reached = 0;
      const throwIfAborted = signal.throwIfAborted.bind(signal);
      signal.throwIfAborted = () => {
        if (reached++ === checkpoints) controller.abort(reason);
        throwIfAborted();
      };
      let failure: unknown = null;
      try {
        const value = await scene.act(signal);
        completed = true;
        if (isPin(value)) value.release();
      } catch (error) {
        failure = error;
      }
      if (completed) assert.equal(reached, checkpoints, "a checkpoint was passed that did not stop it");
      else assert.equal(failure, reason, "it rejects with the signal's reason itself");
      await goesOn(scene);
    }
    t.diagnostic(`${checkpoints - 1} checkpoints`);
    assert.ok(checkpoints > 2, "work of several batches has several checkpoints");
  });

  test(`${name}: aborted after any number of turns of the microtask queue`, async (t) => {
    let rejected = 0;
    let completed = 0;
    for (let turns = 0; completed < 2; turns += 1 + (turns >> 1)) {
      const scene = await prepared(t, name, turns % 2);
      const controller = new AbortController();
      const reason = new Error(`after ${turns} turns`);
      const outcome = scene.act(controller.signal).then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      );
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      if (turns > 2000) await outcome;
      controller.abort(reason);
      const settled = await outcome;
      if ("error" in settled) {
        rejected++;
        assert.equal(settled.error, reason);
      } else {
        completed++;
        if (isPin(settled.value)) settled.value.release();
      }
      await goesOn(scene);
    }
    t.diagnostic(`${rejected} times rejected`);
    assert.ok(rejected > 0);
  });
}

test("a signal that is aborted already stops an operation before it begins", async (t) => {
  for (const name of Object.keys(acts)) {
    const scene = await prepared(t, name, 0);
    const before = scene.opened.contents(scene.y).slice();
    const reason = Symbol(name);
    await assert.rejects(scene.act(AbortSignal.abort(reason)), (error) => error === reason);
    assert.ok(Buffer.from(before).equals(scene.opened.contents(scene.y)), `${name} changed something`);
    scene.opened.check();
  }
});

test("an abort while a source keeps a write waiting is heard at once, and the source is told", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("u8", PAGE);
  const controller = new AbortController();
  let told = false;
  const source: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      return: () => {
        told = true;
        return new Promise(() => {});
      },
    }),
  };
  await array.read();
  const writing = array.write(source, { signal: controller.signal });
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(writing, (error) => error === reason);
  assert.ok(told);
  assert.ok(
    (await array.read()).every((byte) => byte === 0),
    "the queue goes on",
  );
});

test("an abort whose reason looks like an error of ours is still the caller's own", async (t) => {
  const scene = await prepared(t, "a streamed dispatch", 0);
  const controller = new AbortController();
  const kernel = await scene.opened.memory.createKernel({
    host: addOne,
    footprint: eachPage,
  });
  const reason = new RangeError("the caller's");
  const dispatching = kernel.dispatch({
    invocations: PAGES,
    arrays: { x: scene.x, y: scene.y },
    signal: controller.signal,
    onProgress: () => controller.abort(reason),
  });
  await assert.rejects(dispatching, (error) => error === reason);
  await goesOn(scene);
});
