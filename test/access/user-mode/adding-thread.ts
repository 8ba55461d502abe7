/** The worker of the tests with real threads: adds to words of pages that it pins, again and again, until it is told to end. */

import { workerData } from "node:worker_threads";
import type { SharedView } from "../../../src/access/user-mode/shared-view.js";
import { UserMachine } from "../../../src/access/user-mode/user-machine.js";

export interface Work {
  readonly view: SharedView;
  readonly page: number;
  readonly pages: number;
  /** Which of the threads this is: word 1 + `index` of each page is its own. */
  readonly index: number;
  /** Word 0 says when to end; from 1 + `index` on, how much this thread has added to each page, `pages` words a thread. */
  readonly told: Int32Array;
}

const MOST_AT_ONCE = 8;
const PAUSE_EVERY = 16;
const PAUSE_MS = 0.2;

const { view, page, pages, index, told } = workerData as Work;
const unaltered = globalThis.Atomics;
const nobody = new Int32Array(new SharedArrayBuffer(4));
let taken = 0;

/** Now and then a thread stops for a moment before it takes a reference, as if its processor had been taken away. */
globalThis.Atomics = Object.assign(Object.create(unaltered) as Atomics, {
  compareExchange(words: Int32Array, at: number, before: number, after: number): number {
    const takes = words.buffer === view.parts.frameTable && after > before;
    if (takes && ++taken % PAUSE_EVERY === 0) unaltered.wait(nobody, 0, 0, PAUSE_MS);
    return unaltered.compareExchange(words, at, before, after);
  },
});

const user = new UserMachine(view);
const added = told.subarray(1 + index * pages);

for (let i = 0; Atomics.load(told, 0) === 0; i++) {
  const at = (i * 7) % pages;
  const count = Math.min(1 + (i % MOST_AT_ONCE), pages - at);
  const write = i % 3 !== 0;
  const pin = user.tryPin(page + at, count, write, i % 2 === 0);
  if (pin === null) continue;
  for (let k = 0; k < count; k++) {
    const { buffer, byteOffset } = user.bytes(pin.frames?.[k] ?? pin.first + k, 1);
    const words = new Int32Array(buffer, byteOffset, 4);
    if (write) {
      Atomics.add(words, 0, 1);
      words[1 + index]++;
      added[at + k]++;
    } else if (words[1 + index] !== added[at + k]) {
      throw new Error(`page ${at + k} has ${words[1 + index]} of this thread's additions, not ${added[at + k]}`);
    }
  }
  user.unpin(pin, write);
}
