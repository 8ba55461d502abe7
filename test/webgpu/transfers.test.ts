// Copies between host memory and frames on a GPU: through every way that they take, over several pools, at once.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { DeviceKernelDescriptor, KernelStep } from "../../src/device/driver.js";
import { memoryError, PAGE } from "../builders.js";
import { between, pick, withSeeds } from "../unified/random-operands.js";
import { skip } from "./gpu.js";
import { clearsOf, copiesOf, type DeviceSetup, isFilled, openDevice } from "./opened-device.js";

const KiB = 1024;

for (const shared of [false, true]) {
  const memory = shared ? "shared memory" : "memory of one thread";

  test(`copies and clears reach exactly the frames that they name, from and to ${memory}`, { skip }, async (t) => {
    const { device, hostMemory } = await openDevice(t, { debug: true, shared });
    for (let frame = 0; frame < 8; frame++) device.discard(frame);
    await device.upload(copiesOf([3, 5], [4, 6], [9, 0]));
    await device.clear(clearsOf(1, 2));
    await device.download(copiesOf(...Array.from({ length: 8 }, (_, i): [number, number] => [i + 8, i])));
    assert.deepEqual(
      Array.from({ length: 16 }, (_, frame) => hostMemory[frame * PAGE]),
      [1, 2, 3, 4, 5, 6, 7, 8, 10, 0, 0, 0xdb, 0xdb, 4, 5, 0xdb],
    );
    for (let frame = 0; frame < 16; frame++) {
      const page = hostMemory.subarray(frame * PAGE, (frame + 1) * PAGE);
      assert.ok(isFilled(page, page[0] ?? -1), `frame ${frame}`);
    }
  });

  test(
    `random copies and clears leave what a plain array of frames holds, from and to ${memory}`,
    { skip },
    async (t) => {
      await withSeeds(t, shared ? 12 : 25, (random, seed) => againstFrames(t, random, seed, shared));
    },
  );
}

const fillKernel: DeviceKernelDescriptor = {
  label: "fill",
  wgsl: {
    text: `
      @group(0) @binding(0) var<storage, read_write> x: array<u32>;
      @group(0) @binding(1) var<uniform> value: u32;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < arrayLength(&x)) { x[id.x] = value; }
      }`,
    entryPoint: "main",
    constants: {},
    footprint: { x: { each: 1 } },
    bindings: [],
  },
};

/** Fills frames, which may lie anywhere, with a byte. */
function fillStep(frames: Int32Array, pageSize: number, byte: number, leaving: boolean): KernelStep {
  const length = (frames.length * pageSize) / 4;
  const slice = { name: "x", type: "u32", first: 0, length, total: length, offset: 0, frames } as const;
  return {
    first: 0,
    count: length,
    invocations: length,
    shape: [length, 1, 1],
    uniforms: { value: (byte * 0x01010101) >>> 0 },
    bindings: {},
    slices: [{ ...slice, written: true, leaving }],
  };
}

test(
  "what a step leaves that is said to leave comes back without another command, unless something is written there",
  { skip },
  async (t) => {
    const { device, gpuDevice, hostMemory } = await openDevice(t, { frames: 8, hostFrames: 8 });
    const kernel = await device.createKernel(fillKernel);
    const commandsOf = async (frames: readonly number[]): Promise<number> => {
      const createCommandEncoder = gpuDevice.createCommandEncoder.bind(gpuDevice);
      let encoders = 0;
      gpuDevice.createCommandEncoder = (descriptor) => {
        encoders++;
        return createCommandEncoder(descriptor);
      };
      await device.download(copiesOf(...frames.map((frame): [number, number] => [frame, frame])));
      gpuDevice.createCommandEncoder = createCommandEncoder;
      return encoders;
    };
    const bytesAt = (frames: readonly number[]): unknown[] => frames.map((frame) => hostMemory[frame * PAGE]);
    const fill = (byte: number, leaving: boolean, ...frames: number[]): Promise<void> =>
      kernel.execute(fillStep(Int32Array.of(...frames), PAGE, byte, leaving));

    await fill(5, false, 0, 1, 2, 3);
    assert.equal(await commandsOf([0, 1]), 1, "nobody said that they leave");
    await fill(6, true, 0, 1, 2, 3);
    assert.equal(await commandsOf([1, 2]), 0);
    assert.deepEqual(bytesAt([1, 2]), [6, 6]);
    assert.equal(await commandsOf([1, 2]), 1, "a copy is taken once");
    await fill(7, false, 0);
    await commandsOf([0, 3]);
    assert.deepEqual(bytesAt([0, 3]), [7, 6], "of a list, some are there and some are not");

    hostMemory.fill(9);
    const writers: [string, number, () => unknown][] = [
      ["a step", 11, () => fill(11, false, 4)],
      ["an upload", 9, () => device.upload(copiesOf([7, 4]))],
      ["a clear", 0, () => device.clear(clearsOf(4))],
      [
        "a program that has bound the page",
        12,
        () => {
          const { buffer, offset } = device.interop.placeOf(4, true);
          gpuDevice.queue.writeBuffer(buffer, offset, new Uint8Array(PAGE).fill(12));
        },
      ],
    ];
    for (const [what, byte, write] of writers) {
      await fill(10, true, 4, 5);
      await write();
      await commandsOf([4, 5]);
      assert.deepEqual(bytesAt([4, 5]), [byte, 10], what);
    }
    // More than there are staging buffers for is copied when it is asked for.
    for (let round = 0; round < 20; round++) await fill(round, true, 0, 1, 2, 3, 4, 5, 6, 7);
    await commandsOf([0, 7]);
    assert.deepEqual(bytesAt([0, 7]), [19, 19]);
  },
);

/** Small and large lists, so that all ways are taken, with several pools, while two or three copies are under way. */
async function againstFrames(t: TestContext, random: () => number, seed: number, shared: boolean): Promise<void> {
  const pageSize = pick(random, [256, 4 * KiB, 64 * KiB]);
  const frames = between(random, 1, pageSize > 4 * KiB ? 150 : 400);
  const hostFrames = frames + between(random, 0, 20);
  const setup: DeviceSetup = { frames, hostFrames, pageSize, shared };
  if (random() < 0.6) setup.limits = { maxStorageBufferBindingSize: pageSize * between(random, 2, frames + 2) };
  const { device, hostMemory } = await openDevice(t, setup);
  const kernel = await device.createKernel(fillKernel);
  const host = Array.from({ length: hostFrames }, (_, i) => (seed * 7 + i) & 0xff);
  const there = Array.from({ length: frames }, () => 0);
  const fillHost = (frame: number): void => {
    hostMemory.fill(host[frame] ?? 0, frame * pageSize, (frame + 1) * pageSize);
  };
  for (let frame = 0; frame < hostFrames; frame++) fillHost(frame);
  for (let round = 0; round < 12; round++) {
    // Copies that are under way at once touch neither the same host frames nor the same device frames.
    const hosts = shuffled(random, hostFrames);
    const devices = shuffled(random, frames);
    const underWay: Promise<void>[] = [];
    const after: (() => void)[] = [];
    for (let i = between(random, 1, 3); i > 0; i--) {
      const count = between(random, 1, Math.max(1, Math.floor(frames / 3)));
      const pairs = runs(random, hosts, devices, count);
      const kind = pick(random, ["upload", "download", "clear", "step", "step"]);
      if (kind === "step") {
        // What it leaves may be downloaded next, or overwritten before that.
        const used = Int32Array.from(pairs, ([, frame]) => frame);
        const value = between(random, 0, 255);
        await kernel.execute(fillStep(used, pageSize, value, random() < 0.7));
        for (const frame of used) there[frame] = value;
        hosts.push(...pairs.map(([frame]) => frame));
        devices.push(...used);
      } else if (kind === "upload") {
        underWay.push(device.upload(copiesOf(...pairs)));
        for (const [from, to] of pairs) there[to] = host[from] ?? 0;
      } else if (kind === "download") {
        underWay.push(device.download(copiesOf(...pairs)));
        after.push(() => {
          for (const [to, from] of pairs) host[to] = there[from] ?? 0;
        });
      } else {
        underWay.push(device.clear(clearsOf(...pairs.map(([, frame]) => frame))));
        for (const [, frame] of pairs) there[frame] = 0;
      }
    }
    await Promise.all(underWay);
    for (const done of after) done();
    // What is uploaded may be overwritten as soon as the upload is done.
    for (let frame = 0; frame < hostFrames; frame++) {
      const page = hostMemory.subarray(frame * pageSize, (frame + 1) * pageSize);
      assert.ok(isFilled(page, host[frame] ?? -1), `host frame ${frame} holds ${page[0]}, not ${host[frame]}`);
      if (random() < 0.1) {
        host[frame] = between(random, 0, 255);
        fillHost(frame);
      }
    }
  }
  await device.download(copiesOf(...there.map((_, frame): [number, number] => [frame, frame])));
  for (const [frame, byte] of there.entries()) {
    const page = hostMemory.subarray(frame * pageSize, (frame + 1) * pageSize);
    assert.ok(isFilled(page, byte), `frame ${frame} holds ${page[0]}, not ${byte}`);
  }
  await device.close();
}

function shuffled(random: () => number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => i).toSorted(() => random() - 0.5);
}

/** Takes pairs from both lists, part of them side by side. */
function runs(random: () => number, hosts: number[], devices: number[], count: number): [number, number][] {
  const pairs: [number, number][] = [];
  while (pairs.length < count && hosts.length > 0 && devices.length > 0) {
    let host = hosts[0] ?? 0;
    let frame = devices[0] ?? 0;
    for (let run = between(random, 1, 12); run > 0; run--) {
      const [i, j] = [hosts.indexOf(host++), devices.indexOf(frame++)];
      if (i < 0 || j < 0) break;
      hosts.splice(i, 1);
      devices.splice(j, 1);
      pairs.push([host - 1, frame - 1]);
    }
  }
  return pairs;
}

test(
  "a budget is several buffers where one would be too large, each with a page beside its frames",
  { skip },
  async (t) => {
    const { device } = await openDevice(t, { frames: 100, limits: { maxStorageBufferBindingSize: 16 * PAGE } });
    assert.deepEqual([device.frames, device.runFrames], [100, 15]);
    assert.deepEqual(
      device.pools.pools.map(({ frames, buffer }) => [frames, buffer.size]),
      [...Array.from({ length: 6 }, () => [15, 16 * PAGE]), [10, 11 * PAGE]],
    );
    assert.equal(device.pools.trapBytes, 7 * PAGE);
    assert.equal(device.buffers.bytes, 107 * PAGE);
  },
);

test(
  "pages that no buffer has room for, or that WebGPU cannot address, are refused with both numbers",
  { skip },
  async (t) => {
    await assert.rejects(
      openDevice(t, { limits: { maxBufferSize: 2 * PAGE - 1 } }),
      memoryError("EINVAL", /buffers of 8191 bytes .* no room for a page of 4096 bytes/),
    );
    await assert.rejects(openDevice(t, { pageSize: 128 }), memoryError("EINVAL", /pages of 128 bytes .* 256 bytes/));
  },
);
