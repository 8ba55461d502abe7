/**
 * A thread of the race: a writer increments its counters by plain loads and stores, and knows what each must be; a reader looks
 * whether any counter ever goes back.
 */

import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import { seededRandom } from "../../environments.js";
import { cellOf, groups, KERNEL, PROGRESS, STOP, WRITERS, WRONG } from "./cells.js";

export interface RaceThread {
  readonly counters: Uint32Array<SharedArrayBuffer>;
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly pages: number;
  /** A writer's number, or that of the reader: `WRITERS`. */
  readonly number: number;
  readonly seed: number;
}

const { counters, control, pages, number, seed } = workerData as RaceThread;
const wordsPerPage = counters.length / pages;
const random = seededRandom(seed + number);
const known = new Map<number, number>();

while (Atomics.load(control, STOP) === 0) {
  const page = Math.floor(random() * pages);
  const group = Math.floor(random() * groups);
  if (number < WRITERS) write(cellOf(wordsPerPage, page, group, number));
  else for (let owner = 0; owner <= KERNEL; owner++) read(cellOf(wordsPerPage, page, group, owner));
  Atomics.add(control, PROGRESS + number, 1);
}
parentPort?.postMessage([...known]);

function write(cell: number): void {
  for (let i = 0; i < 50; i++) {
    const value = counters[cell];
    if (value !== (known.get(cell) ?? 0)) wrong(`counter ${cell} is ${value}, not ${known.get(cell) ?? 0}`);
    counters[cell] = value + 1;
    known.set(cell, value + 1);
  }
}

function read(cell: number): void {
  const value = counters[cell];
  const before = known.get(cell) ?? 0;
  if (value < before) wrong(`counter ${cell} went back from ${before} to ${value}`);
  known.set(cell, value);
}

function wrong(what: string): void {
  if (Atomics.exchange(control, WRONG, 1) === 1) return;
  assert.ok(parentPort !== null);
  parentPort.postMessage(what);
}
