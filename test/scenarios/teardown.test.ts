// Memory goes while a device uses it.

import assert from "node:assert/strict";
import { EFAULT } from "../../src/cli/conform/errno.js";
import { deviceRead } from "../../src/cli/conform/recording-driver.js";
import { done } from "./region.js";
import { PAGES, scenario } from "./scenario.js";

scenario(
  "anon_teardown",
  "a device reads all of a mapping that is being unmapped, or fails; never a part",
  async (stage) => {
    const { process } = stage;
    const addresses = await process.map(PAGES);
    const outcomes = new Set<unknown>();
    for (let round = 0; round < 64; round++) {
      const region = round === 0 ? addresses : await process.map(PAGES, { over: addresses });
      await region.fill(round);
      const reading = deviceRead(process.clients[0], region.first, region.end);
      const [results] = await stage.all([reading, after(round % 16, () => region.unmap())]);
      outcomes.add(results.rc);
      const values = Array.from({ length: 64 }, (_, i) => round + i);
      assert.deepEqual(results, results.rc === 0 ? { ...done(PAGES, 1), values } : { rc: -EFAULT });
      assert.equal(region.reachedBy(0), 0);
    }
    assert.deepEqual(outcomes, new Set([-EFAULT, 0]));
  },
);

/** Acts when everybody else has had some turns. */
async function after(turns: number, act: () => Promise<void>): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
  await act();
}
