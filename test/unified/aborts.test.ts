// Aborts: at every place where an operation can be stopped it rejects with the signal's reason, and the memory goes on.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { PAGE } from "../builders.js";
import {
  addOne,
  eachPage,
  EVERY_OPERATION,
  goesOn,
  letGo,
  LONG_OPERATIONS,
  openScene,
  PAGES,
  type Scene,
} from "./every-operation.js";
import { openMemory } from "./opened-memory.js";
import { sameBytes } from "../bytes.js";

interface Prepared extends Scene {
  act: (signal: AbortSignal) => Promise<unknown>;
}

async function prepared(t: TestContext, name: string, latency: number): Promise<Prepared> {
  const scene = await openScene({ link: { latency } });
  t.after(() => scene.opened.destroyed());
  const act = EVERY_OPERATION[name] ?? assert.fail();
  return { ...scene, act: (signal) => act(scene, { signal }) };
}

for (const name of Object.keys(LONG_OPERATIONS)) {
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
        letGo(value);
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
}

for (const name of Object.keys(EVERY_OPERATION)) {
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
        letGo(settled.value);
      }
      await goesOn(scene);
    }
    t.diagnostic(`${rejected} times rejected`);
    assert.ok(rejected > 0);
  });
}

test("a signal that is aborted already stops an operation before it begins", async (t) => {
  for (const name of Object.keys(EVERY_OPERATION)) {
    const scene = await prepared(t, name, 0);
    const before = scene.opened.contents(scene.y).slice();
    const reason = Symbol(name);
    await assert.rejects(scene.act(AbortSignal.abort(reason)), (error) => error === reason);
    assert.ok(sameBytes(before, scene.opened.contents(scene.y)), `${name} changed something`);
    // What a snapshot that was taken for it leaves to be unmapped comes first.
    await scene.x.read({ length: 1 });
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
