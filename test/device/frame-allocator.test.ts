// Free frames against a naive oracle: a set of numbers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameAllocator } from "../../src/device/frame-allocator.js";
import { between, withSeeds } from "../unified/random-operands.js";

function naiveRun(free: ReadonlySet<number>, frames: number, count: number): number {
  for (let first = 0; first + count <= frames; first++) {
    let run = 0;
    while (run < count && free.has(first + run)) run++;
    if (run === count) return first;
  }
  return -1;
}

test("what is free, how much, and where the first run lies agree with a plain set, whatever is taken and released", async (t) => {
  await withSeeds(t, 150, (random) => {
    const frames = between(random, 1, 200);
    const allocator = new FrameAllocator(frames);
    const free = new Set(Array.from({ length: frames }, (_, frame) => frame));
    for (let step = 0; step < 300; step++) {
      const kind = random();
      if (kind < 0.45) {
        const frame = allocator.allocate();
        assert.equal(frame === -1, free.size === 0);
        if (frame >= 0) assert.ok(free.delete(frame), `frame ${frame} was handed out twice`);
      } else if (kind < 0.6) {
        const count = between(random, 1, 9);
        const first = allocator.findRun(count);
        assert.equal(first, naiveRun(free, frames, count));
        if (first >= 0) {
          allocator.take(first, count);
          for (let frame = first; frame < first + count; frame++) assert.ok(free.delete(frame));
        }
      } else {
        const frame = between(random, 0, frames - 1);
        if (!free.has(frame)) {
          allocator.release(frame);
          free.add(frame);
        }
      }
      assert.equal(allocator.free, free.size);
      const seen = between(random, 0, frames - 1);
      assert.equal(allocator.isFree(seen), free.has(seen));
    }
    for (let frame = 0; frame < frames; frame++) assert.equal(allocator.isFree(frame), free.has(frame));
  });
});

test("every frame is handed out once, and none beyond the last", () => {
  for (const frames of [1, 31, 32, 33, 64, 65, 1000]) {
    const allocator = new FrameAllocator(frames);
    const handedOut = Array.from({ length: frames }, () => allocator.allocate());
    assert.deepEqual(
      handedOut.toSorted((a, b) => a - b),
      Array.from({ length: frames }, (_, frame) => frame),
    );
    assert.equal(allocator.allocate(), -1);
    assert.equal(allocator.findRun(1), -1);
  }
});

test("a run may cross words, begin at any frame and take all", () => {
  const allocator = new FrameAllocator(96);
  assert.equal(allocator.findRun(96), 0);
  assert.equal(allocator.findRun(97), -1);
  allocator.take(0, 30);
  allocator.take(35, 61);
  assert.equal(allocator.findRun(5), 30);
  assert.equal(allocator.findRun(6), -1);
});
