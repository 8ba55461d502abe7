/** A worker of the rows about pins: pins pages of its own part of an array, as often as it is told to. */

import { parentPort, workerData } from "node:worker_threads";
import type { ArrayHandle, Port } from "../src/index.js";
import { connect } from "../src/worker.js";

export interface PinningWork {
  readonly port: Port;
  readonly handle: ArrayHandle<"f32">;
  /** Elements of a page, and the pages of this worker. */
  readonly elementsOfPage: number;
  readonly first: number;
  readonly pages: number;
}

const { port, handle, elementsOfPage, first, pages } = workerData as PinningWork;
const memory = await connect(port);
const array = memory.arrayFrom(handle);
await array.read({ length: 1 });

parentPort?.on("message", (pins: number) => {
  let taken = 0;
  for (let i = 0; i < pins; i++) {
    const pin = array.tryPin("write", { start: (first + (i % pages)) * elementsOfPage, length: elementsOfPage });
    if (pin === null) continue;
    taken++;
    pin.release();
  }
  parentPort?.postMessage(taken);
});
parentPort?.postMessage("ready");
