// A device that is lost, as programs see it: what is pending rejects by name, what was nowhere else is reported and refused,
// all else goes on, also with another device.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { DeviceLostError } from "../../src/device/device-lost-error.js";
import type { HostKernel, KernelRange } from "../../src/device/driver.js";
import { mirrorDevice } from "../../src/device/mirror/index.js";
import type { DeviceLoss } from "../../src/unified/device-loss.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { LosableDriver } from "../device/losable-driver.js";
import { memoryError, PAGE, TestSwapStore } from "../builders.js";
import { type MemorySetup, type OpenedMemory, openMemory } from "./opened-memory.js";

/** Elements a page. */
const EACH = PAGE / 4;

const addOne: HostKernel = {
  writes: ["y"],
  run({ first, count, arrays, base }: KernelRange) {
    for (let i = first; i < first + count; i++) arrays["y"][i - base["y"]] = arrays["x"][i - base["x"]] + 1;
  },
};
const footprint = { x: { each: 1 }, y: { each: 1 } };

interface Losable extends OpenedMemory {
  readonly driver: LosableDriver;
}

async function losable(t: TestContext, setup: MemorySetup = {}): Promise<Losable> {
  const { devicePages = 16, kind = "private" } = setup;
  const driver = new LosableDriver(mirrorDevice({ budget: devicePages * PAGE, kind, name: "gpu" }));
  const opened = await openMemory(t, { ...setup, driver });
  return Object.assign(opened, { driver });
}

/** Loses the device, and resolves with what the memory says of that. */
async function lose({ driver, memory }: Losable): Promise<DeviceLoss> {
  driver.lose();
  return memory.deviceLost;
}

function rangesOf({ ranges }: DeviceLoss): [string, number, number][] {
  return ranges.map(({ label, start, length }) => [label, start, length]);
}

/** Bytes of the value in all elements. */
function all(value: number, length: number): Float32Array {
  return new Float32Array(length).fill(value);
}

const lostError = (error: unknown): boolean => {
  assert.ok(error instanceof DeviceLostError, String(error));
  assert.equal(error.code, "ENODEV");
  assert.match(error.message, /^ENODEV: gpu is lost \(unknown\): unplugged$/);
  return true;
};

test("what a kernel has written is reported and refused; what it has read is there", async (t) => {
  const opened = await losable(t);
  const { memory } = opened;
  const x = memory.createArray("f32", 3 * EACH, { label: "X" });
  const y = memory.createArray("f32", 5 * EACH - 7, { label: "Y" });
  await x.fill(3);
  await y.fill(8);
  const kernel = await memory.createKernel({ host: addOne, footprint });
  await kernel.dispatch({ invocations: 2 * EACH + 1, arrays: { x, y } });
  const loss = await lose(opened);
  assert.deepEqual(
    { ...loss, ranges: rangesOf(loss) },
    {
      reason: "unknown",
      message: "unplugged",
      ranges: [["Y", 0, 3 * EACH]],
    },
  );
  assert.equal(loss.ranges[0]?.array, y);
  assert.deepEqual(await y.residency(), [
    { start: 0, length: 3 * EACH, place: "lost" },
    { start: 3 * EACH, length: 2 * EACH - 7, place: "host" },
  ]);
  opened.check();
  assert.deepEqual(await x.read(), all(3, x.length));
  assert.deepEqual(await y.read({ start: 3 * EACH }), all(8, 2 * EACH - 7));
  const refused = memoryError("EIO", /elements 0 to 3072 of array "Y" were only on a device that is lost/);
  await assert.rejects(y.read(), refused);
  await assert.rejects(y.read({ start: 10, length: 1 }), memoryError("EIO", /elements 0 to 3072 of array "Y"/));
  await assert.rejects(y.pin("read"), refused);
  await assert.rejects(y.pin("write", { start: EACH, length: EACH }), memoryError("EIO", /elements 1024 to 3072/));
  assert.equal(y.tryPin("read"), null);
  assert.equal(y.tryPin("write"), null);
  await assert.rejects(y.write(all(1, 1), { start: 5 }), refused);
  await assert.rejects(y.stream().getReader().read(), refused);
  await assert.rejects(y.as("u32", { label: "bits" }).read(), memoryError("EIO", /of array "bits"/));
  await y.prefetch("host");
  opened.check();
});

test("a lost array says how many of its elements are lost, as far as it has them", async (t) => {
  const opened = await losable(t);
  const { memory } = opened;
  const x = memory.createArray("f32", 2 * EACH - 7, { label: "X" });
  const y = memory.createArray("f32", 2 * EACH - 7, { label: "Y" });
  const kernel = await memory.createKernel({ host: addOne, footprint });
  await kernel.dispatch({ invocations: x.length, arrays: { x, y } });
  assert.deepEqual(rangesOf(await lose(opened)), [["Y", 0, 2 * EACH - 7]]);
  await assert.rejects(y.read(), memoryError("EIO", new RegExp(`elements 0 to ${2 * EACH - 7} of array "Y"`)));
  assert.deepEqual(await x.read(), all(0, x.length), "zeros that nothing wrote on the device");
});

test("writing whole pages makes them good again: fill, write, and the last page with its last element", async (t) => {
  const opened = await losable(t);
  const { memory } = opened;
  const length = 4 * EACH - 100;
  const x = memory.createArray("f32", length);
  const y = memory.createArray("f32", length, { label: "Y" });
  await y.clearDirty();
  const kernel = await memory.createKernel({ host: addOne, footprint });
  await kernel.dispatch({ invocations: length, arrays: { x, y } });
  await lose(opened);
  await y.clearDirty();
  await y.fill(5, { start: EACH, length: EACH });
  assert.deepEqual(await y.read({ start: EACH, length: EACH }), all(5, EACH));
  assert.deepEqual(await y.dirtyRanges(), [{ start: EACH, length: EACH }]);
  await assert.rejects(y.read({ start: EACH - 1, length: 1 }), memoryError("EIO", /elements 0 to 1024/));
  await assert.rejects(y.fill(6, { start: EACH, length: EACH + 1 }), memoryError("EIO", /elements 2048 to 3996/));
  assert.deepEqual(await y.read({ start: EACH, length: EACH }), all(6, EACH), "what came before has been written");
  await y.write(all(7, length - 2 * EACH), { start: 2 * EACH });
  await assert.rejects(y.write(all(9, EACH), { start: 1 }), memoryError("EIO", /elements 0 to 1024/));
  await y.write(new Blob([all(4, EACH)]));
  const expected = new Float32Array([...all(4, EACH), ...all(6, EACH), ...all(7, length - 2 * EACH)]);
  assert.deepEqual(await y.read(), expected);
  const pin = await y.pin("write");
  pin.view[0] = 1;
  pin.release();
  assert.equal((await y.read({ length: 1 }))[0], 1);
  opened.check();
});

test("a page that is not written after all is lost still", async (t) => {
  const opened = await losable(t, { hostPages: 4 });
  const { memory } = opened;
  const y = memory.createArray("f32", 4 * EACH, { label: "Y" });
  const spread = await memory.createKernel({
    host: { writes: ["y"], run: ({ arrays }) => void arrays["y"].fill(1) },
    footprint: { y: { each: 1 } },
  });
  await spread.dispatch({ invocations: 4 * EACH, arrays: { y } });
  await lose(opened);
  const other = memory.createArray("f32", 3 * EACH);
  const pin = await other.pin("write");
  await assert.rejects(y.fill(1), memoryError("ENOMEM", /host/));
  assert.deepEqual(await y.read({ length: EACH }), all(1, EACH), "there was memory for one page");
  await assert.rejects(y.read({ start: EACH }), memoryError("EIO", /elements 1024 to 4096/));
  pin.release();
  other.destroy();
  const controller = new AbortController();
  const reason = new Error("no more");
  controller.abort(reason);
  await assert.rejects(y.fill(2, { start: EACH, signal: controller.signal }), (error) => error === reason);
  await assert.rejects(y.read({ start: EACH }), memoryError("EIO", /elements 1024 to 4096/));
  await y.fill(2, { start: EACH });
  assert.deepEqual(await y.read({ start: EACH }), all(2, 3 * EACH));
  opened.check();
});

test("without a device all that needs one rejects by name, and all else works", async (t) => {
  const opened = await losable(t);
  const { memory } = opened;
  const x = memory.createArray("f32", 2 * EACH);
  const y = memory.createArray("f32", 2 * EACH);
  const kernel = await memory.createKernel({ host: addOne, footprint });
  await x.write(all(2, x.length));
  const loss = await lose(opened);
  assert.equal(await memory.deviceLost, loss, "the same for who asks later");
  await assert.rejects(kernel.dispatch({ invocations: 1, arrays: { x, y } }), lostError);
  await assert.rejects(kernel.dispatch({ invocations: 0, arrays: { x, y } }), lostError);
  await assert.rejects(memory.createKernel({ host: addOne, footprint }), lostError);
  await assert.rejects(x.prefetch("device"), lostError);
  await x.prefetch("host");
  const snapshot = x.snapshot();
  await x.fill(4);
  assert.deepEqual(await snapshot.read(), all(2, x.length));
  assert.deepEqual(await x.read(), all(4, x.length));
  const { device } = await memory.readStats();
  assert.deepEqual(device, { name: "gpu", kind: "private", budgetBytes: 0, usedBytes: 0, lost: true });
  opened.check();
});

test("another device takes the place: kernels go on, counters count on, budgets are its own", async (t) => {
  const opened = await losable(t);
  const { memory } = opened;
  const x = memory.createArray("f32", 3 * EACH);
  const y = memory.createArray("f32", 3 * EACH);
  await x.fill(1);
  const kernel = await memory.createKernel({ host: addOne, footprint });
  await kernel.dispatch({ invocations: x.length, arrays: { x, y } });
  const first = memory.deviceLost;
  const before = (await memory.readStats()).migrations.toDevice.kernel.pages;
  await lose(opened);
  await y.fill(0);
  await memory.replaceDevice(mirrorDevice({ budget: 4 * PAGE, name: "second" }));
  assert.notEqual(memory.deviceLost, first);
  const report = await kernel.dispatch({ invocations: x.length, arrays: { x, y } });
  assert.equal(report.mode, "streamed");
  assert.deepEqual(await y.read(), all(2, y.length));
  const { device, migrations } = await memory.readStats();
  assert.deepEqual([device.name, device.budgetBytes, device.lost], ["second", 4 * PAGE, false]);
  assert.ok(migrations.toDevice.kernel.pages > before);
  opened.check();
});

test("a device is replaced once it is lost, not before; one that does not open leaves the memory without", async (t) => {
  const opened = await losable(t);
  const { memory } = opened;
  const next = mirrorDevice({ budget: 4 * PAGE, name: "next" });
  await assert.rejects(
    memory.replaceDevice(next),
    memoryError("EINVAL", /gpu is not lost: only a lost device is replaced/),
  );
  await assert.rejects(memory.replaceDevice(next, { sginal: 1 } as object), memoryError("EINVAL", /sginal/));
  await lose(opened);
  const broken = { ...next, open: () => Promise.reject(new Error("no adapter")) };
  await assert.rejects(memory.replaceDevice(broken), /no adapter/);
  const tooSmall = { ...next, budget: 1 };
  await assert.rejects(memory.replaceDevice(tooSmall), memoryError("EINVAL", /less than one page/));
  assert.equal((await memory.readStats()).device.lost, true);
  const controller = new AbortController();
  let opens = (): void => {};
  let closed = 0;
  const slow = {
    ...next,
    open: async (host: Parameters<typeof next.open>[0]) => {
      await new Promise<void>((resolve) => {
        opens = resolve;
      });
      const device = await next.open(host);
      const close = device.close.bind(device);
      device.close = () => {
        closed++;
        return close();
      };
      return device;
    },
  };
  const replacing = memory.replaceDevice(slow, { signal: controller.signal });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(replacing, (error) => error === reason);
  opens();
  while (closed === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await memory.replaceDevice(next);
  assert.deepEqual(
    opened.machine.zones.list.filter(({ pageMap }) => pageMap !== null).length,
    1,
    "all of them had the same frame numbers",
  );
  opened.check();
});

test("dispatches, writes and a new device take effect in call order", async (t) => {
  const opened = await losable(t);
  const { memory, driver } = opened;
  const x = memory.createArray("f32", 2 * EACH);
  const y = memory.createArray("f32", 2 * EACH);
  const kernel = await memory.createKernel({ host: addOne, footprint });
  driver.lose();
  const filled = x.fill(6);
  const early = kernel.dispatch({ invocations: x.length, arrays: { x, y } });
  early.catch(() => {});
  const replaced = memory.replaceDevice(mirrorDevice({ budget: 8 * PAGE }));
  const late = kernel.dispatch({ invocations: x.length, arrays: { x, y } });
  const read = y.read();
  await filled;
  await assert.rejects(early, lostError);
  await replaced;
  await late;
  assert.deepEqual(await read, all(7, y.length));
});

test("fifty devices, one after the other", async (t) => {
  const opened = await losable(t, { devicePages: 4 });
  const { memory, machine } = opened;
  const x = memory.createArray("f32", 6 * EACH);
  const y = memory.createArray("f32", 6 * EACH, { label: "Y" });
  const kernel = await memory.createKernel({ host: addOne, footprint });
  let { driver } = opened;
  let zones = 0;
  for (let i = 0; i < 50; i++) {
    await x.fill(i);
    await y.fill(0);
    await kernel.dispatch({ invocations: x.length, arrays: { x, y } });
    driver.lose();
    const { ranges } = await memory.deviceLost;
    assert.ok(ranges.length > 0 && ranges.every(({ label }) => label === "Y"));
    for (const { array, start, length } of ranges) await array.fill(i + 1, { start, length });
    assert.deepEqual(await y.read(), all(i + 1, y.length));
    driver = new LosableDriver(mirrorDevice({ budget: (1 + (i % 4)) * 2 * PAGE }));
    await memory.replaceDevice(driver);
    opened.check();
    if (i === 10) zones = machine.zones.list.length;
  }
  assert.equal(machine.zones.list.length, zones);
});

test("a snapshot and its array each have their own answer", async (t) => {
  const opened = await losable(t);
  const { memory } = opened;
  const x = memory.createArray("f32", 2 * EACH, { label: "X" });
  const y = memory.createArray("f32", 2 * EACH, { label: "Y" });
  const kernel = await memory.createKernel({ host: addOne, footprint });
  await kernel.dispatch({ invocations: x.length, arrays: { x, y } });
  const before = y.snapshot({ label: "before" });
  await y.fill(4, { length: EACH });
  const view = y.as("u32");
  const gone = y.snapshot({ label: "gone" });
  await gone.read();
  await kernel.dispatch({ invocations: x.length, arrays: { x, y } });
  const between = y.snapshot({ label: "between" });
  gone.destroy();
  await between.dirtyRanges();
  assert.deepEqual(rangesOf(await lose(opened)), [
    ["Y", 0, 2 * EACH],
    ["between", 0, 2 * EACH],
  ]);
  opened.check();
  assert.deepEqual(await before.read(), all(1, 2 * EACH), "it had been copied when the array was written");
  await assert.rejects(between.read(), memoryError("EIO", /array "between"/));
  await assert.rejects(view.read(), memoryError("EIO", /array "Y as u32"/));
  await y.fill(3);
  await assert.rejects(between.read(), memoryError("EIO", /array "between"/));
  const after = y.snapshot({ label: "after" });
  assert.deepEqual(await after.read(), all(3, y.length));
  const second = between.snapshot({ label: "of what is lost" });
  await assert.rejects(second.read(), memoryError("EIO", /of what is lost/));
  opened.check();
});

test("a kernel that reads what is lost is refused before it has run, by array and elements", async (t) => {
  const opened = await losable(t);
  const { memory } = opened;
  const x = memory.createArray("f32", 4 * EACH, { label: "X" });
  const y = memory.createArray("f32", 4 * EACH, { label: "Y" });
  const kernel = await memory.createKernel({ host: addOne, footprint });
  await kernel.dispatch({ invocations: 2 * EACH, arrays: { x, y } });
  await lose(opened);
  await memory.replaceDevice(mirrorDevice({ budget: 2 * PAGE }));
  const z = memory.createArray("f32", 4 * EACH);
  await z.fill(9);
  for (const arrays of [
    { x: y, y: z },
    { x, y },
  ]) {
    await assert.rejects(
      kernel.dispatch({ invocations: 4 * EACH, arrays }),
      memoryError("EIO", /elements 0 to 2048 of array "Y" were only on a device that is lost/),
    );
  }
  assert.deepEqual(await z.read(), all(9, z.length), "not begun");
  await y.prefetch("device");
  await y.fill(2, { length: 2 * EACH });
  await kernel.dispatch({ invocations: 4 * EACH, arrays: { x: y, y: z } });
  assert.deepEqual(await z.read(), new Float32Array([...all(3, 2 * EACH), ...all(1, 2 * EACH)]));
  opened.check();
});

test("pages of a mapped source are read from it again; those that a kernel has written are lost", async (t) => {
  const opened = await losable(t, { hostPages: 8 });
  const { memory } = opened;
  const bytes = Float32Array.from({ length: 6 * EACH }, (_, i) => i);
  const mapped = await memory.mapBlob(new Blob([bytes]), { type: "f32", label: "M" });
  const sums = memory.createArray("f32", EACH, { label: "S" });
  const kernel = await memory.createKernel({ host: addOne, footprint });
  await kernel.dispatch({ invocations: EACH, arrays: { x: mapped, y: sums } });
  await mapped.prefetch("device");
  const increase = await memory.createKernel({
    host: {
      writes: ["y"],
      run: ({ arrays, count }) => {
        for (let i = 0; i < count; i++) arrays["y"][i]++;
      },
    },
    footprint: { y: { each: 1 } },
  });
  await increase.dispatch({ invocations: EACH, arrays: { y: mapped } });
  assert.ok(opened.onDevice(mapped) >= 4);
  assert.deepEqual(rangesOf(await lose(opened)), [
    ["M", 0, EACH],
    ["S", 0, EACH],
  ]);
  opened.check();
  assert.deepEqual(await mapped.read({ start: EACH }), bytes.subarray(EACH));
  await assert.rejects(mapped.read(), memoryError("EIO", /elements 0 to 1024 of array "M"/));
  await mapped.fill(3, { length: EACH });
  assert.deepEqual(await mapped.read({ length: EACH }), all(3, EACH));
  opened.check();
});

test("with swap nothing is lost that was not on the device, and lost pages find memory when they are written", async (t) => {
  const opened = await losable(t, { hostPages: 4, devicePages: 4, swap: new TestSwapStore(64) });
  const { memory } = opened;
  const x = memory.createArray("f32", 8 * EACH, { label: "X" });
  const y = memory.createArray("f32", 8 * EACH, { label: "Y" });
  await x.fill(2);
  const kernel = await memory.createKernel({ host: addOne, footprint });
  await kernel.dispatch({ invocations: x.length, arrays: { x, y } });
  const { ranges } = await lose(opened);
  opened.check();
  const lost = new Set<string>();
  for (const { label, start, length } of ranges) {
    for (let page = start / EACH; page < (start + length) / EACH; page++) lost.add(`${label}${page}`);
  }
  assert.ok(lost.size > 0 && lost.size <= 4);
  for (const [array, value] of [
    [x, 2],
    [y, 3],
  ] as const) {
    for (let page = 0; page < 8; page++) {
      const read = array.read({ start: page * EACH, length: EACH });
      if (lost.has(`${array.label}${page}`)) await assert.rejects(read, memoryError("EIO", new RegExp(array.label)));
      else assert.deepEqual(await read, all(value, EACH));
    }
  }
  await y.fill(1);
  assert.deepEqual(await y.read(), all(1, y.length));
  opened.check();
});

test("a coherent device takes what it had, and nothing that it read in host memory", async (t) => {
  const opened = await losable(t, { kind: "coherent" });
  const { memory } = opened;
  const x = memory.createArray("f32", 2 * EACH, { label: "X" });
  const y = memory.createArray("f32", 2 * EACH, { label: "Y" });
  await x.fill(5);
  const pin = await x.pin("read");
  const kernel = await memory.createKernel({ host: addOne, footprint });
  await kernel.dispatch({ invocations: x.length, arrays: { x, y } });
  assert.deepEqual(rangesOf(await lose(opened)), [["Y", 0, 2 * EACH]]);
  assert.equal(pin.view[0], 5);
  pin.release();
  await assert.rejects(y.read(), memoryError("EIO", /array "Y"/));
  await memory.replaceDevice(mirrorDevice({ budget: 8 * PAGE, kind: "private" }));
  await y.fill(0);
  await kernel.dispatch({ invocations: x.length, arrays: { x, y } });
  assert.deepEqual(await y.read(), all(6, y.length));
  opened.check();
});

for (const done of [false, true]) {
  test(`whichever operation the device does not survive, ${done ? "though it has done it" : "before it is done"}: nothing is wrong, and what is lost is said`, async (t) => {
    for (let operation = 1; ; operation++) {
      const opened = await losable(t, { devicePages: 4 });
      const { memory, driver } = opened;
      driver.latency = operation % 2;
      driver.loseAt = { operation, done };
      const x = memory.createArray("f32", 6 * EACH, { label: "X" });
      const y = memory.createArray("f32", 6 * EACH, { label: "Y" });
      const initial = Float32Array.from({ length: x.length }, (_, i) => i);
      const failures: unknown[] = [];
      const attempt = async (work: Promise<unknown>): Promise<void> => {
        await work.catch((error: unknown) => failures.push(error));
      };
      await x.write(initial);
      const creating = memory.createKernel({ host: addOne, footprint });
      const kernel = await creating.catch((error: unknown) => void failures.push(error));
      if (kernel !== undefined) await attempt(kernel.dispatch({ invocations: x.length, arrays: { x, y } }));
      await attempt(y.read({ length: 2 * EACH }));
      await attempt(x.prefetch("device"));
      if (kernel !== undefined) await attempt(kernel.dispatch({ invocations: 2 * EACH, arrays: { x, y } }));
      if (!driver.isLost) {
        assert.ok(operation > 8, `only ${operation - 1} operations`);
        assert.deepEqual(failures, []);
        await memory.destroy();
        break;
      }
      assert.ok(failures.length > 0, `operation ${operation}, ${driver.lostBy}: nobody heard of it`);
      for (const failure of failures) {
        if ((failure as { code?: string }).code === "EIO")
          assert.match(String(failure), /of array "Y" were only on a device/);
        else lostError(failure);
      }
      const { ranges } = await memory.deviceLost;
      opened.check();
      assert.ok(
        ranges.every(({ array }) => array === y),
        "the kernels write nothing else",
      );
      assert.deepEqual(await x.read(), initial);
      for (let page = 0; page < 6; page++) {
        const range = { start: page * EACH, length: EACH };
        const isLost = ranges.some(({ start, length }) => start <= range.start && range.start < start + length);
        if (isLost) {
          await assert.rejects(y.read(range), memoryError("EIO", /array "Y"/));
          continue;
        }
        const now = await y.read(range);
        const was = [...now].every((value) => value === 0) || now.every((value, i) => value === range.start + i + 1);
        assert.ok(
          was,
          `operation ${operation}, ${driver.lostBy}: page ${page} is what it was, or what the kernel made of it`,
        );
      }
      await memory.replaceDevice(mirrorDevice({ budget: 4 * PAGE }));
      await y.fill(0);
      const again = kernel ?? (await memory.createKernel({ host: addOne, footprint }));
      await again.dispatch({ invocations: x.length, arrays: { x, y } });
      assert.deepEqual(
        await y.read(),
        initial.map((value) => value + 1),
      );
      opened.check();
      await memory.destroy();
    }
  });
}

test("a memory that is destroyed while its device is lost, or right before, ends as any other", async (t) => {
  for (const turns of [0, 1, 2, 3, 5, 8, 13]) {
    const opened = await losable(t);
    const { memory, driver } = opened;
    const x = memory.createArray("f32", 2 * EACH);
    const y = memory.createArray("f32", 2 * EACH);
    const kernel = await memory.createKernel({ host: addOne, footprint });
    await kernel.dispatch({ invocations: x.length, arrays: { x, y } });
    driver.lose();
    for (let i = 0; i < turns; i++) await Promise.resolve();
    const read = y.read();
    read.catch(() => {});
    await memory.destroy();
    await assert.rejects(read);
    await assert.rejects(memory.replaceDevice(mirrorDevice({ budget: PAGE })), memoryError("EINVAL", /destroyed/));
  }
});

test("a device that is lost after the memory is destroyed is nobody's", async (t) => {
  const { memory, driver } = await losable(t);
  let heard = false;
  void memory.deviceLost.then(() => {
    heard = true;
  });
  await memory.destroy();
  driver.lose();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(heard, false);
});

test("the arrays of a memory are let go when they are destroyed", async (t) => {
  const opened = await losable(t);
  const { memory } = opened;
  const kernel = await memory.createKernel({ host: addOne, footprint });
  const x = memory.createArray("f32", EACH, { label: "X" });
  const made: PagedArray<"f32">[] = [];
  for (let i = 0; i < 3; i++) {
    const y = memory.createArray("f32", EACH, { label: `Y${i}` });
    made.push(y);
    await kernel.dispatch({ invocations: EACH, arrays: { x, y } });
  }
  made[1]?.destroy();
  assert.deepEqual(rangesOf(await lose(opened)), [
    ["Y0", 0, EACH],
    ["Y2", 0, EACH],
  ]);
});
