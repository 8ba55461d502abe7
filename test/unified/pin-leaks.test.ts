// With debug: frames given back are poisoned, and a pin that is lost unreleased is reported with the stack that made it.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { PAGE } from "../builders.js";
import { openMemory, openUntended } from "./opened-memory.js";

const POISON = 0xdb;

function collectGarbage(): void {
  assert.ok(typeof globalThis.gc === "function", "this test needs node --expose-gc");
  globalThis.gc();
}

async function loseAPin(array: PagedArray): Promise<void> {
  await array.pin("read", { start: 10, length: 20 });
}

async function releaseAPin(array: PagedArray): Promise<void> {
  (await array.pin("write")).release();
}

/** Warnings of the program while `act` runs and garbage is collected, until one comes or it is clear that none will. */
async function warningsDuring(t: TestContext, act: () => Promise<void>): Promise<string[]> {
  const warnings: string[] = [];
  t.mock.method(console, "warn", (message: string) => void warnings.push(message));
  await act();
  for (let round = 0; round < 20 && warnings.length === 0; round++) {
    collectGarbage();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return warnings;
}

test("with debug, a pin that is collected unreleased is reported: array, range and the stack that made it", async (t) => {
  const { memory } = await openUntended({ debug: true });
  t.after(() => memory.destroy());
  const array = memory.createArray("f32", 100, { label: "leaky" });
  await array.fill(1);
  const warnings = await warningsDuring(t, () => loseAPin(array));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /read pin of "leaky", elements 10 to 30 was collected unreleased/);
  assert.match(warnings[0] ?? "", /pin-leaks\.test/, "the stack names this file");
});

test("with debug, a pin that was released is not reported", async (t) => {
  const { memory } = await openMemory(t, { debug: true });
  const array = memory.createArray("f32", 100);
  assert.deepEqual(await warningsDuring(t, () => releaseAPin(array)), []);
});

test("without debug, nothing is watched", async (t) => {
  const { memory } = await openUntended();
  t.after(() => memory.destroy());
  const array = memory.createArray("f32", 100);
  assert.deepEqual(await warningsDuring(t, () => loseAPin(array)), []);
});

test("a pin that is lost still counts as held: a dispatch is refused, not wrong", async (t) => {
  const { memory } = await openUntended({ debug: true });
  t.after(() => memory.destroy());
  const array = memory.createArray("f32", 100, { label: "leaky" });
  await array.fill(1);
  await warningsDuring(t, () => loseAPin(array));
  const kernel = await memory.createKernel({ host: { writes: ["x"], run() {} }, footprint: { x: { each: 1 } } });
  await assert.rejects(kernel.dispatch({ invocations: 100, arrays: { x: array } }), /EBUSY.* 10 to 30/);
});

test("with debug, a host frame that is given back is poisoned, so that a view kept too long shows it", async (t) => {
  const { memory } = await openMemory(t, { debug: true });
  const array = memory.createArray("u8", 2 * PAGE);
  await array.fill(7);
  const pin = await array.pin("read");
  const { view } = pin;
  pin.release();
  array.destroy();
  await memory.createArray("u8", 1).read();
  assert.ok(view.every((byte) => byte === POISON));
});

test("with debug, a retained frame keeps its bytes, for its page is still somebody's", async (t) => {
  const { memory } = await openMemory(t, { debug: true });
  const array = memory.createArray("u8", 2 * PAGE);
  await array.fill(7);
  await array.prefetch("device");
  await array.prefetch("host");
  assert.equal(memory.stats.droppedClean.pages, 2);
  assert.ok((await array.read()).every((byte) => byte === 7));
});

test("with debug, a device frame that is given back is poisoned", async (t) => {
  const opened = await openMemory(t, { debug: true });
  const array = opened.memory.createArray("u8", PAGE);
  await array.fill(7);
  await array.prefetch("device");
  const [frame = 0] = opened.framesOf(array);
  await array.prefetch("host");
  assert.ok(opened.attached.device.run(frame - opened.attached.zone.first, 1)?.every((byte) => byte === POISON));
});

test("with debug, poison is never read: new pages are zeros, whatever was there", async (t) => {
  const { memory } = await openMemory(t, { debug: true, devicePages: 4 });
  for (let round = 0; round < 4; round++) {
    const array = memory.createArray("u8", 6 * PAGE);
    const kernel = await memory.createKernel({
      host: {
        writes: ["x"],
        run({ arrays }) {
          for (const byte of arrays["x"] as Uint8Array) assert.equal(byte, 0);
          (arrays["x"] as Uint8Array).fill(round + 1);
        },
      },
      footprint: { x: { each: 1 } },
    });
    await kernel.dispatch({ invocations: array.length, arrays: { x: array } });
    assert.ok((await array.read()).every((byte) => byte === round + 1));
    array.destroy();
  }
});
