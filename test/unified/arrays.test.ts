// Arrays: what they hold, and every way in which an operation on them is refused, with nothing changed.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { ELEMENT_TYPES, type ElementType, strideOf, type View, viewOf } from "../../src/device/element.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError, PAGE } from "../builders.js";
import { openMemory, type OpenedMemory } from "./opened-memory.js";

/** Elements of a type that differ from one another, and in all their bytes. */
function counting<T extends ElementType>(type: T, length: number, salt = 1): View<T> {
  const view = viewOf(type, new ArrayBuffer(length * strideOf(type)), 0, length);
  const bytes = new Uint8Array(view.buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 167 + (i >>> 8) * 31 + salt * 7) & 0x7f;
  return view;
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

async function* chunks(bytes: Uint8Array, ...lengths: number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length] ?? 1;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

/** An array of three pages and a bit, half of it on the device, and a fence that says whether anything changed. */
async function guarded(t: TestContext): Promise<{
  opened: OpenedMemory;
  array: PagedArray<"f32">;
  readonly unchanged: () => void;
}> {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f32", 3 * 1024 + 100, { label: "guarded" });
  await array.write(counting("f32", array.length));
  await array.prefetch("device", { length: 2048 });
  const frames = opened.framesOf(array);
  const bytes = opened.contents(array).slice();
  return {
    opened,
    array,
    unchanged() {
      assert.deepEqual(opened.framesOf(array), frames, "pages moved");
      assert.deepEqual(opened.contents(array), bytes, "bytes changed");
      opened.check(array);
    },
  };
}

test("a new array is all zeros and takes no memory, neither for being made nor for being read", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("i32", 1_000_000);
  assert.ok((await array.read()).every((element) => element === 0));
  assert.equal(memory.stats.host.usedBytes, 0);
  assert.equal(memory.stats.device.usedBytes, 0);
  assert.equal(array.byteLength, 4_000_000);
  assert.equal(array.pages, 977);
});

for (const type of ELEMENT_TYPES) {
  test(`${type}: what is written at any place is read there, and its neighbours stay`, async (t) => {
    const opened = await openMemory(t);
    const stride = strideOf(type);
    const length = (2 * PAGE) / stride + 13;
    const array = opened.memory.createArray(type, length);
    const shadow = counting(type, length);
    await array.write(shadow as View);
    for (const [start, count] of [
      [0, 1],
      [PAGE / stride - 1, 2],
      [length - 1, 1],
      [7, length - 20],
    ] as const) {
      const part = counting(type, count, start + 3);
      await array.write(part as View, { start });
      bytesOf(shadow).set(bytesOf(part), start * stride);
      assert.deepEqual(bytesOf(await array.read()), bytesOf(shadow));
      await array.prefetch("device");
    }
    assert.deepEqual(
      bytesOf(await array.read({ start: 5, length: 9 })),
      bytesOf(shadow).slice(5 * stride, 14 * stride),
    );
    opened.check();
  });
}

test("reading into an array fills it and gives it back; its length says how many", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("u16", 5000);
  const source = counting("u16", 5000);
  await array.write(source);
  const whole = new Uint16Array(20);
  const part = whole.subarray(4, 10);
  assert.equal(await array.read(part, { start: 2046 }), part);
  assert.deepEqual([...whole], [0, 0, 0, 0, ...source.subarray(2046, 2052), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
});

test("a range of no elements can be read and written", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("f64", 10);
  await array.write(new Float64Array(0), { start: 10 });
  assert.equal((await array.read({ start: 10 })).length, 0);
  assert.equal((await array.read({ start: 3, length: 0 })).length, 0);
});

test("bytes from a source fill the array whatever the chunks are, also where they cut elements", async (t) => {
  for (const lengths of [[1000], [1, 2, 3, 5, 4093], [3 * PAGE], [PAGE, 0, 1]]) {
    const { memory } = await openMemory(t);
    const array = memory.createArray("u64", 1024);
    const source = counting("u64", 1000);
    await array.write(chunks(bytesOf(source), ...lengths), { start: 20 });
    const read = await array.read();
    assert.deepEqual(read.subarray(20, 1020), source);
    assert.ok(read.subarray(0, 20).every((element) => element === 0n));
    assert.ok(read.subarray(1020).every((element) => element === 0n));
  }
});

test("fill sets exactly the elements of its range", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("i16", 5000);
  await array.fill(-3);
  await array.prefetch("device");
  await array.fill(9, { start: 2000, length: 100 });
  await array.fill(4, { start: 4990 });
  const expected = new Int16Array(5000).fill(-3).fill(9, 2000, 2100).fill(4, 4990);
  assert.deepEqual(await array.read(), expected);
  const large = opened.memory.createArray("u64", 600);
  await large.fill(2n ** 64n - 1n, { start: 1 });
  assert.deepEqual([...(await large.read({ length: 2 }))], [0n, 2n ** 64n - 1n]);
  opened.check();
});

test("an element type or a length that does not exist is refused with its value and its bound", async (t) => {
  const { memory } = await openMemory(t);
  const refused: [type: unknown, length: unknown, message: RegExp][] = [
    ["f16", 1, /element type "f16" is none of f32, i32, u32, f64, i8, u8, i16, u16, i64, u64/],
    [undefined, 1, /element type "undefined" is none of/],
    ["f32", 0, /an array's length is a whole number of at least 1, not 0/],
    ["f32", -1, /not -1/],
    ["f32", 1.5, /not 1\.5/],
    ["f32", Number.NaN, /not NaN/],
    ["f32", "7", /not 7/],
    ["f32", 2 ** 53, /not 9007199254740992/],
  ];
  for (const [type, length, message] of refused) {
    assert.throws(() => memory.createArray(type as "f32", length as number), memoryError("EINVAL", message));
  }
});

test("an array larger than a machine can be is refused at once, with both numbers", async (t) => {
  const { memory } = await openMemory(t);
  assert.throws(
    () => memory.createArray("f64", 2 ** 50),
    memoryError("ENOMEM", /an array of 2199023255552 pages exceeds the \d+ that are left/),
  );
  await memory.createArray("f64", 2).fill(1);
});

test("an operation on an array is refused for a range, a type or a mode out of bounds, and changes nothing", async (t) => {
  const { array, unchanged } = await guarded(t);
  const outside = (from: string, to: string): RegExp =>
    new RegExp(`elements ${from} to ${to} are not within the 3172 of array "guarded"`);
  const floats = (length: number): Float32Array => new Float32Array(length).fill(1);
  const refused: [what: string, act: () => Promise<unknown>, message: RegExp][] = [
    ["write beyond the end", () => array.write(floats(100), { start: 3100 }), outside("3100", "3200")],
    ["write too many", () => array.write(floats(3173)), outside("0", "3173")],
    ["write before the start", () => array.write(floats(1), { start: -1 }), outside("-1", "-1")],
    ["write at a fraction", () => array.write(floats(1), { start: 0.5 }), outside("0.5", "0.5")],
    ["write beyond, nothing", () => array.write(floats(0), { start: 3173 }), outside("3173", "3173")],
    [
      "write another type",
      () => array.write(new Int32Array(4) as unknown as Float32Array),
      /array "guarded" takes f32 elements, bytes, a blob, a stream or an async iterable of bytes/,
    ],
    ["write numbers", () => array.write([1, 2] as unknown as Float32Array), /takes f32 elements/],
    ["write nothing at all", () => array.write(null as unknown as Float32Array), /takes f32 elements/],
    [
      "stream from beyond the end",
      () => array.write(chunks(new Uint8Array(4), 4), { start: 4000 }),
      outside("4000", "4000"),
    ],
    ["read beyond the end", () => array.read({ start: 3000, length: 173 }), outside("3000", "3173")],
    ["read from beyond the end", () => array.read({ start: 4000 }), /elements 4000 to .* are not within the 3172/],
    ["read fewer than none", () => array.read({ length: -1 }), outside("0", "-1")],
    ["read a fraction", () => array.read({ length: 2.5 }), outside("0", "2.5")],
    ["read NaN", () => array.read({ start: Number.NaN, length: 1 }), outside("NaN", "NaN")],
    ["read into too much", () => array.read(floats(10), { start: 3170 }), outside("3170", "3180")],
    [
      "read into another type",
      () => array.read(new Float64Array(4) as unknown as Float32Array),
      /array "guarded" reads into a typed array of f32 elements only/,
    ],
    ["fill beyond the end", () => array.fill(1, { start: 3172, length: 1 }), outside("3172", "3173")],
    ["fill nothing", () => array.fill(1, { length: 0 }), /a range of 0 elements of array "guarded" has no pages/],
    ["pin beyond the end", () => array.pin("read", { start: 1, length: 3172 }), outside("1", "3173")],
    ["pin nothing", () => array.pin("read", { start: 3172 }), /a range of 0 elements/],
    ["pin in no mode", () => array.pin("both" as "read"), /a pin's mode is "read" or "write", not "both"/],
    ["prefetch beyond the end", () => array.prefetch("device", { start: 9999, length: 1 }), outside("9999", "10000")],
    [
      "prefetch to nowhere",
      () => array.prefetch("moon" as "host"),
      /prefetch goes to "device" or "host", not to "moon"/,
    ],
  ];
  for (const [what, act, message] of refused) {
    await t.test(what, async () => {
      await assert.rejects(act(), memoryError("EINVAL", message));
      unchanged();
    });
  }
  await t.test("tryPin, which does not wait, throws the same", () => {
    assert.throws(
      () => array.tryPin("read", { start: 4000, length: 1 }),
      memoryError("EINVAL", outside("4000", "4001")),
    );
    assert.throws(() => array.tryPin("both" as "read"), memoryError("EINVAL", /a pin's mode/));
    assert.throws(() => array.tryPin("read", { length: 0 }), memoryError("EINVAL", /a range of 0 elements/));
    unchanged();
  });
  await t.test("fill with a value that the elements cannot take", async () => {
    const wide = (await openMemory(t)).memory.createArray("i64", 10);
    await assert.rejects(() => wide.fill(5), TypeError);
    await assert.rejects(() => array.fill(5n), TypeError);
    unchanged();
  });
});

test("an operation that gives a promise reports a refusal by that promise alone", async (t) => {
  const { array } = await guarded(t);
  const codes: unknown[] = [];
  const note = (error: { code: string }): void => void codes.push(error.code);
  const promises: Promise<unknown>[] = [
    array.write(new Float32Array(9999)).catch(note),
    array.read({ start: -1 }).catch(note),
    array.fill(1, { start: -1 }).catch(note),
    array.pin("read", { start: -1 }).catch(note),
    array.prefetch("host", { start: -1 }).catch(note),
  ];
  await Promise.all(promises);
  assert.deepEqual(codes, ["EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL"]);
});

test("a source that has too much is refused when it goes too far; what came before it stays written", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("u8", PAGE + 10, { label: "small" });
  await assert.rejects(
    array.write(chunks(new Uint8Array(PAGE + 20).fill(7), PAGE)),
    memoryError("EINVAL", new RegExp(`the source of array "small" goes beyond its ${PAGE + 10} bytes`)),
  );
  assert.deepEqual(await array.read(), new Uint8Array(PAGE + 10).fill(7, 0, PAGE));
  opened.check();
});

test("a source that fails half way leaves what it gave before, and the array goes on", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("u8", 3 * PAGE);
  await array.fill(1);
  const failure = new Error("the disk is gone");
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(PAGE + 5).fill(2);
    await Promise.resolve();
    throw failure;
  }
  await assert.rejects(array.write(failing()), (error) => error === failure);
  const expected = new Uint8Array(3 * PAGE).fill(1).fill(2, 0, PAGE + 5);
  assert.deepEqual(await array.read(), expected);
  await array.write(chunks(expected, 100));
  opened.check();
});

test("a source is told when it is not needed any more", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("u8", 10);
  let closed = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield new Uint8Array(4);
    } finally {
      closed++;
    }
  }
  await assert.rejects(array.write(endless()), memoryError("EINVAL", /beyond its 10 bytes/));
  assert.equal(closed, 1);
});

test("a source of something other than bytes is refused, not written as nothing", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f32", 100, { label: "bytes only" });
  await array.fill(1);
  for (const chunk of ["text", new Float32Array(4), [1, 2, 3], null, 5]) {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield chunk as unknown as Uint8Array;
    }
    await assert.rejects(array.write(source()), memoryError("EINVAL", /array "bytes only" takes chunks of bytes/));
  }
  assert.ok((await array.read()).every((element) => element === 1));
  opened.check();
});

test("a destroyed array refuses everything, and its memory is free once the operations before are done", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f32", 4096, { label: "gone" });
  await array.fill(1);
  await array.prefetch("device", { length: 2048 });
  const last = array.read();
  array.destroy();
  array.destroy();
  assert.ok(array.destroyed);
  assert.ok(
    (await last).every((element) => element === 1),
    "a read called before is done",
  );
  const gone = memoryError("EINVAL", /array "gone" is destroyed/);
  await assert.rejects(() => array.write(new Float32Array(1)), gone);
  await assert.rejects(() => array.read(), gone);
  await assert.rejects(() => array.fill(1), gone);
  await assert.rejects(() => array.pin("read"), gone);
  await assert.rejects(() => array.prefetch("host"), gone);
  assert.throws(() => array.tryPin("read"), gone);
  assert.throws(() => array.firstPage, gone);
  await opened.memory.createArray("u8", 1).read();
  opened.check();
  assert.equal(opened.memory.stats.host.usedBytes, 0);
  assert.equal(opened.memory.stats.device.usedBytes, 0);
});

test("the place of a destroyed array is used again, and a new array there is all zeros", async (t) => {
  const opened = await openMemory(t);
  const { memory, machine } = opened;
  const reserved: number[] = [];
  for (let round = 0; round < 10; round++) {
    const array = memory.createArray("u8", 300 * PAGE);
    assert.ok((await array.read({ length: PAGE })).every((byte) => byte === 0));
    await array.fill(255);
    array.destroy();
    reserved.push(machine.host.reservedBytes);
  }
  assert.equal(reserved.at(-1), reserved[1], `bytes reserved: ${reserved.join(", ")}`);
  await memory.createArray("u8", 1).read();
  opened.check();
});

test("an array is destroyed where `using` ends", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("u8", 10);
  array[Symbol.dispose]();
  assert.ok(array.destroyed);
});
