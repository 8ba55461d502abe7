// Step plans against a naive count of pages: every invocation once, in order, and never more pages than there are.

import assert from "node:assert/strict";
import { test } from "node:test";
import { elementsOf, type Operand, pagesOf } from "../../src/unified/footprint.js";
import { planSteps, type PlanRequest, type StepPlan } from "../../src/unified/local/step-plan.js";
import { MemoryError } from "../../src/mm/errors.js";
import { memoryError } from "../builders.js";
import { between, pick, randomOperand, withSeeds } from "./random-operands.js";

const KiB = 1024;
const MiB = 1024 * KiB;

function pagesUsed(operands: readonly Operand[], first: number, count: number, pageSize: number): number {
  return operands.reduce((sum, each) => sum + pagesOf(each, elementsOf(each, first, count), pageSize).pages, 0);
}

/** The steps of a plan as `[first, count]`. */
function stepsOf(plan: StepPlan, invocations: number): [first: number, count: number][] {
  const steps: [first: number, count: number][] = [];
  for (let first = 0; first < invocations;) {
    const count = plan.stepAt(first);
    assert.ok(Number.isSafeInteger(count) && count >= 1, `a step of ${count} invocations`);
    assert.ok(count <= invocations - first, `a step of ${count} invocations goes beyond the last`);
    steps.push([first, count]);
    first += count;
  }
  return steps;
}

function request(changes: Partial<PlanRequest> & Pick<PlanRequest, "operands" | "invocations">): PlanRequest {
  return { kernel: "k", pageSize: 64, frames: 1024, lookahead: 0, mode: "auto", ...changes };
}

/** A dispatch of random geometry over a device that may or may not hold it. */
function randomRequest(random: () => number): PlanRequest {
  const pageSize = pick(random, [64, 128, 256]);
  const operands = Array.from({ length: between(random, 1, 3) }, () => randomOperand(random, pageSize));
  const most = Math.min(
    ...operands.map(({ footprint, length }) =>
      footprint === "whole" ? Number.POSITIVE_INFINITY : Math.floor(length / footprint.each),
    ),
  );
  const invocations = Number.isFinite(most) ? between(random, 1, most) : between(random, 1, 20);
  return request({
    operands,
    invocations,
    pageSize,
    frames: between(random, 1, 24),
    ...(random() < 0.4 && { runFrames: between(random, 1, 24) }),
    lookahead: pick(random, [0, 1, 2]),
    mode: pick(random, ["auto", "streamed", "resident"]),
  });
}

test("the steps of a plan cover every invocation once and in order, each within the device's memory", async (t) => {
  let streamed = 0;
  let resident = 0;
  await withSeeds(t, 3000, (random) => {
    const asked = { ...randomRequest(random), granule: pick(random, [1, 1, 3, 8]) };
    const { operands, invocations, pageSize, frames, runFrames = frames, lookahead } = asked;
    let plan: StepPlan;
    try {
      plan = planSteps(asked);
    } catch (error) {
      if (!(error instanceof MemoryError && error.code === "ENOMEM")) throw error;
      const fits = pagesUsed(operands, 0, invocations, pageSize) <= Math.min(frames, runFrames);
      assert.ok(asked.mode === "streamed" || !fits, `all that is used fits, and yet: ${error.message}`);
      return;
    }
    const steps = stepsOf(plan, invocations);
    for (const [first, count] of steps) {
      for (const operand of operands) {
        const run = pagesUsed([operand], first, count, pageSize);
        assert.ok(run <= runFrames, `a step uses ${run} pages of an array, more than a run of ${runFrames}`);
      }
    }
    const moving = operands.filter(({ footprint }) => footprint !== "whole");
    const whole = pagesUsed(operands, 0, invocations, pageSize) - pagesUsed(moving, 0, invocations, pageSize);
    if (plan.mode === "resident") {
      resident++;
      assert.equal(plan.heldPages, pagesUsed(operands, 0, invocations, pageSize));
      assert.ok(plan.heldPages <= frames);
      return;
    }
    streamed++;
    assert.equal(plan.heldPages, whole);
    const needs = steps.map(([first, count]) => pagesUsed(moving, first, count, pageSize));
    for (const [i, need] of needs.entries()) {
      assert.ok(whole + need <= frames, `step ${i} needs ${whole} + ${need} of ${frames} pages`);
      const ahead = needs.slice(i + 1, i + 1 + plan.lookahead);
      assert.ok(
        ahead.reduce((sum, pages) => sum + pages, whole + need) <= frames,
        `step ${i} and the next need ${[need, ...ahead].join(" + ")} of ${frames - whole} pages`,
      );
    }
    assert.equal(plan.leavingPages, Math.max(0, pagesUsed(operands, 0, invocations, pageSize) - frames));
    assert.ok(plan.lookahead <= lookahead);
  });
  assert.ok(streamed > 200 && resident > 200, `only ${streamed} streamed and ${resident} resident plans were seen`);
});

test("a dispatch is refused only if one of its invocations exceeds the device, and with both numbers", async (t) => {
  let refused = 0;
  await withSeeds(t, 3000, (random) => {
    const { runFrames: _, ...drawn } = randomRequest(random);
    const asked = { ...drawn, mode: "auto" as const, frames: between(random, 1, 12) };
    const { operands, invocations, pageSize, frames } = asked;
    const largest = Math.max(...Array.from({ length: invocations }, (_, i) => pagesUsed(operands, i, 1, pageSize)));
    const total = pagesUsed(operands, 0, invocations, pageSize);
    if (largest <= frames || total <= frames) {
      planSteps(asked);
      return;
    }
    refused++;
    assert.throws(
      () => planSteps(asked),
      memoryError(
        "ENOMEM",
        new RegExp(`kernel "k" needs ${largest * pageSize} bytes .* the ${frames * pageSize} bytes`),
      ),
    );
  });
  assert.ok(refused > 200, `only ${refused} plans were refused`);
});

test("an array of which one invocation uses more than a buffer of the device is refused, however large all buffers are", async (t) => {
  let refused = 0;
  await withSeeds(t, 3000, (random) => {
    const runFrames = between(random, 1, 8);
    const asked = {
      ...randomRequest(random),
      frames: 1000,
      runFrames,
      mode: pick(random, ["auto", "streamed"] as const),
    };
    const { operands, invocations, pageSize } = asked;
    const largest = Math.max(
      ...operands.flatMap((operand) =>
        Array.from({ length: invocations }, (_, i) => pagesUsed([operand], i, 1, pageSize)),
      ),
    );
    if (largest <= runFrames) {
      stepsOf(planSteps(asked), invocations);
      return;
    }
    refused++;
    assert.throws(
      () => planSteps(asked),
      memoryError("ENOMEM", new RegExp(`of "array \\d+" side by side, more than the ${runFrames * pageSize} bytes`)),
    );
  });
  assert.ok(refused > 200, `only ${refused} plans were refused`);
});

test("a halo that reaches back to the array's start is refused at once, not when the dispatch has come that far", () => {
  const operands: Operand[] = [{ name: "x", footprint: { each: 16, before: 10_000 }, stride: 4, length: 16 * 100 }];
  assert.throws(
    () => planSteps(request({ operands, invocations: 100, frames: 80 })),
    memoryError("ENOMEM", /needs 6400 bytes of device memory, more than the 5120 bytes/),
  );
  const plan = planSteps(request({ operands, invocations: 100, frames: 100, mode: "streamed" }));
  assert.deepEqual(
    stepsOf(plan, 100).reduce((sum, [, count]) => sum + count, 0),
    100,
  );
});

test("what fits as a whole is resident, and what does not is streamed, unless a mode is asked for", () => {
  const operands: Operand[] = [{ name: "x", footprint: { each: 1 }, stride: 4, length: 160 }];
  assert.equal(planSteps(request({ operands, invocations: 160, frames: 10 })).mode, "resident");
  assert.equal(planSteps(request({ operands, invocations: 160, frames: 9 })).mode, "streamed");
  assert.equal(planSteps(request({ operands, invocations: 160, frames: 10, mode: "streamed" })).mode, "streamed");
  assert.equal(planSteps(request({ operands, invocations: 144, frames: 9 })).mode, "resident");
});

test("a resident dispatch that does not fit is refused with both numbers", () => {
  const operands: Operand[] = [
    { name: "x", footprint: { each: 1 }, stride: 4, length: 160 },
    { name: "y", footprint: "whole", stride: 8, length: 16 },
  ];
  assert.throws(
    () => planSteps(request({ operands, invocations: 160, frames: 11, mode: "resident" })),
    memoryError("ENOMEM", /kernel "k" uses 768 bytes at once, more than 704 bytes of device memory/),
  );
});

test("whole arrays stay beside every step, so they count against it", () => {
  const operands: Operand[] = [
    { name: "x", footprint: { each: 16 }, stride: 4, length: 16 * 100 },
    { name: "table", footprint: "whole", stride: 4, length: 16 * 7 },
  ];
  const plan = planSteps(request({ operands, invocations: 100, frames: 10 }));
  assert.equal(plan.heldPages, 7);
  for (const [, count] of stepsOf(plan, 100)) assert.ok(count <= 3);
  assert.throws(
    () => planSteps(request({ operands, invocations: 100, frames: 7 })),
    memoryError("ENOMEM", /needs 512 bytes of device memory, more than the 448 bytes/),
  );
});

test("streamed steps end on page boundaries of all arrays, so that no page belongs to two steps", () => {
  // 100 elements of 4 bytes against 1 element of 4: boundaries meet after 16384 invocations of 64 KiB pages.
  const operands: Operand[] = [
    { name: "vectors", footprint: { each: 100 }, stride: 4, length: 341_479 * 100 },
    { name: "scores", footprint: { each: 1 }, stride: 4, length: 341_479 },
  ];
  const plan = planSteps(
    request({ operands, invocations: 341_479, pageSize: 64 * KiB, frames: 512, mode: "auto", lookahead: 0 }),
  );
  assert.equal(plan.mode, "streamed");
  const steps = stepsOf(plan, 341_479);
  for (const [first, count] of steps.slice(0, -1)) assert.equal(((first + count) * 4) % (64 * KiB), 0);
  assert.equal(steps.length, Math.ceil(341_479 / 16_384));
});

test("a streamed step is small beside the device's memory, since copies and caches like it so", () => {
  const operands: Operand[] = [{ name: "x", footprint: { each: 1 }, stride: 4, length: 64 * MiB }];
  const plan = planSteps(
    request({ operands, invocations: 64 * MiB, pageSize: 64 * KiB, frames: 1024, mode: "streamed" }),
  );
  for (const [, count] of stepsOf(plan, 64 * MiB)) assert.ok(count * 4 <= 4 * MiB);
});

test("as many steps are on their way as fit; where no two do, the next is loaded when the one before is done", () => {
  const operands: Operand[] = [{ name: "x", footprint: { each: 32 }, stride: 4, length: 32 * 100 }];
  const planWith = (frames: number, lookahead: number): StepPlan =>
    planSteps(request({ operands, invocations: 100, frames, lookahead }));
  assert.deepEqual(
    [3, 4, 5, 6, 7].map((frames) => [planWith(frames, 1).lookahead, planWith(frames, 2).lookahead]),
    [
      [0, 0],
      [1, 1],
      [1, 1],
      [1, 2],
      [1, 2],
    ],
  );
  const tight = planWith(3, 2);
  for (const [, count] of stepsOf(tight, 100)) assert.equal(count, 1);
});

test("no invocations, no steps", () => {
  const operands: Operand[] = [{ name: "x", footprint: { each: 1 }, stride: 4, length: 16 }];
  assert.deepEqual(stepsOf(planSteps(request({ operands, invocations: 0 })), 0), []);
});

test("what is resident runs in one step where steps run beside the thread, and in several where they do not", () => {
  const length = 40 * MiB;
  const operands: Operand[] = [{ name: "x", footprint: { each: 1 }, stride: 4, length }];
  const asked = request({ operands, invocations: length, pageSize: 64 * KiB, frames: 4 * 1024 });
  assert.deepEqual(stepsOf(planSteps({ ...asked, runsBeside: true }), length), [[0, length]]);
  const steps = stepsOf(planSteps(asked), length);
  assert.deepEqual(
    steps.map(([, count]) => count),
    Array.from({ length: 5 }, () => 8 * MiB),
  );
  assert.equal(planSteps({ ...asked, runsBeside: true, mode: "streamed" }).mode, "streamed");
});
