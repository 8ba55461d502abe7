/** Turns of the event loop between steps. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { realEnvironment } from "../../src/mm/environment.js";
import { eventLoopTurn, Turns } from "../../src/unified/local/turn.js";
import { TestEnvironment } from "../environments.js";

test("a turn lets run what waits for the event loop, and sleeps in a simulation alone", async () => {
  const { setTimeout: sleep } = globalThis;
  let slept = 0;
  const counting = (...given: Parameters<typeof sleep>): ReturnType<typeof sleep> => {
    slept++;
    return sleep(...given);
  };
  globalThis.setTimeout = Object.assign(counting, sleep);
  try {
    // A process may have quicker ways than the real environment for some things.
    for (const environment of [realEnvironment, { ...realEnvironment, copy: () => {} }]) {
      let ran = false;
      setImmediate(() => (ran = true));
      await eventLoopTurn(environment);
      assert.ok(ran);
    }
  } finally {
    globalThis.setTimeout = sleep;
  }
  assert.equal(slept, 0, "a sleep takes a millisecond at least");
  const asked: number[] = [];
  const simulated = new TestEnvironment();
  await eventLoopTurn(
    Object.assign(simulated, { sleep: async (milliseconds: number): Promise<void> => void asked.push(milliseconds) }),
  );
  assert.deepEqual(asked, [0]);
});

test("a turn is due every few milliseconds at most", async () => {
  let now = 0;
  let turns = 0;
  const environment = { ...realEnvironment, now: () => now, sleep: async () => void turns++ };
  const between = new Turns(environment);
  for (const [at, expected] of [
    [7, 0],
    [8, 1],
    [15, 1],
    [17, 2],
  ]) {
    now = at;
    await between.take();
    assert.equal(turns, expected, `after ${at} ms`);
  }
});
