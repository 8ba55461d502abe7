// Huge pages: a device uses them where they are, and takes them page by page.

import assert from "node:assert/strict";
import { ENOENT } from "../../src/cli/conform/errno.js";
import {
  migratePfn,
  migratePfnToFrame,
  MIGRATE_VMA_SELECT_SYSTEM,
  MigrateVma,
  migrateVmaFinalize,
  migrateVmaPages,
  migrateVmaSetup,
} from "../../src/migrate/index.js";
import { pinPage, SHORT_REFERENCE } from "../../src/mm/index.js";
import { PROT_READ } from "../../src/mm/space/vma-flags.js";
import { PAGE } from "../builders.js";
import type { Process } from "./process.js";
import { done, type Region } from "./region.js";
import { scenario } from "./scenario.js";

/** Pages of a huge page. */
const HUGE = 512;

const all = (seen: string) => new Set([seen]);

scenario(
  "anon_write_huge",
  "a device writes a huge page that the CPU never touched, through one entry",
  async ({ process }) => {
    const region = await process.mapHuge(1);
    assert.deepEqual(await region.deviceWrite(40), done(HUGE, 1));
    assert.deepEqual(new Set(region.seenBy()), all("system, write, huge"));
    await region.holds(40);
  },
);

scenario(
  "compound",
  "a look shows that pages are mapped as a huge one, and what may be done with it",
  async ({ process }) => {
    const region = await process.mapHuge(2);
    await region.part(0, 1).fill(1);
    await region.part(HUGE, 1).fill(2);
    assert.deepEqual(new Set(region.seenBy()), all("system, write, huge"));
    await region.protect(PROT_READ);
    assert.deepEqual(new Set(region.seenBy()), all("system, read, huge"));
    await region.part(0, 1).holds(1);
    await region.part(HUGE, 1).holds(2);
  },
);

scenario("migrate_anon_huge_empty", "an empty huge mapping moves as zeros", async ({ process, by }) => {
  const region = await process.mapHuge(1);
  assert.deepEqual(await region.toDevice(), done(HUGE));
  assert.deepEqual(
    new Set(region.seenBy()),
    all(by({ private: "own private, write", coherent: "own coherent, write" })),
  );
  await region.deviceIsZero();
  await region.isZero();
});

scenario("migrate_anon_huge_zero", "the huge zero page moves as zeros", async ({ process, by }) => {
  const region = await process.mapHuge(1);
  await region.isZero();
  assert.deepEqual(new Set(region.seenBy()), all("zero page, read, huge"));
  assert.deepEqual(await region.toDevice(), done(HUGE));
  assert.deepEqual(
    new Set(region.seenBy()),
    all(by({ private: "own private, write", coherent: "own coherent, write" })),
  );
  await region.deviceIsZero();
  await region.isZero();
});

scenario(
  "migrate_anon_huge_free",
  "unmapping a huge page that is on a device gives all of its memory back",
  async (stage) => {
    const { process } = stage;
    const region = await process.mapHuge(1);
    await region.fill(1);
    assert.deepEqual(await region.toDevice(), done(HUGE));
    await region.deviceHolds(1);
    assert.equal(stage.used(0), HUGE);
    await region.unmap();
    assert.equal(stage.used(0), 0);
  },
);

scenario("migrate_anon_huge_fault", "the CPU brings a huge page home from a device", async (stage) => {
  const { process, by } = stage;
  const region = await process.mapHuge(1);
  await region.fill(1);
  assert.deepEqual(new Set(region.seenBy()), all("system, write, huge"));
  assert.deepEqual(await region.toDevice(), done(HUGE));
  await region.deviceHolds(1);
  await region.holds(1);
  assert.equal(stage.used(0), by({ private: 0, coherent: HUGE }));
});

scenario(
  "migrate_anon_huge_err",
  "a huge page that cannot be split stays whole, and one that finds no room moves as far as there is",
  async (stage) => {
    const { process, machine, by } = stage;
    const region = await process.mapHuge(1);
    await region.fill(1);
    const held = await pinPage(process.mm, region.first + 77, false, SHORT_REFERENCE);
    stage.held.push([held, SHORT_REFERENCE]);
    assert.deepEqual(await region.toDevice(), { rc: -ENOENT });
    assert.deepEqual(new Set(region.seenBy()), all("system, write, huge"));
    await region.holds(1);
    stage.held.length = 0;
    machine.put(held, SHORT_REFERENCE);

    await moveEveryOther(process, region);
    const [moved, left] = [by({ private: "own private, write", coherent: "own coherent, write" }), "system, write"];
    assert.deepEqual(
      region.seenBy(),
      Array.from({ length: HUGE }, (_, i) => (i % 2 === 0 ? moved : left)),
    );
    assert.equal(stage.used(0), HUGE / 2);
    await region.holds(1);
  },
);

scenario(
  "migrate_partial_unmap_fault",
  "what is left of a huge page on a device comes home when a part was unmapped",
  async (stage) => {
    const { process, by } = stage;
    const half = HUGE / 2;
    for (const from of [0, half / 2, half]) {
      const region = await process.mapHuge(1);
      await region.fill(1);
      assert.deepEqual(await region.toDevice(), done(HUGE));
      await region.part(from, half).unmap();
      assert.equal(stage.used(0), half);
      assert.equal(await region.part(from, 1).signal(false), "SIGSEGV");
      const rest = [region.part(0, from), region.part(from + half, half - from)].filter(({ pages }) => pages > 0);
      for (const part of rest) {
        // The device was told of all of the block that was cut, and finds its own pages there again.
        assert.deepEqual(await part.deviceRead(), done(part.pages, 1));
        await part.deviceHolds(1 + part.first - region.first);
      }
      for (const part of rest) await part.holds(1 + part.first - region.first);
      assert.equal(stage.used(0), by({ private: 0, coherent: half }));
      for (const part of rest) await part.unmap();
    }
  },
);

scenario(
  "migrate_remap_fault",
  "a huge page on a device moves to other addresses, whole or in part, and comes home there",
  async (stage) => {
    const { process, by } = stage;
    for (const [from, distance] of [
      [0, 0],
      [0, 256],
      [128, 0],
      [256, 7],
    ]) {
      const region = await process.mapHuge(1);
      await region.fill(1);
      assert.deepEqual(await region.toDevice(), done(HUGE));
      const part = region.part(from, HUGE - from);
      const moved = await part.moveTo((await process.mapHuge(2)).part(distance, part.pages));
      assert.equal(await part.signal(false), "SIGSEGV");
      assert.equal(stage.used(0), HUGE);
      assert.deepEqual(await moved.deviceRead(), done(part.pages, 1));
      await moved.deviceHolds(1 + from);
      await moved.holds(1 + from);
      await moved.fill(5);
      await moved.holds(5);
      assert.equal(stage.used(0), by({ private: from, coherent: HUGE }));
      await moved.unmap();
      if (from > 0) await region.part(0, from).holds(1);
      await region.unmap();
      assert.equal(stage.used(0), 0);
    }
  },
);

/** Moves the region to device 0, which has room for every other page only. */
async function moveEveryOther({ mm, clients: [{ device, table }] }: Process, region: Region): Promise<void> {
  const args = new MigrateVma(region.pages);
  await mm.mmapLock.read();
  args.vma = mm.vmaAt(region.first) ?? null;
  args.start = region.first * PAGE;
  args.end = region.end * PAGE;
  args.flags = MIGRATE_VMA_SELECT_SYSTEM;
  args.owner = device;
  migrateVmaSetup(args);
  assert.equal(args.cpages, region.pages);
  for (let i = 0; i < region.pages; i += 2) {
    const frame = device.allocate(table);
    device.bytes(frame).set(device.bytes(migratePfnToFrame(args.src[i])));
    args.dst[i] = migratePfn(frame);
  }
  migrateVmaPages(args);
  migrateVmaFinalize(args);
  mm.mmapLock.readUnlock();
}
