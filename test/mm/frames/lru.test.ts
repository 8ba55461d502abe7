// The LRU list and the batch in front of it, whose reference can be observed.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PG_LRU } from "../../../src/mm/frames/frames.js";
import { munmap } from "../../../src/mm/space/mapping.js";
import { createMachine, frameAt, mapPages, PAGE, store } from "../../builders.js";
import { checkInvariants } from "../../invariants.js";

async function createPages(pages: number) {
  const { machine } = createMachine();
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages);
  for (let i = 0; i < pages; i++) await store(mm, page + i, i + 1);
  const frames = Array.from({ length: pages }, (_, i) => frameAt(mm, page + i));
  return { machine, mm, page, frames };
}

describe("a new page", () => {
  test("waits in the batch, which holds a reference of its own", async () => {
    const { machine, frames } = await createPages(3);
    assert.deepEqual(machine.lru.batched, frames);
    assert.deepEqual([...machine.lru.list], []);
    for (const frame of frames) assert.equal(machine.frames.refcount(frame), 2);
    checkInvariants(machine);
  });

  test("that is the fifteenth sends all of the batch to the list, the last one first", async () => {
    const { machine, frames } = await createPages(15);
    assert.deepEqual(machine.lru.batched, []);
    assert.deepEqual([...machine.lru.list], frames.toReversed());
    for (const frame of frames) assert.equal(machine.frames.refcount(frame), 1);
    checkInvariants(machine);
  });
});

describe("draining the batch", () => {
  test("puts its pages on the list and drops its references", async () => {
    const { machine, frames } = await createPages(2);
    machine.lru.drain();
    assert.deepEqual([...machine.lru.list], frames.toReversed());
    for (const frame of frames) {
      assert.equal(machine.frames.refcount(frame), 1);
      assert.equal(machine.frames.flags(frame) & PG_LRU, PG_LRU);
    }
    checkInvariants(machine);
  });

  test("frees pages that only the batch still knew", async () => {
    const { machine, mm, page } = await createPages(2);
    await munmap(mm, page * PAGE, 2 * PAGE);
    assert.equal(machine.host.charge.usage, 2);
    checkInvariants(machine);
    machine.lru.drain();
    assert.equal(machine.host.charge.usage, 0);
    assert.deepEqual([...machine.lru.list], []);
    checkInvariants(machine);
  });

  test("does nothing when it is empty", () => {
    const { machine } = createMachine();
    machine.lru.drain();
    checkInvariants(machine);
  });
});

describe("isolating a page", () => {
  test("takes it off the list; giving it back sends it through the batch, with the reference of who had it", async () => {
    const { machine, frames } = await createPages(2);
    machine.lru.drain();
    machine.frames.get(frames[0]);
    assert.equal(machine.lru.isolate(frames[0]), true);
    assert.deepEqual([...machine.lru.list], [frames[1]]);
    assert.equal(machine.frames.flags(frames[0]) & PG_LRU, 0);
    machine.lru.putback(frames[0]);
    assert.deepEqual(machine.lru.batched, [frames[0]]);
    assert.equal(machine.frames.refcount(frames[0]), 2);
    checkInvariants(machine);
  });

  test("fails while the page is in the batch, and when somebody else has isolated it", async () => {
    const { machine, frames } = await createPages(1);
    machine.frames.get(frames[0]);
    assert.equal(machine.lru.isolate(frames[0]), false);
    machine.lru.drain();
    assert.equal(machine.lru.isolate(frames[0]), true);
    assert.equal(machine.lru.isolate(frames[0]), false);
    machine.lru.putback(frames[0]);
    checkInvariants(machine);
  });
});

describe("a page on the list", () => {
  test("leaves it when it is freed", async () => {
    const { machine, mm, page, frames } = await createPages(3);
    machine.lru.drain();
    await munmap(mm, (page + 1) * PAGE, PAGE);
    assert.deepEqual([...machine.lru.list], [frames[2], frames[0]]);
    assert.equal(machine.frames.flags(frames[1]) & PG_LRU, 0);
    checkInvariants(machine);
  });
});
