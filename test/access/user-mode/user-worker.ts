/** A thread in user mode: it stores to pages of a shared machine through pins of its own, until it is told to stop. */

import { workerData } from "node:worker_threads";
import { UserMachine } from "../../../src/access/user-mode/user-machine.js";
import { STOP, STORES, type UserWork } from "./user-work.js";

const { view, page, pages, own, words } = workerData as UserWork;
const said = new Int32Array(words);
const user = new UserMachine(view);
const counts = new Int32Array(pages);
for (let turn = own; Atomics.load(said, STOP) === 0; turn++) {
  const at = turn % pages;
  const count = 1 + (turn % 3);
  const run = Math.min(count, pages - at);
  const pin = user.tryPin(page + at, run, true, (turn & 1) === 0);
  if (pin === null) continue;
  for (let i = 0; i < run; i++) {
    const bytes = user.bytes(pin.frames === null ? pin.first + i : pin.frames[i], 1);
    new Int32Array(bytes.buffer, bytes.byteOffset, 4)[own]++;
    counts[at + i]++;
  }
  user.unpin(pin, true);
}
for (let i = 0; i < pages; i++) said[STORES + own * pages + i] = counts[i];
