/** A worker that has a shared memory, for tests: told what to do, order by order. It is ended with the test. */

import type { TestContext } from "node:test";
import { type Transferable, Worker } from "node:worker_threads";
import { type Thrown, unpackThrown } from "../../../src/device/thrown.js";
import type { Port } from "../../../src/unified/pager.js";
import type { UnifiedMemory } from "../../../src/unified/unified-memory.js";
import type { Order } from "./worker-under-test.js";

interface Settle {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

export class StartedWorker {
  readonly #worker = new Worker(new URL("./worker-under-test.js", import.meta.url));
  readonly #orders: Settle[] = [];

  constructor() {
    this.#worker.on("message", ({ number, answer, thrown }: { number: number; answer?: unknown; thrown?: Thrown }) => {
      const { resolve, reject } = this.#orders[number];
      if (thrown === undefined) resolve(answer);
      else reject(unpackThrown(thrown));
    });
  }

  order<Answer = unknown>(order: Order, transfer: readonly Port[] = []): Promise<Answer> {
    return new Promise<unknown>((resolve, reject) => {
      const number = this.#orders.push({ resolve, reject }) - 1;
      this.#worker.postMessage({ number, order }, transfer as readonly Transferable[]);
    }) as Promise<Answer>;
  }

  /** Ends the thread whatever it does. */
  terminate(): Promise<number> {
    return this.#worker.terminate();
  }
}

/** A worker that is connected to the memory by a port of this name. */
export async function startWorker(
  t: TestContext,
  memory: UnifiedMemory<SharedArrayBuffer>,
  label = "worker",
): Promise<StartedWorker & { readonly port: Port }> {
  const worker = new StartedWorker();
  t.after(() => worker.terminate());
  const port = await memory.port({ label });
  await worker.order({ do: "connect", port }, [port]);
  return Object.assign(worker, { port });
}
