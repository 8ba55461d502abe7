// Snapshots of arrays: what the array was at that place in the order of operations, whatever runs afterwards, on every kind
// of device; no bytes copied before something is written, and the array itself stays one typed array.

import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError, PAGE } from "../builders.js";
import { type MemorySetup, openMemory, type OpenedMemory } from "./opened-memory.js";

const PAGES = 6;
const PER_PAGE = PAGE / 4;
const LENGTH = PAGES * PER_PAGE - 7;

const SETUPS: Record<string, MemorySetup> = {
  "a private device": { debug: true },
  "a private device that copies while it computes": { link: { latency: 1 }, debug: true },
  "a private device of three pages": { devicePages: 3, debug: true },
  "a coherent device": { kind: "coherent", debug: true },
  "a coherent device of three pages that copies while it computes": {
    kind: "coherent",
    devicePages: 3,
    link: { latency: 1 },
    debug: true,
  },
};

const addOne: HostKernel = {
  writes: ["x"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]]++;
  },
};

/** y = x + t[last], where t may be another array or a snapshot. */
const addBoth: HostKernel = {
  writes: ["y"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) {
      arrays["y"][i - base["y"]] = (arrays["x"][i - base["x"]] as number) + (arrays["t"][i % LENGTH] as number);
    }
  },
};

interface Scene {
  readonly opened: OpenedMemory;
  readonly x: PagedArray<"f32">;
  readonly start: Float32Array;
  readonly increment: (x: PagedArray, mode?: "auto" | "streamed") => Promise<unknown>;
}

async function createScene(t: TestContext, setup: MemorySetup = {}): Promise<Scene> {
  const opened = await openMemory(t, setup);
  const x = opened.memory.createArray("f32", LENGTH, { label: "x" });
  const start = Float32Array.from({ length: LENGTH }, (_, i) => i);
  await x.write(start);
  const kernel = await opened.memory.createKernel({ label: "add one", host: addOne, footprint: { x: { each: 1 } } });
  return {
    opened,
    x,
    start,
    increment: (array, mode = "auto") => kernel.dispatch({ invocations: LENGTH, arrays: { x: array }, mode }),
  };
}

const plus = (array: Float32Array, addend: number): Float32Array => array.map((element) => element + addend);

for (const [name, setup] of Object.entries(SETUPS)) {
  describe(`with ${name}, a snapshot`, () => {
    test("is at its place in the order of operations, awaited or not", async (t) => {
      const { opened, x, start, increment } = await createScene(t, setup);
      void increment(x);
      const first = x.snapshot();
      void increment(x);
      void x.fill(-1, { start: 5, length: 2 });
      const second = x.snapshot();
      void increment(x);
      const again = first.snapshot();
      first.destroy();
      const expected = plus(start, 2);
      expected.fill(-1, 5, 7);
      assert.deepEqual(await second.read(), expected);
      assert.deepEqual(await again.read(), plus(start, 1));
      assert.deepEqual(await x.read(), plus(expected, 1));
      opened.check();
    });

    test("of pages on the device stays what it was when a kernel writes them", async (t) => {
      const { opened, x, start, increment } = await createScene(t, setup);
      await x.prefetch("device");
      await increment(x);
      const copy = x.snapshot();
      assert.deepEqual(await copy.dirtyRanges(), [{ start: 0, length: LENGTH }]);
      assert.deepEqual(opened.framesOf(copy), opened.framesOf(x), "they share all pages, wherever these are");
      for (const mode of ["auto", "streamed"] as const) await increment(x, mode);
      opened.check();
      assert.deepEqual(await copy.read(), plus(start, 1));
      assert.deepEqual(await x.read(), plus(start, 3));
      opened.check();
    });

    test("is a kernel's input beside the array that it was taken of, which the kernel writes", async (t) => {
      const { opened, x, start } = await createScene(t, { ...setup, devicePages: (setup.devicePages ?? 16) + PAGES });
      const kernel = await opened.memory.createKernel({
        host: addBoth,
        footprint: { t: "whole", x: { each: 1 }, y: { each: 1 } },
      });
      const dispatch = (arrays: Record<string, PagedArray>) => kernel.dispatch({ invocations: LENGTH, arrays });
      for (const prefetched of [false, true]) {
        await x.write(start);
        if (prefetched) await x.prefetch("device");
        const before = x.snapshot();
        await dispatch({ t: before, x: before, y: x });
        assert.deepEqual(
          await x.read(),
          start.map((element) => element * 2),
        );
        await dispatch({ t: before, x: before.snapshot(), y: x });
        assert.deepEqual(await before.read(), start);
        opened.check();
        before.destroy();
      }
    });

    test("and its array are destroyed in either order, and pins outlive both", async (t) => {
      for (const first of ["array", "snapshot"]) {
        const { opened, x, start, increment } = await createScene(t, setup);
        const copy = x.snapshot();
        await increment(x);
        const pin = await copy.pin("read", { start: PER_PAGE, length: 10 });
        const second = x.snapshot();
        await x.prefetch("device");
        const [gone, left] = first === "array" ? [x, copy] : [copy, x];
        gone.destroy();
        assert.deepEqual(await left.read(), first === "array" ? start : plus(start, 1));
        assert.deepEqual(await second.read(), plus(start, 1));
        left.destroy();
        assert.deepEqual(await second.read(), plus(start, 1));
        assert.deepEqual([...pin.view], [...start.subarray(PER_PAGE, PER_PAGE + 10)]);
        pin.release();
        second.destroy();
        // A later operation: all is unmapped then.
        const after = opened.memory.createArray("u8", 1);
        await after.read();
        opened.check();
        assert.equal(opened.memory.stats.host.usedBytes, 0);
        assert.equal(opened.attached.usedFrames, 0);
      }
    });

    test("costs exactly the pages that are written, and their destruction gives them back", async (t) => {
      const { opened, x } = await createScene(t, setup);
      const copied = (): number => opened.memory.stats.copies.onWrite;
      const used = opened.memory.stats.host.usedBytes;
      const copy = x.snapshot();
      await copy.read();
      await x.read();
      assert.equal(opened.memory.stats.host.usedBytes, used);
      assert.equal(copied(), 0);
      await x.fill(9, { start: PER_PAGE - 1, length: 2 });
      assert.equal(copied(), 2);
      await x.fill(8, { start: 0, length: 2 * PER_PAGE });
      assert.equal(copied(), 2, "what is the array's own is not copied again");
      assert.equal(opened.memory.stats.host.usedBytes, used + 2 * PAGE);
      copy.destroy();
      await x.fill(7);
      assert.equal(copied(), 2, "nobody shares the rest any more");
      assert.equal(opened.memory.stats.host.usedBytes, used);
      opened.check();
    });
  });
}

test("after a snapshot and writes the array is one typed array as before, the snapshot lies in runs", async (t) => {
  const { opened, x, start, increment } = await createScene(t);
  const home = opened.framesOf(x);
  const copy = x.snapshot();
  await x.fill(1, { start: PER_PAGE, length: 1 });
  await increment(x, "streamed");
  const copies = opened.memory.stats.copies.onWrite;
  const pin = await x.pin("write");
  assert.equal(pin.view.length, LENGTH);
  assert.deepEqual(opened.framesOf(x), home);
  assert.equal(opened.memory.stats.copies.onWrite, copies, "the pin copies nothing");
  const pinned = await copy.pin("read");
  assert.deepEqual(Float32Array.from(pinned.runs.flatMap(({ view }) => [...view])), start);
  pin.view.fill(3);
  assert.deepEqual(await copy.read(), start);
  opened.check(x, copy);
  pin.release();
  pinned.release();
  opened.check();
});

test("a pin for reading, of either, has pages of its own: the other goes on being written, and goes to the device", async (t) => {
  for (const which of ["array", "snapshot"] as const) {
    const { opened, x, start, increment } = await createScene(t);
    const copy = x.snapshot();
    const pinned = which === "array" ? x : copy;
    const other = which === "array" ? copy : x;
    const pin = await pinned.pin("read", { start: 1, length: PER_PAGE });
    assert.equal(
      pinned.tryPin("read", { start: 2 * PER_PAGE, length: 1 }),
      null,
      "a page that is shared needs a fault",
    );
    await other.prefetch("device");
    assert.equal(opened.onDevice(other), PAGES);
    assert.equal(pin.runs[0]?.view[0], 1);
    if (which === "array") await x.fill(5, { start: 1, length: 1 });
    else await increment(x);
    assert.equal(pin.runs[0]?.view[0], which === "array" ? 5 : 1);
    assert.deepEqual(await copy.read(), start);
    opened.check(x, copy);
    pin.release();
  }
});

test("a pin for reading gives memory to what has no contents, in the array and in its snapshot", async (t) => {
  const opened = await openMemory(t);
  const x = opened.memory.createArray("u8", 2 * PAGE);
  await x.read({ length: 1 });
  const copy = x.snapshot();
  const pins = [await x.pin("read"), await copy.pin("read")];
  assert.deepEqual(await x.dirtyRanges(), [], "which is no write");
  await x.fill(4, { start: PAGE - 1, length: 2 });
  const around = pins.map(({ runs }) => runs.flatMap(({ view }) => [...view]).slice(PAGE - 2, PAGE + 2));
  assert.deepEqual(around, [
    [0, 4, 4, 0],
    [0, 0, 0, 0],
  ]);
  opened.check(x, copy);
  for (const pin of pins) pin.release();
});

test("pages that are pinned are copied at once, and counted; the pin's stores stay out of the snapshot", async (t) => {
  const { opened, x, start } = await createScene(t);
  const pin = await x.pin("write", { start: PER_PAGE, length: PER_PAGE + 1 });
  const copy = x.snapshot();
  pin.view.fill(-2);
  assert.deepEqual(await copy.read(), start);
  assert.deepEqual(opened.memory.stats.copies, { onWrite: 0, pinned: 2 });
  opened.check(x);
  pin.release();
});

test("on a memory with nothing to do the picture is taken within the call", async (t) => {
  const { x, start } = await createScene(t);
  const pin = await x.pin("write", { length: 1 });
  const copy = x.snapshot();
  pin.view[0] = 99;
  assert.deepEqual(await copy.read(), start);
  pin.release();
});

test("reading an array and its snapshot on the device takes each page once", async (t) => {
  const { opened, x } = await createScene(t, { devicePages: PAGES + 1 });
  const kernel = await opened.memory.createKernel({
    host: {
      writes: ["sum"],
      run({ first, count, arrays, base }) {
        for (let i = first; i < first + count; i++) {
          const both = (arrays["x"][i - base["x"]] as number) - (arrays["s"][i - base["s"]] as number);
          arrays["sum"][0] = (arrays["sum"][0] as number) + both;
        }
      },
    },
    footprint: { x: { each: 1 }, s: { each: 1 }, sum: "whole" },
  });
  const s = x.snapshot();
  const sum = opened.memory.createArray("f64", 1);
  await kernel.dispatch({ invocations: LENGTH, arrays: { x, s, sum } });
  assert.equal((await sum.read())[0], 0);
  const { migrations } = opened.memory.stats;
  assert.equal(migrations.toDevice.kernel.bytes, PAGES * PAGE, "each page went over once");
  assert.deepEqual(opened.framesOf(s), opened.framesOf(x));
  assert.equal(opened.memory.stats.copies.onWrite, 0);
  opened.check();
});

test("a page that nothing wrote on the device is copied from its retained frame, not over the link", async (t) => {
  const { opened, x, start, increment } = await createScene(t);
  await x.prefetch("device");
  assert.equal(opened.memory.stats.host.retainedBytes, PAGES * PAGE);
  const copy = x.snapshot();
  await increment(x);
  const { toHost } = opened.memory.stats.migrations;
  assert.deepEqual(toHost.unshare, { pages: PAGES, bytes: 0 });
  assert.equal(opened.onDevice(x), PAGES, "the array's pages stayed on the device");
  assert.deepEqual(await copy.read(), start);
  assert.equal(opened.memory.stats.host.retainedBytes, 0);
  const second = x.snapshot();
  await increment(x);
  assert.deepEqual(opened.memory.stats.migrations.toHost.unshare, { pages: 2 * PAGES, bytes: PAGES * PAGE });
  assert.deepEqual(await second.read(), plus(start, 1));
  assert.equal(opened.onDevice(x), PAGES);
  opened.check();
});

test("a shared page that is retained comes home without a copy, whichever of the two is read", async (t) => {
  const { opened, x, start } = await createScene(t);
  const home = opened.framesOf(x);
  const copy = x.snapshot();
  for (const read of [copy, x]) {
    await x.prefetch("device");
    assert.equal(opened.onDevice(copy), PAGES);
    const before = opened.memory.stats;
    assert.deepEqual(await read.read(), start);
    const after = opened.memory.stats;
    assert.equal(after.droppedClean.pages - before.droppedClean.pages, PAGES);
    assert.deepEqual(after.migrations.toHost.access.bytes, before.migrations.toHost.access.bytes);
    assert.deepEqual(opened.framesOf(x), home, "the array is at home, and the snapshot with it");
    opened.check();
  }
});

test("writing a snapshot is refused with its name, and changes nothing", async (t) => {
  const { opened, x, start, increment } = await createScene(t);
  const copy = x.snapshot({ label: "before" });
  assert.deepEqual(
    [copy.readOnly, x.readOnly, copy.label, x.snapshot().label],
    [true, false, "before", "snapshot of x"],
  );
  const refused = memoryError("EPERM", /array "before" is a snapshot, which cannot be written/);
  await assert.rejects(copy.write(start), refused);
  await assert.rejects(copy.fill(1), refused);
  await assert.rejects(copy.pin("write"), refused);
  assert.throws(() => copy.tryPin("write"), refused);
  await assert.rejects(copy.clearDirty(), refused);
  await assert.rejects(increment(copy), refused);
  assert.deepEqual(await copy.read(), start);
  opened.check();
});

test("a snapshot of an array that is destroyed is refused; one called before the array's end is not", async (t) => {
  const { opened, x, start } = await createScene(t);
  void x.read();
  const copy = x.snapshot();
  x.destroy();
  assert.throws(() => x.snapshot(), memoryError("EINVAL", /array "x" is destroyed/));
  assert.deepEqual(await copy.read(), start);
  copy[Symbol.dispose]();
  await assert.rejects(copy.read(), memoryError("EINVAL", /array "snapshot of x" is destroyed/));
  opened.check();
});

describe("with a host budget", () => {
  test("a write without room for the copy is refused with both numbers; nothing is lost, and it succeeds with room", async (t) => {
    const { opened, x, start } = await createScene(t, { hostPages: PAGES + 2 });
    const copy = x.snapshot();
    await assert.rejects(
      x.fill(1),
      memoryError("ENOMEM", new RegExp(`${(PAGES + 2) * PAGE} of ${(PAGES + 2) * PAGE} bytes`)),
    );
    assert.equal(opened.memory.stats.host.usedBytes, (PAGES + 2) * PAGE);
    opened.check();
    assert.deepEqual(await copy.read(), start);
    const written = await x.read();
    assert.deepEqual(written.subarray(2 * PER_PAGE), start.subarray(2 * PER_PAGE));
    copy.destroy();
    await x.fill(1);
    assert.deepEqual(await x.read(), new Float32Array(LENGTH).fill(1));
    opened.check();
  });

  for (const kind of ["private", "coherent"] as const) {
    test(`a kernel on a ${kind} device without room for the copies is refused before it runs`, async (t) => {
      const { opened, x, start, increment } = await createScene(t, { hostPages: PAGES, kind });
      await increment(x);
      const copy = x.snapshot();
      const filler = opened.memory.createArray("u8", PAGES * PAGE);
      const room = opened.machine.host.charge;
      await filler.fill(1, {
        length: (room.limit - room.usage + opened.memory.stats.host.retainedBytes / PAGE - 2) * PAGE,
      });
      await assert.rejects(
        increment(x),
        memoryError("ENOMEM", new RegExp(`no host memory .* of ${PAGES * PAGE} bytes`)),
      );
      opened.check();
      assert.deepEqual(new Uint8Array(opened.contents(copy)), new Uint8Array(plus(start, 1).buffer));
      assert.deepEqual(new Uint8Array(opened.contents(x)), new Uint8Array(plus(start, 1).buffer));
      filler.destroy();
      await increment(x);
      assert.deepEqual(await copy.read(), plus(start, 1));
      opened.check();
    });
  }

  test("a snapshot for which there are no page tables says so at its first use", async (t) => {
    const { opened, x, start } = await createScene(t);
    const environment = opened.machine.environment as unknown as { exhaust(site: string): void; recover(): void };
    environment.exhaust("table");
    const copy = x.snapshot();
    environment.recover();
    await assert.rejects(copy.read(), memoryError("ENOMEM", /no memory for a snapshot of 6 pages/));
    await assert.rejects(copy.dirtyRanges(), memoryError("ENOMEM", /no memory for a snapshot/));
    await assert.rejects(copy.snapshot().read(), memoryError("ENOMEM", /no memory for a snapshot/));
    copy.destroy();
    assert.deepEqual(await x.read(), start);
    opened.check();
  });
});
