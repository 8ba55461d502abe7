/**
 * What a frame and a mapped page cost in tables: the sum of their byteLengths, held against what the process has grown
 * by, so that nothing is left out of the sum. Every page has been on the device and back; no byte of a page is touched.
 */

import { setTimeout } from "node:timers/promises";
import type { Bound, Figure } from "./figure.js";
import { BATCH_PAGES, PAGE_SIZE, ProtocolMachine } from "./protocol-machine.js";
import { expect, type Scenario } from "./scenario.js";

declare const gc: () => void;

/** Resident bytes of the process once garbage is gone, without the room that the engine's heap keeps for more. */
async function settledBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    gc();
    await setTimeout(50);
  }
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  return rss - (heapTotal - heapUsed);
}

export const metadata: Scenario = {
  name: "metadata",
  async run({ smoke }) {
    // What the code itself needs is there before the growth is measured.
    const warm = await ProtocolMachine.create(80 * BATCH_PAGES, null);
    expect(warm.byteLengths.frameTable > 0, "a machine without tables");
    const before = await settledBytes();
    const pages = (smoke ? 400 : 7813) * BATCH_PAGES;
    const machine = await ProtocolMachine.create(pages, null);
    const { frames, frameTable, pageTables, deviceTable, driver } = machine.byteLengths;
    const growth = (await settledBytes()) - before;
    machine.checkOnHost();
    const figure = (row: string, bytes: number, ...bounds: Bound[]): Figure => ({
      row: `metadata, ${row}`,
      unit: "bytes",
      pageSize: PAGE_SIZE,
      samples: [bytes],
      bounds,
    });
    return [
      // Frames come in whole blocks of 512, so a table has some records beyond the last frame.
      figure("a frame", frameTable / frames, { of: "value", most: 32, decimals: 1 }),
      figure("a mapped page more", pageTables / pages, { of: "value", most: 8 }),
      figure("the same with the device's table of it", (pageTables + deviceTable) / pages),
      {
        row: "metadata, growth of process memory",
        unit: "MiB",
        pageSize: PAGE_SIZE,
        samples: [growth / 2 ** 20],
        baseline: { name: "sum", samples: [(frameTable + pageTables + deviceTable + driver) / 2 ** 20] },
        bounds: [{ of: "ratio", most: 1.1, least: 0.9 }],
      },
    ];
  },
};
