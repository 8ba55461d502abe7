// Where the elements of an array are: always all of them, each in one place, and at once, whatever is under way.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError, PAGE, TestSwapStore } from "../builders.js";
import { type OpenedMemory, openMemory } from "./opened-memory.js";
import { between, pick, withSeeds } from "./random-operands.js";

const PER_PAGE = PAGE / 8;

const addOne: HostKernel = {
  writes: ["x"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]]++;
  },
};

/** `"host 0-3, device 3-4"`: places, with first page and end of each. */
async function placesOf(array: PagedArray): Promise<string> {
  const ranges = await array.residency();
  let end = 0;
  let before = "";
  for (const { start, length, place } of ranges) {
    assert.equal(start, end, "ranges are in order, without a gap");
    assert.equal(start % PER_PAGE, 0, "a range begins with a page");
    assert.notEqual(place, before, "neighbours in one place are joined");
    assert.ok(length > 0);
    end = start + length;
    before = place;
  }
  assert.equal(end, array.length, "together they are the array");
  return ranges
    .map(({ start, length, place }) => `${place} ${start / PER_PAGE}-${Math.ceil((start + length) / PER_PAGE)}`)
    .join(", ");
}

test("pages are nowhere, in host memory, retained, on the device alone, and back", async (t) => {
  const { memory } = await openMemory(t);
  const x = memory.createArray("f64", 8 * PER_PAGE - 5, { label: "x" });
  assert.equal(await placesOf(x), "none 0-8");
  await x.read();
  assert.equal(await placesOf(x), "none 0-8", "what is only read has no memory");
  await x.fill(1, { length: 4 * PER_PAGE });
  assert.equal(await placesOf(x), "host 0-4, none 4-8");
  await x.prefetch("device", { start: PER_PAGE, length: 2 * PER_PAGE });
  assert.equal(await placesOf(x), "host 0-1, retained 1-3, host 3-4, none 4-8");
  const kernel = await memory.createKernel({ host: addOne, footprint: { x: { each: 1 } } });
  await kernel.dispatch({ invocations: 2 * PER_PAGE, arrays: { x } });
  assert.equal(await placesOf(x), "device 0-2, retained 2-3, host 3-4, none 4-8");
  assert.equal(await placesOf(x.as("vec2f") as unknown as PagedArray), await placesOf(x));
  await x.prefetch("host");
  assert.equal(await placesOf(x), "host 0-4, none 4-8");
});

test("a coherent device keeps the only copy", async (t) => {
  const { memory } = await openMemory(t, { kind: "coherent" });
  const x = memory.createArray("f64", 2 * PER_PAGE);
  await x.fill(1);
  await x.prefetch("device", { length: PER_PAGE });
  assert.equal(await placesOf(x), "device 0-1, host 1-2");
});

test("what is swapped out is in swap, and what was not read from a blob is nowhere", async (t) => {
  const { memory } = await openMemory(t, { hostPages: 8, swap: new TestSwapStore(PAGE) });
  const x = memory.createArray("f64", 24 * PER_PAGE);
  await x.fill(1);
  assert.match(await placesOf(x), /^swap 0-1\d, host 1\d-24$/);
  const mapped = await memory.mapBlob(new Blob([new Uint8Array(6 * PAGE)]), { type: "f64" });
  assert.equal(await placesOf(mapped), "none 0-6");
  await mapped.read({ start: 2 * PER_PAGE, length: PER_PAGE });
  assert.equal(await placesOf(mapped), "none 0-2, host 2-3, none 3-6");
});

test("a look does not wait for what was called before, and sees pages on their way", async (t) => {
  const { memory } = await openMemory(t, { devicePages: 4, link: { latency: 2 } });
  const x = memory.createArray("f64", 32 * PER_PAGE);
  await x.fill(1);
  const kernel = await memory.createKernel({ host: addOne, footprint: { x: { each: 1 } } });
  let ended = false;
  const dispatched = kernel.dispatch({ invocations: x.length, arrays: { x } }).finally(() => (ended = true));
  const seen = new Set<string>();
  while (!ended) {
    for (const { place } of await x.residency()) seen.add(place);
    await placesOf(x);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await dispatched).mode, "streamed");
  assert.deepEqual([...seen].toSorted(), ["device", "host", "moving"]);
});

/** As the machine says it, page by page. */
function expectedPlaces(opened: OpenedMemory, array: PagedArray): string[] {
  return opened.framesOf(array).map((frame) => {
    if (frame === 0) return "none";
    if (!opened.isOnDevice(frame)) return "host";
    return opened.machine.host.retained.hasCopy(frame) ? "retained" : "device";
  });
}

test("whatever is done with arrays and snapshots, each page is where the machine has it", async (t) => {
  await withSeeds(t, 10, async (random) => {
    const opened = await openMemory(t, { devicePages: 12 });
    const x = opened.memory.createArray("f64", 20 * PER_PAGE - 7);
    const kernel = await opened.memory.createKernel({ host: addOne, footprint: { x: { each: 1 } } });
    const snapshots: PagedArray[] = [];
    const acts: (() => Promise<unknown>)[] = [
      () => x.fill(2, range()),
      () => x.prefetch("device", range()),
      () => x.prefetch("host", range()),
      () => x.read(range()),
      () => kernel.dispatch({ invocations: between(random, 1, x.length), arrays: { x } }),
      async () => snapshots.push(x.snapshot()),
      async () => snapshots.shift()?.destroy(),
    ];
    const range = (): { start: number; length: number } => {
      const start = between(random, 0, x.length - 1);
      return { start, length: between(random, 1, x.length - start) };
    };
    for (let step = 0; step < 40; step++) {
      await pick(random, acts as [() => Promise<unknown>])();
      await x.read({ length: 1 });
      for (const array of [x, ...snapshots]) {
        const ranges = await array.residency();
        const given = ranges.flatMap(({ length, place }) => Array<string>(Math.ceil(length / PER_PAGE)).fill(place));
        assert.deepEqual(given, expectedPlaces(opened, array));
      }
    }
  });
});

test("an array that is destroyed is nowhere any more", async (t) => {
  const { memory } = await openMemory(t);
  const x = memory.createArray("f64", 10, { label: "x" });
  x.destroy();
  await assert.rejects(x.residency(), memoryError("EINVAL", /array "x" is destroyed/));
});
