/**
 * How much memory the process has for pages: `node program.js budget|swap|huge`. Prints what was measured, in MiB over what the process
 * had before.
 */

import { print } from "../print.js";
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createUnifiedMemory } from "../../../src/index.js";

const MIB = 2 ** 20;
const PART = 4 * MIB;

function resident(): number {
  const kib = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Math.round(Number(kib) / 1024);
}

/** Larger than what the host may have: the device has the rest, and the host frames of what is there are given back. */
async function budget(): Promise<void> {
  const [host, device, all] = [16, 48, 56];
  const memory = await createUnifiedMemory({
    cpuAccess: "transparent",
    hostBudget: host * MIB,
    device: { export: "mirrorDevice", options: { budget: device * MIB } },
  });
  const array = memory.createArray("u32", (all * MIB) / 4);
  const view = await array.view();
  const before = resident();
  for (let at = 0; at < array.byteLength; at += PART) {
    for (let i = at / 4; i < (at + PART) / 4; i++) view[i] = i;
    if (at + PART <= device * MIB) await array.prefetch("device", { start: at / 4, length: PART / 4 });
  }
  // Everything once more, through the host: what comes back pushes out what is retained.
  for (let i = 0; i < (8 * MIB) / 4; i += 1024) assert.equal(view[i], i);
  const most = resident() - before;
  const { usedBytes } = memory.stats.host;
  print(JSON.stringify({ most, host, device, used: usedBytes / MIB }));
  for (let at = 0; at < array.byteLength; at += PART) {
    for (let i = at / 4; i < (at + PART) / 4; i += 1024) assert.equal(view[i], i);
    await array.prefetch("device", { start: at / 4, length: PART / 4 });
  }
  await memory.destroy();
}

/** MiB that are in huge pages while a view of 32 MiB is whole, out and in again, with pages of 2 MiB and of 64 KiB. */
async function huge(): Promise<void> {
  const all = 32;
  const inHugePages = async (pageSize: number): Promise<number> => {
    const memory = await createUnifiedMemory({
      cpuAccess: "transparent",
      pageSize,
      device: { export: "mirrorDevice", options: { budget: all * MIB } },
    });
    const array = memory.createArray("u8", all * MIB);
    const view = await array.view();
    for (let round = 1; round <= 3; round++) {
      for (let at = 0; at < view.length; at += 4096) assert.equal(++view[at], round);
      if (round === 3) break;
      await array.prefetch("device");
      await array.prefetch("host");
    }
    const [, kib] = /^AnonHugePages:\s*(\d+) kB/m.exec(readFileSync("/proc/self/smaps_rollup", "utf8")) ?? [];
    await memory.destroy();
    return Number(kib) / 1024;
  };
  print(JSON.stringify({ all, small: await inHugePages(64 * 1024), large: await inHugePages(2 * MIB) }));
}

/** Larger than memory and device together: pages go to a file and come back. */
async function swap(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "pageferry-swap-"));
  const [host, all] = [8, 64];
  const memory = await createUnifiedMemory({
    cpuAccess: "transparent",
    hostBudget: host * MIB,
    swapFile: join(folder, "swap"),
    device: { export: "mirrorDevice", options: { budget: MIB } },
  });
  const array = memory.createArray("u32", (all * MIB) / 4);
  const view = await array.view();
  const before = resident();
  let most = 0;
  for (let round = 0; round < 2; round++) {
    for (let at = 0; at < view.length; at += PART / 4) {
      for (let i = at; i < at + PART / 4; i++) {
        if (round > 0 && view[i] !== i + round - 1) assert.fail(`element ${i} is ${view[i]} in round ${round}`);
        view[i] = i + round;
      }
      most = Math.max(most, resident() - before);
    }
  }
  const { swap: swapped } = await memory.readStats();
  print(JSON.stringify({ most, host, written: Math.round((swapped?.writtenBytes ?? 0) / MIB) }));
  await memory.destroy();
  rmSync(folder, { recursive: true });
}

const measurements: Readonly<Record<string, () => Promise<void>>> = { budget, swap, huge };
await measurements[process.argv[2]]();
