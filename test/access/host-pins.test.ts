// Pins of host memory: all pages of the range or none, in host memory, held until they are let go.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type PinnedPages, pinPages, tryPinPages, unpinPages } from "../../src/access/host-pins.js";
import { migrateToDevice } from "../../src/device/migrate-to-device.js";
import { PG_DIRTY } from "../../src/mm/frames/frames.js";
import { DMA_PIN } from "../../src/mm/fault/gup.js";
import { mprotect } from "../../src/mm/space/mapping.js";
import { PROT_READ } from "../../src/mm/space/vma.js";
import { mapPages, memoryError, migrationEntries, PAGE } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { type MirroredMachine, mirroredMachine } from "../device/mirrored-machine.js";
import { between, withSeeds } from "../unified/random-operands.js";

const never = (): void => {};

function framesOf({ first, count, frames }: PinnedPages): number[] {
  return frames === null ? Array.from({ length: count }, (_, i) => first + i) : [...frames];
}

function check(mirrored: MirroredMachine, ...pins: PinnedPages[]): void {
  const references = pins.flatMap(framesOf).map((frame): [number, number] => [frame, DMA_PIN]);
  mirrored.check({ references });
}

test("any range can be pinned, wherever its pages are, and all its frames are host memory", async (t) => {
  for (const kind of ["private", "coherent"] as const) {
    await withSeeds(t, 20, async (random) => {
      const environment = new TestEnvironment();
      environment.mayUseHome = () => random() < 0.7;
      const mirrored = await mirroredMachine({ kind, environment });
      const { device, mm } = mirrored;
      const first = await mirrored.mapFilled(12, 8);
      for (let step = 0; step < 10; step++) {
        const from = between(random, 0, 11);
        const end = between(random, from + 1, 12);
        await migrateToDevice(device, mm, first + between(random, 0, 11), first + 12, "prefetch");
        const write = random() < 0.5;
        const pinned = await pinPages(device, mm, first + from, first + end, write, never);
        const frames = framesOf(pinned);
        assert.equal(pinned.count, end - from);
        assert.equal(pinned.first >= 0, pinned.frames === null);
        for (const [i, frame] of frames.entries()) assert.equal(mirrored.frameAt(first + from + i), frame);
        assert.ok(mirrored.onDevice(first + from, end - from).every((there) => !there));
        assert.deepEqual(
          mirrored.bytesAt(first, 12),
          Array.from({ length: 12 }, (_, i) => (i < 8 ? i + 1 : 0)),
        );
        check(mirrored, pinned);
        unpinPages(mm, pinned, write);
        if (write) for (const frame of frames) assert.ok((mirrored.machine.frames.flags(frame) & PG_DIRTY) !== 0);
        check(mirrored);
      }
    });
  }
});

test("an attempt that cannot have all pages leaves none pinned", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(6, 5);
  const whole = tryPinPages(mm, first, first + 5, true);
  assert.ok(whole !== null);
  check(mirrored, whole);
  unpinPages(mm, whole, true);
  assert.equal(tryPinPages(mm, first, first + 6, false), null, "the last has no contents");
  await migrateToDevice(device, mm, first + 3, first + 4, "prefetch");
  assert.equal(tryPinPages(mm, first, first + 5, false), null, "one is on the device");
  assert.equal(tryPinPages(mm, first + 3, first + 4, false), null);
  check(mirrored);
});

test("a pin for reading of untouched pages gets frames of their own, not the zero page", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm } = mirrored;
  const first = await mapPages(mm, 3, { home: true });
  const pinned = await pinPages(device, mm, first, first + 3, false, never);
  assert.ok(framesOf(pinned).every((frame) => frame > 0));
  assert.equal(new Set(framesOf(pinned)).size, 3);
  check(mirrored, pinned);
  unpinPages(mm, pinned, false);
});

test("a pin for writing of read-only pages is EFAULT, a pin for reading is not", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(3);
  await mprotect(mm, (first + 1) * PAGE, PAGE, PROT_READ);
  await assert.rejects(
    pinPages(device, mm, first, first + 3, true, never),
    memoryError("EFAULT", new RegExp(`the mapping at ${(first + 1) * PAGE} does not allow a write`)),
  );
  check(mirrored);
  const pinned = await pinPages(device, mm, first, first + 3, false, never);
  check(mirrored, pinned);
  unpinPages(mm, pinned, false);
});

test("a pin that the host has no room for is ENOMEM with both numbers, and leaves nothing pinned", async () => {
  const mirrored = await mirroredMachine({ hostPages: 3 });
  const { device, mm } = mirrored;
  const first = await mapPages(mm, 5, { home: true });
  await assert.rejects(
    pinPages(device, mm, first, first + 5, true, never),
    memoryError("ENOMEM", /no host memory for the page at \d+: 12288 of 12288 bytes are in use/),
  );
  check(mirrored);
});

test("a pin of pages on their way waits for them", async () => {
  const mirrored = await mirroredMachine({ link: { latency: 1 } });
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(4);
  const moving = migrateToDevice(device, mm, first, first + 4, "prefetch");
  while (migrationEntries(mm, first, 4).length < 4) await Promise.resolve();
  assert.equal(tryPinPages(mm, first, first + 4, false), null);
  const pinned = await pinPages(device, mm, first, first + 4, true, never);
  await moving;
  assert.deepEqual(mirrored.bytesAt(first, 4), [1, 2, 3, 4]);
  check(mirrored, pinned);
  unpinPages(mm, pinned, true);
});

test("a coherent page that somebody else uses is EBUSY for a pin, and stays", async () => {
  const mirrored = await mirroredMachine({ kind: "coherent" });
  const { device, mm, machine } = mirrored;
  const first = await mirrored.mapFilled(3);
  await migrateToDevice(device, mm, first, first + 3, "prefetch");
  const busy = mirrored.frameAt(first + 1);
  machine.frames.get(busy);
  await assert.rejects(
    pinPages(device, mm, first, first + 3, true, never),
    memoryError("EBUSY", /coherent memory is in use/),
  );
  mirrored.check({ references: [[busy, 1]] });
  assert.deepEqual(mirrored.onDevice(first, 3), [false, true, true]);
  assert.equal(mirrored.frameAt(first + 1), busy);
  machine.put(busy);
  const pinned = await pinPages(device, mm, first, first + 3, true, never);
  assert.deepEqual(mirrored.bytesAt(first, 3), [1, 2, 3]);
  check(mirrored, pinned);
  unpinPages(mm, pinned, true);
});

test("a page pinned many times is held until the last pin goes", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(1);
  const pins: PinnedPages[] = [];
  for (let i = 0; i < 5; i++) pins.push(await pinPages(device, mm, first, first + 1, i % 2 === 0, never));
  check(mirrored, ...pins);
  for (const pin of pins.splice(0)) {
    assert.equal(await migrateToDevice(device, mm, first, first + 1, "prefetch"), 0);
    unpinPages(mm, pin, false);
  }
  assert.equal(await migrateToDevice(device, mm, first, first + 1, "prefetch"), 1);
  check(mirrored);
});
