// The page-table entry: one word, every kind told apart by its bits, and the limits that the layout sets.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  devicePrivateEntry,
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isMigrationEntry,
  isSwapEntry,
  isZeroPageEntry,
  mapsFrame,
  MAX_FRAMES,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MIGRATION,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
  pteFrame,
} from "../../../src/mm/table/entry.js";
import { Frames } from "../../../src/mm/frames/frames.js";
import { migrationEntryFor } from "../../../src/mm/frames/rmap.js";
import { migratePfn, migratePfnToFrame } from "../../../src/migrate/entry.js";
import { memoryError } from "../../builders.js";

const HIGHEST = MAX_FRAMES - 1;
const ALL_BITS = 0xff;

function kinds(word: number): string[] {
  return [
    ...((word & PTE_PRESENT) === 0 ? [] : ["present"]),
    ...(isMigrationEntry(word) ? ["migration"] : []),
    ...(isDevicePrivateEntry(word) ? ["device-private"] : []),
    ...(isDeviceExclusiveEntry(word) ? ["device-exclusive"] : []),
    ...(isSwapEntry(word) ? ["swap"] : []),
  ];
}

describe("a page-table entry", () => {
  test("is of exactly one kind, whatever its bits, but for none and markers", () => {
    for (let bits = 0; bits <= ALL_BITS; bits++) {
      const word = (5 << PTE_FRAME_SHIFT) | bits;
      const marker = (bits & (PTE_PRESENT | PTE_MIGRATION | PTE_YOUNG | PTE_DIRTY)) === (PTE_YOUNG | PTE_DIRTY);
      assert.equal(kinds(word).length, marker ? 0 : 1, `bits ${bits.toString(2)}: ${kinds(word).join()}`);
    }
    assert.deepEqual(kinds(0), []);
  });

  test("keeps its frame apart from its bits, up to the last of 16 million frames", () => {
    for (const frame of [0, 1, 511, 512, 1 << 23, HIGHEST]) {
      for (const bits of [0, PTE_PRESENT, ALL_BITS]) {
        assert.equal(pteFrame((frame << PTE_FRAME_SHIFT) | bits), frame);
      }
    }
  });

  test("of the zero page is present and names frame 0", () => {
    assert.equal(isZeroPageEntry(PTE_PRESENT), true);
    assert.equal(isZeroPageEntry(PTE_PRESENT | PTE_NO_ACCESS | PTE_YOUNG), true);
    assert.equal(isZeroPageEntry((1 << PTE_FRAME_SHIFT) | PTE_PRESENT), false);
    assert.equal(isZeroPageEntry(0), false);
  });

  test("maps a frame when it is present or private to a device, and not while it migrates", () => {
    const frame = HIGHEST;
    assert.equal(mapsFrame((frame << PTE_FRAME_SHIFT) | PTE_PRESENT, frame), true);
    assert.equal(mapsFrame(devicePrivateEntry(frame, PTE_WRITE), frame), true);
    assert.equal(mapsFrame((frame << PTE_FRAME_SHIFT) | PTE_MIGRATION, frame), false);
    assert.equal(mapsFrame((frame << PTE_FRAME_SHIFT) | PTE_DIRTY, frame), false, "device-exclusive");
    assert.equal(mapsFrame((frame << PTE_FRAME_SHIFT) | PTE_PRESENT, frame - 1), false);
  });

  test("private to a device carries write, soft-dirty, userfault and exclusive bits", () => {
    const bits = PTE_WRITE | PTE_SOFT_DIRTY | PTE_UFFD_WP | PTE_EXCLUSIVE;
    const word = devicePrivateEntry(HIGHEST, bits);
    assert.equal(isDevicePrivateEntry(word), true);
    assert.equal(word & bits, bits);
    assert.equal(pteFrame(word), HIGHEST);
  });
});

describe("the migration entry that takes an entry's place", () => {
  const kept = PTE_WRITE | PTE_EXCLUSIVE | PTE_SOFT_DIRTY | PTE_UFFD_WP;

  test("keeps permission, exclusiveness and tracking bits of a present entry, with young and dirty", () => {
    const word = migrationEntryFor((7 << PTE_FRAME_SHIFT) | PTE_PRESENT | kept | PTE_YOUNG | PTE_DIRTY, 7);
    assert.deepEqual(kinds(word), ["migration"]);
    assert.equal(word & ALL_BITS, PTE_MIGRATION | kept | PTE_YOUNG | PTE_DIRTY);
    assert.equal(pteFrame(word), 7);
  });

  test("of an entry that was neither young nor dirty is neither", () => {
    const word = migrationEntryFor((7 << PTE_FRAME_SHIFT) | PTE_PRESENT | PTE_NO_ACCESS, 7);
    assert.equal(word & ALL_BITS, PTE_MIGRATION);
  });

  test("takes no young or dirty from a device-private entry, whose kind stands in those bits", () => {
    const word = migrationEntryFor(devicePrivateEntry(HIGHEST, kept), HIGHEST);
    assert.deepEqual(kinds(word), ["migration"]);
    assert.equal(word & ALL_BITS, PTE_MIGRATION | kept);
    assert.equal(pteFrame(word), HIGHEST);
  });
});

describe("a word of the migrate arrays", () => {
  test("names frames up to the highest that there can be", () => {
    assert.equal(migratePfnToFrame(migratePfn(HIGHEST)), HIGHEST);
    assert.equal(new Int32Array([migratePfn(HIGHEST)])[0], migratePfn(HIGHEST));
  });

  test("names no frame without the valid bit", () => {
    assert.equal(migratePfnToFrame(0), -1);
    assert.equal(migratePfnToFrame(2), -1);
  });
});

describe("the frame table", () => {
  test("holds no more frames than an entry can name, and says both numbers", () => {
    const frames = new Frames();
    assert.equal(frames.add(1000), 0);
    assert.throws(
      () => frames.add(MAX_FRAMES - 999),
      memoryError("ENOMEM", /16777217 page frames exceed the 16777216/),
    );
    assert.equal(frames.count, 1000);
  });
});
