// Pins: pages held in host memory, views and runs over them, and what they mean to everybody else.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { View } from "../../src/device/element.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import type { Pin, PinMode } from "../../src/unified/pin.js";
import { memoryError, PAGE } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { openMemory } from "./opened-memory.js";
import { between, pick, withSeeds } from "./random-operands.js";

const counted = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => i + 1);

/** Elements of the runs of a pin, put together again. */
function gathered(pin: Pin<"f32">): number[] {
  const elements: number[] = [];
  let next = pin.start;
  for (const { start, view } of pin.runs) {
    assert.equal(start, next, "runs follow one another");
    assert.ok(view.length > 0);
    elements.push(...view);
    next += view.length;
  }
  assert.equal(next, pin.start + pin.length);
  return elements;
}

test("a pin shows the pages themselves: what is written through it is read by everybody", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f32", 3000);
  await array.write(counted(3000));
  await array.prefetch("device");
  const pin = await array.pin("write", { start: 1000, length: 500 });
  assert.equal(pin.mode, "write");
  assert.equal(pin.view.length, 500);
  assert.deepEqual([...pin.view.subarray(0, 3)], [1001, 1002, 1003]);
  assert.equal(pin.view, pin.view, "one view, however often it is asked for");
  pin.view[0] = -5;
  opened.check(array);
  assert.deepEqual([...(await array.read({ start: 999, length: 3 }))], [1000, -5, 1002]);
  await array.write(Float32Array.of(7), { start: 1499 });
  assert.equal(pin.view[499], 7);
  pin.release();
  opened.check(array);
});

test("a page that is pinned stays in host memory; the pages beside it go", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f32", 4 * 1024);
  await array.write(counted(4096));
  const pin = await array.pin("read", { start: 1024, length: 1 });
  await array.prefetch("device");
  assert.deepEqual(
    opened.framesOf(array).map((frame) => opened.isOnDevice(frame)),
    [true, false, true, true],
  );
  assert.equal(pin.view[0], 1025);
  opened.check(array);
  pin.release();
  await array.prefetch("device");
  assert.equal(opened.onDevice(array), 4);
  opened.check();
});

test("a pin of an untouched range shows zeros, and what is written there later", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f32", 2048);
  await array.read();
  const pin = await array.pin("read");
  assert.ok(pin.view.every((element) => element === 0));
  await array.write(Float32Array.of(4, 5), { start: 1023 });
  assert.deepEqual([...pin.view.subarray(1022, 1026)], [0, 4, 5, 0]);
  pin.release();
  opened.check();
});

test("releasing is done once, however often it is asked for", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f32", 1024);
  const first = await array.pin("write");
  const second = await array.pin("write");
  first.release();
  first.release();
  first[Symbol.dispose]();
  assert.ok(first.released);
  assert.ok(!second.released);
  assert.equal(array.pins.size, 1);
  opened.check(array);
  await array.prefetch("device");
  assert.equal(opened.onDevice(array), 0, "the second pin still holds the page");
  second.release();
  assert.equal(array.pins.size, 0);
  opened.check();
});

test("a released pin shows nothing", async (t) => {
  const { memory } = await openMemory(t);
  const pin = await memory.createArray("f32", 10).pin("read");
  assert.equal(pin.view.length, 10);
  pin.release();
  assert.throws(() => pin.view, memoryError("EINVAL", /the pin has been released/));
  assert.throws(() => pin.runs, memoryError("EINVAL", /the pin has been released/));
});

test("tryPin succeeds at once where the pages are in host memory, and is null where they are not", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f32", 4096);
  assert.equal(array.tryPin("read"), null, "nothing is there");
  await array.write(counted(4096));
  const pin = array.tryPin("write", { start: 5, length: 4000 });
  assert.ok(pin !== null);
  assert.equal(pin.view[0], 6);
  opened.check(array);
  pin.release();
  await array.prefetch("device", { start: 3 * 1024 });
  assert.equal(array.tryPin("read"), null, "one page is on the device");
  opened.check(array);
  const part = array.tryPin("read", { length: 3 * 1024 });
  assert.ok(part !== null);
  part.release();
  opened.check();
});

test("tryPin is null while an operation called before is still to be done", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("f32", 100);
  await array.fill(1);
  const filling = array.fill(2);
  assert.equal(array.tryPin("read"), null);
  await filling;
  await Promise.resolve();
  const pin = array.tryPin("read");
  assert.equal(pin?.view[0], 2);
  pin?.release();
});

test("where pages are not at home a pin gives runs, and its view says so", async (t) => {
  const environment = new TestEnvironment();
  const opened = await openMemory(t, { environment });
  const array = opened.memory.createArray("f32", 5 * 1024);
  await array.write(counted(5 * 1024));
  await array.prefetch("device", { start: 2048, length: 1 });
  environment.homes = false;
  await array.prefetch("host", { start: 2048, length: 1 });
  const pin = await array.pin("write", { start: 1000, length: 2500 });
  assert.throws(
    () => pin.view,
    memoryError("EINVAL", /the 4 pinned pages do not lie side by side: use runs instead of view/),
  );
  assert.deepEqual(
    pin.runs.map(({ start, view }) => [start, view.length]),
    [
      [1000, 1048],
      [2048, 1024],
      [3072, 428],
    ],
  );
  assert.deepEqual(gathered(pin), [...counted(5 * 1024).subarray(1000, 3500)]);
  pin.runs[1].view[3] = -1;
  assert.equal((await array.read({ start: 2051, length: 1 }))[0], -1);
  opened.check(array);
  pin.release();
  opened.check();
});

test("any range of pages at home and away is shown whole by its runs, and by its view where there is one", async (t) => {
  await withSeeds(t, 30, async (random) => {
    const environment = new TestEnvironment();
    environment.mayUseHome = () => random() < 0.6;
    const opened = await openMemory(t, { environment });
    const length = 6 * 1024 + 100;
    const array = opened.memory.createArray("f32", length);
    const source = counted(length);
    await array.write(source);
    for (let i = 0; i < 12; i++) {
      const start = between(random, 0, length - 1);
      const count = between(random, 1, length - start);
      if (random() < 0.5) await array.prefetch("device", { start, length: count });
      const mode = pick<PinMode>(random, ["read", "write"]);
      const pin = await array.pin(mode, { start, length: count });
      assert.deepEqual(gathered(pin), [...source.subarray(start, start + count)]);
      if (pin.runs.length === 1) assert.deepEqual(pin.view, source.subarray(start, start + count));
      opened.check(array);
      pin.release();
    }
    opened.check();
  });
});

test("a page at home again after it was away comes back to one view", async (t) => {
  const environment = new TestEnvironment();
  const opened = await openMemory(t, { environment });
  const array = opened.memory.createArray("f32", 3 * 1024);
  await array.write(counted(3 * 1024));
  environment.homes = false;
  await array.prefetch("device", { start: 1024, length: 1 });
  await array.prefetch("host");
  const away = await array.pin("read");
  assert.equal(away.runs.length, 3);
  away.release();
  environment.homes = true;
  await array.prefetch("device");
  await array.prefetch("host");
  const home = await array.pin("read");
  assert.deepEqual(home.view, counted(3 * 1024));
  home.release();
});

async function kernelOver(t: TestContext): Promise<{
  opened: Awaited<ReturnType<typeof openMemory>>;
  x: PagedArray<"f32">;
  y: PagedArray<"f32">;
  dispatch: (invocations: number) => Promise<unknown>;
}> {
  const opened = await openMemory(t);
  const { memory } = opened;
  const x = memory.createArray("f32", 4096, { label: "inputs" });
  const y = memory.createArray("f32", 4096, { label: "outputs" });
  await x.write(counted(4096));
  const kernel = await memory.createKernel({
    label: "copy",
    host: {
      writes: ["y"],
      run({ first, count, arrays, base }) {
        for (let i = first; i < first + count; i++) arrays["y"][i - base["y"]] = arrays["x"][i - base["x"]];
      },
    },
    footprint: { x: { each: 1 }, y: { each: 1 } },
  });
  return { opened, x, y, dispatch: (invocations) => kernel.dispatch({ invocations, arrays: { x, y } }) };
}

test("a dispatch that needs a pinned page is refused with array, range and pin; it does not wait for the caller", async (t) => {
  const { opened, x, y, dispatch } = await kernelOver(t);
  const pin = await x.pin("read", { start: 2000, length: 100 });
  const frames = opened.framesOf(x);
  await assert.rejects(
    dispatch(3000),
    memoryError("EBUSY", /kernel "copy" needs elements 0 to 3000 of array "inputs".* a read pin of 2000 to 2100 holds/),
  );
  assert.deepEqual(opened.framesOf(x), frames);
  assert.equal(opened.onDevice(y), 0);
  opened.check(x);
  const other = await y.pin("write", { start: 5, length: 1 });
  pin.release();
  await assert.rejects(dispatch(1), memoryError("EBUSY", /array "outputs".* a write pin of 5 to 6 holds/));
  other.release();
  await dispatch(3000);
  assert.deepEqual(await y.read({ length: 3000 }), counted(3000));
  opened.check();
});

test("a pin of another page, or of another array, does not conflict", async (t) => {
  const { opened, x, y, dispatch } = await kernelOver(t);
  const elsewhere = opened.memory.createArray("f32", 4096);
  await elsewhere.fill(3);
  const pins = [
    await x.pin("read", { start: 3072 }),
    await y.pin("write", { start: 3072, length: 1 }),
    await elsewhere.pin("write"),
  ];
  await dispatch(3072);
  assert.deepEqual(await y.read({ length: 3072 }), counted(3072));
  opened.check(x, y, elsewhere);
  await assert.rejects(dispatch(3073), memoryError("EBUSY", /array "inputs"/));
  for (const pin of pins) pin.release();
  await dispatch(3073);
  opened.check();
});

test("a pin on the same page conflicts even where it holds other elements, for pages are what moves", async (t) => {
  const { x, dispatch, opened } = await kernelOver(t);
  const pin = await x.pin("read", { start: 1000, length: 10 });
  await assert.rejects(
    dispatch(10),
    memoryError("EBUSY", /elements 0 to 10 of array "inputs", on a page that a read pin of 1000 to 1010 holds/),
  );
  pin.release();
  await dispatch(10);
  opened.check();
});

test("a pin called while a dispatch is under way waits for it, and sees what it wrote", async (t) => {
  const { x, y, dispatch } = await kernelOver(t);
  const running = dispatch(4096);
  const [pin] = await Promise.all([y.pin("read"), running]);
  assert.deepEqual(pin.view, counted(4096));
  assert.equal(x.pins.size, 0);
  pin.release();
});

test("what is written through a pin goes to the device with its page, and comes back", async (t) => {
  const { x, y, dispatch, opened } = await kernelOver(t);
  await dispatch(4096);
  for (let round = 1; round <= 3; round++) {
    const pin = await x.pin("write");
    pin.view.fill(round * 11);
    pin.release();
    await dispatch(4096);
    assert.ok((await y.read()).every((element) => element === round * 11));
    opened.check();
  }
});

test("an array destroyed with a pin keeps the pinned pages until the pin is released, and gives them to nobody", async (t) => {
  const opened = await openMemory(t);
  const { memory, machine } = opened;
  const array = memory.createArray("u8", 4 * PAGE);
  await array.fill(9);
  const pin = await array.pin("read", { start: PAGE, length: 2 * PAGE });
  const view: View<"u8"> = pin.view;
  array.destroy();
  const after = memory.createArray("u8", 4 * PAGE);
  await after.fill(1);
  assert.ok(view.every((byte) => byte === 9));
  assert.equal(machine.host.charge.usage, 6);
  pin.release();
  assert.equal(machine.host.charge.usage, 4);
});
