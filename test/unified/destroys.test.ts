// The end of a memory, or of an array, while any operation is at any place: it ends, with a reason, and nothing is left.

import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryError, PAGE } from "../builders.js";
import { EVERY_OPERATION, goesOn, letGo, LONG_OPERATIONS, openScene } from "./every-operation.js";

type Outcome = { value: unknown } | { error: unknown };

/** 0, 1, 3, 7, 15, ...: more turns of the microtask queue than any operation here takes, in the end. */
function* turnCounts(): Generator<number> {
  for (let turns = 0; turns < 3000; turns += 1 + turns) yield turns;
}

async function outcomeAfter(operation: Promise<unknown>, turns: number, act: () => void): Promise<Outcome> {
  const outcome = operation.then(
    (value) => {
      letGo(value);
      return { value };
    },
    (error: unknown) => ({ error }),
  );
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
  act();
  return outcome;
}

for (const [name, act] of Object.entries(EVERY_OPERATION)) {
  test(`${name}: a memory that is destroyed after any number of turns rejects it, or it was done, and leaves nothing`, async (t) => {
    let rejected = 0;
    for (const turns of turnCounts()) {
      const scene = await openScene({ link: { latency: turns % 2 } });
      let ending = Promise.resolve();
      const outcome = await outcomeAfter(act(scene, {}), turns, () => {
        ending = scene.opened.memory.destroy();
      });
      await ending;
      if ("error" in outcome) {
        rejected++;
        assert.match(String(outcome.error), /the memory is destroyed/);
      }
      await scene.opened.destroyed();
    }
    t.diagnostic(`${rejected} times rejected`);
    assert.ok(rejected > 0);
  });

  test(`${name}: arrays that are destroyed after any number of turns let it end, and leave nothing`, async () => {
    for (const turns of turnCounts()) {
      const { opened, x, y } = await openScene({ link: { latency: turns % 2 } });
      const outcome = await outcomeAfter(act({ opened, x, y }, {}), turns, () => {
        x.destroy();
        y.destroy();
      });
      // One that is called before its array's end comes before it; what consists of several may meet it.
      if ("error" in outcome) memoryError("EINVAL", /array ".*" is destroyed/)(outcome.error);
      const after = opened.memory.createArray("u8", PAGE);
      await after.fill(1);
      const { host, device } = opened.memory.stats;
      assert.deepEqual([host.usedBytes, device.usedBytes], [PAGE, 0]);
      opened.check();
      await opened.destroyed();
    }
  });
}

test("an operation that was called before its array was destroyed is done", async () => {
  for (const name of ["write", "write from a blob", "read", "read into", "fill", "pin", "prefetch to the device"]) {
    const scene = await openScene();
    const operation = LONG_OPERATIONS[name]?.(scene, {}) ?? assert.fail(name);
    scene.x.destroy();
    scene.y.destroy();
    letGo(await operation);
    await scene.opened.destroyed();
  }
});

test("an array that is destroyed leaves operations on others alone", async () => {
  for (const [name, act] of Object.entries(EVERY_OPERATION)) {
    const scene = await openScene();
    const other = scene.opened.memory.createArray("u8", 20 * PAGE);
    await other.fill(1);
    const operation = act(scene, {});
    other.destroy();
    letGo(await operation);
    await goesOn(scene).catch((error: unknown) => assert.fail(`${name}: ${String(error)}`));
    await scene.opened.destroyed();
  }
});
