// No operation waits for a pin that its own program holds: it is done beside the pin, or refused with the pin's name.

import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryError, PAGE, TestSwapStore } from "../builders.js";
import { EVERY_OPERATION, letGo, openScene, PAGES } from "./every-operation.js";
import { type MemorySetup, openMemory } from "./opened-memory.js";

const SETUPS: Record<string, MemorySetup> = {
  "a private device": {},
  "a private device that copies while it computes": { link: { latency: 1 } },
  "a coherent device": { kind: "coherent" },
  "a host budget, and swap": { hostPages: 1000, swap: new TestSwapStore(2000) },
};

for (const [device, setup] of Object.entries(SETUPS)) {
  test(`with ${device}, every operation ends while its program holds pins of the arrays`, async (t) => {
    const refused: string[] = [];
    for (const [name, act] of Object.entries(EVERY_OPERATION)) {
      const scene = await openScene(setup);
      const { x, y, opened } = scene;
      const pins = [
        await x.pin("read", { start: 5 * PAGE, length: 3 }),
        await x.pin("write", { start: 300 * PAGE, length: 2 * PAGE }),
        await y.pin("read", { start: 7 * PAGE, length: 1 }),
        await y.pin("write", { start: 8 * PAGE, length: 1 }),
      ];
      try {
        letGo(await act(scene, {}));
      } catch (error) {
        const pinned =
          /array "[xy](?: as u32)?", on a page that a (read|write) pin of \d+ to \d+(?: of "[xy]")? holds in host memory/;
        memoryError("EBUSY", pinned)(error);
        refused.push(name);
      }
      // What a snapshot leaves to be unmapped comes first.
      await x.read({ length: 1 });
      opened.check(x, y);
      for (const pin of pins) assert.ok(pin.runs.length > 0);
      // Nor does their end, and nor do the pins' pages go before the pins do.
      x.destroy();
      await opened.memory.destroy();
      for (const pin of pins) pin.release();
      await opened.destroyed();
    }
    assert.deepEqual(refused, ["a streamed dispatch", "a resident dispatch", "a paged dispatch"]);
    t.diagnostic(`${Object.keys(EVERY_OPERATION).length} operations over ${PAGES} pages`);
  });
}

test("where pins hold all of host memory, what needs more is refused with both numbers and does not wait", async (t) => {
  const opened = await openMemory(t, { hostPages: 4, swap: new TestSwapStore(64) });
  const { memory } = opened;
  const held = memory.createArray("u8", 4 * PAGE, { label: "held" });
  const other = memory.createArray("u8", 2 * PAGE);
  const pin = await held.pin("write");
  for (const operation of [() => other.fill(1), () => other.write(new Uint8Array(PAGE)), () => other.pin("write")]) {
    await assert.rejects(operation, memoryError("ENOMEM", /16384 bytes/));
  }
  opened.check(held);
  pin.release();
  await other.fill(1);
  opened.check();
});
