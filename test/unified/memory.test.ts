// A memory from its making to its end: options, budgets in stats, destruction with work under way.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createUnifiedMemory,
  type DeviceDriver,
  KiB,
  MiB,
  mirrorDevice,
  type UnifiedMemoryOptions,
} from "../../src/index.js";
import { memoryError, PAGE } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { openUntended } from "./opened-memory.js";

test("a memory without options is the software device with 64 KiB pages", async () => {
  await using memory = await createUnifiedMemory();
  const { pageSize, device, host } = memory.stats;
  assert.equal(pageSize, 64 * KiB);
  assert.deepEqual(device, {
    name: "mirror (private, software)",
    kind: "private",
    budgetBytes: 256 * MiB,
    usedBytes: 0,
    lost: false,
  });
  assert.equal(host.budgetBytes, Number.POSITIVE_INFINITY);
  const array = memory.createArray("u32", 10);
  await array.fill(7);
  assert.deepEqual(
    [...(await array.read())],
    Array.from({ length: 10 }, () => 7),
  );
});

test("options out of bounds are refused with the value and the bound, and the device is never opened", async () => {
  let opened = 0;
  const plain = mirrorDevice({ budget: MiB });
  const device: DeviceDriver = {
    ...plain,
    open: (host) => {
      opened++;
      return plain.open(host);
    },
  };
  const refused: [options: unknown, message: RegExp][] = [
    [{ pageSize: 1000 }, /page size 1000 is not a power of two from 4096 to 2097152/],
    [{ pageSize: 2048 }, /page size 2048/],
    [{ pageSize: 4 * MiB }, /page size 4194304/],
    [{ pageSize: Number.NaN }, /page size NaN/],
    [{ hostBudget: 1000 }, /host budget of 1000 bytes is less than one page of 65536 bytes/],
    [{ hostBudget: Number.NaN }, /host budget of NaN bytes/],
    [{ hostBudget: -1 }, /host budget of -1 bytes/],
    [{ pageSize: 2 * MiB }, /device budget of 1048576 bytes is less than one page of 2097152 bytes/],
    [{ shared: 1 }, /shared is true or false, not 1/],
    [{ shared: true, pager: "thread" }, /pager is "here" or "worker", not "thread"/],
    [{ pager: "worker" }, /pager: "worker" needs shared: true/],
    [{ shared: true, pager: "worker" }, /device is a driver, which cannot be posted to the pager/],
    [
      { shared: true, pager: "worker", device: undefined, environment: new TestEnvironment() },
      /environment has functions, which cannot be posted/,
    ],
    [{ cpuAccess: "magic" }, /cpuAccess is "pinned" or "transparent", not "magic"/],
  ];
  for (const [options, message] of refused) {
    await assert.rejects(
      createUnifiedMemory({ device, ...(options as UnifiedMemoryOptions) }),
      memoryError("EINVAL", message),
    );
  }
  assert.equal(opened, 0);
});

test("what a later version will offer may be asked for as it is today", async () => {
  const options = { shared: false, cpuAccess: "pinned" } as UnifiedMemoryOptions;
  await (await createUnifiedMemory(options)).destroy();
});

test("a mirror with an option out of bounds is refused with its value", async () => {
  for (const budget of [0, -5, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(
      () => mirrorDevice({ budget }),
      memoryError("EINVAL", new RegExp(`device budget of ${budget} bytes`)),
    );
  }
  assert.throws(
    () => mirrorDevice({ kind: "shared" as "private" }),
    memoryError("EINVAL", /kind is "private" or "coherent", not "shared"/),
  );
  assert.throws(
    () => mirrorDevice({ link: { bandwidth: 0 } }),
    memoryError("EINVAL", /link bandwidth 0 bytes a second/),
  );
  assert.throws(() => mirrorDevice({ link: { latency: -1 } }), memoryError("EINVAL", /link latency -1 ms is below 0/));
  assert.throws(() => mirrorDevice({ link: { latency: Number.NaN } }), memoryError("EINVAL", /link latency NaN ms/));
});

test("a mirror is opened by one memory at a time", async () => {
  const device = mirrorDevice({ budget: MiB, name: "mine" });
  const memory = await createUnifiedMemory({ device });
  await assert.rejects(createUnifiedMemory({ device }), memoryError("EBUSY", /mine is open already/));
  await memory.destroy();
  await (await createUnifiedMemory({ device })).destroy();
});

test("the mirror uses whole pages of its budget", async () => {
  await using memory = await createUnifiedMemory({ pageSize: PAGE, device: mirrorDevice({ budget: 3 * PAGE + 100 }) });
  assert.equal(memory.stats.device.budgetBytes, 3 * PAGE);
});

test("a memory that is aborted before its device opens never opens it", async () => {
  const reason = new Error("changed my mind");
  let opened = false;
  const device: DeviceDriver = {
    name: "n",
    kind: "private",
    budget: MiB,
    open() {
      opened = true;
      throw new Error("must not be");
    },
  };
  await assert.rejects(createUnifiedMemory({ device, signal: AbortSignal.abort(reason) }), (error) => error === reason);
  assert.ok(!opened);
});

test("a memory that is aborted while its device opens rejects at once, and the device is closed when it has opened", async () => {
  const plain = mirrorDevice({ budget: MiB });
  let open = (): void => {};
  let closed = 0;
  const device: DeviceDriver = {
    ...plain,
    open: async (host) => {
      await new Promise<void>((resolve) => {
        open = resolve;
      });
      const opened = await plain.open(host);
      const close = opened.close.bind(opened);
      opened.close = () => {
        closed++;
        return close();
      };
      return opened;
    },
  };
  const controller = new AbortController();
  const reason = new Error("changed my mind");
  const creating = createUnifiedMemory({ device, signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(creating, (error) => error === reason);
  assert.equal(closed, 0);
  open();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(closed, 1);
});

test("a memory that cannot be made for want of page tables closes its device again", async () => {
  const environment = new TestEnvironment();
  environment.exhaust("table");
  const device = mirrorDevice({ budget: MiB });
  await assert.rejects(createUnifiedMemory({ device, environment }), memoryError("ENOMEM", /no page table/));
  await (await createUnifiedMemory({ device })).destroy();
});

test("destroying a memory rejects what is pending, ends what runs, and leaves nothing", async () => {
  const opened = await openUntended({ devicePages: 4 });
  const { memory } = opened;
  const x = memory.createArray("f32", 20 * 1024);
  await x.fill(1);
  const kernel = await memory.createKernel({
    host: {
      writes: ["x"],
      run({ arrays }) {
        (arrays["x"] as Float32Array).fill(2);
      },
    },
    footprint: { x: { each: 1 } },
  });
  const outcomes = Promise.allSettled([
    kernel.dispatch({ invocations: x.length, arrays: { x } }),
    x.read(),
    x.write(new Float32Array(5)),
    x.fill(3),
    x.pin("read"),
    x.prefetch("device"),
  ]);
  const late = memory.createArray("f32", 4);
  await opened.destroyed();
  for (const [i, outcome] of (await outcomes).entries()) {
    assert.ok(outcome.status === "rejected", `operation ${i} was done`);
    assert.match(String(outcome.reason), /the memory is destroyed/);
  }
  const gone = memoryError("EINVAL", /the memory is destroyed/);
  assert.throws(() => memory.createArray("f32", 1), gone);
  await assert.rejects(memory.createKernel({ host: { writes: [], run() {} }, footprint: { x: "whole" } }), gone);
  await assert.rejects(kernel.dispatch({ invocations: 1, arrays: { x } }), gone);
  for (const array of [x, late]) {
    await assert.rejects(array.read(), gone);
    await assert.rejects(array.write(new Float32Array(1)), gone);
    await assert.rejects(array.fill(1), gone);
    await assert.rejects(array.pin("read"), gone);
    await assert.rejects(array.prefetch("host"), gone);
    assert.throws(() => array.tryPin("read"), gone);
    array.destroy();
  }
  await memory.destroy();
  assert.equal(memory.stats.device.usedBytes, 0);
});

test("destroying a memory does not wait for a source that gives nothing more", async () => {
  const opened = await openUntended();
  const array = opened.memory.createArray("u8", PAGE);
  async function* stalled(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(10);
    await new Promise(() => {});
  }
  const writing = array.write(stalled());
  const rejected = assert.rejects(writing, memoryError("EINVAL", /the memory is destroyed/));
  await opened.destroyed();
  await rejected;
});

test("a source may destroy the memory that it is written to", async () => {
  const opened = await openUntended();
  const array = opened.memory.createArray("u8", PAGE);
  async function* treacherous(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(10);
    await opened.destroyed();
    yield new Uint8Array(10);
  }
  await assert.rejects(array.write(treacherous()), memoryError("EINVAL", /the memory is destroyed/));
});

test("a pin outlives its memory: what it shows stays readable, and its release is the last of it", async () => {
  const opened = await openUntended();
  const { memory, machine } = opened;
  const array = memory.createArray("u8", 2 * PAGE);
  await array.fill(5);
  const pin = await array.pin("write");
  await memory.destroy();
  assert.ok(pin.view.every((byte) => byte === 5));
  pin.view[0] = 6;
  assert.equal(machine.host.charge.usage, 2);
  pin.release();
  assert.equal(machine.host.charge.usage, 0);
  await opened.destroyed();
});

test("stats are a snapshot of the caller's own", async () => {
  await using memory = await createUnifiedMemory({ pageSize: PAGE });
  const before = memory.stats;
  const array = memory.createArray("u8", 8 * PAGE);
  await array.fill(1);
  await array.prefetch("device");
  assert.equal(before.migrations.toDevice.prefetch.pages, 0);
  assert.equal(memory.stats.migrations.toDevice.prefetch.pages, 8);
  assert.equal(memory.stats.migrations.toDevice.prefetch.bytes, 8 * PAGE);
});
