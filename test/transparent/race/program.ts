/**
 * The race: writers and a reader in threads of their own, over an array that a kernel increments on the device and that is
 * moved to and fro. Exits with 0 when every counter is what its owners made of it, 1 when one is not, 2 when threads
 * stand still.
 *
 * It ends after so many rounds of dispatches, when every thread has worked in each of them.
 *
 * node program.js METHOD PAGE_SIZE PAGES ROUNDS [SEED]
 */

import { print } from "../print.js";
import assert from "node:assert/strict";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { createUnifiedMemory } from "../../../src/index.js";
import type { TransparentOptions } from "../../../src/unified/pager.js";
import { cellOf, CONTROL_WORDS, groups, KERNEL, PROGRESS, STOP, WRITERS, WRONG } from "./cells.js";
import type { RaceThread } from "./thread.js";

const LOST = 1;
const STILL = 2;
/** Of a round. */
const DISPATCHES = 8;
/** Milliseconds that all threads may make no progress. */
const PATIENCE = 5000;

const [method, pageSizeText, pagesText, roundsText, seedText] = process.argv.slice(2);
const [pageSize, pages, rounds] = [Number(pageSizeText), Number(pagesText), Number(roundsText)];
const seed = Number(seedText ?? Date.now() % 100_000);
const wordsPerPage = pageSize / Uint32Array.BYTES_PER_ELEMENT;

const memory = await createUnifiedMemory({
  cpuAccess: "transparent",
  pageSize,
  device: { export: "mirrorDevice", options: { budget: pages * pageSize } },
  transparent: { method: method as NonNullable<TransparentOptions["method"]> },
});
const array = memory.createArray("u32", pages * wordsPerPage);
const kernel = await memory.createKernel({
  host: { module: new URL("./kernel.js", import.meta.url), export: "increment" },
  footprint: { counters: { each: wordsPerPage } },
});
const counters = await array.view();
const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT));
const complaints: string[] = [];
const owned: Map<number, number>[] = [];
const threads = Array.from({ length: WRITERS + 1 }, (_, number) => {
  const workerData: RaceThread = { counters, control, pages, number, seed };
  const worker = new Worker(new URL("./thread.js", import.meta.url), { workerData });
  worker.on("message", (message: string | [number, number][]) => {
    if (typeof message === "string") complaints.push(message);
    else owned[number] = new Map(message);
  });
  return worker;
});
const ended = threads.map((thread) => once(thread, "exit"));

let dispatches = 0;
let progress = 0;
let progressed = performance.now();
const watch = setInterval(() => {
  let sum = 0;
  for (let thread = 0; thread <= WRITERS; thread++) sum += Atomics.load(control, PROGRESS + thread);
  if (sum !== progress) progressed = performance.now();
  progress = sum;
  if (performance.now() - progressed > PATIENCE) finish(STILL, "the threads stand still");
}, 100);

for (let round = 0; round < rounds && Atomics.load(control, WRONG) === 0; round++) {
  const before = control.slice(PROGRESS, PROGRESS + threads.length);
  do {
    const called = [];
    for (let i = 0; i < DISPATCHES; i++) {
      called.push(kernel.dispatch({ invocations: pages, arrays: { counters: array }, uniforms: { wordsPerPage } }));
      dispatches++;
      // Moves and reads that change nothing.
      if (i % 4 === 1) called.push(array.prefetch("host"), array.prefetch("device", { length: wordsPerPage }));
      if (i % 4 === 3) called.push(readKernelCounter(dispatches));
    }
    await Promise.all(called);
  } while (before.some((count, thread) => control[PROGRESS + thread] === count) && Atomics.load(control, WRONG) === 0);
}
Atomics.store(control, STOP, 1);
await Promise.all(ended);
clearInterval(watch);

const found = await array.read();
let increments = 0;
for (let page = 0; page < pages; page++) {
  for (let group = 0; group < groups; group++) {
    check(cellOf(wordsPerPage, page, group, KERNEL), dispatches);
    for (let writer = 0; writer < WRITERS; writer++) {
      const cell = cellOf(wordsPerPage, page, group, writer);
      increments += check(cell, owned[writer]?.get(cell) ?? 0);
    }
  }
}
const { toDevice, toHost } = (await memory.readStats()).migrations;
await memory.destroy();
if (complaints.length > 0) finish(LOST, complaints.slice(0, 3).join("; "));
finish(
  0,
  JSON.stringify({ seed, method, pageSize, increments, dispatches, toDevice: sum(toDevice), toHost: sum(toHost) }),
);

async function readKernelCounter(wanted: number): Promise<void> {
  assert.equal((await array.read({ start: KERNEL, length: 1 }))[0], wanted);
}

function check(cell: number, wanted: number): number {
  if (found[cell] !== wanted) complaints.push(`in the end counter ${cell} is ${found[cell]}, not ${wanted}`);
  return wanted;
}

function sum(moves: Readonly<Record<string, { readonly pages: number }>>): number {
  return Object.values(moves).reduce((total, { pages: moved }) => total + moved, 0);
}

function finish(code: number, message: string): never {
  print(`${message} (seed ${seed})`);
  process.exit(code);
}
