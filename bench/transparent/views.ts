/**
 * Views: what a page fault costs that brings a page from the device, with all that the engine does, over a handler in C that does
 * the same copy; and how quick sequential touches and bulk moves are, over plain copies.
 */

import { MiB } from "../../src/index.js";
import type { Figure } from "../figure.js";
import type { Scenario } from "../scenario.js";
import { CHandler } from "./c-handler.js";
import { expectMarks, openViewed, pinTo } from "./viewed-array.js";

/** All threads of both sides are on it. */
const PROCESSOR = 0;
const PAGES = 1024;
const STEP = 509;
const FAULTS = 20_480;
const WARM_UP = 8;
const SYSTEM_PAGE = 4096;

const faultLatency: Scenario = {
  name: "views, faults",
  async run({ smoke }) {
    const figures: Figure[] = [];
    for (const pageSize of [4096, 65_536]) figures.push(await measureFaults(pageSize, smoke));
    return figures;
  },
};

async function measureFaults(pageSize: number, smoke: boolean): Promise<Figure> {
  const viewed = await openViewed(pageSize, PAGES);
  using handler = new CHandler(PROCESSOR, pageSize, PAGES);
  pinTo(PROCESSOR);
  const { view, toDevice } = viewed;
  const samples: number[] = [];
  const baseline: number[] = [];
  const rounds = smoke ? 1 : FAULTS / PAGES;
  for (let round = smoke ? 0 : -WARM_UP; round < rounds; round++) {
    await toDevice();
    const inC = await handler.round();
    const began = performance.now();
    let sum = 0;
    // No two faults follow one another, so none brings more than its page.
    for (let i = 0; i < PAGES; i++) sum += view[((i * STEP) % PAGES) * pageSize];
    const nanoseconds = ((performance.now() - began) * 1e6) / PAGES;
    if (sum < 0 || round < 0) continue;
    samples.push(nanoseconds);
    baseline.push(inC);
  }
  expectMarks(viewed, pageSize);
  await viewed.memory.destroy();
  return {
    row: `page fault of a view, the page on the device`,
    unit: "ns",
    pageSize,
    samples,
    baseline: { name: "a handler in C that does the same copy", samples: baseline },
    bounds: [{ of: "ratio", most: pageSize === 4096 ? 1.25 : 1.15 }],
  };
}

const sequentialTouches: Scenario = {
  name: "views, sequential",
  async run({ smoke }) {
    const pageSize = 65_536;
    const bytes = smoke ? 8 * MiB : 64 * MiB;
    const viewed = await openViewed(pageSize, bytes / pageSize);
    const { view, toDevice } = viewed;
    const source = new Uint8Array(bytes).fill(1);
    const samples: number[] = [];
    const baseline: number[] = [];
    for (let round = smoke ? 0 : -3; round < (smoke ? 1 : 15); round++) {
      await toDevice();
      const touched = timed(() => {
        let sum = 0;
        for (let at = 0; at < bytes; at += SYSTEM_PAGE) sum += view[at];
        return sum;
      });
      const copied = timed(() => new Uint8Array(new ArrayBuffer(bytes)).set(source));
      if (round < 0) continue;
      samples.push(bytes / 1e6 / touched);
      baseline.push(bytes / 1e6 / copied);
    }
    expectMarks(viewed, pageSize);
    await viewed.memory.destroy();
    return [
      {
        row: "a view of pages on the device, touched one after another",
        unit: "GB/s",
        pageSize,
        samples,
        baseline: { name: "memcpy into fresh memory", samples: baseline },
        bounds: [{ of: "ratio", least: 1 }],
      },
    ];
  },
};

const bulkMoves: Scenario = {
  name: "views, out and in",
  async run({ smoke }) {
    const pageSize = 2 * MiB;
    const pages = smoke ? 4 : 32;
    const viewed = await openViewed(pageSize, pages);
    const { array, view, toDevice } = viewed;
    const bytes = pageSize * pages;
    const [one, other] = [new Uint8Array(bytes).fill(1), new Uint8Array(bytes).fill(2)];
    const samples: number[] = [];
    const baseline: number[] = [];
    for (let round = smoke ? 0 : -3; round < (smoke ? 1 : 15); round++) {
      // All of it is seen, and stored to, by a thread before.
      for (let at = 0; at < bytes; at += SYSTEM_PAGE) view[at + 1]++;
      const began = performance.now();
      await toDevice();
      await array.prefetch("host");
      const moved = performance.now() - began;
      const copied = timed(() => {
        other.set(one);
        one.set(other);
      });
      if (round < 0) continue;
      samples.push((2 * bytes) / 1e6 / moved);
      baseline.push((2 * bytes) / 1e6 / copied);
    }
    expectMarks(viewed, pageSize);
    await viewed.memory.destroy();
    return [
      {
        row: "a viewed array to the device and back, written there",
        unit: "GB/s",
        pageSize,
        samples,
        baseline: { name: "two memcpys of as many bytes", samples: baseline },
        bounds: [{ of: "ratio", least: 0.8 }],
      },
    ];
  },
};

/** Milliseconds. */
function timed(work: () => unknown): number {
  const began = performance.now();
  work();
  return performance.now() - began;
}

export const viewScenarios: readonly Scenario[] = [faultLatency, sequentialTouches, bulkMoves];
