// Ranges of arrays bound on the GPU: a program's own pipelines find the elements where they are, and nothing else of the memory
// comes in between.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { DevicePin } from "../../src/unified/device-pin.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError, PAGE } from "../builders.js";
import { skip } from "./gpu.js";
import { addTo, bufferOf, bytesIn, bytesOf, counting, type GpuMemory, openGpuMemory, sumOf } from "./gpu-memory.js";

const WORDS = PAGE / 4;

/** Fails unless every invariant holds, with what the bindings hold counted; nothing else may hold a page. */
function check(opened: GpuMemory, ...bound: readonly (readonly [PagedArray, DevicePin])[]): void {
  const references: [frame: number, references: number][] = [];
  for (const [array, { start, length }] of bound) {
    const stride = array.byteLength / array.length;
    const frames = opened.framesOf(array);
    for (let page = Math.floor((start * stride) / PAGE); page * PAGE < (start + length) * stride; page++)
      references.push([frames[page] ?? assert.fail(), 1]);
  }
  opened.checkHolding(references);
}

for (const shared of [false, true]) {
  const whose = shared ? "shared with threads" : "of one thread";

  test(`a pipeline of the program's own changes the elements in place, ${whose}`, { skip }, async (t) => {
    const opened = await openGpuMemory(t, { shared });
    const { memory, gpu } = opened;
    const array = memory.createArray("u32", 6 * WORDS);
    const words = counting(array.length);
    await array.write(words);
    await array.clearDirty();
    const pin = await array.bind("write", { start: WORDS + 128, length: 3 * WORDS });
    assert.deepEqual([pin.mode, pin.start, pin.length, pin.released], ["write", WORDS + 128, 3 * WORDS, false]);
    assert.equal(pin.binding.size, 3 * PAGE);
    assert.equal(pin.binding.offset % 256, 0);
    addTo(gpu, pin.binding, 1000);
    check(opened, [array, pin]);
    pin.release();
    check(opened);
    for (let i = WORDS + 128; i < 4 * WORDS + 128; i++) words[i] = i + 1000;
    assert.deepEqual(await array.read(), words);
    assert.deepEqual(await array.dirtyRanges(), [{ start: WORDS, length: 4 * WORDS }]);
  });
}

test("a binding for reading leaves its pages clean: they are dropped, not copied back", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t);
  const array = memory.createArray("u32", 3 * WORDS);
  await array.write(counting(array.length));
  await array.clearDirty();
  {
    using pin = await array.bind("read");
    assert.equal(await sumOf(t, gpu, pin.binding), (array.length * (array.length - 1)) / 2);
  }
  await array.prefetch("host");
  assert.equal(memory.stats.droppedClean.pages, 3);
  assert.deepEqual(await array.dirtyRanges(), []);
});

test("pages that lie apart, and in several buffers, come to lie side by side in one", { skip }, async (t) => {
  const opened = await openGpuMemory(t, { frames: 16, runFrames: 8 });
  const { memory, gpu } = opened;
  const others = memory.createArray("u32", 16 * WORDS);
  const array = memory.createArray("u32", 8 * WORDS);
  const words = counting(array.length);
  await array.write(words);
  await others.prefetch("device");
  for (const page of [5, 2, 0]) {
    await others.prefetch("host", { start: 2 * page * WORDS, length: 1 });
    await array.prefetch("device", { start: page * WORDS, length: 1 });
  }
  const pin = await array.bind("write");
  check(opened, [array, pin]);
  addTo(gpu, pin.binding, 1);
  pin.release();
  assert.deepEqual(
    await array.read(),
    words.map((word) => word + 1),
  );
});

test(
  "while a range is bound, what needs it elsewhere is refused by name, and the rest goes on",
  { skip },
  async (t) => {
    const opened = await openGpuMemory(t);
    const { memory, gpu } = opened;
    const array = memory.createArray("u32", 4 * WORDS, { label: "bound" });
    await array.fill(1);
    const buffer = bufferOf(t, gpu, array.byteLength);
    const within = { start: WORDS + 10, length: 5 };
    const onTheCpu = [
      () => array.read(within),
      () => array.write(Uint32Array.of(1), { start: WORDS }),
      () => array.fill(2),
      () => array.pin("read", within),
      () => array.pin("write", within),
      () => array.as("f32").read(),
      () => array.stream().getReader().read(),
    ];
    for (const mode of ["read", "write"] as const) {
      const pin = await array.bind(mode, { start: WORDS, length: WORDS });
      const held = `a ${mode} binding of elements 1024 to 2048 of array "bound"`;
      for (const use of onTheCpu)
        await assert.rejects(
          use(),
          memoryError("EBUSY", new RegExp(`wait for pages that ${held} holds on the device`)),
        );
      assert.equal(array.tryPin("read", within), null);
      const refused = (by: string): ((error: unknown) => boolean) =>
        memoryError("EBUSY", new RegExp(`${by} needs elements \\d+ to \\d+ of array "bound", on a page that ${held}`));
      await assert.rejects(array.bind("write"), refused("bind"));
      await assert.rejects(array.copyFrom(buffer), refused("copyFrom"));
      if (mode === "write") {
        await assert.rejects(array.bind("read"), refused("bind"));
        await assert.rejects(array.copyTo(buffer), refused("copyTo"));
      } else {
        (await array.bind("read", { start: WORDS, length: 64 })).release();
        await array.copyTo(buffer);
        assert.deepEqual(new Set(new Uint32Array((await bytesOf(gpu, buffer)).buffer)), new Set([1]));
      }
      await array.prefetch("host");
      assert.equal(opened.onDevice(array), 1, "only what is bound stays");
      await array.write(Uint32Array.of(1), { start: 2 * WORDS });
      assert.deepEqual(await array.read({ start: 0, length: 1 }), Uint32Array.of(1));
      check(opened, [array, pin]);
      pin.release();
      assert.ok((await array.read()).every((word) => word === 1));
    }
  },
);

test("a range that is bound stays where it is while everything else passes through the device", { skip }, async (t) => {
  const opened = await openGpuMemory(t, { frames: 8 });
  const { memory, gpu } = opened;
  const array = memory.createArray("u32", 3 * WORDS);
  await array.fill(1);
  const pin = await array.bind("write");
  const { buffer, offset } = pin.binding;
  const other = memory.createArray("u32", 40 * WORDS);
  const words = counting(other.length);
  await other.copyFrom(bufferOf(t, gpu, bytesIn(words)));
  addTo(gpu, pin.binding, 1);
  await other.prefetch("device");
  assert.equal(pin.binding.buffer, buffer);
  assert.equal(pin.binding.offset, offset);
  check(opened, [array, pin]);
  pin.release();
  assert.ok((await array.read()).every((word) => word === 2));
  assert.deepEqual(await other.read(), words);
});

test(
  "a range that cannot be bound is refused with the value and its bound, and nothing is held",
  { skip },
  async (t) => {
    const opened = await openGpuMemory(t, { frames: 8, runFrames: 4 });
    const { memory } = opened;
    const array = memory.createArray("u32", 6 * WORDS, { label: "long" });
    await array.fill(1);
    await assert.rejects(
      array.bind("read", { length: 5 * WORDS }),
      memoryError(
        "ENOMEM",
        /elements 0 to 5120 of array "long" take 20480 bytes side by side, more than the 16384 of one/,
      ),
    );
    await assert.rejects(
      array.bind("read", { start: 32, length: 32 }),
      memoryError("EINVAL", /begin at byte 128: a binding begins at a multiple of 256 bytes/),
    );
    const bytes = array.as("u8");
    await assert.rejects(
      bytes.bind("read", { start: 0, length: 6 }),
      memoryError("EINVAL", /are 6 bytes: a binding has a multiple of 4/),
    );
    // oxlint-disable-next-line no-explicit-any
    await assert.rejects(array.bind("both" as any), memoryError("EINVAL", /"both"/));
    await assert.rejects(array.bind("read", { length: 0 }), memoryError("EINVAL", /0 elements/));
    await assert.rejects(array.bind("read", { start: 6 * WORDS, length: 1 }), memoryError("EINVAL", /not within/));
    const snapshot = array.snapshot();
    await assert.rejects(snapshot.bind("write"), memoryError("EPERM", /snapshot/));
    check(opened);
    using pinned = await array.pin("read", { start: 0, length: 1 });
    await assert.rejects(
      array.bind("read", { length: WORDS }),
      memoryError("EBUSY", /bind needs elements 0 to 1024 of array "long", on a page that a read pin of 0 to 1 holds/),
    );
    pinned.release();
    // Both buffers have room, but not side by side.
    const others = memory.createArray("u32", 8 * WORDS);
    const held = [
      await others.bind("read", { start: 0, length: 3 * WORDS }),
      await others.bind("read", { start: 4 * WORDS, length: 3 * WORDS }),
    ];
    await assert.rejects(
      array.bind("read", { length: 2 * WORDS }),
      memoryError("ENOMEM", /no 8192 bytes side by side beside what is held on the device/),
    );
    check(opened, ...held.map((pin) => [others, pin] as const));
    for (const pin of held) pin.release();
    (await array.bind("read", { length: 4 * WORDS })).release();
    check(opened);
  },
);

test("bindings for reading overlap where they lie as one run", { skip }, async (t) => {
  const opened = await openGpuMemory(t, { frames: 12 });
  const { memory, gpu } = opened;
  const array = memory.createArray("u32", 6 * WORDS);
  const words = counting(array.length);
  await array.write(words);
  const middle = await array.bind("read", { start: 2 * WORDS, length: 2 * WORDS });
  const before = middle.binding.offset;
  let all: DevicePin | null = null;
  try {
    all = await array.bind("read");
  } catch (error) {
    // The first run was put where there is no room in front of it.
    assert.match(String(error), /ENOMEM: there are no 24576 bytes side by side/);
    assert.ok(before < 3 * PAGE);
  }
  middle.release();
  all ??= await array.bind("read");
  assert.deepEqual(await bytesOf(gpu, all.binding.buffer, all.binding.offset, array.byteLength), bytesIn(words));
  check(opened, [array, all]);
  all.release();
  check(opened);
});

test("releasing is done once, however often it is asked, and the binding is gone", { skip }, async (t) => {
  const opened = await openGpuMemory(t);
  const array = opened.memory.createArray("u32", WORDS);
  const [first, second] = [await array.bind("read"), await array.bind("read")];
  first.release();
  first.release();
  first[Symbol.dispose]();
  assert.equal(first.released, true);
  assert.throws(() => first.binding, memoryError("EINVAL", /has been released/));
  check(opened, [array, second]);
  await assert.rejects(array.read(), memoryError("EBUSY", /read binding/));
  second.release();
  await array.read();
});

test("an array that is destroyed lets go of what was bound of it, and so does the memory", { skip }, async (t) => {
  const opened = await openGpuMemory(t, { frames: 4 });
  const { memory } = opened;
  const array = memory.createArray("u32", 4 * WORDS);
  const pin = await array.bind("write", { length: 4 * WORDS });
  const other = memory.createArray("u32", 4 * WORDS);
  await assert.rejects(other.bind("read"), memoryError("ENOMEM", /side by side/));
  array.destroy();
  const held = await other.bind("read");
  assert.equal(pin.released, true);
  assert.throws(() => pin.binding, memoryError("EINVAL", /has been released/));
  pin.release();
  check(opened, [other, held]);
  // What it holds is left to the end of the memory, after which nothing may be left.
});

test("a snapshot does not see what is written through a binding, whichever came first", { skip }, async (t) => {
  const opened = await openGpuMemory(t);
  const { memory, gpu } = opened;
  const array = memory.createArray("u32", 4 * WORDS);
  await array.fill(1);
  await array.prefetch("device", { length: 2 * WORDS });
  const before = array.snapshot();
  const pin = await array.bind("write");
  addTo(gpu, pin.binding, 1);
  const between = array.snapshot();
  await between.read({ length: 1 });
  check(opened, [array, pin]);
  addTo(gpu, pin.binding, 1);
  assert.ok((await before.read()).every((word) => word === 1));
  assert.ok((await between.read()).every((word) => word === 2));
  pin.release();
  assert.ok((await array.read()).every((word) => word === 3));
  check(opened);
});

test("a snapshot can be bound for reading while its array is written", { skip }, async (t) => {
  const opened = await openGpuMemory(t);
  const { memory, gpu } = opened;
  const array = memory.createArray("u32", 4 * WORDS);
  await array.write(counting(array.length));
  await array.prefetch("device", { length: 2 * WORDS });
  const snapshot = array.snapshot();
  using pin = await snapshot.bind("read");
  await array.fill(0);
  assert.equal(await sumOf(t, gpu, pin.binding), (array.length * (array.length - 1)) / 2);
  check(opened, [snapshot, pin]);
});

test("a snapshot for whose copies of bound pages there is no memory fails, and leaves nothing", { skip }, async (t) => {
  const opened = await openGpuMemory(t, { hostPages: 4, frames: 8 });
  const { memory, gpu } = opened;
  const array = memory.createArray("u32", 4 * WORDS);
  const pin = await array.bind("write");
  addTo(gpu, pin.binding, 3);
  const other = memory.createArray("u32", 3 * WORDS);
  await other.fill(1);
  const snapshot = array.snapshot();
  await assert.rejects(snapshot.read(), memoryError("ENOMEM", /./));
  check(opened, [array, pin]);
  addTo(gpu, pin.binding, 3);
  pin.release();
  other.destroy();
  assert.ok((await array.read()).every((word) => word === 6));
});

test("what a binding for writing holds counts as written for as long as it is held", { skip }, async (t) => {
  const { memory } = await openGpuMemory(t);
  const array = memory.createArray("u32", 4 * WORDS);
  await array.fill(1);
  await array.clearDirty();
  const held = { start: WORDS, length: 2 * WORDS };
  const pin = await array.bind("write", held);
  const reading = await array.bind("read", { length: WORDS });
  await array.clearDirty();
  assert.deepEqual(await array.dirtyRanges(), [held]);
  const cleared = array.clearDirty();
  pin.release();
  reading.release();
  await cleared;
  assert.deepEqual(await array.dirtyRanges(), [held]);
  await array.clearDirty();
  assert.deepEqual(await array.dirtyRanges(), []);
});

test("a binding takes its turn among operations that nobody has waited for", { skip }, async (t) => {
  const { memory, gpu } = await openGpuMemory(t);
  const array = memory.createArray("u32", 2 * WORDS);
  const filled = array.fill(5);
  const bound = array.bind("write");
  const refused = assert.rejects(array.read(), memoryError("EBUSY", /write binding/));
  const pin = await bound;
  addTo(gpu, pin.binding, 2);
  await refused;
  pin.release();
  const read = await array.read();
  await filled;
  assert.ok(read.every((word) => word === 7));
});

test("a binding that is aborted before its turn rejects with the reason, and holds nothing", { skip }, async (t) => {
  const opened = await openGpuMemory(t);
  const array = opened.memory.createArray("u32", 2 * WORDS);
  const reason = new Error("enough");
  const controller = new AbortController();
  const before = array.fill(5);
  const bound = array.bind("write", { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(bound, (error) => error === reason);
  await before;
  check(opened);
  assert.ok((await array.read()).every((word) => word === 5));
});

test("with debug, a binding that is collected unreleased is reported, and its pages stay", { skip }, async (t) => {
  const { memory } = await openGpuMemory(t, { debug: true });
  const array = memory.createArray("u32", WORDS, { label: "leaky" });
  const warnings: string[] = [];
  t.mock.method(console, "warn", (message: string) => void warnings.push(message));
  await loseABinding(array);
  await releaseABinding(array);
  for (let round = 0; round < 20 && warnings.length === 0; round++) {
    assert.ok(typeof globalThis.gc === "function", "this test needs node --expose-gc");
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /read binding of "leaky", elements 0 to 64 was collected unreleased/);
  assert.match(warnings[0] ?? "", /its pages stay on the device\n[^]*bindings\.test/);
  await assert.rejects(array.read(), memoryError("EBUSY", /elements 0 to 64/));
});

async function loseABinding(array: PagedArray): Promise<void> {
  await array.bind("read", { length: 64 });
}

async function releaseABinding(array: PagedArray): Promise<void> {
  (await array.bind("read", { length: 64 })).release();
}

test(
  "kernels read what is bound for reading, and are refused what is bound for writing or they write",
  { skip },
  async (t) => {
    const opened = await openGpuMemory(t, { frames: 8 });
    await kernelsBesideBindings(t, opened);
  },
);

async function kernelsBesideBindings(t: TestContext, opened: GpuMemory): Promise<void> {
  const { memory, gpu } = opened;
  const input = memory.createArray("u32", 3 * WORDS, { label: "input" });
  const output = memory.createArray("u32", 3 * WORDS, { label: "output" });
  await input.write(counting(input.length));
  const kernel = await memory.createKernel({
    label: "double",
    wgsl: `@group(0) @binding(0) var<storage, read> x: array<u32>;
      @group(0) @binding(1) var<storage, read_write> y: array<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = 2u * x[id.x]; }`,
    footprint: { x: { each: 1 }, y: { each: 1 } },
  });
  const dispatch = (): Promise<unknown> =>
    kernel.dispatch({ invocations: input.length, arrays: { x: input, y: output } });
  const reading = await input.bind("read");
  await dispatch();
  assert.equal(await sumOf(t, gpu, reading.binding), (input.length * (input.length - 1)) / 2);
  assert.deepEqual(
    await output.read(),
    counting(input.length).map((word) => 2 * word),
  );
  // Five frames are left for both arrays of a kernel over an array larger than that.
  const long = memory.createArray("u32", 20 * WORDS);
  const doubled = memory.createArray("u32", 20 * WORDS);
  await long.write(counting(long.length));
  const report = await kernel.dispatch({ invocations: long.length, arrays: { x: long, y: doubled } });
  assert.equal(report.mode, "streamed");
  assert.deepEqual(
    await doubled.read(),
    counting(long.length).map((word) => 2 * word),
  );
  check(opened, [input, reading]);
  reading.release();
  const needs = (name: string, mode: string): ((error: unknown) => boolean) =>
    memoryError(
      "EBUSY",
      new RegExp(`kernel "double" needs elements 0 to 3072 of array "${name}", on a page that a ${mode}`),
    );
  for (const [array, mode] of [
    [output, "read"],
    [output, "write"],
    [input, "write"],
  ] as const) {
    using pin = await array.bind(mode, { start: 2 * WORDS, length: 64 });
    await assert.rejects(dispatch(), needs(array.label, `${mode} binding of elements 2048 to 2112`));
    check(opened, [array, pin]);
  }
  await dispatch();
}
