// Kernels on a GPU, resident and streamed: the same bytes for every budget, size of pages and limit of buffers, and the mode that
// was to be expected.

import assert from "node:assert/strict";
import { test } from "node:test";
import { strideOf, viewOf } from "../../src/device/element.js";
import type { WebgpuLimits } from "../../src/device/webgpu/index.js";
import { MemoryError } from "../../src/mm/errors.js";
import type { DispatchReport } from "../../src/unified/kernel.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { openUntended, type OpenedMemory } from "../unified/opened-memory.js";
import { between, pick, withSeeds } from "../unified/random-operands.js";
import { skip } from "./gpu.js";
import { ShadowedDriver } from "./shadowed-driver.js";
import { filled, type WgslWorkload, wgslWorkloads } from "./wgsl-workloads.js";

const PAGE = 4096;

interface Loaded {
  readonly driver: ShadowedDriver;
  readonly opened: OpenedMemory;
  readonly arrays: Record<string, PagedArray>;
  readonly expected: Record<string, Uint8Array>;
  dispatch(mode: "auto" | "streamed" | "resident"): Promise<DispatchReport>;
}

interface Setup {
  devicePages: number;
  limits?: WebgpuLimits;
  pageSize?: number;
  shared?: boolean;
  debug?: boolean;
}

async function load(
  workload: WgslWorkload,
  { devicePages, limits = {}, pageSize = PAGE, ...setup }: Setup,
): Promise<Loaded> {
  const driver = await ShadowedDriver.create(devicePages * pageSize, limits);
  const opened = await openUntended({ driver, pageSize, ...setup });
  const arrays: Record<string, PagedArray> = {};
  const expected: Record<string, Uint8Array> = {};
  for (const [n, [name, { type, length }]] of Object.entries(workload.arrays).entries()) {
    const bytes = new Uint8Array(strideOf(type) * length);
    const view = filled(viewOf(type, bytes.buffer, 0, length), n + 1);
    arrays[name] = opened.memory.createArray(type, length, { label: name });
    expected[name] = bytes;
    await arrays[name].write(view);
  }
  const { name: label, wgsl, footprint, invocations, uniforms = {} } = workload;
  const kernel = await opened.memory.createKernel({ label, wgsl, footprint });
  return {
    driver,
    opened,
    arrays,
    expected,
    dispatch: (mode) => kernel.dispatch({ invocations, arrays, uniforms, mode }),
  };
}

/** The plain loop over what the arrays are expected to hold. */
function expectOnce({ arrays, expect }: WgslWorkload, expected: Record<string, Uint8Array>): void {
  const views = Object.entries(arrays).map(([name, { type, length }]) => [
    name,
    viewOf(type, (expected[name] ?? assert.fail()).buffer, 0, length),
  ]);
  expect(Object.fromEntries(views));
}

async function assertExpected({ arrays, expected }: Loaded, what: string): Promise<void> {
  for (const [name, bytes] of Object.entries(expected)) {
    const view = await (arrays[name] ?? assert.fail()).read();
    const actual = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const at = bytes.findIndex((byte, i) => byte !== actual[i]);
    assert.equal(at, -1, `${what}: array ${name} differs from byte ${at} on: ${actual[at]} instead of ${bytes[at]}`);
  }
}

const pagesOf = ({ arrays }: WgslWorkload, pageSize: number): number =>
  Object.values(arrays).reduce((sum, { type, length }) => sum + Math.ceil((strideOf(type) * length) / pageSize), 0);

for (const workload of wgslWorkloads(PAGE / 4)) {
  test(`${workload.name}: the same bytes for every budget from where it runs at all`, { skip }, async () => {
    const all = pagesOf(workload, PAGE);
    const modes = new Set<string>();
    let least = 0;
    for (let devicePages = 1; devicePages <= all + 1; devicePages++) {
      const loaded = await load(workload, { devicePages });
      const what = `${devicePages} of ${all} pages of device memory`;
      try {
        const mode = devicePages >= all ? "resident" : "streamed";
        assert.equal((await loaded.dispatch(mode)).mode, mode, what);
        modes.add(mode);
        if (least === 0) least = devicePages;
        expectOnce(workload, loaded.expected);
        // Where a step fits, that is how it is run unless somebody asks for another way.
        assert.equal((await loaded.dispatch("auto")).mode, mode, what);
        expectOnce(workload, loaded.expected);
      } catch (error) {
        if (!(error instanceof MemoryError && error.code === "ENOMEM")) throw error;
        assert.equal(least, 0, `${what} are refused, but ${least} were enough`);
      }
      loaded.opened.check();
      await assertExpected(loaded, what);
      await loaded.opened.destroyed();
    }
    assert.ok(least > 0 && least < all, `${least} pages of ${all} were the least`);
    assert.deepEqual([...modes].toSorted(), ["resident", "streamed"]);
  });
}

test(
  "the same bytes over several buffers of any size, with pages of any size, over and over, in shared memory too",
  { skip },
  async (t) => {
    let scratch = 0;
    let pooled = 0;
    await withSeeds(t, 60, async (random, seed) => {
      const pageSize = pick(random, [PAGE, 2 * PAGE, 4 * PAGE]);
      const workload = pick(random, wgslWorkloads(PAGE / 4) as [WgslWorkload, ...WgslWorkload[]]);
      const all = pagesOf(workload, pageSize);
      const devicePages = between(random, Math.min(all, Math.ceil(all / 3) + 3), all + 2);
      const setup: Setup = { devicePages, pageSize, shared: random() < 0.3, debug: random() < 0.5 };
      if (random() < 0.7)
        setup.limits = { maxStorageBufferBindingSize: pageSize * between(random, 2, devicePages + 1) };
      if (random() < 0.5) setup.limits = { ...setup.limits, maxComputeWorkgroupsPerDimension: between(random, 1, 40) };
      const what = `seed ${seed}: ${workload.name}, ${devicePages} of ${all} pages of ${pageSize} bytes, ${JSON.stringify(setup.limits)}`;
      const loaded = await load(workload, setup);
      try {
        for (let round = 0; round < 3; round++) {
          // The first says whether a step fits: where none does, "auto" goes page by page.
          await loaded.dispatch(round === 0 ? "streamed" : pick(random, ["auto", "streamed"]));
          pooled += setup.limits?.maxStorageBufferBindingSize === undefined ? 0 : 1;
          expectOnce(workload, loaded.expected);
          loaded.opened.check();
        }
      } catch (error) {
        if (!(error instanceof MemoryError && error.code === "ENOMEM")) throw new Error(what, { cause: error });
      }
      await assertExpected(loaded, what);
      for (const { scratchBytes } of loaded.driver.kernels) scratch += Number(scratchBytes > 0);
      await loaded.opened.destroyed();
    });
    assert.ok(pooled > 30, `only ${pooled} dispatches over several buffers`);
    assert.ok(scratch > 5, `only ${scratch} kernels needed scratch memory`);
  },
);
