// A device that is lost in the thread of the pager: the thread that made the memory and others hear the same of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createUnifiedMemory, DeviceLostError } from "../../../src/index.js";
import { connect } from "../../../src/worker.js";
import { memoryError } from "../../builders.js";

const KiB = 1024;
const PAGE = 4 * KiB;
const EACH = PAGE / 4;
const module = new URL("../../device/losable-module.js", import.meta.url);
const host = { module: new URL("./kernels-under-test.js", import.meta.url), export: "addOne" };

test("a device that is lost in a worker, in one operation or another: every thread hears what is lost, and goes on", async (t) => {
  // An idle worker keeps no process alive, and who waits for a loss waits for nothing that is pending.
  const awake = setInterval(() => {}, 1000);
  t.after(() => clearInterval(awake));
  for (const operation of [1, 2, 4, 7]) {
    const memory = await createUnifiedMemory({
      shared: true,
      pager: "worker",
      pageSize: PAGE,
      device: { module, export: "losable", options: { budget: 3 * PAGE, operation } },
    });
    const other = await connect(await memory.port());
    const x = memory.createArray("f32", 5 * EACH, { label: "X" });
    await x.fill(1);
    const there = other.arrayFrom(x.handle);
    await there.read({ length: 1 });
    const alone = other.createArray("f32", EACH, { label: "alone" });
    await alone.fill(5);
    const failures: unknown[] = [];
    const note = (error: unknown): void => void failures.push(error);
    const descriptor = { host, footprint: { x: { each: 1 } } };
    let kernel = await memory.createKernel(descriptor).catch(note);
    await kernel?.dispatch({ invocations: x.length, arrays: { x } }).catch(note);
    await x.read().catch(note);
    assert.ok(failures.length > 0, `operation ${operation} was never asked for`);
    for (const error of failures) if (!(error instanceof DeviceLostError)) memoryError("EIO", /of array "X"/)(error);
    const [loss, heard] = await Promise.all([memory.deviceLost, other.deviceLost]);
    assert.deepEqual([loss.reason, loss.message], ["unknown", "unplugged"]);
    assert.deepEqual([heard.reason, heard.message], ["unknown", "unplugged"]);
    assert.deepEqual(
      heard.ranges.map(({ label, start, length }) => [label, start, length]),
      loss.ranges.map(({ label, start, length }) => [label, start, length]),
    );
    for (const { start, length } of loss.ranges) {
      await assert.rejects(
        x.read({ start, length }),
        memoryError("EIO", /of array "X" were only on a device that is lost/),
      );
      await assert.rejects(there.read({ start, length }), memoryError("EIO", /of array "X"/));
      await assert.rejects(there.pin("read", { start, length }), memoryError("EIO", /of array "X"/));
      assert.equal(there.tryPin("write", { start, length }), null);
      await there.fill(1, { start, length });
      const pin = await x.pin("write", { start, length });
      assert.ok(pin.view.every((value) => value === 1));
      pin.view.fill(2);
      pin.release();
    }
    const read = await x.read();
    assert.ok(read.every((value) => value === 1 || value === 2));
    assert.ok((await alone.read()).every((value) => value === 5));
    assert.equal((await other.readStats()).device.lost, true);
    const late = await connect(await memory.port());
    assert.deepEqual((await late.deviceLost).ranges, [], "a thread that comes later has no arrays yet");
    const next = { export: "mirrorDevice", options: { budget: 4 * PAGE } };
    await assert.rejects(other.replaceDevice(next), memoryError("EPERM", /only the thread that made the memory/));
    await memory.replaceDevice(next);
    kernel ??= await memory.createKernel(descriptor);
    await kernel.dispatch({ invocations: x.length, arrays: { x } });
    assert.deepEqual(
      await there.read(),
      read.map((value) => value + 1),
    );
    assert.notEqual(await Promise.race([other.deviceLost, Promise.resolve("none")]), heard, "there is a device again");
    await assert.rejects(memory.replaceDevice(next), memoryError("EINVAL", /is not lost/));
    await memory.destroy();
  }
});
