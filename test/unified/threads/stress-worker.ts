/**
 * A worker of the stress test: adds one to its own element of pages that it pins, as fast as it can, until it is told to
 * stop, and says how often it did.
 */

import { parentPort, workerData } from "node:worker_threads";
import type { ArrayHandle } from "../../../src/unified/array-handle.js";
import { connect } from "../../../src/unified/remote/connect.js";
import type { Pin } from "../../../src/unified/pin.js";
import type { Port } from "../../../src/unified/pager.js";

export interface StressWork {
  readonly port: Port;
  readonly handle: ArrayHandle<"u32">;
  /** 0 until the workers are to stop; then, for each worker, its pins that had to be tried again. */
  readonly shared: Int32Array;
  /** The worker's own element on each page. */
  readonly element: number;
  readonly elementsOfPage: number;
  readonly seed: number;
}

/** Pins between two looks at messages. */
const BURST = 2000;
/** How often a pin is tried before the pager is asked. */
const ATTEMPTS = 20_000;

const { port, handle, shared, element, elementsOfPage, seed } = workerData as StressWork;
const memory = await connect(port);
const array = memory.arrayFrom(handle);
const pages = handle.length / elementsOfPage;
const added = new Uint32Array(pages);
let state = seed;

function randomPage(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * pages);
}

/** A pin of the thread's own; null when the page stays out of its reach. */
function tryPin(range: { start: number; length: number }): Pin<"u32", SharedArrayBuffer> | null {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const pin = array.tryPin("write", range);
    if (pin === null) continue;
    if (attempt > 0) Atomics.add(shared, 1 + element, 1);
    return pin;
  }
  return null;
}

await array.read({ length: 1 });
while (Atomics.load(shared, 0) === 0) {
  for (let i = 0; i < BURST; i++) {
    const page = randomPage();
    const pin = tryPin({ start: page * elementsOfPage, length: elementsOfPage });
    if (pin === null) break;
    pin.view[element]++;
    pin.release();
    added[page]++;
  }
  // What no thread can pin by itself the pager brings home, and copies are threads' work as well.
  const page = randomPage();
  const start = page * elementsOfPage + element;
  const pin = await array.pin("write", { start, length: 1 });
  pin.view[0]++;
  pin.release();
  added[page]++;
  const [before] = await array.read({ start, length: 1 });
  if (before !== added[page]) throw new Error(`page ${page} has ${before}, not the ${added[page]} that were added`);
  await array.write(Uint32Array.of(++added[page]), { start });
}
parentPort?.postMessage(added);
await memory.destroy();
