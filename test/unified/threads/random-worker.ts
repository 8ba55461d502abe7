/** The worker of the random programs: runs one over a memory that it is given a port to. */

import { parentPort, workerData } from "node:worker_threads";
import { connect } from "../../../src/unified/remote/connect.js";
import type { Port } from "../../../src/unified/pager.js";
import { runRandomThread } from "./random-thread.js";

export interface RandomWork {
  readonly port: Port;
  readonly seed: number;
  readonly steps: number;
  readonly kernels: string;
}

const { port, seed, steps, kernels } = workerData as RandomWork;
const memory = await connect(port);
parentPort?.postMessage(await runRandomThread(memory, seed, steps, kernels));
await memory.destroy();
