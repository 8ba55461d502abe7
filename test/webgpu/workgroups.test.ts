// Which workgroups a step is, and the calls by which a GPU is asked for them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DispatchShape, WorkgroupShape } from "../../src/device/driver.js";
import { rowsOf, workgroupRange } from "../../src/device/webgpu/workgroups.js";
import { between, pick, withSeeds } from "../unified/random-operands.js";

test("every workgroup is in one call and no other is, in ascending order, and no dimension has more than may be", async (t) => {
  await withSeeds(t, 500, (random) => {
    const most = between(random, 1, 9);
    const first = between(random, 0, 50);
    const end = first + between(random, 0, most * most * 3);
    let at = first;
    for (const call of rowsOf({ first, end }, most)) {
      assert.equal(call.first, at);
      assert.ok(call.x >= 1 && call.y >= 1 && call.x <= most && call.y <= most);
      at += call.x * call.y;
    }
    assert.equal(at, end);
  });
});

test("steps of whole rows and slabs are the workgroups of their invocations, counted one by one", async (t) => {
  await withSeeds(t, 500, (random) => {
    const size: DispatchShape = [between(random, 1, 4), between(random, 1, 3), pick(random, [1, 1, 2])];
    const flat = random() < 0.4;
    const shape: DispatchShape = [
      between(random, 1, 20),
      flat ? 1 : between(random, 1, 9),
      flat ? 1 : between(random, 1, 5),
    ];
    const workgroups: WorkgroupShape = { size, whole: false };
    const [width, height, depth] = shape;
    const perSlab = width * height;
    const all = perSlab * depth;
    const starts = Array.from({ length: all }, (_, i) => i).filter((i) => {
      const [x, y, z] = [i % width, Math.floor(i / width) % height, Math.floor(i / perSlab)];
      if (height === 1 && depth === 1) return x % size[0] === 0;
      return x === 0 && y % size[1] === 0 && z % size[2] === 0 && (y === 0 || size[2] === 1 || depth === 1);
    });
    const first = pick<number>(random, [0, ...starts]);
    const end = pick<number>(random, [all, ...starts.filter((at) => at > first)]);
    const inside = new Set<number>();
    for (let i = first; i < end; i++) {
      const [x, y, z] = [i % width, Math.floor(i / width) % height, Math.floor(i / perSlab)];
      const across = [Math.ceil(width / size[0]), Math.ceil(height / size[1])] as const;
      inside.add(Math.floor(x / size[0]) + across[0] * (Math.floor(y / size[1]) + across[1] * Math.floor(z / size[2])));
    }
    const range = workgroupRange({ first, count: end - first }, shape, workgroups);
    assert.deepEqual(
      [...inside].toSorted((a, b) => a - b),
      Array.from({ length: range.end - range.first }, (_, i) => range.first + i),
    );
  });
});
