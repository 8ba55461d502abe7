/**
 * Views of arrays over a process in software, on every system: what threads see while kernels, copies, snapshots, clears and swap
 * work on the same pages. A frame whose page a window owns is poisoned, so whoever used it would be seen.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ABSENT, GUARDED, OWN, SHOWN } from "../../../src/access/transparent/process-table.js";
import type { HostKernel } from "../../../src/device/driver.js";
import { memoryError, PAGE, TestSwapStore } from "../../builders.js";
import { SeededEnvironment } from "../../environments.js";
import { between, pick, withSeeds } from "../../unified/random-operands.js";
import { ViewedMemory } from "./viewed-memory.js";

const PAGES = 12;
const LANES = 4;
/** Each lane is used by one party alone: two threads, bulk copies, kernels. */
const BULK_LANE = 2;
const KERNEL_LANE = 3;

const incrementLane: HostKernel = {
  writes: ["bytes"],
  run({ first, count, arrays }) {
    const bytes = arrays["bytes"] as Uint8Array;
    for (let i = 0; i < count; i++) if ((first + i) % LANES === KERNEL_LANE) bytes[i]++;
  },
};

async function open(setup: Parameters<typeof ViewedMemory.open>[0] = {}) {
  const viewed = await ViewedMemory.open(setup);
  const array = viewed.memory.createArray("u8", PAGES * PAGE);
  return { viewed, array, at: await viewed.addressOf(array) };
}

test("a store through a view is what a kernel uses, and its results are what the view shows", async () => {
  const { viewed, array, at } = await open();
  const kernel = await viewed.memory.createKernel({ host: incrementLane, footprint: { bytes: { each: 1 } } });
  await viewed.pages.store(at + KERNEL_LANE, 7);
  assert.equal(viewed.statesOf(array)[0], OWN);
  await kernel.dispatch({ invocations: PAGE, arrays: { bytes: array } });
  assert.equal(viewed.statesOf(array)[0], ABSENT);
  assert.equal(await viewed.pages.load(at + KERNEL_LANE), 8);
  viewed.checkTable();
  await viewed.memory.destroy();
  assert.deepEqual(viewed.ends, []);
});

test("a page that a kernel has written becomes the window's own with its first load, and a store to it faults no more", async () => {
  const { viewed, array, at } = await open();
  const kernel = await viewed.memory.createKernel({ host: incrementLane, footprint: { bytes: { each: 1 } } });
  await array.write(new Uint8Array(PAGES * PAGE).fill(1));
  await kernel.dispatch({ invocations: PAGE, arrays: { bytes: array } });
  const { served } = viewed.server;
  assert.equal(await viewed.pages.load(at + KERNEL_LANE), 2);
  assert.equal(viewed.statesOf(array)[0], OWN);
  await viewed.pages.store(at + KERNEL_LANE, 3);
  assert.equal(viewed.server.served - served, 1);
  viewed.checkTable();
  assert.deepEqual([...(await array.read({ start: KERNEL_LANE, length: 1 }))], [3]);
  await viewed.memory.destroy();
});

test("a page that was cleared of its marks is shown to loads, and a store marks it again", async () => {
  const { viewed, array, at } = await open();
  await viewed.pages.store(at, 1);
  await viewed.pages.store(at + PAGE, 1);
  await array.clearDirty();
  assert.deepEqual(viewed.statesOf(array).slice(0, 2), [GUARDED, GUARDED]);
  assert.equal(await viewed.pages.load(at), 1);
  assert.deepEqual(await array.dirtyRanges(), []);
  await viewed.pages.store(at + PAGE, 2);
  assert.deepEqual(await array.dirtyRanges(), [{ start: PAGE, length: PAGE }]);
  await array.read();
  assert.equal(await viewed.pages.load(at), 1);
  assert.equal(viewed.statesOf(array)[0], SHOWN);
  await viewed.pages.store(at, 3);
  assert.equal(viewed.statesOf(array)[0], OWN);
  assert.deepEqual(await array.dirtyRanges(), [{ start: 0, length: 2 * PAGE }]);
  assert.deepEqual([...(await array.read({ length: 1 }))], [3]);
  await viewed.memory.destroy();
});

test("a store to a page that a snapshot shares leaves the snapshot as it was", async () => {
  const { viewed, array, at } = await open();
  await viewed.pages.store(at + 5, 55);
  const snapshot = array.snapshot();
  const shared = await viewed.addressOf(snapshot);
  assert.equal(await viewed.pages.load(shared + 5), 55);
  assert.equal(await viewed.pages.load(at + 5), 55);
  assert.deepEqual([viewed.statesOf(array)[0], viewed.statesOf(snapshot)[0]], [SHOWN, SHOWN]);
  const { copiedOnWrite } = viewed.machine.counters;
  await viewed.pages.store(at + 5, 56);
  assert.equal(viewed.machine.counters.copiedOnWrite, copiedOnWrite + 1);
  assert.deepEqual([await viewed.pages.load(shared + 5), await viewed.pages.load(at + 5)], [55, 56]);
  viewed.checkTable();
  await viewed.memory.destroy();
  assert.deepEqual(viewed.ends, []);
});

test("a store to a snapshot ends the process, and says why", async () => {
  const { viewed, array } = await open();
  const snapshot = array.snapshot();
  const at = await viewed.addressOf(snapshot);
  void viewed.pages.store(at + PAGE, 1);
  for (let turn = 0; viewed.ends.length === 0 && turn < 100; turn++) await new Promise((done) => setImmediate(done));
  assert.equal(viewed.ends.length, 1);
  assert.match(viewed.ends[0] ?? "", /store to bytes 4096 to 8192 .* snapshot, which cannot be written/);
});

test("pages that are touched one after another come in growing batches; those touched anywhere come alone", async () => {
  const { viewed, array, at } = await open();
  await array.write(new Uint8Array(PAGES * PAGE).fill(9));
  const served = viewed.server.served;
  for (let page = 0; page < PAGES; page++) assert.equal(await viewed.pages.load(at + page * PAGE), 9);
  // 1, 2, 4, and the 5 that are left of 8.
  assert.equal(viewed.server.served - served, 4);
  await array.read();
  const before = viewed.server.entered;
  for (const page of [7, 2, 9, 4]) await viewed.pages.load(at + page * PAGE);
  assert.equal(viewed.server.entered - before, 4);
  await viewed.memory.destroy();
});

test("a page of a device that copies at once is there when its fault has been answered, between operations alone", async () => {
  const { viewed, array, at } = await open({ devicePages: PAGES });
  const kernel = await viewed.memory.createKernel({ host: incrementLane, footprint: { bytes: { each: 1 } } });
  await kernel.dispatch({ invocations: array.byteLength, arrays: { bytes: array } });
  assert.equal(viewed.statesOf(array)[2], ABSENT);
  viewed.server.answer(at + 2 * PAGE, false);
  assert.equal(viewed.statesOf(array)[2], OWN);
  assert.equal(viewed.server.isIdle, true);
  const dispatching = kernel.dispatch({ invocations: array.byteLength, arrays: { bytes: array } });
  while (viewed.server.isIdle) await Promise.resolve();
  viewed.server.answer(at + 3 * PAGE, false);
  assert.equal(viewed.statesOf(array)[3], ABSENT, "a page came home in the middle of a dispatch");
  await dispatching;
  assert.equal(await viewed.pages.load(at + 3 * PAGE + KERNEL_LANE), 2);
  viewed.checkTable();
  await viewed.memory.destroy();
  assert.deepEqual(viewed.ends, []);
});

test("a device whose memory the CPU reaches is refused", async () => {
  await assert.rejects(ViewedMemory.open({ kind: "coherent" }), memoryError("ENOTSUP", /coherent/));
});

for (const swapping of [false, true]) {
  const where = swapping ? "half of them in swap" : "all of them in memory";
  test(`threads, kernels, copies, snapshots and clears at once over the same pages, ${where}, lose nothing`, async (t) => {
    let faults = 0;
    await withSeeds(t, 25, async (random, seed) => {
      const environment = new SeededEnvironment(seed);
      const swap = swapping ? { swap: new TestSwapStore(64), hostPages: PAGES / 2 + 2 } : {};
      const opened = environment.settle(
        open({ environment, devicePages: 5, link: { latency: pick(random, [0, 1]) }, ...swap }),
      );
      const { viewed, array, at } = await opened;
      const kernel = await viewed.memory.createKernel({ host: incrementLane, footprint: { bytes: { each: 1 } } });
      const shadow = new Uint8Array(PAGES * PAGE);
      const check = (): void => {
        viewed.checkTable();
        assert.deepEqual(viewed.ends, []);
      };
      const thread = async (lane: number): Promise<void> => {
        for (let i = 0; i < 40; i++) {
          const place = between(random, 0, PAGES - 1) * PAGE + between(random, 0, 3) * LANES + lane;
          assert.equal(await viewed.pages.load(at + place), shadow[place], `lane ${lane} at ${place}`);
          if (random() < 0.5) await viewed.pages.store(at + place, ++shadow[place]);
        }
      };
      const program = async (): Promise<void> => {
        for (let i = 0; i < 12; i++) {
          const place = between(random, 0, PAGES - 1) * PAGE + BULK_LANE;
          switch (pick(random, ["dispatch", "dispatch", "write", "read", "snapshot", "clear", "prefetch"])) {
            case "dispatch":
              for (let b = KERNEL_LANE; b < shadow.length; b += LANES) shadow[b]++;
              await kernel.dispatch({ invocations: PAGES * PAGE, arrays: { bytes: array } });
              break;
            case "write":
              shadow[place]++;
              await array.write(shadow.slice(place, place + 1), { start: place });
              break;
            case "read":
              assert.deepEqual(
                [...(await array.read({ start: place, length: 2 }))],
                Array.from(shadow.subarray(place, place + 2)),
              );
              break;
            case "prefetch":
              await array.prefetch(pick(random, ["device", "host"]), {
                start: place,
                length: 2 * PAGE > shadow.length - place ? 1 : 2 * PAGE,
              });
              break;
            case "clear": {
              await array.clearDirty();
              const dirty = place - BULK_LANE;
              await viewed.pages.store(at + dirty + BULK_LANE, ++shadow[place]);
              const ranges = await array.dirtyRanges();
              assert.ok(ranges.some(({ start, length }) => start <= dirty && dirty < start + length));
              break;
            }
            case "snapshot": {
              const snapshot = array.snapshot();
              const kept = shadow.slice();
              const seen = await viewed.addressOf(snapshot);
              for (const page of [0, 3, PAGES - 1]) {
                const byte = page * PAGE + KERNEL_LANE;
                assert.equal(await viewed.pages.load(seen + byte), kept[byte]);
              }
              await viewed.pages.store(at + place, ++shadow[place]);
              assert.equal(await viewed.pages.load(seen + place), kept[place]);
              snapshot.destroy();
              break;
            }
          }
        }
      };
      await environment.settle(Promise.all([thread(0), thread(1), program()]), check, 200_000);
      assert.deepEqual(await environment.settle(array.read()), shadow);
      faults += viewed.server.served;
      await environment.settle(viewed.memory.destroy());
    });
    t.diagnostic(`${faults} faults answered`);
    assert.ok(faults > 1000);
  });
}
