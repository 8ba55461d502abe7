/**
 * The swap file: an array of four times the host budget is written and read once, over plain writes and reads of the same
 * bytes, in the same parts, to a file in the same folder. Wall time, since the disk's is what counts; whatever the system
 * keeps of either file in its own cache it keeps of both.
 */

import { open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createUnifiedMemory, MiB, mirrorDevice } from "../src/index.js";
import type { Figure } from "./figure.js";
import { expect, type Scenario } from "./scenario.js";

const PAGE_SIZE = 65_536;
const PART = 4 * MiB;

/** Milliseconds. */
interface Times {
  readonly write: number;
  readonly read: number;
}

async function throughSwap(bytes: number, path: string, part: Uint8Array): Promise<Times> {
  const memory = await createUnifiedMemory({
    device: mirrorDevice({ budget: PAGE_SIZE }),
    pageSize: PAGE_SIZE,
    hostBudget: bytes / 4,
    swapFile: path,
  });
  try {
    const array = memory.createArray("u8", bytes);
    const began = performance.now();
    for (let start = 0; start < bytes; start += PART) await array.write(mark(part, start), { start });
    const written = performance.now();
    for (let start = 0; start < bytes; start += PART) check(await array.read(part, { start }), start);
    return { write: written - began, read: performance.now() - written };
  } finally {
    await memory.destroy();
  }
}

async function throughFile(bytes: number, path: string, part: Uint8Array): Promise<Times> {
  const handle = await open(path, "wx+");
  try {
    const began = performance.now();
    for (let start = 0; start < bytes; start += PART) await handle.write(mark(part, start), 0, PART, start);
    const written = performance.now();
    for (let start = 0; start < bytes; start += PART) {
      await handle.read(part, 0, PART, start);
      check(part, start);
    }
    return { write: written - began, read: performance.now() - written };
  } finally {
    await handle.close();
    await rm(path);
  }
}

/** Each page begins with its number. */
function mark(part: Uint8Array, start: number): Uint8Array {
  const words = new Float64Array(part.buffer, part.byteOffset);
  for (let at = 0; at < PART; at += PAGE_SIZE) words[at / 8] = start + at;
  return part;
}

function check(part: Uint8Array, start: number): void {
  const words = new Float64Array(part.buffer, part.byteOffset);
  for (let at = 0; at < PART; at += PAGE_SIZE)
    expect(words[at / 8] === start + at, `the page at ${start + at} came back as that at ${words[at / 8]}`);
}

export const swapFile: Scenario = {
  name: "swap file",
  async run({ smoke }) {
    const bytes = smoke ? 16 * MiB : 256 * MiB;
    const path = join(tmpdir(), `pageferry-bench-${process.pid}`);
    const part = new Uint8Array(PART);
    const swap: Times[] = [];
    const plain: Times[] = [];
    for (let round = smoke ? 0 : -1; round < (smoke ? 1 : 7); round++) {
      const file = await throughFile(bytes, path, part);
      const swapped = await throughSwap(bytes, path, part);
      if (round < 0) continue;
      plain.push(file);
      swap.push(swapped);
    }
    const figure = (what: "write" | "read"): Figure => {
      const speeds = (times: readonly Times[]): number[] => times.map((time) => bytes / (time[what] * 1e6));
      return {
        row: `array of 4x the host budget through a swap file, ${what}`,
        unit: "GB/s",
        pageSize: PAGE_SIZE,
        samples: speeds(swap),
        baseline: { name: `plain ${what}s of a file`, samples: speeds(plain) },
        bounds: [],
      };
    };
    return [figure("write"), figure("read")];
  },
};
