/** Pins of pages that are at home on the host: what taking one costs, and what the view over the pages costs. */

import { createUnifiedMemory, mirrorDevice, type PagedArray } from "../src/index.js";
import { processorTime } from "./clock.js";
import { compare } from "./rounds.js";
import { expect, type Scenario } from "./scenario.js";

const PAGE_SIZE = 65_536;
const PINS = 100_000;
/** Pages of the run that is pinned: 1 MiB. */
const RUN_PAGES = 16;
const ELEMENTS_OF_A_PAGE = PAGE_SIZE / 4;

async function residentArray(pages: number): Promise<PagedArray<"f32">> {
  const memory = await createUnifiedMemory({ device: mirrorDevice({ budget: 1 << 20 }), pageSize: PAGE_SIZE });
  const array = memory.createArray("f32", pages * ELEMENTS_OF_A_PAGE, { label: "pinned" });
  await array.write(Float32Array.from({ length: array.length }, (_, i) => i % 251));
  return array;
}

export const pinAndRelease: Scenario = {
  name: "tryPin and release",
  async run({ smoke }) {
    const array = await residentArray(256);
    const pins = smoke ? 1000 : PINS;
    const samples: number[] = [];
    const runs = array.length / (RUN_PAGES * ELEMENTS_OF_A_PAGE);
    for (let round = -1; round < (smoke ? 1 : 11); round++) {
      let taken = 0;
      const began = processorTime();
      for (let i = 0; i < pins; i++) {
        const start = (i % runs) * RUN_PAGES * ELEMENTS_OF_A_PAGE;
        const pin = array.tryPin("read", { start, length: RUN_PAGES * ELEMENTS_OF_A_PAGE });
        if (pin === null) continue;
        taken++;
        pin.release();
      }
      const nanoseconds = ((processorTime() - began) * 1e6) / pins;
      expect(taken === pins, `${taken} of ${pins} pins were had`);
      if (round >= 0) samples.push(nanoseconds);
    }
    const pin = array.tryPin("read", { start: ELEMENTS_OF_A_PAGE, length: RUN_PAGES * ELEMENTS_OF_A_PAGE });
    expect(pin !== null, "a resident run cannot be pinned");
    expect(
      pin.runs.length === 1 && pin.view[3] === (ELEMENTS_OF_A_PAGE + 3) % 251,
      "the pinned run is not what was written",
    );
    pin.release();
    return [
      {
        row: `tryPin and release, a run of ${RUN_PAGES} pages`,
        unit: "ns",
        pageSize: PAGE_SIZE,
        samples,
        bounds: [{ of: "value", most: 1000 }],
      },
    ];
  },
};

export const pinnedView: Scenario = {
  name: "loop over a pinned view",
  async run({ smoke }) {
    const array = await residentArray(smoke ? 64 : 2048);
    const plain = await array.read();
    const pin = array.tryPin("read");
    expect(pin !== null, "a resident array cannot be pinned");
    const { view } = pin;
    let pinnedSum = 0;
    let plainSum = 0;
    const { samples, baseline } = await compare(
      smoke ? 1 : 31,
      () => (pinnedSum = sum(view)),
      () => (plainSum = sum(plain)),
    );
    expect(pinnedSum === plainSum && plainSum > 0, `the sum over the view is ${pinnedSum}, not ${plainSum}`);
    pin.release();
    return [
      {
        row: "loop over a pinned view",
        unit: "ms",
        pageSize: PAGE_SIZE,
        samples,
        baseline: { name: "plain Float32Array", samples: baseline },
        // The same loop over the same kind of array: equal, to the digit that is given.
        bounds: [{ of: "ratio", most: 1, decimals: 1 }],
      },
    ];
  },
};

function sum(values: Float32Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
