// Bulk access of the CPU: each page of the range once and in order, in runs that lie side by side, wherever pages are.

import assert from "node:assert/strict";
import { test } from "node:test";
import { accessHost } from "../../src/access/host-access.js";
import { migrateToDevice } from "../../src/device/migrate-to-device.js";
import { mprotect, munmap } from "../../src/mm/space/mapping.js";
import { PROT_READ } from "../../src/mm/space/vma.js";
import { mapPages, memoryError, migrationEntries, PAGE, store } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { type MirroredMachine, mirroredMachine } from "../device/mirrored-machine.js";
import { between, pick, withSeeds } from "../unified/random-operands.js";

interface Used {
  readonly page: number;
  readonly count: number;
  readonly bytes: number[];
}

/** Reads, or adds to each page's bytes, pages `[start, end)`; what each call was given. */
async function use(mirrored: MirroredMachine, start: number, end: number, added = 0): Promise<Used[]> {
  const used: Used[] = [];
  await accessHost(mirrored.device, mirrored.mm, start, end, added !== 0, (bytes, page, count) => {
    assert.equal(bytes.byteLength, count * PAGE);
    used.push({ page, count, bytes: Array.from({ length: count }, (_, i) => bytes[i * PAGE] ?? -1) });
    if (added !== 0) for (let i = 0; i < bytes.length; i++) bytes[i] = ((bytes[i] ?? 0) + added) & 0xff;
  });
  return used;
}

function bytesOf(used: readonly Used[], start: number): number[] {
  const bytes: number[] = [];
  for (const run of used) {
    assert.equal(run.page, start + bytes.length, "runs follow one another");
    bytes.push(...run.bytes);
  }
  return bytes;
}

test("every page is used once and in order, whatever is on a device, untouched or away from home", async (t) => {
  for (const kind of ["private", "coherent"] as const) {
    await withSeeds(t, 20, async (random) => {
      const environment = new TestEnvironment();
      environment.mayUseHome = () => random() < 0.7;
      const mirrored = await mirroredMachine({ kind, environment });
      const { device, mm } = mirrored;
      const pages = 20;
      const first = await mirrored.mapFilled(pages, 12);
      const shadow = Array.from({ length: pages }, (_, i) => (i < 12 ? i + 1 : 0));
      for (let step = 0; step < 12; step++) {
        const from = between(random, 0, pages - 1);
        const count = between(random, 1, pages - from);
        if (random() < 0.4) await migrateToDevice(device, mm, first + from, first + from + count, "prefetch");
        else {
          const added = pick(random, [0, 0, between(random, 1, 20)]);
          const used = await use(mirrored, first + from, first + from + count, added);
          assert.deepEqual(bytesOf(used, first + from), shadow.slice(from, from + count));
          for (let i = from; i < from + count; i++) shadow[i] = ((shadow[i] ?? 0) + added) & 0xff;
        }
        mirrored.check();
      }
    });
  }
});

test("pages at home come in one run, also where they came from a device", async () => {
  const mirrored = await mirroredMachine();
  const first = await mirrored.mapFilled(10);
  await migrateToDevice(mirrored.device, mirrored.mm, first + 2, first + 7, "prefetch");
  assert.equal((await use(mirrored, first, first + 10)).length, 1);
  mirrored.check();
});

test("reading what was never written takes no memory", async () => {
  const mirrored = await mirroredMachine();
  const first = await mapPages(mirrored.mm, 600, { home: true });
  assert.ok(bytesOf(await use(mirrored, first, first + 600), first).every((byte) => byte === 0));
  assert.equal(mirrored.machine.host.charge.usage, 0);
  mirrored.check();
});

test("a checkpoint comes before each batch, and one that throws stops there", async () => {
  const mirrored = await mirroredMachine();
  const first = await mapPages(mirrored.mm, 1200, { home: true });
  let checkpoints = 0;
  let used = 0;
  const reason = new Error("stop");
  const going = (limit: number): Promise<void> =>
    accessHost(
      mirrored.device,
      mirrored.mm,
      first,
      first + 1200,
      true,
      (_bytes, _page, count) => (used += count),
      () => {
        if (checkpoints++ === limit) throw reason;
      },
    );
  await going(1000);
  assert.equal(used, 1200);
  assert.equal(checkpoints, 3);
  checkpoints = used = 0;
  await assert.rejects(going(1), (error) => error === reason);
  assert.equal(used, 512);
  mirrored.check();
});

test("an access that the mapping forbids is EFAULT; the pages before it were used, none after", async () => {
  const mirrored = await mirroredMachine();
  const { mm } = mirrored;
  const first = await mirrored.mapFilled(6);
  await mprotect(mm, (first + 3) * PAGE, PAGE, PROT_READ);
  assert.deepEqual(bytesOf(await use(mirrored, first, first + 6), first), [1, 2, 3, 4, 5, 6]);
  await assert.rejects(
    use(mirrored, first, first + 6, 10),
    memoryError("EFAULT", new RegExp(`the mapping at ${(first + 3) * PAGE} does not allow a write`)),
  );
  assert.deepEqual(mirrored.bytesAt(first, 6), [11, 12, 13, 4, 5, 6]);
  await munmap(mm, (first + 1) * PAGE, PAGE);
  await assert.rejects(use(mirrored, first, first + 3), memoryError("EFAULT", /does not allow a read/));
  mirrored.check();
});

test("a host that is full is ENOMEM with both numbers; the pages before were used, and nothing is lost", async () => {
  const mirrored = await mirroredMachine({ hostPages: 4 });
  const first = await mapPages(mirrored.mm, 6, { home: true });
  await assert.rejects(
    use(mirrored, first, first + 6, 5),
    memoryError("ENOMEM", new RegExp(`no host memory for the page at ${(first + 4) * PAGE}: 16384 of 16384 bytes`)),
  );
  assert.deepEqual(mirrored.bytesAt(first, 4), [5, 5, 5, 5]);
  mirrored.check();
});

test("an access to pages on their way waits for them", async () => {
  const mirrored = await mirroredMachine({ link: { latency: 1 } });
  const { device, mm } = mirrored;
  const first = await mirrored.mapFilled(6);
  const moving = migrateToDevice(device, mm, first + 1, first + 4, "prefetch");
  while (migrationEntries(mm, first, 6).length < 3) await Promise.resolve();
  assert.deepEqual(bytesOf(await use(mirrored, first, first + 6, 1), first), [1, 2, 3, 4, 5, 6]);
  await moving;
  assert.deepEqual(mirrored.bytesAt(first, 6), [2, 3, 4, 5, 6, 7]);
  mirrored.check();
});

test("a write is seen by a device that asks afterwards, and a read leaves its copy valid", async () => {
  const mirrored = await mirroredMachine();
  const { device, mm, machine } = mirrored;
  const first = await mirrored.mapFilled(2);
  await migrateToDevice(device, mm, first, first + 2, "prefetch");
  await use(mirrored, first, first + 1, 7);
  await store(mm, first + 1, 60);
  await migrateToDevice(device, mm, first, first + 2, "prefetch");
  assert.deepEqual(mirrored.bytesAt(first, 2), [8, 60]);
  assert.equal(machine.host.retained.list.length, 2);
  mirrored.check();
});
