// A device whose memory is several buffers: no kernel is given more of an array than one buffer holds, what fits into one
// buffer lies side by side in it where there is room, and the bytes are the same.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Device, DeviceDriver, KernelStep } from "../../src/device/driver.js";
import { mirrorDevice } from "../../src/device/mirror/index.js";
import { MemoryError } from "../../src/mm/errors.js";
import { openMemory, openUntended } from "./opened-memory.js";
import { plainly, startsOf, workloads } from "./workloads.js";

const PAGE = 4096;

/** The software device, as if each `runFrames` of its frames were one buffer; `look` sees every step. */
function inBuffers(frames: number, runFrames: number, look: (step: KernelStep) => void): DeviceDriver {
  const mirror = mirrorDevice({ budget: frames * PAGE });
  return {
    ...mirror,
    open: async (host) => {
      const device = await mirror.open(host);
      const buffers: Device = {
        frames: device.frames,
        bytes: null,
        lookahead: 1,
        runFrames,
        run: (frame, count) => device.run(frame, count),
        upload: (copies) => device.upload(copies),
        download: (copies) => device.download(copies),
        clear: (list) => device.clear(list),
        discard: (frame) => device.discard(frame),
        close: () => device.close(),
        createKernel: async (descriptor) => {
          const kernel = await device.createKernel(descriptor);
          return {
            scratchBytes: 0,
            execute: (step) => {
              look(step);
              return kernel.execute(step);
            },
          };
        },
      };
      return buffers;
    },
  };
}

for (const workload of workloads(PAGE)) {
  test(`${workload.name}: the bytes are the same whatever the size of the device's buffers`, async () => {
    let dispatched = 0;
    for (const runFrames of [1, 2, 3, 5]) {
      for (const frames of [runFrames, runFrames * 2 + 1, runFrames * 3, 24]) {
        const look = ({ slices }: KernelStep): void => {
          for (const { name, frames: used } of slices)
            assert.ok(used.length <= runFrames, `${used.length} pages of ${name} in buffers of ${runFrames}`);
        };
        const opened = await openUntended({ driver: inBuffers(frames, runFrames, look) });
        const { memory } = opened;
        const expected = startsOf(workload);
        const arrays = Object.fromEntries(
          Object.entries(workload.arrays).map(([name, { type, length }]) => [name, memory.createArray(type, length)]),
        );
        for (const [name, array] of Object.entries(arrays)) await array.write(expected[name] ?? assert.fail());
        const { kernel: host, footprint, invocations, uniforms } = workload;
        const kernel = await memory.createKernel({ host, footprint });
        try {
          await kernel.dispatch({ invocations, arrays, uniforms });
          dispatched++;
          plainly(workload, expected);
        } catch (error) {
          if (!(error instanceof MemoryError && error.code === "ENOMEM")) throw error;
        }
        opened.check();
        for (const [name, array] of Object.entries(arrays)) assert.deepEqual(await array.read(), expected[name], name);
        await opened.destroyed();
      }
    }
    assert.ok(dispatched > 0);
  });
}

test("arrays that a buffer has room for lie in one buffer each, wherever pages were before", async (t) => {
  const seen = new Map<string, Int32Array>();
  const driver = inBuffers(8, 4, ({ slices }) => {
    for (const { name, frames } of slices) seen.set(name, frames);
  });
  const { memory } = await openMemory(t, { driver });
  const [a, b] = [memory.createArray("u32", 3 * 1024), memory.createArray("u32", 4 * 1024)];
  // They would lie across both buffers if a run could.
  await b.prefetch("device");
  await a.prefetch("device");
  const host = { writes: [], run() {} };
  const kernel = await memory.createKernel({ host, footprint: { a: "whole", b: "whole" } });
  await b.prefetch("host");
  const other = memory.createArray("u32", 2 * 1024);
  await other.prefetch("device");
  await kernel.dispatch({ invocations: 1, arrays: { a, b } });
  for (const [name, frames] of seen) {
    const [first = -1] = frames;
    assert.deepEqual(
      [...frames],
      Array.from(frames, (_, i) => first + i),
      name,
    );
    assert.equal(first >>> 2, (first + frames.length - 1) >>> 2, name);
  }
  assert.equal(seen.size, 2);
});

test("what a kernel writes lies in other buffers than what it only reads, as long as frames are free there", async (t) => {
  const seen = new Map<string, Set<number>>();
  const driver = inBuffers(12, 4, ({ slices }) => {
    for (const { name, frames } of slices) seen.set(name, new Set(Array.from(frames, (frame) => frame >>> 2)));
  });
  const { memory } = await openMemory(t, { driver });
  const arrayOf = (pages: number) => memory.createArray("u32", pages * 1024);
  const host = { writes: ["y", "z"], run() {} };
  const kernel = await memory.createKernel({ host, footprint: { x: "whole", y: "whole", w: "whole", z: "whole" } });
  const arrays = { x: arrayOf(2), y: arrayOf(2), w: arrayOf(2), z: arrayOf(1) };
  await kernel.dispatch({ invocations: 1, arrays });
  assert.deepEqual(Object.fromEntries([...seen].map(([name, buffers]) => [name, [...buffers]])), {
    x: [0],
    y: [1],
    w: [0],
    z: [1],
  });
  // Nothing is kept free for that: all of the device is used before a page has to leave it.
  await arrayOf(4).prefetch("device");
  await arrayOf(1).prefetch("device");
  assert.equal(memory.stats.evictions, 0);
  assert.equal(memory.stats.device.usedBytes, 12 * PAGE);
});

test("a page that comes to be written where it lies counts as written, also if it was written before it came", async (t) => {
  const seen = new Map<string, number[]>();
  const driver = inBuffers(8, 4, ({ slices }) => {
    for (const { name, frames } of slices) seen.set(name, [...new Set(Array.from(frames, (frame) => frame >>> 2))]);
  });
  const { memory } = await openMemory(t, { driver });
  const [y, x] = [memory.createArray("u32", 1024), memory.createArray("u32", 1024)];
  await y.write(new Uint32Array(1024).fill(7));
  await y.prefetch("device");
  const writes = await memory.createKernel({ host: { writes: ["y"], run() {} }, footprint: { y: "whole" } });
  await writes.dispatch({ invocations: 1, arrays: { y } });
  const reads = await memory.createKernel({ host: { writes: [], run() {} }, footprint: { x: "whole" } });
  await reads.dispatch({ invocations: 1, arrays: { x } });
  assert.deepEqual(seen.get("y"), [0]);
  assert.deepEqual(seen.get("x"), [1]);
});
