// Kernels that ask for pages as they run: whatever the budget, and in whatever mode, the same bytes as a plain loop; or, where
// one invocation needs more than there is, an error that says how much.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryError } from "../../src/mm/errors.js";
import { DispatchError } from "../../src/unified/dispatch-error.js";
import { type DispatchMode, type DispatchReport, type Kernel } from "../../src/unified/kernel.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { PAGE, SHARED } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { type MemorySetup, type OpenedMemory, openUntended, REMOTE } from "./opened-memory.js";
import { pagedWorkloads, type NumberArrays, type PagedWorkload } from "./paged-workloads.js";
import { fewestMoves, recordTouches, typeOf } from "./recorded-touches.js";
import { sameBytes } from "../bytes.js";

const MODES = ["resident", "streamed", "paged"] as const;
const WORKLOADS = pagedWorkloads(PAGE);

interface Loaded {
  readonly opened: OpenedMemory;
  readonly kernel: Kernel;
  readonly arrays: Record<string, PagedArray>;
}

async function load(workload: PagedWorkload, setup: MemorySetup): Promise<Loaded> {
  const opened = await openUntended(setup);
  const arrays: Record<string, PagedArray> = {};
  for (const [name, numbers] of Object.entries(workload.start())) {
    const type = typeOf(name, numbers);
    const array = opened.memory.createArray(type, type === "vec2u" ? numbers.length / 2 : numbers.length, {
      label: name,
    });
    arrays[name] = array;
    void array.write(numbers);
  }
  const { name: label, wgsl, footprint } = workload;
  return { opened, arrays, kernel: await opened.memory.createKernel({ label, wgsl, footprint }) };
}

function expected(workload: PagedWorkload): NumberArrays {
  const arrays = workload.start();
  workload.plainly(arrays);
  return arrays;
}

async function assertEqual({ opened, arrays }: Loaded, wanted: NumberArrays, what: string): Promise<void> {
  opened.check();
  for (const [name, numbers] of Object.entries(wanted)) {
    const found = opened.contents(arrays[name]);
    assert.ok(sameBytes(numbers.buffer, found), `${what}: array ${name} where it is`);
    const read = await arrays[name].read();
    assert.ok(sameBytes(numbers.buffer, read), `${what}: array ${name} as read`);
  }
}

/** Pages of an invocation that has the most. */
const mostPages = new Map(
  WORKLOADS.map((each) => [each.name, Math.max(...recordTouches(each, PAGE).map(({ length }) => length))]),
);

function pagesOf(workload: PagedWorkload): number {
  return Object.values(workload.start()).reduce((pages, { byteLength }) => pages + Math.ceil(byteLength / PAGE), 0);
}

type Cell = { readonly report: DispatchReport } | { readonly needs: string };

async function attempt(
  workload: PagedWorkload,
  mode: "auto" | DispatchMode,
  setup: MemorySetup,
  wanted: NumberArrays,
): Promise<Cell> {
  const what = `${workload.name}, ${mode}, ${setup.devicePages} pages`;
  const loaded = await load(workload, setup);
  const { invocations, uniforms } = workload;
  try {
    const report = await loaded.kernel.dispatch({ invocations, arrays: loaded.arrays, uniforms, mode });
    await assertEqual(loaded, wanted, what);
    return { report };
  } catch (error) {
    if (!(error instanceof MemoryError && error.code === "ENOMEM")) throw error;
    const bytes = (setup.devicePages ?? 0) * PAGE;
    assert.match(error.message, new RegExp(`\\d+ bytes .*more than (?:the )?${bytes} bytes`), what);
    loaded.opened.check();
    return { needs: error.message };
  } finally {
    await loaded.opened.destroyed();
  }
}

test("every kernel, in every mode, from two pages to everything: the same bytes, or what one invocation needs", async (t) => {
  const rows: string[] = [];
  for (const workload of WORKLOADS) {
    const all = pagesOf(workload);
    const wanted = expected(workload);
    const least = mostPages.get(workload.name) ?? 0;
    // Workers take their time to start, so fewer budgets are tried with one.
    const some = SHARED || REMOTE ? [2, 6, 12, all] : [2, 3, 4, 5, 6, 8, 12, 16, all - 1, all];
    const budgets = [...new Set(some)].filter((pages) => pages <= all);
    budgets.sort((one, other) => one - other);
    for (const mode of MODES) {
      const cells: string[] = [];
      for (const devicePages of budgets) {
        const cell = await attempt(workload, mode, { devicePages }, wanted);
        const what = `${workload.name}, ${mode}, ${devicePages} pages`;
        if ("report" in cell) {
          assert.equal(cell.report.mode, mode, what);
          assert.match(cell.report.why, /asked for/, what);
        }
        // What suffices for one invocation suffices.
        if (mode === "paged")
          assert.equal("report" in cell, devicePages >= least, `${what}, of which one needs ${least}`);
        if (mode === "resident") assert.equal("report" in cell, devicePages >= all, what);
        cells.push(`${devicePages}: ${"report" in cell ? cell.report.steps : "ENOMEM"}`);
      }
      rows.push(`${workload.name.padEnd(24)} ${mode.padEnd(9)} ${cells.join("  ")}`);
      assert.equal(cells.length, budgets.length);
      assert.ok(
        cells.some((cell) => !cell.endsWith("ENOMEM")),
        `${workload.name} never ran ${mode}`,
      );
    }
  }
  t.diagnostic("pages of device memory, and in how many steps or rounds");
  for (const row of rows) t.diagnostic(row);
});

test("a dispatch of its own choice is resident when all fits, streamed when footprints say how, else paged, and says why", async () => {
  const [gather, , , inPlace] = WORKLOADS;
  const chosen = async (workload: PagedWorkload, devicePages: number): Promise<DispatchReport> => {
    const cell = await attempt(workload, "auto", { devicePages }, expected(workload));
    return "report" in cell ? cell.report : assert.fail(cell.needs);
  };
  const all = pagesOf(gather);
  let report = await chosen(gather, all);
  assert.equal(report.mode, "resident");
  assert.match(report.why, new RegExp(`${all * PAGE} bytes fit`));
  report = await chosen(gather, all - 1);
  assert.equal(report.mode, "paged");
  assert.match(report.why, /no footprint says which of "data"/);
  report = await chosen(inPlace, 6);
  assert.equal(report.mode, "streamed");
  assert.match(report.why, /footprints say/);
  // An array that is needed as a whole, and has no room.
  report = await chosen({ ...gather, footprint: { ...gather.footprint, data: "whole" } }, 8);
  assert.equal(report.mode, "paged");
  assert.match(report.why, /one step of kernel "gather" needs \d+ bytes/);
});

test("what a dispatch reports are the bytes that it moved and those of the pages that it used", async () => {
  const [gather] = WORKLOADS;
  const few = { ...gather, start: () => ({ ...gather.start(), index: new Uint32Array(gather.invocations) }) };
  const loaded = await load(few, { devicePages: 12 });
  const { kernel, arrays, opened } = loaded;
  const report = await kernel.dispatch({ invocations: few.invocations, arrays, mode: "paged" });
  // Four pages each of index and result, one of data; result has no contents before.
  assert.equal(report.footprintBytes, 9 * PAGE);
  assert.deepEqual(report.moved, { toDevice: 9 * PAGE, toHost: 0 });
  assert.equal(report.advice, undefined);
  await opened.destroyed();

  const chase = WORKLOADS.find(({ name }) => name === "data-dependent loop") ?? assert.fail();
  const scattered = await load(chase, { devicePages: 8 });
  const { invocations, uniforms } = chase;
  const worse = await scattered.kernel.dispatch({ invocations, arrays: scattered.arrays, uniforms });
  assert.equal(worse.mode, "paged");
  assert.ok(worse.moved.toDevice + worse.moved.toHost > 4 * worse.footprintBytes);
  assert.match(worse.advice ?? "", new RegExp(`${worse.footprintBytes} that are used`));
  await scattered.opened.destroyed();
});

test("one invocation that uses more than there is is refused with both numbers, and the others have run or not", async () => {
  const chase = WORKLOADS.find(({ name }) => name === "data-dependent loop") ?? assert.fail();
  const least = mostPages.get(chase.name) ?? 0;
  assert.ok(least >= 5);
  const { kernel, arrays, opened } = await load(chase, { devicePages: least - 1 });
  const { invocations, uniforms } = chase;
  await assert.rejects(kernel.dispatch({ invocations, arrays, uniforms, mode: "paged" }), (error) => {
    assert.ok(error instanceof DispatchError);
    assert.equal(error.code, "ENOMEM");
    assert.match(
      error.message,
      new RegExp(
        `one invocation .* uses at least ${least * PAGE} bytes at once, more than the ${(least - 1) * PAGE} bytes`,
      ),
    );
    assert.ok(error.completed < invocations);
    return true;
  });
  opened.check();
  // What it only reads is untouched.
  const { next } = chase.start();
  assert.deepEqual(await arrays["next"].read(), next);
  await opened.destroyed();
});

/** Follows elements from the first on, for as long as they name another. */
const WALK = `
  @group(0) @binding(0) var<storage, read> next: array<u32>;
  @group(0) @binding(1) var<storage, read_write> steps: array<u32>;
  @compute @workgroup_size(1) fn main() {
    var at = 0u;
    var count = 0u;
    loop {
      let to = next[at];
      if (to >= arrayLength(&next)) { break; }
      at = to;
      count++;
    }
    steps[0] = count;
  }`;
const WALK_PAGES = 40;

/** So many pages, each `stride` after the one before. */
function order(count: number, stride: number): number[] {
  return Array.from({ length: count }, (_, i) => (i * stride) % WALK_PAGES);
}

/** One invocation that uses an element of each of these pages in turn, in memory for all there are. */
async function walkOver(pages: readonly number[], environment = new TestEnvironment()): Promise<DispatchReport> {
  const opened = await openUntended({ devicePages: WALK_PAGES + 1, environment });
  const { memory } = opened;
  const words = PAGE / 4;
  const next = memory.createArray("u32", WALK_PAGES * words, { label: "next" });
  const steps = memory.createArray("u32", 1, { label: "steps" });
  const numbers = new Uint32Array(next.length).fill(0xffff_ffff);
  for (const [i, page] of pages.entries()) if (i + 1 < pages.length) numbers[page * words] = pages[i + 1] * words;
  await next.write(numbers);
  const kernel = await memory.createKernel({ label: "walk", wgsl: WALK });
  const report = await kernel.dispatch({ invocations: 1, arrays: { next, steps }, mode: "paged" });
  opened.check();
  assert.equal((await steps.read())[0], pages.length - 1);
  await opened.destroyed();
  return report;
}

test("pages that are used one after the other come in growing batches, and those in another order alone", async () => {
  const sequence = await walkOver(order(WALK_PAGES, 1));
  assert.ok(sequence.steps <= 10, `${sequence.steps} rounds for a sequence of ${WALK_PAGES} pages`);
  // The result has no contents to move.
  assert.equal(sequence.moved.toDevice, WALK_PAGES * PAGE);
  assert.equal(sequence.footprintBytes, (WALK_PAGES + 1) * PAGE);
  const scattered = await walkOver(order(WALK_PAGES / 2, 14));
  assert.ok(scattered.steps >= WALK_PAGES / 2, `${scattered.steps} rounds for ${WALK_PAGES / 2} pages in no order`);
  assert.equal(scattered.moved.toDevice, (WALK_PAGES / 2) * PAGE);
  // Half a sequence: what is brought beside it counts as moved, not as used.
  const half = await walkOver(order(WALK_PAGES / 2, 1));
  assert.ok(half.moved.toDevice > half.footprintBytes && half.moved.toDevice <= WALK_PAGES * PAGE);
  assert.equal(half.footprintBytes, (WALK_PAGES / 2 + 1) * PAGE);
});

test("a dispatch does not fail for want of a page that nobody has asked for", async () => {
  const pages = order(WALK_PAGES / 2, 1);
  const environment = new TestEnvironment();
  const { moved, footprintBytes } = await walkOver(pages, environment);
  assert.ok(moved.toDevice > footprintBytes);
  const asked = environment.asked["device-frame"];
  // The last ones are for pages beyond the walk.
  for (let last = 1; last <= (moved.toDevice - footprintBytes) / PAGE; last++) {
    const failing = new TestEnvironment();
    // However often it is tried.
    for (let again = 0; again < 1000; again++) failing.refuse("device-frame", asked - last + again);
    await walkOver(pages, failing);
    assert.ok(failing.asked["device-frame"] > asked - last, "nothing was refused");
  }
});

test("no more pages are moved than half as many again as the fewest that would do, with a quarter of the data on the device", async (t) => {
  for (const workload of pagedWorkloads(PAGE, 48)) {
    if (!["gather", "PageRank", "BFS push"].includes(workload.name)) continue;
    const devicePages = Math.ceil(pagesOf(workload) / 4);
    const fewest = fewestMoves(recordTouches(workload, PAGE), devicePages);
    const { kernel, arrays, opened } = await load(workload, { devicePages });
    const { invocations, uniforms } = workload;
    const before = opened.attached.counters.toDevice.kernel.pages;
    const { steps } = await kernel.dispatch({ invocations, arrays, uniforms, mode: "paged" });
    const moved = opened.attached.counters.toDevice.kernel.pages - before;
    t.diagnostic(
      `${workload.name}: ${moved} pages in ${steps} rounds; the fewest, one invocation after the other, are ${fewest}`,
    );
    assert.ok(moved <= 1.5 * fewest, `${workload.name}: ${moved} pages moved, where ${fewest} would do`);
    await opened.destroyed();
  }
});
