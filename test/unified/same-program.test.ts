// One program of everything that arrays are for, on every kind of machine: what comes out is what plain loops say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { loadNpy, npyStream } from "../../src/npy/index.js";
import { struct } from "../../src/struct/index.js";
import { TestSwapStore } from "../builders.js";
import { openUntended, type MemorySetup } from "./opened-memory.js";
import { bytesOf, sameBytes } from "../bytes.js";

const LENGTH = 60_001 * 4;
const cell = struct({ count: "u32", weight: "f32" });

/** x = 2 x + 1 modulo 4096: exact in 32-bit floats. */
const next = (x: number): number => (2 * x + 1) % 4096;

async function program(setup: MemorySetup, mode: "auto" | "streamed"): Promise<Record<string, ArrayBufferView>> {
  const opened = await openUntended(setup);
  const { memory } = opened;
  const step = await memory.createKernel({
    footprint: { x: { each: 1 } },
    host: {
      writes: ["x"],
      run({ first, count, arrays, base }) {
        const x = arrays["x"] as Float32Array;
        for (let i = first - base["x"]; i < first - base["x"] + count; i++) x[i] = next(x[i]);
      },
    },
  });
  const count = await memory.createKernel({
    footprint: { x: { each: 4, before: 4 }, cells: { each: 1 } },
    host: {
      writes: ["cells"],
      run({ first, count: invocations, arrays, base }) {
        const { count: counts, weight } = cell.views(arrays["cells"] as Uint8Array);
        for (let i = first; i < first + invocations; i++) {
          const at = (i - base["cells"]) * cell.step;
          counts[at] += i;
          weight[at] = arrays["x"][Math.max(i * 4 - 4, 0) - base["x"]] + arrays["x"][i * 4 + 3 - base["x"]];
        }
      },
    },
  });
  const dispatch = (array: typeof x) => step.dispatch({ invocations: LENGTH, arrays: { x: array }, mode });

  const x = memory.createArray("f32", LENGTH);
  void x.write(Float32Array.from({ length: LENGTH }, (_, i) => i % 4096));
  void dispatch(x);
  const snapshot = x.snapshot();
  void dispatch(x);
  const vectors = x.as("vec4f");
  void vectors.fill([1, 2, 3, 4], { start: 1000, length: 5000 });
  void x.prefetch("device", { start: LENGTH / 2 });
  const streamed = await new Response(snapshot.stream({ chunkLength: 7777 })).arrayBuffer();

  const file = await new Response(npyStream(vectors)).blob();
  const loaded = await loadNpy(memory, file.stream());
  const again = loaded.array as typeof x;
  void dispatch(again);
  const mapped = await memory.mapBlob(new Blob([streamed]), { type: "f32" });
  void dispatch(mapped);
  const cells = memory.createArray(cell, LENGTH / 4);
  void cells.fill(cell.of({ count: 7, weight: -1 }));
  await count.dispatch({ invocations: LENGTH / 4 - 10, arrays: { x, cells }, mode });

  const pin = await x.pin("write", { start: LENGTH - 3 });
  pin.view.set([-1, -2, -3]);
  pin.release();
  const results = {
    streamed: new Float32Array(streamed),
    snapshot: await snapshot.read(),
    x: await x.read(),
    words: await x.as("u32").read(),
    again: await again.read(),
    mapped: await mapped.read(),
    cells: await cells.read(),
  };
  opened.check();
  await opened.destroyed();
  return results;
}

function plainly(): Record<string, ArrayBufferView> {
  const x = Float32Array.from({ length: LENGTH }, (_, i) => next(i % 4096));
  const streamed = x.slice();
  x.forEach((value, i) => (x[i] = next(value)));
  for (let i = 4000; i < 24_000; i++) x[i] = (i % 4) + 1;
  const cells = new Uint8Array((LENGTH / 4) * cell.stride);
  const { count, weight } = cell.views(cells);
  for (let i = 0; i < LENGTH / 4; i++) {
    const done = i < LENGTH / 4 - 10;
    count[i * 2] = done ? 7 + i : 7;
    weight[i * 2] = done ? (x[Math.max(i * 4 - 4, 0)] ?? NaN) + (x[i * 4 + 3] ?? NaN) : -1;
  }
  const again = x.map(next);
  x.set([-1, -2, -3], LENGTH - 3);
  const words = new Uint32Array(x.slice().buffer);
  return { streamed, snapshot: streamed, x, words, again, mapped: streamed.map(next), cells };
}

const KiB = 1024;

const MACHINES: Record<string, MemorySetup> = {
  "all on the device": { devicePages: 2000 },
  "a device of twenty pages": { devicePages: 20 },
  "a device of three pages": { devicePages: 3 },
  "copying while computing": { devicePages: 20, link: { latency: 1 } },
  "a coherent device": { devicePages: 2000, kind: "coherent" },
  "a coherent device of three pages, copying while computing": {
    devicePages: 3,
    kind: "coherent",
    link: { latency: 1 },
  },
  "pages of 16 KiB": { devicePages: 9, pageSize: 16 * KiB },
  "pages of 64 KiB, poisoned when they are free": { devicePages: 5, pageSize: 64 * KiB, debug: true },
  "pages of 2 MiB": { devicePages: 4, pageSize: 2048 * KiB },
  "a host budget": { devicePages: 20, hostPages: 1500 },
  "a host budget of less than an array, and swap": { devicePages: 20, hostPages: 100, swap: new TestSwapStore(4000) },
};

const expected = plainly();

for (const [machine, setup] of Object.entries(MACHINES)) {
  for (const mode of ["auto", "streamed"] as const) {
    test(`${machine}, ${mode}: arrays, snapshots, views of other types, streams, files and structures hold what they must`, async () => {
      const results = await program(setup, mode);
      for (const [name, result] of Object.entries(results)) {
        const bytes = (view: ArrayBufferView | undefined): Uint8Array =>
          view === undefined ? assert.fail() : bytesOf(view);
        const wanted = bytes(expected[name]);
        const actual = bytes(result);
        const at = sameBytes(wanted, actual) ? -1 : wanted.findIndex((byte, i) => byte !== actual[i]);
        assert.equal(at, -1, `${name} differs from byte ${at} on, or has ${actual.length} bytes, not ${wanted.length}`);
      }
    });
  }
}
