// Streamed dispatches over more than the device holds: what they have written goes home while they run, once, and only what has
// to go at all.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import { elementsOf, pagesOf } from "../../src/unified/footprint.js";
import { LeavingPages } from "../../src/unified/local/leaving-pages.js";
import type { BoundOperand } from "../../src/unified/local/operand-pages.js";
import { countPages } from "../../src/unified/local/step-plan.js";
import { openMemory } from "./opened-memory.js";
import { between, pick, randomOperand, withSeeds } from "./random-operands.js";

/** Steps are a few MiB each: so that the device has room for many of them, its pages are large. */
const PAGE = 1 << 20;
const DEVICE_PAGES = 32;
const PAGES = 64;

const addOne: HostKernel = {
  writes: ["x"],
  run({ first, count, arrays, base }) {
    const x = arrays["x"];
    for (let i = first; i < first + count; i++) x[i * PAGE - base["x"]]++;
  },
};

test("what has to leave goes home when its step is done, though the device has room left", async (t) => {
  const opened = await openMemory(t, { pageSize: PAGE, devicePages: DEVICE_PAGES });
  const { memory } = opened;
  const x = memory.createArray("u8", PAGES * PAGE);
  await x.fill(1);
  const kernel = await memory.createKernel({ host: addOne, footprint: { x: { each: PAGE } } });
  const onDevice: number[] = [];
  const { mode, steps, moved } = await kernel.dispatch({
    invocations: PAGES,
    arrays: { x },
    onProgress: ({ completed }) => {
      opened.check();
      if (completed <= PAGES - DEVICE_PAGES) onDevice.push(opened.onDevice(x));
    },
  });
  assert.equal(mode, "streamed");
  assert.ok(onDevice.length >= 2, `${onDevice.length} steps`);
  const perStep = Math.ceil(PAGES / steps);
  assert.ok(
    onDevice.every((pages) => pages <= 3 * perStep && pages < DEVICE_PAGES),
    `${onDevice.join(", ")} pages on the device, ${perStep} a step`,
  );
  assert.equal(opened.onDevice(x), DEVICE_PAGES, "what has room stays");
  assert.deepEqual(moved, { toDevice: PAGES * PAGE, toHost: (PAGES - DEVICE_PAGES) * PAGE });
  const bytes = await x.read();
  for (let i = 0; i < bytes.length; i += PAGE / 4) assert.equal(bytes[i], i % PAGE === 0 ? 2 : 1, `byte ${i}`);
});

type Mapped = BoundOperand["mapping"];

/** Arrays at different places, some that are only read under two names. */
function randomOperands(random: () => number, pageSize: number): BoundOperand[] {
  const mappings = Array.from({ length: 3 }, (_, i) => ({ page: 1000 * i, shared: null }) as unknown as Mapped);
  const written = pick(random, [0, 1, 2, 2]);
  return Array.from({ length: between(random, 1, 4) }, (_, i): BoundOperand => {
    const { name, footprint, stride, length } = randomOperand(random, pageSize);
    const isWritten = i < written;
    const mapping = isWritten ? mappings[i] : pick(random, mappings as [Mapped]);
    assert.ok(mapping !== undefined);
    return { name, label: name, type: "u8", footprint, stride, length, mapping, written: isWritten };
  });
}

test("whatever the footprints: a page is sent once, when no later step uses it, and when it is known to leave", async (t) => {
  let sent = 0;
  await withSeeds(t, 3000, (random) => {
    const pageSize = pick(random, [64, 256]);
    const invocations = between(random, 1, 120);
    const operands = randomOperands(random, pageSize);
    const budget = between(random, 0, countPages(operands, 0, invocations, pageSize));
    const leaving = new LeavingPages(operands, budget, pageSize);
    /** In the address space. */
    const pagesUsed = (which: readonly BoundOperand[], from: number, to: number): Set<number> => {
      const used = new Set<number>();
      for (const operand of which) {
        for (let i = from; i < to; i++) {
          const { page, pages } = pagesOf(operand, elementsOf(operand, i, 1), pageSize);
          for (let each = page; each < page + pages; each++) used.add(operand.mapping.page + each);
        }
      }
      return used;
    };
    const taken = new Set<number>();
    for (let next = 0, completed = 0, end = 0; next < invocations;) {
      const later = pagesUsed(operands, completed, invocations);
      const candidates = operands.filter(({ written, footprint }) => written && footprint !== "whole");
      const due = pagesUsed(candidates, 0, Math.min(completed, end));
      const found = leaving
        .take(completed)
        .flatMap((range) => Array.from({ length: range.end - range.start }, (_, i) => range.start + i));
      for (const page of found) {
        assert.ok(!taken.has(page), `page ${page} is taken twice`);
        assert.ok(due.has(page), `page ${page} is not written yet, or need not leave`);
        assert.ok(!later.has(page), `page ${page} is used by invocations from ${completed} on`);
        taken.add(page);
        sent++;
      }
      for (const { mapping } of candidates) {
        // Of an array under several names it may be more than is said.
        if (operands.filter((operand) => operand.mapping === mapping).length > 1) continue;
        const own = [...due].filter((page) => page >= mapping.page && page < mapping.page + 1000);
        for (const page of own) assert.ok(later.has(page) || taken.has(page), `page ${page} is not sent`);
      }
      next = Math.min(invocations, next + between(random, 1, 40));
      if (leaving.includes(next)) end = next;
      assert.ok(end < next || countPages(operands, 0, next, pageSize) <= budget);
      completed = between(random, completed, next);
    }
  });
  assert.ok(sent > 500, `only ${sent} pages were sent`);
});
