// In which mode a dispatch is run, and that its steps have whole workgroups.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Operand } from "../../src/unified/footprint.js";
import { type DispatchRequest, granuleOf, planDispatch } from "../../src/unified/local/dispatch-plan.js";
import { planSteps } from "../../src/unified/local/step-plan.js";
import { memoryError } from "../builders.js";
import { between, pick, randomOperand, withSeeds } from "./random-operands.js";

const PAGE = 64;
const x: Operand = { name: "x", footprint: { each: 1 }, stride: 4, length: 160 };
const table: Operand = { name: "table", footprint: "whole", stride: 4, length: 160 };

function request(changes: Partial<DispatchRequest>): DispatchRequest {
  const operands = [x, table];
  return {
    kernel: "k",
    operands,
    unknown: [],
    canPage: true,
    invocations: 160,
    pageSize: PAGE,
    frames: 12,
    lookahead: 0,
    mode: "auto",
    ...changes,
  };
}

test("resident what fits; else streamed if footprints say how; else paged where the kernel can be", () => {
  const modeOf = (changes: Partial<DispatchRequest>): string => planDispatch(request(changes)).mode;
  assert.equal(modeOf({ frames: 20 }), "resident");
  assert.equal(modeOf({ frames: 20, unknown: ["table"] }), "resident");
  assert.equal(modeOf({ frames: 11 }), "streamed");
  assert.equal(modeOf({ frames: 11, unknown: ["table"] }), "paged");
  assert.equal(modeOf({ frames: 11, unknown: ["table"], canPage: false }), "streamed");
  assert.equal(modeOf({ frames: 10 }), "paged");
  // The device has the frames, but not side by side.
  assert.equal(modeOf({ frames: 20, runFrames: 5 }), "paged");
  assert.throws(
    () => planDispatch(request({ frames: 10, canPage: false })),
    memoryError("ENOMEM", /704 bytes.* 640 bytes/),
  );
});

test("a mode that was asked for is the mode, or refused with what it would need", () => {
  assert.equal(planDispatch(request({ mode: "paged", frames: 20 })).mode, "paged");
  assert.equal(planDispatch(request({ mode: "streamed", frames: 20 })).mode, "streamed");
  assert.throws(
    () => planDispatch(request({ mode: "resident" })),
    memoryError("ENOMEM", /1280 bytes at once.* 768 bytes/),
  );
  assert.throws(
    () => planDispatch(request({ mode: "streamed", frames: 10 })),
    memoryError("ENOMEM", /704 bytes.* 640 bytes/),
  );
  assert.throws(
    () => planDispatch(request({ mode: "paged", canPage: false })),
    memoryError("ENOTSUP", /kernel "k" cannot be paged by this device/),
  );
});

test("a kernel that the device can only page is paged, however much room there is, or refused with the reason", () => {
  const onlyPaged = "it has nine arrays";
  for (const mode of ["auto", "paged"] as const)
    assert.equal(planDispatch(request({ mode, onlyPaged, frames: 20 })).mode, "paged");
  assert.equal(planDispatch(request({ onlyPaged, frames: 20 })).why, onlyPaged);
  for (const mode of ["resident", "streamed"] as const) {
    assert.throws(
      () => planDispatch(request({ mode, onlyPaged, frames: 20 })),
      memoryError("ENOTSUP", new RegExp(`runs in mode "paged" alone, not "${mode}": it has nine arrays`)),
    );
  }
});

test("a step is whole workgroups, whole rows of them in two dimensions and slabs in three", () => {
  const workgroups = { size: [8, 4, 2], whole: false } as const;
  assert.equal(granuleOf(undefined, [100, 1, 1]), 1);
  assert.equal(granuleOf(workgroups, [100, 1, 1]), 8);
  assert.equal(granuleOf(workgroups, [100, 10, 1]), 400);
  assert.equal(granuleOf(workgroups, [100, 10, 3]), 2000);
});

test("steps of whole workgroups cover all invocations in order, and use no more than there is", async (t) => {
  let refused = 0;
  await withSeeds(t, 2000, (random) => {
    const operands = Array.from({ length: between(random, 1, 3) }, () => randomOperand(random, PAGE));
    const most = Math.min(
      ...operands.map(({ footprint, length }) => (footprint === "whole" ? 50 : Math.floor(length / footprint.each))),
    );
    if (most < 1) return;
    const invocations = between(random, 1, most);
    const granule = pick(random, [2, 3, 8]);
    const frames = between(random, 2, 30);
    const asked = {
      ...request({ operands, invocations, frames, lookahead: pick(random, [0, 1, 2]) }),
      mode: "auto" as const,
    };
    let plan;
    try {
      plan = planSteps({ ...asked, granule });
    } catch (error) {
      memoryError("ENOMEM", /\d+ bytes/)(error);
      refused++;
      return;
    }
    for (let first = 0; first < invocations;) {
      const count = plan.stepAt(first);
      assert.ok(count >= 1 && first + count <= invocations, `a step of ${count} from ${first} of ${invocations} on`);
      assert.ok(
        count % granule === 0 || first + count === invocations,
        `a step of ${count}, in workgroups of ${granule}`,
      );
      // The plan of the same invocations one by one would hold it as well.
      assert.ok(plan.mode === "resident" || fits(operands, first, count, frames), `a step of ${count} does not fit`);
      first += count;
    }
  });
  t.diagnostic(`${refused} refused`);
  assert.ok(refused > 50);
});

function fits(operands: readonly Operand[], first: number, count: number, frames: number): boolean {
  let pages = 0;
  for (const { footprint, stride, length } of operands) {
    const { each, before = 0, after = 0 } = footprint === "whole" ? { each: length } : footprint;
    const from = footprint === "whole" ? 0 : Math.min(Math.max(first * each - before, 0), length);
    const to = footprint === "whole" ? length : Math.min((first + count) * each + after, length);
    if (to > from) pages += Math.ceil((to * stride) / PAGE) - Math.floor((from * stride) / PAGE);
  }
  return pages <= frames;
}
