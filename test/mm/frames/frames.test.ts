// The frame table: references, locks, flags; and the lists that run through it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InvariantError } from "../../../src/mm/errors.js";
import {
  FRAME_WORDS,
  Frames,
  GUP_PIN_COUNTING_BIAS,
  PG_DIRTY,
  PG_LOCKED,
  PG_LRU,
  PG_WAITERS,
} from "../../../src/mm/frames/frames.js";
import { FrameList } from "../../../src/mm/frames/frame-list.js";
import { createMachine } from "../../builders.js";

function createFrames(count: number): Frames {
  const frames = new Frames();
  frames.add(count);
  return frames;
}

describe("the frame table", () => {
  test("has eight words a frame, all zero at first", () => {
    const frames = createFrames(4);
    assert.equal(FRAME_WORDS, 8);
    assert.ok(frames.byteLength >= 4 * 32);
    assert.ok(frames.words.every((word) => word === 0));
  });

  test("grows to what is needed, not beyond, and keeps what it knew", () => {
    const frames = createFrames(4);
    frames.get(3);
    const before = frames.words;
    assert.equal(frames.add(1), 4);
    assert.notEqual(frames.words, before);
    assert.equal(frames.refcount(3), 1);
    frames.add(2);
    assert.equal(frames.byteLength, 7 * 32);
    assert.equal(frames.refcount(3), 1);
  });

  test("sets and clears flags one by one", () => {
    const frames = createFrames(2);
    frames.setFlags(1, PG_LRU | PG_DIRTY);
    frames.clearFlags(1, PG_LRU);
    assert.equal(frames.flags(1), PG_DIRTY);
    assert.equal(frames.flags(0), 0);
  });
});

describe("references to a frame", () => {
  test("cannot be taken without a lock from a frame that is free", () => {
    const frames = createFrames(2);
    assert.equal(frames.tryGet(1, 1), false);
    assert.equal(frames.refcount(1), 0);
  });

  test("can be taken, one or many at once, from a frame in use", () => {
    const frames = createFrames(2);
    frames.get(1);
    assert.equal(frames.tryGet(1, 1), true);
    assert.equal(frames.tryGet(1, GUP_PIN_COUNTING_BIAS), true);
    assert.equal(frames.refcount(1), 2 + GUP_PIN_COUNTING_BIAS);
  });

  test("tell a DMA pin from short references, and err on the side of yes after 1,024 of these", () => {
    const frames = createFrames(2);
    frames.get(1);
    for (let i = 0; i < GUP_PIN_COUNTING_BIAS - 2; i++) frames.tryGet(1, 1);
    assert.equal(frames.maybeDmaPinned(1), false);
    frames.tryGet(1, 1);
    assert.equal(frames.maybeDmaPinned(1), true);
  });

  test("cannot be dropped below none", () => {
    const { machine } = createMachine();
    const frame = machine.host.allocate(0, false);
    machine.put(frame);
    assert.throws(() => machine.put(frame), InvariantError);
    const other = machine.host.allocate(0, false);
    assert.throws(() => machine.put(other, 2), InvariantError);
  });
});

describe("the lock of a frame", () => {
  test("is had by one", () => {
    const frames = createFrames(2);
    assert.equal(frames.tryLock(1), true);
    assert.equal(frames.tryLock(1), false);
    assert.equal(frames.flags(1), PG_LOCKED);
  });

  test("leaves other flags alone when it comes and goes", () => {
    const { machine } = createMachine();
    const frame = machine.host.allocate(0, false);
    machine.frames.setFlags(frame, PG_DIRTY);
    const flags = machine.frames.flags(frame);
    machine.frames.tryLock(frame);
    machine.pageLocks.unlock(frame);
    assert.equal(machine.frames.flags(frame), flags);
  });

  test("cannot be let go by somebody when nobody has it", () => {
    const { machine } = createMachine();
    const frame = machine.host.allocate(0, false);
    assert.throws(() => machine.pageLocks.unlock(frame), InvariantError);
  });

  test("wakes those who wait once it is let go, and none of them has it then", async () => {
    const { machine } = createMachine();
    const frame = machine.host.allocate(0, false);
    machine.frames.tryLock(frame);
    const woken: number[] = [];
    const waiters = [1, 2, 3].map(async (who) => {
      await machine.pageLocks.wait(frame);
      woken.push(who);
      assert.equal(machine.frames.flags(frame) & PG_LOCKED, 0);
    });
    assert.equal(machine.pageLocks.waiting, 3);
    assert.notEqual(machine.frames.flags(frame) & PG_WAITERS, 0);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(woken, []);
    machine.pageLocks.unlock(frame);
    await Promise.all(waiters);
    assert.deepEqual(woken, [1, 2, 3]);
    assert.equal(machine.pageLocks.waiting, 0);
    assert.equal(machine.frames.flags(frame) & PG_WAITERS, 0);
  });

  test("keeps nobody waiting whom nobody keeps", async () => {
    const { machine } = createMachine();
    await machine.pageLocks.wait(machine.host.allocate(0, false));
    assert.equal(machine.pageLocks.waiting, 0);
  });

  test("of one frame does not wake those who wait for another", async () => {
    const { machine } = createMachine();
    const [one, other] = [machine.host.allocate(0, false), machine.host.allocate(0, false)];
    machine.frames.tryLock(one);
    machine.frames.tryLock(other);
    let woken = false;
    const waiter = machine.pageLocks.wait(other).then(() => {
      woken = true;
    });
    machine.pageLocks.unlock(one);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(woken, false);
    machine.pageLocks.unlock(other);
    await waiter;
  });
});

describe("a list of frames", () => {
  test("is empty at first, and pops nothing", () => {
    const list = new FrameList(createFrames(4));
    assert.deepEqual([...list], []);
    assert.equal(list.popBack(), 0);
    assert.equal(list.popFront(), 0);
    assert.equal(list.length, 0);
  });

  test("gives frames back from either end", () => {
    const list = new FrameList(createFrames(8));
    for (const frame of [1, 2, 3, 4]) list.pushFront(frame);
    assert.deepEqual([...list], [4, 3, 2, 1]);
    assert.equal(list.popBack(), 1);
    assert.equal(list.popFront(), 4);
    assert.deepEqual([...list], [3, 2]);
    assert.equal(list.length, 2);
  });

  for (const [where, frame, left] of [
    ["front", 3, [2, 1]],
    ["middle", 2, [3, 1]],
    ["back", 1, [3, 2]],
  ] as const) {
    test(`lets a frame at its ${where} go, and stays sound in both directions`, () => {
      const list = new FrameList(createFrames(8));
      for (const each of [1, 2, 3]) list.pushFront(each);
      list.remove(frame);
      assert.deepEqual([...list], left);
      const backwards: number[] = [];
      for (let each = list.popBack(); each !== 0; each = list.popBack()) backwards.unshift(each);
      assert.deepEqual(backwards, left);
      assert.equal(list.head, 0);
      assert.equal(list.tail, 0);
      assert.equal(list.length, 0);
    });
  }

  test("takes a frame again that it let go", () => {
    const list = new FrameList(createFrames(8));
    for (const frame of [1, 2]) list.pushFront(frame);
    list.remove(1);
    list.pushFront(1);
    assert.deepEqual([...list], [1, 2]);
  });
});
