/** A thread that gets the memory by a port: it looks at an array by a view of its own, and by a pin. */

import assert from "node:assert/strict";
import { parentPort } from "node:worker_threads";
import { type ArrayHandle, connect } from "../../../src/worker.js";

const PAGE = 65_536;

parentPort?.once("message", (message: { port: Parameters<typeof connect>[0]; handle: ArrayHandle<"u8"> }) => {
  void work(message);
});

async function work({
  port,
  handle,
}: {
  port: Parameters<typeof connect>[0];
  handle: ArrayHandle<"u8">;
}): Promise<void> {
  const memory = await connect(port);
  const array = memory.arrayFrom(handle);
  const view = await array.view();
  view[PAGE + 2] = 9;
  const pin = await array.pin("write", { start: PAGE, length: 4 });
  assert.equal(array.tryPin("read"), null);
  pin.view[3] = 10;
  const found = [pin.view[0], view[PAGE + 1], pin.view[2]];
  pin.release();
  await memory.destroy();
  parentPort?.postMessage(found);
}
