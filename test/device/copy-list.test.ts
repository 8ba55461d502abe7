// Lists of copies: whatever is pushed comes out again in order, in as few runs as are contiguous on both sides.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CopyList } from "../../src/device/copy-list.js";
import { between, withSeeds } from "../unified/random-operands.js";

const BLOCK = 512;

/** The copies one by one. */
function unrolled({ host, device, count, length }: CopyList): [host: number, device: number][] {
  const copies: [number, number][] = [];
  for (let run = 0; run < length; run++) {
    for (let i = 0; i < count[run]; i++) copies.push([host[run] + i, device[run] + i]);
  }
  return copies;
}

test("a list gives back what was pushed, page by page and in order, in the fewest runs", async (t) => {
  await withSeeds(t, 300, (random) => {
    const list = new CopyList(BLOCK);
    for (let batch = 0; batch < 2; batch++) {
      list.clear();
      const pushed: [number, number][] = [];
      let host = between(random, 1, 2 * BLOCK);
      let device = between(random, 0, 90);
      while (pushed.length < BLOCK && random() > 0.02) {
        host = random() < 0.8 ? host + 1 : between(random, 1, 3 * BLOCK);
        device = random() < 0.8 ? device + 1 : between(random, 0, 90);
        list.push(host, device);
        pushed.push([host, device]);
      }
      assert.deepEqual(unrolled(list), pushed);
      assert.equal(list.pages, pushed.length);
      const breaks = pushed.filter(([h, d], i) => {
        const [before, beside] = pushed[i - 1] ?? [-1, -1];
        return h !== before + 1 || d !== beside + 1 || h % BLOCK === 0;
      });
      assert.equal(list.length, breaks.length);
    }
  });
});

test("a run of host frames never leaves its block, since its memory may end there", () => {
  const list = new CopyList(BLOCK);
  for (let i = 0; i < 4; i++) list.push(BLOCK - 2 + i, 10 + i);
  assert.deepEqual(
    [...list.host.subarray(0, list.length)].map((first, run) => [first, list.count[run]]),
    [
      [BLOCK - 2, 2],
      [BLOCK, 2],
    ],
  );
});

test("clears are joined by device frame alone", () => {
  const list = new CopyList(BLOCK);
  for (const frame of [5, 6, 7, 3, 4, 9]) list.pushClear(frame);
  assert.equal(list.length, 3);
  assert.equal(list.pages, 6);
  assert.deepEqual([...list.device.subarray(0, 3)], [5, 3, 9]);
  assert.deepEqual([...list.count.subarray(0, 3)], [3, 2, 1]);
});
