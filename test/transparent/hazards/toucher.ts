/** A thread that touches one byte of a view, and says what it found. */

import { parentPort, workerData } from "node:worker_threads";

export interface Touch {
  readonly view: Uint8Array<SharedArrayBuffer>;
  readonly at: number;
  /** Not 0 from when the thread is about to touch it. */
  readonly begun: Int32Array<SharedArrayBuffer>;
}

const { view, at, begun } = workerData as Touch;
Atomics.store(begun, 0, 1);
Atomics.notify(begun, 0);
parentPort?.postMessage(view[at]);
