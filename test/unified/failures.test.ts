// The n-th copy, and the n-th allocation at each site, fails, for every n until a program completes without a failure:
// every error is clear, what is only read is untouched, nothing is lost or leaked, and the memory goes on.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import type { AllocationSite } from "../../src/mm/environment.js";
import { MemoryError } from "../../src/mm/errors.js";
import { DispatchError } from "../../src/unified/dispatch-error.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError, PAGE } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { openMemory, type MemorySetup, openUntended, type OpenedMemory } from "./opened-memory.js";
import { sameBytes } from "../bytes.js";

const addOne: HostKernel = {
  writes: ["y"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays["y"][i - base["y"]] = arrays["x"][i - base["x"]] + 1;
  },
};
const double: HostKernel = {
  writes: ["x"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]] *= 2;
  },
};

/** Back to front, without a footprint. */
const BACK = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&x)) { y[arrayLength(&y) - 1 - id.x] += x[id.x]; }
}`;

const PAGES = 9;
const LENGTH = PAGES * 1024 + 11;

/**
 * A program that uses everything. Each step is tried until it succeeds, after looking at what a failure left; a step that
 * may leave an array unspecified writes it anew first.
 */
class Program {
  readonly failures: unknown[] = [];
  readonly #opened: OpenedMemory;

  constructor(opened: OpenedMemory) {
    this.#opened = opened;
  }

  async run(): Promise<void> {
    const { memory } = this.#opened;
    const start = Float32Array.from({ length: LENGTH }, (_, i) => i % 1000);
    const x = memory.createArray("f32", LENGTH, { label: "x" });
    const y = memory.createArray("f32", LENGTH, { label: "y" });
    await this.#step([], () => x.write(start));
    const add = await memory.createKernel({
      label: "add",
      host: addOne,
      footprint: { x: { each: 1 }, y: { each: 1 } },
    });
    const twice = await memory.createKernel({ label: "twice", host: double, footprint: { x: { each: 1 } } });
    const back = await memory.createKernel({ label: "back", wgsl: BACK });
    await this.#step([[x, start]], () => add.dispatch({ invocations: LENGTH, arrays: { x, y } }));
    const sums = start.map((element) => element + 1);
    await this.#step(
      [
        [x, start],
        [y, sums],
      ],
      () => x.prefetch("device", { start: 2000 }),
    );
    await this.#step(
      [
        [x, start],
        [y, sums],
      ],
      () => y.prefetch("device", { length: 5000 }),
    );
    await this.#step(
      [
        [x, start],
        [y, sums],
      ],
      async () => assert.deepEqual(await y.read(), sums),
    );
    await this.#step(
      [
        [x, start],
        [y, sums],
      ],
      () => x.prefetch("device"),
    );
    await this.#step([[y, sums]], async () => {
      await x.write(start);
      await twice.dispatch({ invocations: LENGTH, arrays: { x } });
    });
    const doubled = start.map((element) => element * 2);
    await this.#step(
      [
        [x, doubled],
        [y, sums],
      ],
      () => x.prefetch("host", { length: 3000 }),
    );
    await this.#step([[x, doubled]], async () => {
      await y.write(sums);
      await back.dispatch({ invocations: LENGTH, arrays: { x, y }, mode: "paged" });
    });
    doubled.forEach((element, i) => (sums[LENGTH - 1 - i] += element));
    await this.#step([[x, doubled]], () => y.fill(5, { start: 1000, length: 4000 }));
    sums.fill(5, 1000, 5000);
    await this.#step(
      [
        [x, doubled],
        [y, sums],
      ],
      async () => {
        const pin = await x.pin("write", { start: 500, length: 6000 });
        assert.deepEqual(
          pin.runs.flatMap(({ view }) => [...view]),
          [...doubled.subarray(500, 6500)],
        );
        pin.release();
      },
    );
    await this.#step(
      [
        [x, doubled],
        [y, sums],
      ],
      () => x.prefetch("device"),
    );
    y.destroy();
    await this.#step([[x, doubled]], async () => assert.deepEqual(await x.read(), doubled));
    this.#opened.check();
  }

  async #step(untouched: [PagedArray<"f32">, Float32Array][], act: () => Promise<unknown>): Promise<void> {
    for (let attempt = 0; attempt < 4; attempt++) {
      try {
        await act();
        this.#opened.check();
        return;
      } catch (error) {
        this.failures.push(error);
        if (!(error instanceof MemoryError)) throw error;
        this.#opened.check();
        for (const [array, expected] of untouched) {
          assert.ok(sameBytes(expected, this.#opened.contents(array)), `array ${array.label} after "${error.message}"`);
        }
      }
    }
    assert.fail(`still failing: ${String(this.failures.at(-1))}`);
  }
}

const setups: [what: string, setup: MemorySetup][] = [
  ["private", { devicePages: 7 }],
  ["private, with lookahead", { devicePages: 9, link: { latency: 1 } }],
  ["coherent", { devicePages: 7, kind: "coherent" }],
];

for (const [what, setup] of setups) {
  test(`${what}: the n-th copy fails, for every n until a program completes`, async (t) => {
    let transfers = 0;
    for (let n = 1; ; n++) {
      transfers = 0;
      const opened = await openUntended({
        ...setup,
        debug: true,
        link: { ...setup.link, fails: () => ++transfers === n },
      });
      const program = new Program(opened);
      await program.run();
      await opened.destroyed();
      if (transfers < n) break;
      assert.equal(program.failures.length, 1, `copy ${n} failed in silence`);
      const [failure] = program.failures;
      const expected = failure instanceof DispatchError ? /stopped after \d+ of 9227 invocations: / : /^EIO: /;
      memoryError("EIO", expected)(failure);
      memoryError("EIO", /(upload|download|clear) of \d+ pages failed on the link$/)(failure);
    }
    t.diagnostic(`${transfers} copies`);
    assert.ok(transfers >= 15, `${transfers} copies are too few to say much`);
  });

  const sites: AllocationSite[] = ["frame", "table", "anon-vma", "device-frame"];
  for (const site of sites) {
    test(`${what}: the n-th allocation (${site}) fails, for every n until a program completes`, async (t) => {
      let n = 0;
      for (; ; n++) {
        const environment = new TestEnvironment();
        const opened = await openUntended({ ...setup, environment });
        const before = environment.asked[site];
        environment.refuse(site, n);
        const program = new Program(opened);
        await program.run();
        await opened.destroyed();
        for (const failure of program.failures) memoryError("ENOMEM", /bytes/)(failure);
        if (environment.asked[site] - before <= n) break;
      }
      t.diagnostic(`${n} allocations`);
      assert.ok(n > 0);
    });
  }
}

async function broken(t: TestContext) {
  let fails = false;
  const opened = await openMemory(t, { devicePages: 4, link: { fails: () => fails } });
  const { memory } = opened;
  const x = memory.createArray("u8", 10 * PAGE, { label: "x" });
  const y = memory.createArray("u8", 10 * PAGE, { label: "y" });
  await x.fill(3);
  const kernel = await memory.createKernel({
    label: "add",
    host: addOne,
    footprint: { x: { each: 1 }, y: { each: 1 } },
  });
  const dispatch = (onProgress?: () => void): Promise<unknown> =>
    kernel.dispatch({ invocations: x.length, arrays: { x, y }, ...(onProgress === undefined ? {} : { onProgress }) });
  return { opened, x, y, dispatch, breakLink: (now: boolean) => (fails = now) };
}

test("a link that breaks in the middle of a dispatch: the error says how many invocations completed", async (t) => {
  const { opened, x, y, dispatch, breakLink } = await broken(t);
  let steps = 0;
  await assert.rejects(
    dispatch(() => breakLink(++steps === 3)),
    (error: unknown) => {
      assert.ok(error instanceof DispatchError);
      assert.equal(error.completed, 6 * PAGE);
      return memoryError("EIO", /kernel "add" stopped after 24576 of 40960 invocations: .* failed on the link/)(error);
    },
  );
  opened.check();
  assert.ok(opened.contents(x).every((byte) => byte === 3));
  breakLink(false);
  await dispatch();
  assert.ok((await y.read()).every((byte) => byte === 4));
  opened.check();
});

test("a link that is broken for good: everything that needs it is refused, everything else goes on", async (t) => {
  const { opened, x, y, dispatch, breakLink } = await broken(t);
  await dispatch();
  breakLink(true);
  const before = opened.contents(y).slice();
  for (let round = 0; round < 3; round++) {
    await assert.rejects(dispatch(), memoryError("EIO", /failed on the link/));
    await assert.rejects(y.read(), memoryError("EIO", /download of \d+ pages failed on the link/));
    await assert.rejects(y.pin("read"), memoryError("EIO", /failed on the link/));
    await assert.rejects(y.prefetch("host"), memoryError("EIO", /failed on the link/));
    opened.check();
  }
  assert.ok(
    (await x.read()).every((byte) => byte === 3),
    "clean pages come home without a copy",
  );
  const other = opened.memory.createArray("u8", 100);
  await other.fill(1);
  assert.ok((await other.read()).every((byte) => byte === 1));
  breakLink(false);
  assert.ok(sameBytes(before, await y.read()), "what was on the device is still there");
  await dispatch();
  opened.check();
});
