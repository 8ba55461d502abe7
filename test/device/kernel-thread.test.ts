// Steps in the mirror's worker: which bytes they see, wherever their pages are, and what closing the device does to them.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Device, DeviceHost, DeviceKernel, KernelSlice, KernelStep } from "../../src/device/driver.js";
import { mirrorDevice } from "../../src/device/mirror/index.js";
import { memoryError, PAGE } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { endless, moving } from "../unified/module-kernels.js";
import { between, withSeeds } from "../unified/random-operands.js";
import { sameBytes } from "../bytes.js";

const FRAMES = 12;
const HOST_FRAMES = 6;
const KERNELS = { endless, moving };

async function openShared(
  t: TestContext,
): Promise<{ device: Device; hostMemory: Uint8Array; kernel: (name: "moving" | "endless") => Promise<DeviceKernel> }> {
  const hostMemory = new Uint8Array(new SharedArrayBuffer(HOST_FRAMES * PAGE));
  const host: DeviceHost = {
    pageSize: PAGE,
    environment: new TestEnvironment(),
    debug: true,
    shared: true,
    bytes: (frame, count) => hostMemory.subarray(frame * PAGE, (frame + count) * PAGE),
  };
  const device = await mirrorDevice({ budget: FRAMES * PAGE, kind: "coherent" }).open(host);
  t.after(() => device.close());
  const module = new URL("../unified/module-kernels.js", import.meta.url).href;
  const kernel = (name: "moving" | "endless"): Promise<DeviceKernel> =>
    device.createKernel({ label: name, host: KERNELS[name], module: { module, export: name } });
  return { device, hostMemory, kernel };
}

function shuffled(random: () => number, length: number): number[] {
  const numbers = Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [numbers[i], numbers[j]] = [numbers[j] ?? 0, numbers[i] ?? 0];
  }
  return numbers;
}

test("a step in a worker sees and changes the bytes of its pages, on the device and in host memory", async (t) => {
  const { device, hostMemory, kernel } = await openShared(t);
  const worker = await kernel("moving");
  assert.equal(worker.lookahead, 1);
  let scratch = 0;
  await withSeeds(t, 150, async (random) => {
    const memory = device.bytes ?? assert.fail();
    for (let i = 0; i < memory.length; i++) memory[i] = (random() * 255) | 0;
    for (let i = 0; i < hostMemory.length; i++) hostMemory[i] = (random() * 255) | 0;
    const apart = random() < 0.6;
    const order = apart ? shuffled(random, FRAMES) : Array.from({ length: FRAMES }, (_, frame) => frame);
    const pages = between(random, 1, 5);
    const [from, to] = [order.slice(0, pages), order.slice(pages, 2 * pages)];
    // A page that is only read may stay in host memory.
    const written = random() < 0.5;
    if (!written && random() < 0.5) from[between(random, 0, pages - 1)] = -1 - between(random, 0, HOST_FRAMES - 1);
    const offset = between(random, 0, PAGE - 1);
    const length = between(random, 1, pages * PAGE - offset);
    const slice = (name: string, first: number, frames: number[], isWritten: boolean): KernelSlice => {
      return {
        name,
        type: "u8",
        first,
        length,
        total: first + length,
        offset,
        frames: Int32Array.from(frames),
        written: isWritten,
      };
    };
    const place = (frames: number[], i: number): number => {
      const byte = offset + i;
      return (frames[Math.floor(byte / PAGE)] ?? 0) * PAGE + (byte % PAGE);
    };
    const expected = memory.slice();
    for (let i = 0; i < length; i++) {
      const at = place(from, i);
      const host = (-1 - (from[Math.floor((offset + i) / PAGE)] ?? 0)) * PAGE + ((offset + i) % PAGE);
      expected[place(to, i)] = (at >= 0 ? memory[at] : hostMemory[host]) ?? 0;
    }
    if (written) for (let i = 0; i < length; i++) expected[place(from, i)] = 255;
    const hostBefore = hostMemory.slice();
    const slices = [slice("x", 1000, from, written), slice("y", 2000, to, true)];
    await worker.execute({
      first: 7,
      count: 9,
      invocations: 16,
      shape: [16, 1, 1],
      slices,
      uniforms: { written },
      bindings: {},
    });
    assert.ok(sameBytes(memory, expected));
    assert.ok(sameBytes(hostMemory, hostBefore), "host memory is never written");
    const scattered = (frames: number[]): boolean =>
      (frames[0] ?? 0) < 0 || frames.some((frame, i) => frame !== (frames[0] ?? 0) + i);
    scratch = Math.max(scratch, (Number(scattered(from)) + Number(scattered(to))) * pages * PAGE);
    assert.equal(worker.scratchBytes, scratch);
  });
  assert.ok(scratch > 0);
});

test("closing the device ends a step that never would, and makes no more kernels", async (t) => {
  const { device, kernel } = await openShared(t);
  const never = await kernel("endless");
  const once = await kernel("moving");
  const step: KernelStep = {
    first: 0,
    count: 1,
    invocations: 1,
    shape: [1, 1, 1],
    slices: [],
    uniforms: {},
    bindings: {},
  };
  const pending = [never.execute(step), kernel("moving"), once.execute(step)];
  const outcomes = Promise.allSettled(pending);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await device.close();
  await device.close();
  for (const outcome of await outcomes) {
    assert.equal(outcome.status, "rejected");
    memoryError("ENODEV", /mirror \(coherent, software\) is closed/)(outcome.reason);
  }
  await assert.rejects(once.execute(step), memoryError("ENODEV", /is closed/));
  await assert.rejects(kernel("moving"), memoryError("ENODEV", /is closed/));
});
