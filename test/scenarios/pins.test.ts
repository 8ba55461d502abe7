// Pins of pages that are on a device: by a fast walk, by a fault, and for long.

import assert from "node:assert/strict";
import { pinLongTerm } from "../../src/access/long-term-pin.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE, tryPinPage } from "../../src/mm/index.js";
import { done } from "./region.js";
import { scenario } from "./scenario.js";

scenario(
  "gup",
  "a short pin leaves coherent pages and brings private ones home; a long one brings both",
  async (stage) => {
    const { machine, process, by } = stage;
    const { mm } = process;
    const region = await process.map(4);
    await region.fill(30);
    assert.deepEqual(await region.toDevice(), done(4));
    await region.deviceHolds(30);

    const hold = (frame: number, references: number): void => {
      assert.ok(frame > 0);
      stage.held.push([frame, references]);
      stage.check();
    };
    const fast = tryPinPage(mm, region.first, true, SHORT_REFERENCE);
    assert.equal(fast >= 0, by({ private: false, coherent: true }));
    hold(fast >= 0 ? fast : await pinPage(mm, region.first, true, SHORT_REFERENCE), SHORT_REFERENCE);
    hold(await pinPage(mm, region.first + 1, true, SHORT_REFERENCE), SHORT_REFERENCE);
    for (const frame of await pinLongTerm(mm, region.first + 2, region.first + 3, true)) hold(frame, DMA_PIN);

    const [short, untouched] = by({
      private: ["system, write", "own private, write"],
      coherent: ["own coherent, write", "own coherent, write"],
    });
    assert.deepEqual(region.seenBy(), [short, short, "system, write", untouched]);
    assert.equal(stage.held.length, 3);

    for (const [frame, references] of stage.held.splice(0)) machine.put(frame, references);
    stage.check();
    await region.holds(30);
  },
);
