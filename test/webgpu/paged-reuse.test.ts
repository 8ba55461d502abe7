// A kernel keeps its buffers from one paged dispatch to the next, whatever sizes these have.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { PAGE } from "../builders.js";
import { openGpuMemory } from "./gpu-memory.js";
import { skip } from "./gpu.js";

const WORDS = PAGE / 4;
/** Of the event loop's queue of promises, in which a dispatch is aborted. */
const TURNS = 60;

const REVERSE = `
  @group(0) @binding(0) var<storage, read> x: array<u32>;
  @group(0) @binding(1) var<storage, read_write> y: array<u32>;
  @group(0) @binding(2) var<uniform> add: u32;
  @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x < arrayLength(&y)) { y[id.x] = x[arrayLength(&x) - 1u - id.x] + add; }
  }`;

suite("a kernel that is dispatched page by page again", { skip }, () => {
  test("over more pages, and over fewer, has nothing left of what was before", async (t) => {
    const { memory } = await openGpuMemory(t, { frames: 8 });
    const kernel = await memory.createKernel({ wgsl: REVERSE });
    for (const [round, pages] of [24, 1, 5, 24, 2, 33, 1].entries()) {
      const length = pages * WORDS;
      const x = memory.createArray("u32", length);
      const y = memory.createArray("u32", length);
      await x.write(Uint32Array.from({ length }, (_, i) => i * 3));
      const { mode } = await kernel.dispatch({
        invocations: length,
        arrays: { x, y },
        uniforms: { add: round },
        mode: "paged",
      });
      assert.equal(mode, "paged");
      const found = await y.read();
      const wrong = found.findIndex((value, i) => value !== (length - 1 - i) * 3 + round);
      assert.equal(wrong, -1, `${pages} pages in round ${round}: element ${wrong} is ${found[wrong]}`);
      x.destroy();
      y.destroy();
    }
  });

  test("after one that was aborted, at whatever turn, has nothing left of what was before", async (t) => {
    const { memory } = await openGpuMemory(t, { frames: 8 });
    const kernel = await memory.createKernel({ wgsl: REVERSE, footprint: { y: { each: 1 } } });
    let aborted = 0;
    for (let turns = 0; turns < TURNS; turns++) {
      for (const [pages, isAborted] of [
        [24, false],
        [1, true],
        [1, false],
      ] as const) {
        const length = pages * WORDS;
        const x = memory.createArray("u32", length);
        const y = memory.createArray("u32", length);
        await x.fill(turns);
        const controller = new AbortController();
        const { signal } = controller;
        const arrays = { x, y };
        const done = kernel.dispatch({ invocations: length, arrays, uniforms: { add: 1 }, mode: "paged", signal });
        for (let turn = 0; isAborted && turn < turns; turn++) await Promise.resolve();
        if (isAborted) controller.abort();
        await done.catch((error: unknown) => {
          assert.equal(error, signal.reason);
          aborted++;
        });
        if (!isAborted) assert.deepEqual(await y.read(), new Uint32Array(length).fill(turns + 1), `turn ${turns}`);
        x.destroy();
        y.destroy();
      }
    }
    assert.ok(aborted > TURNS / 4, `${aborted} dispatches were aborted`);
  });
});
