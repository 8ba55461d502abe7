// Arrays over blobs, and what holds for files too: only what is used is read, writes stay in memory, and a source that fails loses nothing.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import { createUnifiedMemory } from "../../src/index.js";
import { memoryError, PAGE, TestSwapStore } from "../builders.js";
import { abortAtEveryWait } from "./aborts-at-every-wait.js";
import { type MemorySetup, openMemory, openUntended } from "./opened-memory.js";

const DEVICES = [
  { name: "a private device", kind: "private" },
  { name: "a private device behind a slow link", kind: "private", link: { latency: 1 } },
  { name: "a coherent device", kind: "coherent" },
] as const;

const sum: HostKernel = {
  writes: ["sums"],
  run({ first, count, arrays, base }) {
    const bytes = arrays["bytes"] as Uint8Array;
    const sums = arrays["sums"] as Float64Array;
    for (let i = first; i < first + count; i++) {
      let total = 0;
      for (let j = 0; j < 512; j++) total += bytes[i * 512 + j - base["bytes"]];
      sums[i - base["sums"]] = total;
    }
  },
};
const footprint = { bytes: { each: 512 }, sums: { each: 1 } };

const addOne: HostKernel = {
  writes: ["x"],
  run({ arrays }) {
    const x = arrays["x"] as Uint8Array;
    for (let i = 0; i < x.length; i++) x[i] = x[i] + 1;
  },
};

function pattern(bytes: number): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) made[i] = (i * 7 + (i >>> 12) * 31) & 0xff;
  return made;
}

function sumsOf(bytes: Uint8Array): Float64Array {
  return Float64Array.from({ length: bytes.length / 512 }, (_, i) =>
    bytes.subarray(i * 512, (i + 1) * 512).reduce((total, byte) => total + byte, 0),
  );
}

/** A blob that counts, waits and fails. */
class TestBlob extends Blob {
  reads: [from: number, to: number][] = [];
  pause: (() => Promise<void>) | null = null;
  fails: ((from: number) => boolean) | null = null;
  lost = 0;

  override slice(from = 0, to = this.size): Blob {
    const part = super.slice(from, to - this.lost);
    const bytes = part.arrayBuffer.bind(part);
    part.arrayBuffer = async () => {
      this.reads.push([from, to]);
      await this.pause?.();
      if (this.fails?.(from) === true) throw new Error("the disk is gone");
      return bytes();
    };
    return part;
  }
}

async function mapped(t: TestContext, pages: number, setup: MemorySetup = {}) {
  const bytes = pattern(pages * PAGE);
  const blob = new TestBlob([bytes]);
  const opened = await openMemory(t, { devicePages: 4, ...setup });
  const array = await opened.memory.mapBlob(blob, { type: "u8", label: "mapped" });
  return { opened, blob, array, bytes };
}

for (const { name, ...device } of DEVICES) {
  for (const swap of [false, true]) {
    const where = `with ${name}${swap ? " and swap" : ""}`;
    const store = (): MemorySetup => (swap ? { swap: new TestSwapStore(300) } : {});

    test(`a blob four times the host budget is read, ${where}`, async (t) => {
      const { opened, array, bytes } = await mapped(t, 64, { ...device, hostPages: 16, ...store() });
      for (let pass = 0; pass < 2; pass++) {
        assert.deepEqual(await array.read(), bytes);
        opened.check();
      }
      assert.ok(opened.memory.stats.host.usedBytes <= 16 * PAGE);
      assert.equal(opened.memory.stats.swap?.writtenBytes ?? 0, 0, "what is in the blob is not swapped");
    });

    test(`a kernel streams over a blob larger than host and device memory, read once in a pass, ${where}`, async (t) => {
      const { opened, array, bytes } = await mapped(t, 64, { ...device, devicePages: 8, hostPages: 16, ...store() });
      const sums = opened.memory.createArray("f64", bytes.length / 512);
      const kernel = await opened.memory.createKernel({ host: sum, footprint });
      for (let pass = 1; pass <= 3; pass++) {
        await kernel.dispatch({ invocations: sums.length, arrays: { bytes: array, sums } });
        opened.check();
        assert.ok(opened.memory.stats.files.readBytes <= pass * bytes.length);
        assert.deepEqual(await sums.read(), sumsOf(bytes));
      }
    });

    test(`what is written stays in memory and never reaches the blob, ${where}`, async (t) => {
      const { opened, blob, array, bytes } = await mapped(t, 12, { ...device, hostPages: 20, ...store() });
      const original = bytes.slice();
      await array.fill(9, { start: 100, length: 3 * PAGE });
      bytes.fill(9, 100, 100 + 3 * PAGE);
      const kernel = await opened.memory.createKernel({ host: addOne, footprint: { x: { each: PAGE } } });
      await kernel.dispatch({ invocations: 8, arrays: { x: array } });
      for (let i = 0; i < 8 * PAGE; i++) bytes[i] = bytes[i] + 1;
      opened.check();
      const pin = await array.pin("write", { start: 10 * PAGE, length: PAGE });
      opened.check(array);
      pin.runs[0]?.view.fill(5);
      pin.release();
      bytes.fill(5, 10 * PAGE, 11 * PAGE);
      await array.prefetch("device", { start: 9 * PAGE });
      assert.deepEqual(await array.read(), bytes);
      opened.check();
      assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), original);
    });
  }
}

test("only the pages that are used are read, and each once", async (t) => {
  const { opened, blob, array, bytes } = await mapped(t, 100);
  assert.equal(opened.memory.stats.files.readBytes, 0);
  await array.read({ start: 7 * PAGE + 5, length: 10 });
  assert.deepEqual(blob.reads, [[7 * PAGE, 8 * PAGE]]);
  await array.read({ start: 7 * PAGE, length: PAGE });
  assert.equal(opened.memory.stats.files.readBytes, PAGE);
  const pin = await array.pin("read", { start: 40 * PAGE, length: 3 * PAGE });
  assert.deepEqual(pin.view, bytes.subarray(40 * PAGE, 43 * PAGE));
  pin.release();
  assert.deepEqual(blob.reads.slice(1), [[40 * PAGE, 43 * PAGE]], "neighbours come by one request");
  const kernel = await opened.memory.createKernel({ host: addOne, footprint: { x: { each: PAGE } } });
  await kernel.dispatch({ invocations: 2, arrays: { x: array } });
  assert.equal(opened.memory.stats.files.readBytes, 6 * PAGE);
  opened.check();
});

test("a pin shows what is written while it is held, also of pages that were only read before", async (t) => {
  const { opened, array, bytes } = await mapped(t, 4);
  await array.read();
  assert.equal(array.tryPin("read"), null, "pages of the source itself are not pinned");
  const pin = await array.pin("read");
  opened.check(array);
  await array.fill(200, { start: PAGE, length: PAGE });
  bytes.fill(200, PAGE, 2 * PAGE);
  assert.deepEqual(pin.view, bytes);
  const again = array.tryPin("read");
  assert.deepEqual(again?.view, bytes);
  again?.release();
  pin.release();
  opened.check();
});

test("pages that nobody has changed make room for others without swap", async (t) => {
  const { opened, array, bytes } = await mapped(t, 30, { hostPages: 8 });
  await array.read();
  const other = opened.memory.createArray("u8", 7 * PAGE);
  await other.fill(1);
  opened.check();
  assert.deepEqual(await array.read(), bytes);
  assert.ok((await other.read()).every((byte) => byte === 1));
});

test("changed pages that the host has no room for are refused with both numbers", async (t) => {
  const { opened, array, bytes } = await mapped(t, 30, { hostPages: 8 });
  await assert.rejects(array.fill(1), memoryError("ENOMEM", /32768 of 32768 bytes/));
  opened.check();
  const pin = array.pin("read", { start: 20 * PAGE, length: PAGE });
  await assert.rejects(pin, memoryError("ENOMEM", /32768 of 32768 bytes/));
  array.destroy();
  const again = await opened.memory.mapBlob(new Blob([bytes]), { type: "u8" });
  assert.deepEqual(await again.read(), bytes);
  opened.check();
});

test("what is mapped begins anywhere, and the last page ends in nothing", async (t) => {
  const bytes = pattern(5 * PAGE + 24);
  const { memory } = await openMemory(t);
  const array = await memory.mapBlob(new Blob([bytes]), { type: "f64", offset: 8, length: 2 * 512 + 1 });
  assert.deepEqual(new Uint8Array((await array.read()).buffer), bytes.slice(8, 8 + array.byteLength));
  assert.equal(memory.stats.files.readBytes, array.byteLength);
  const whole = await memory.mapBlob(new Blob([bytes]), { type: "f64", offset: 16 });
  assert.equal(whole.length, (5 * PAGE + 8) / 8);
});

test("a mapping that does not lie within its source is refused, with the value and the bound", async (t) => {
  const { memory } = await openMemory(t);
  const blob = new Blob([pattern(100)]);
  const refused: [options: object, message: RegExp][] = [
    [{ type: "f16x" }, /element type "f16x" is none of/],
    [{ type: "f32", offset: 6 }, /offset 6 of a mapping is not a multiple of the 4 bytes of f32/],
    [{ type: "u8", offset: -1 }, /offset -1/],
    [{ type: "u8", offset: 100 }, /blob of 100 bytes has 100 bytes: from offset 100 on there is no u8/],
    [{ type: "f64" }, /the 100 bytes of blob of 100 bytes from offset 0 on are no whole number of f64/],
    [{ type: "f32", offset: 8, length: 24 }, /24 elements of f32 from offset 8 on need 104 bytes, and .* has 100/],
    [{ type: "f32", length: 0 }, /a whole number of at least 1, not 0/],
    [{ type: "f32", length: 1.5 }, /not 1.5/],
  ];
  for (const [options, message] of refused) {
    await assert.rejects(memory.mapBlob(blob, options as { type: "u8" }), memoryError("EINVAL", message));
  }
  await assert.rejects(
    memory.mapBlob("blob" as unknown as Blob, { type: "u8" }),
    memoryError("EINVAL", /Blob or a File/),
  );
});

test("a read that fails half way names its place; nothing is lost, and the next one gets everything", async (t) => {
  const { opened, blob, array, bytes } = await mapped(t, 40, { hostPages: 16 });
  const kernel = await opened.memory.createKernel({ host: sum, footprint });
  const sums = opened.memory.createArray("f64", bytes.length / 512);
  await array.fill(3, { length: 10 });
  bytes.fill(3, 0, 10);
  blob.fails = (from) => from >= 20 * PAGE;
  const acts: (() => Promise<unknown>)[] = [
    () => array.read(),
    () => array.pin("read", { start: 18 * PAGE, length: 6 * PAGE }),
    () =>
      array.write(new Uint8Array(30 * PAGE).fill(1), { start: 20 * PAGE - 5 * PAGE }).catch((error: unknown) => {
        // What came before the failure was written.
        bytes.fill(1, 15 * PAGE, 20 * PAGE);
        throw error;
      }),
    () => array.prefetch("device", { start: 22 * PAGE }),
    () => kernel.dispatch({ invocations: sums.length, arrays: { bytes: array, sums } }),
  ];
  for (const act of acts.filter((_, i) => i !== 2)) {
    await assert.rejects(act(), (error: Error) => {
      assert.match(
        error.message,
        /EIO.*blob of 163840 bytes could not be read, \d+ bytes at offset \d+: the disk is gone/,
      );
      return true;
    });
    opened.check(array);
  }
  blob.fails = null;
  assert.deepEqual(await array.read(), bytes);
});

test("a source that has become shorter is EIO, with both ends", async (t) => {
  const { opened, blob, array } = await mapped(t, 4);
  blob.lost = 10;
  await assert.rejects(array.read(), memoryError("EIO", /had 16384 bytes when it was mapped and ends at 16374 now/));
  opened.check();
  blob.lost = 0;
  assert.equal((await array.read()).length, 4 * PAGE);
});

test("an abort while a source is read ends the operation, and a later one finds everything", async (t) => {
  const { opened, blob, array, bytes } = await mapped(t, 64, { hostPages: 16 });
  const acts: ((signal: AbortSignal) => Promise<unknown>)[] = [
    (signal) => array.read({ signal }),
    (signal) => array.pin("read", { length: 8 * PAGE, signal }),
    (signal) => array.prefetch("device", { signal }),
    (signal) => array.prefetch("host", { signal }),
  ];
  await abortAtEveryWait(blob, acts, () => opened.check(array));
  assert.deepEqual(await array.read(), bytes);
});

test("a memory and an array that are destroyed while a source is read end, and leave nothing", async () => {
  for (const which of ["memory", "array"]) {
    const opened = await openUntended();
    const blob = new TestBlob([pattern(32 * PAGE)]);
    const array = await opened.memory.mapBlob(blob, { type: "u8" });
    blob.pause = () => new Promise((resolve) => setTimeout(resolve, 2));
    const reading = array.read().then(
      () => "read",
      (error: unknown) => String(error),
    );
    const second = array.read({ length: 1 }).catch((error: unknown) => String(error));
    if (which === "array") array.destroy();
    await opened.destroyed();
    assert.match(await reading, /destroyed|read/);
    await second;
  }
});

test("a snapshot keeps what a mapped array held, also when the array is gone", async (t) => {
  const { opened, array, bytes } = await mapped(t, 10);
  await array.read({ length: 3 * PAGE });
  await array.fill(1, { start: 2 * PAGE, length: 2 * PAGE });
  bytes.fill(1, 2 * PAGE, 4 * PAGE);
  await array.prefetch("device", { start: 4 * PAGE, length: 2 * PAGE });
  const snapshot = array.snapshot();
  await array.fill(7);
  opened.check();
  assert.deepEqual(await snapshot.read(), bytes);
  array.destroy();
  await snapshot.prefetch("device", { length: 4 * PAGE });
  assert.deepEqual(await snapshot.read(), bytes);
  const other = opened.memory.createArray("u8", 10 * PAGE);
  await other.fill(2);
  assert.deepEqual(await snapshot.read(), bytes);
  opened.check();
});

test("of a mapped array only what was written is dirty", async (t) => {
  const { opened, array } = await mapped(t, 10);
  await array.clearDirty();
  await array.read();
  await array.prefetch("device", { length: 4 * PAGE });
  (await array.pin("read", { start: 6 * PAGE, length: PAGE })).release();
  assert.deepEqual(await array.dirtyRanges(), []);
  await array.write(new Uint8Array(1), { start: 3 * PAGE });
  assert.deepEqual(await array.dirtyRanges(), [{ start: 3 * PAGE, length: PAGE }]);
  opened.check();
});

test("where there is no Node a file is refused in words, and a blob is not", async (t) => {
  const memory = await createUnifiedMemory();
  t.after(() => memory.destroy());
  const { process: node } = globalThis as { process?: { getBuiltinModule(module: string): unknown } };
  if (node !== undefined) t.mock.method(node, "getBuiltinModule", () => undefined);
  await assert.rejects(
    memory.mapFile("numbers", { type: "u8" }),
    memoryError("ENOTSUP", /mapping file numbers needs the files of Node 20.16 or later/),
  );
  await assert.rejects(
    createUnifiedMemory({ hostBudget: 1 << 20, swapFile: "swap" }),
    memoryError("ENOTSUP", /swap file swap needs the files of Node/),
  );
  const array = await memory.mapBlob(new Blob([pattern(10)]), { type: "u8" });
  assert.deepEqual(await array.read(), pattern(10));
});
