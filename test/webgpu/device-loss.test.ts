// The loss of a GPUDevice: everyone who is still there hears of it once, and a memory that has closed is not held by it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { lossOf, onLoss } from "../../src/device/webgpu/device-loss.js";
import { createUnifiedMemory } from "../../src/index.js";
import { webgpuDevice } from "../../src/device/webgpu/index.js";
import { skip } from "./gpu.js";
import { sharedDevice } from "./opened-device.js";

function deviceToLose(): { device: GPUDevice; lose: (message: string) => void } {
  let lose = (_message: string): void => {};
  const lost = new Promise((resolve) => {
    lose = (message) => resolve({ reason: "unknown", message });
  });
  return { device: { lost } as GPUDevice, lose };
}

test("who listens hears it once; who has stopped, does not; who comes later, hears it too", async () => {
  const { device, lose } = deviceToLose();
  const heard: string[] = [];
  onLoss(device, ({ message }) => heard.push(`first: ${message}`));
  const stop = onLoss(device, () => heard.push("second"));
  assert.equal(await lossOf(device), null);
  stop();
  lose("gone");
  assert.equal((await lossOf(device))?.message, "gone");
  onLoss(device, ({ message }) => heard.push(`late: ${message}`));
  await new Promise(setImmediate);
  assert.deepEqual(heard, ["first: gone", "late: gone"]);
});

test("a device that was lost before anyone asked is known to be", async () => {
  const { device, lose } = deviceToLose();
  lose("long ago");
  assert.equal((await lossOf(device))?.message, "long ago");
});

test("a memory that is destroyed is collected while its GPUDevice lives on", { skip }, async () => {
  const device = await sharedDevice();
  const alive: WeakRef<object>[] = [];
  const use = async (): Promise<void> => {
    const memory = await createUnifiedMemory({ device: await webgpuDevice({ device, budget: 1 << 20 }) });
    const array = memory.createArray("u32", 1000);
    await array.fill(1);
    await array.prefetch("device");
    alive.push(new WeakRef(memory), new WeakRef(array));
    await memory.destroy();
  };
  for (let i = 0; i < 4; i++) await use();
  const { gc } = globalThis;
  assert.ok(typeof gc === "function", "this test needs node --expose-gc");
  for (let i = 0; i < 20 && alive.some((reference) => reference.deref() !== undefined); i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    gc();
  }
  assert.deepEqual(
    alive.map((reference) => reference.deref() !== undefined),
    alive.map(() => false),
  );
});
