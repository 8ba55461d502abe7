/**
 * The worker of the n-th failures: uses a memory in every way, and does again what failed for want of memory, or on the link. A few
 * allocations or copies fail, so that after as many attempts it has to succeed.
 */

import assert from "node:assert/strict";
import { parentPort } from "node:worker_threads";
import { MemoryError } from "../../../src/mm/errors.js";
import { DispatchError } from "../../../src/unified/dispatch-error.js";
import { connect } from "../../../src/unified/remote/connect.js";
import type { Port } from "../../../src/unified/pager.js";
import { PAGE } from "../../builders.js";

export interface FailingWork {
  readonly port: Port;
  readonly kernels: string;
}

/** More than allocations that fail. */
const MOST_ATTEMPTS = 5;
const LENGTH = (5 * PAGE) / 4;

/** How many operations failed. */
async function work({ port, kernels }: FailingWork): Promise<number> {
  const memory = await connect(port);
  let failures = 0;
  const values = Uint32Array.from({ length: LENGTH }, (_, i) => i);

  /** What failed is made good by `before`, and done once more. */
  async function retrying<T>(operation: () => Promise<T>, before: () => Promise<unknown> = async () => {}): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await operation();
      } catch (error) {
        const code = error instanceof MemoryError || error instanceof DispatchError ? error.code : "none";
        if ((code !== "ENOMEM" && code !== "EIO") || attempt === MOST_ATTEMPTS) throw error;
        failures++;
        await before();
      }
    }
  }
  const create = async (): Promise<ReturnType<typeof memory.createArray<"u32">>> => {
    const made = memory.createArray("u32", LENGTH);
    await made.read({ length: 1 }).catch((error: unknown) => {
      made.destroy();
      throw error;
    });
    return made;
  };

  const array = await retrying(create);
  const fill = (): Promise<void> => array.write(values);
  await retrying(fill);
  await retrying(() => array.prefetch("device"));
  const pin = await retrying(() => array.pin("write", { start: 10, length: 2000 }));
  for (const { start, view } of pin.runs) for (let i = 0; i < view.length; i++) view[i] = values[start + i] = 7;
  pin.release();
  const snapshot = array.snapshot();
  const pictured = values.slice();
  const whole = await snapshot.read().catch(() => null);
  values.fill(9, 500, 3000);
  await retrying(() => array.fill(9, { start: 500, length: 2500 }));
  // A snapshot that could not be mapped has failed; one that could shows what was there.
  if (whole === null) failures++;
  else assert.deepEqual(await retrying(() => snapshot.read()), pictured);
  snapshot.destroy();
  const kernel = await retrying(() =>
    memory.createKernel({ host: { module: kernels, export: "addOne" }, footprint: { x: { each: 1 } } }),
  );
  await retrying(
    () => kernel.dispatch({ invocations: LENGTH, arrays: { x: array } }),
    () => retrying(fill),
  );
  assert.deepEqual(
    await retrying(() => array.read()),
    values.map((value) => value + 1),
  );
  array.destroy();
  await memory.destroy();
  return failures;
}

parentPort?.on("message", (given: FailingWork) => {
  work(given).then(
    (failures) => parentPort?.postMessage({ failures }),
    (error: unknown) => parentPort?.postMessage({ error }),
  );
});
