// What a device sees without faulting anything, and pages that two devices use.

import assert from "node:assert/strict";
import { PROT_NONE, PROT_READ, PROT_WRITE } from "../../src/mm/space/vma-flags.js";
import { done } from "./region.js";
import { PAGES, scenario } from "./scenario.js";

scenario(
  "snapshot",
  "a look shows where every page is and what may be done with it, and changes nothing",
  async ({ process, by }) => {
    const region = await process.map(8, { protection: PROT_NONE });
    const writable = PROT_READ | PROT_WRITE;
    await region.part(1).unmap();
    await region.part(2).protect(PROT_READ);
    await region.part(2).holds(0);
    await region.part(3).protect(writable);
    await region.part(3).fill(3);
    await region.part(3).protect(PROT_READ);
    await region.part(4, 4).protect(writable);
    await region.part(4, 3).fill(4);
    assert.deepEqual(await region.part(5).toDevice(0), done(1));
    assert.deepEqual(await region.part(6).toDevice(1), done(1));
    const [own, other] = by({
      private: ["own private, write", "nothing"],
      coherent: ["own coherent, write", "other coherent, write"],
    });
    const first = ["error", "error", "zero page, read", "system, read", "system, write"];
    assert.deepEqual(region.seenBy(0), [...first, own, other, "nothing"]);
    assert.deepEqual(region.seenBy(1), [...first, other, own, "nothing"]);
    assert.deepEqual(region.seenBy(0), [...first, own, other, "nothing"]);
    await region.part(2).holds(0);
    await region.part(3, 4).holds(3);
  },
);

scenario(
  "double_map",
  "two devices read the same pages, also when one of them takes the pages to itself",
  async ({ process, by }) => {
    const region = await process.map(PAGES);
    await region.fill(80);
    await region.protect(PROT_READ);
    for (const device of [0, 1]) {
      assert.deepEqual(await region.deviceRead(device), done(PAGES, 1));
      await region.deviceHolds(80, device);
    }
    assert.deepEqual(await region.toDevice(1), done(PAGES));
    assert.equal(region.reachedBy(0), 0);
    assert.deepEqual(await region.deviceRead(0), done(PAGES, 1));
    await region.deviceHolds(80, 0);
    const place = by({ private: "system, read", coherent: "other coherent, read" });
    assert.deepEqual(new Set(region.seenBy(0)), new Set([place]));
  },
);
