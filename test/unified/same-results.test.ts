// Results never depend on budget, page size, kind of device, mode, link or place in host memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import { strideOf, type View } from "../../src/device/element.js";
import { MemoryError } from "../../src/mm/errors.js";
import type { DispatchReport } from "../../src/unified/kernel.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { SeededEnvironment, TestEnvironment } from "../environments.js";
import { type MemorySetup, openUntended, type OpenedMemory } from "./opened-memory.js";
import { between, pick, withSeeds } from "./random-operands.js";
import { plainly, startsOf, type Workload, workloads } from "./workloads.js";
import { bytesOf, sameBytes } from "../bytes.js";

const KiB = 1024;

interface Loaded {
  readonly opened: OpenedMemory;
  readonly arrays: Record<string, PagedArray>;
  dispatch: (mode: "auto" | "resident" | "streamed") => Promise<DispatchReport>;
}

async function load(workload: Workload, setup: MemorySetup): Promise<Loaded> {
  const opened = await openUntended(setup);
  const { memory } = opened;
  const arrays: Record<string, PagedArray> = {};
  for (const [name, start] of Object.entries(startsOf(workload))) {
    const { type, length } = workload.arrays[name] ?? assert.fail();
    const array = memory.createArray(type, length, { label: name });
    arrays[name] = array;
    void array.write(start);
  }
  const { footprint, invocations, uniforms } = workload;
  const host = setup.shared === true ? workload.module : workload.kernel;
  const kernel = await memory.createKernel({ label: workload.name, host, footprint });
  return { opened, arrays, dispatch: (mode) => kernel.dispatch({ invocations, arrays, uniforms, mode }) };
}

function assertEqualBytes(actual: Uint8Array, expected: View, what: string): void {
  const wanted = bytesOf(expected);
  if (sameBytes(wanted, actual)) return;
  const at = wanted.findIndex((byte, i) => byte !== actual[i]);
  assert.fail(`${what} differs from byte ${at} on: ${actual[at]} instead of ${wanted[at]}`);
}

async function assertResults({ opened, arrays }: Loaded, expected: Record<string, View>, what: string): Promise<void> {
  for (const [name, view] of Object.entries(expected)) {
    const array = arrays[name] ?? assert.fail();
    assertEqualBytes(opened.contents(array), view, `${what}: array ${name} where it is`);
    const read = await array.read();
    assertEqualBytes(new Uint8Array(read.buffer), view, `${what}: array ${name} as read`);
  }
}

const pagesOf = ({ arrays }: Workload, pageSize: number): number =>
  Object.values(arrays).reduce((sum, { type, length }) => {
    return sum + Math.ceil((strideOf(type) * length) / pageSize);
  }, 0);

for (const [workload, shared] of workloads(4 * KiB).flatMap((each) => [
  [each, false] as const,
  [each, true] as const,
])) {
  const where = shared ? ", in a worker" : "";
  test(`${workload.name}${where}: every budget from one page to everything either refuses or gives the same bytes`, async () => {
    const starts = startsOf(workload);
    const expected = startsOf(workload);
    plainly(workload, expected);
    const all = pagesOf(workload, 4 * KiB);
    const modes = new Set<string>();
    let least = 0;
    // Workers take their time to start, so only each third budget is tried with one.
    const apart = shared ? 3 : 1;
    for (let devicePages = 1 + (all % apart); devicePages <= all + 1; devicePages += apart) {
      for (const latency of shared ? [0] : [0, 1]) {
        const what = `${devicePages} pages of device memory, latency ${latency}`;
        const loaded = await load(workload, { devicePages, link: { latency }, shared });
        let report: DispatchReport | null = null;
        try {
          report = await loaded.dispatch("auto");
        } catch (error) {
          if (!(error instanceof MemoryError && error.code === "ENOMEM")) throw error;
          assert.equal(least, 0, `${what} are refused, but ${least} were enough`);
        }
        if (report !== null) {
          modes.add(report.mode);
          if (least === 0) least = devicePages;
        }
        loaded.opened.check();
        await assertResults(loaded, report === null ? starts : expected, what);
        loaded.opened.check();
        await loaded.opened.destroyed();
      }
    }
    assert.ok(least > 0 && least <= all, `${least} pages of ${all} were the least`);
    assert.deepEqual([...modes].toSorted(), least < all ? ["resident", "streamed"] : ["resident"]);
  });
}

for (const pageSize of [4 * KiB, 16 * KiB, 64 * KiB]) {
  test(`the bytes are the same for pages of ${pageSize / KiB} KiB, private and coherent, in every mode, over and over`, async () => {
    // Arrays of the same lengths whatever the page size: some then are less than a page.
    for (const workload of workloads(8 * KiB)) {
      const all = pagesOf(workload, pageSize);
      for (const kind of ["private", "coherent"] as const) {
        const runs = [["auto", false] as const, ["streamed", false] as const, ["streamed", true] as const];
        for (const [mode, shared] of runs.slice(0, kind === "coherent" ? 3 : 2)) {
          const loaded = await load(workload, { devicePages: all, pageSize, kind, shared });
          const expected = startsOf(workload);
          for (let round = 1; round <= 2; round++) {
            await loaded.dispatch(mode);
            plainly(workload, expected);
            loaded.opened.check();
          }
          await assertResults(loaded, expected, `${workload.name}, ${kind}, ${mode}`);
          await loaded.opened.destroyed();
        }
      }
    }
  });
}

test("the bytes are the same wherever pages lie, with a host budget, and whatever was done between", async (t) => {
  await withSeeds(t, 40, async (random, seed) => {
    const pageSize = 4 * KiB;
    const workload = pick(random, workloads(pageSize) as [Workload, ...Workload[]]);
    const all = pagesOf(workload, pageSize);
    const environment = new TestEnvironment();
    environment.mayUseHome = () => random() < 0.7;
    const loaded = await load(workload, {
      environment,
      devicePages: between(random, Math.ceil(all / 2) + 3, all + 2),
      hostPages: all + between(random, 0, 4),
      kind: pick<"private" | "coherent">(random, ["private", "coherent"]),
      link: { latency: pick(random, [0, 1]) },
      debug: random() < 0.5,
      shared: random() < 0.4,
    });
    const { opened, arrays } = loaded;
    const expected = startsOf(workload);
    for (let step = 0; step < 8; step++) {
      const names = Object.keys(arrays) as [string, ...string[]];
      const name = pick(random, names);
      const array = arrays[name] ?? assert.fail();
      const start = between(random, 0, array.length - 1);
      const length = between(random, 1, array.length - start);
      const kind = random();
      if (kind < 0.5) {
        await loaded.dispatch(pick<"auto" | "streamed">(random, ["auto", "streamed"]));
        plainly(workload, expected);
      } else if (kind < 0.65) await array.prefetch("device", { start, length });
      else if (kind < 0.75) await array.prefetch("host", { start, length });
      else if (kind < 0.85) (await array.pin("read", { start, length })).release();
      else await array.read({ start, length });
      opened.check();
    }
    await assertResults(loaded, expected, `${workload.name}, seed ${seed}`);
    await opened.destroyed();
  });
});

test("the bytes are the same in whatever order copies complete and waiters wake", async (t) => {
  await withSeeds(t, 30, async (random, seed) => {
    const pageSize = 4 * KiB;
    const workload = pick(random, workloads(pageSize) as [Workload, ...Workload[]]);
    const environment = new SeededEnvironment(seed);
    const devicePages = between(
      random,
      Math.ceil(pagesOf(workload, pageSize) / 2) + 3,
      pagesOf(workload, pageSize) + 2,
    );
    const run = async (): Promise<void> => {
      const loaded = await load(workload, { environment, devicePages, link: { latency: 5, bandwidth: 1e6 } });
      const expected = startsOf(workload);
      const dispatches: Promise<unknown>[] = [];
      for (let round = 0; round < 2; round++) {
        dispatches.push(loaded.dispatch("streamed"), loaded.dispatch("auto"));
        plainly(workload, expected);
        plainly(workload, expected);
      }
      await Promise.all(dispatches);
      await assertResults(loaded, expected, `${workload.name}, seed ${seed}`);
      loaded.opened.check();
      await loaded.opened.destroyed();
    };
    await environment.settle(run(), undefined, 1_000_000);
  });
});
