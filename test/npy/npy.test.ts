// .npy files in and out: every type and byte order, header versions, what is refused, and sources that fail anywhere.

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { SCALAR_TYPES, strideOf, viewOf } from "../../src/device/element.js";
import type { ScalarType } from "../../src/device/layout.js";
import { loadNpy, npyStream } from "../../src/npy/index.js";
import type { ChunkSource } from "../../src/unified/write-source.js";
import { memoryError, PAGE, TestSwapStore } from "../builders.js";
import { type MemorySetup, openMemory } from "../unified/opened-memory.js";

const NAMES: Record<ScalarType, string> = {
  f32: "f4",
  f64: "f8",
  i8: "i1",
  i16: "i2",
  i32: "i4",
  i64: "i8",
  u8: "u1",
  u16: "u2",
  u32: "u4",
  u64: "u8",
};

interface File {
  descr?: string;
  fortran?: boolean;
  shape?: string;
  version?: number;
  data?: Uint8Array;
}

/** A file as NumPy writes it. */
function npy({ descr = "'<f4'", fortran = false, shape = "(3,)", version = 1, data = new Uint8Array(12) }: File) {
  const text = `{'descr': ${descr}, 'fortran_order': ${fortran ? "True" : "False"}, 'shape': ${shape}, }`;
  const start = version === 1 ? 10 : 12;
  const padded = text.padEnd(Math.ceil((start + text.length + 1) / 64) * 64 - start - 1) + "\n";
  const bytes = Buffer.alloc(start + padded.length + data.length);
  bytes.write("\x93NUMPY", 0, "latin1");
  bytes[6] = version;
  if (version === 1) bytes.writeUInt16LE(padded.length, 8);
  else bytes.writeUInt32LE(padded.length, 8);
  bytes.write(padded, start, "latin1");
  bytes.set(data, start + padded.length);
  return new Uint8Array(bytes);
}

async function* cut(bytes: Uint8Array, length: number, failAt = Infinity): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) {
    if (at >= failAt) throw new Error("the line broke");
    yield bytes.slice(at, at + length);
  }
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

for (const type of SCALAR_TYPES) {
  test(`${type} is loaded in either byte order and any header version, however it is cut`, async (t) => {
    const opened = await openMemory(t);
    const stride = strideOf(type);
    const data = Uint8Array.from({ length: 3000 * stride }, (_, i) => (i * 167 + 1) & 0x3f);
    for (const order of ["<", ">"]) {
      const expected = data.slice();
      if (order === ">") for (let at = 0; at < data.length; at += stride) expected.subarray(at, at + stride).reverse();
      for (const version of [1, 2, 3]) {
        const file = npy({ descr: `'${order}${NAMES[type]}'`, shape: "(30, 100)", version, data });
        const given = file.slice();
        const streamed = new Blob([file]).stream();
        for (const source of [given, new Blob([file]), streamed, cut(file, 997), cut(file, 131)]) {
          const { array, shape } = await loadNpy(opened.memory, source);
          assert.equal(array.type, type);
          assert.deepEqual(shape, [30, 100]);
          assert.deepEqual(bytesOf(await array.read()), expected);
          opened.check();
          array.destroy();
        }
        assert.deepEqual(given, file, "the caller's bytes are left alone");
      }
    }
  });

  test(`${type} is written and loaded again as it was`, async (t) => {
    const { memory } = await openMemory(t);
    const array = memory.createArray(type, 6000);
    const source = viewOf(type, new ArrayBuffer(6000 * strideOf(type)), 0, 6000);
    bytesOf(source).forEach((_, i, bytes) => (bytes[i] = i & 0x3f));
    await array.write(source.buffer);
    await array.prefetch("device");
    for (const shape of [[6000], [60, 100], [2, 3, 1000]]) {
      const file = await new Response(npyStream(array, { shape })).blob();
      const text = new TextDecoder("latin1").decode((await file.arrayBuffer()).slice(0, 128));
      assert.match(text, new RegExp(`'[<|]${NAMES[type]}'`));
      assert.equal((file.size - 6000 * strideOf(type)) % 64, 0);
      const loaded = await loadNpy(memory, file.stream());
      assert.deepEqual(loaded.shape, shape);
      assert.deepEqual(bytesOf(await loaded.array.read()), bytesOf(source));
    }
  });
}

test("bool is loaded as u8, a single element has no dimensions, one dimension may say Fortran", async (t) => {
  const { memory } = await openMemory(t);
  const bool = await loadNpy(memory, npy({ descr: "'|b1'", data: Uint8Array.of(1, 0, 1) }));
  assert.equal(bool.array.type, "u8");
  assert.deepEqual([...(await bool.array.read())], [1, 0, 1]);
  const single = await loadNpy(memory, npy({ shape: "()", data: new Uint8Array(4) }));
  assert.deepEqual([single.shape, single.array.length], [[], 1]);
  assert.deepEqual((await loadNpy(memory, npy({ fortran: true }))).shape, [3]);
});

const REFUSED: [what: string, file: Uint8Array, message: RegExp][] = [
  ["Fortran order", npy({ fortran: true, shape: "(1, 3)" }), /Fortran order, shape \(1, 3\)/],
  ["complex numbers", npy({ descr: "'<c8'" }), /elements of type '<c8'/],
  ["structures", npy({ descr: "[('x', '<f4')]" }), /structured type/],
  ["no elements", npy({ shape: "(0, 3)" }), /shape \(0, 3\), 0 elements/],
  ["version 4", npy({ version: 4 }), /version 4; versions 1 to 3/],
  ["another format", new Uint8Array(200), /does not begin with/],
  ["an empty file", new Uint8Array(0), /ends after 0 bytes, within its header/],
  ["a header that is cut", npy({}).slice(0, 40), /ends after 40 bytes, within its header/],
  ["too few elements", npy({ shape: "(4,)" }), /ends after 12 of the 16 bytes of 4 f32/],
  ["too many elements", npy({ shape: "(2,)" }), /goes beyond its 8 bytes/],
];

for (const [what, file, message] of REFUSED) {
  test(`${what} is refused by name, and no array is left`, async (t) => {
    const opened = await openMemory(t);
    for (const source of [file, new Blob([file]).stream(), cut(file, 7)]) {
      await assert.rejects(loadNpy(opened.memory, source), memoryError("EINVAL", message));
    }
    await opened.memory.createArray("u8", 1).fill(1);
    assert.equal(opened.memory.stats.host.usedBytes, opened.machine.pageSize);
    opened.check();
  });
}

const SETUPS: Record<string, MemorySetup> = {
  "a private device": { debug: true },
  "a private device that copies while it computes": { link: { latency: 1 } },
  "a private device of two pages": { devicePages: 2 },
  "a coherent device": { kind: "coherent" },
  "a coherent device of two pages that copies while it computes": {
    kind: "coherent",
    devicePages: 2,
    link: { latency: 1 },
  },
  "pages of 16 KiB": { pageSize: 4 * PAGE, devicePages: 2 },
  "a host budget, and swap": { hostPages: 6, swap: new TestSwapStore(64) },
};

const SOURCES: Record<string, (chunks: AsyncGenerator<Uint8Array>) => ChunkSource> = {
  "an async iterable": (chunks) => chunks,
  "a web stream": (chunks) =>
    new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await chunks.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        },
      },
      { highWaterMark: 0 },
    ),
  "a Node stream": (chunks) => Readable.from(chunks),
};

/** Bytes `[0, end)` in a few chunks, and then an error. */
async function* failing(bytes: Uint8Array, end: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < end; at += 1000) yield bytes.slice(at, Math.min(at + 1000, end));
  throw new Error("the line broke");
}

for (const [device, setup] of Object.entries(SETUPS)) {
  test(`with ${device}: a file goes in, through a kernel, and out; sources that fail anywhere leave no array`, async (t) => {
    const opened = await openMemory(t, setup);
    const { memory } = opened;
    const numbers = Float32Array.from({ length: 8000 }, (_, i) => i);
    const bigEndian = new Uint8Array(numbers.slice().buffer);
    for (let at = 0; at < bigEndian.length; at += 4) bigEndian.subarray(at, at + 4).reverse();
    const little = npy({ shape: "(80, 100)", data: new Uint8Array(numbers.buffer) });
    const big = npy({ descr: "'>f4'", shape: "(80, 100)", data: bigEndian });
    const kernel = await memory.createKernel({
      footprint: { x: { each: 1 } },
      host: {
        writes: ["x"],
        run({ first, count, arrays, base }) {
          for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]] *= 2;
        },
      },
    });
    for (const file of [little, big]) {
      const { array, shape } = await loadNpy(memory, cut(file, 777));
      await kernel.dispatch({ invocations: 8000, arrays: { x: array } });
      const out = await new Response(npyStream(array, { shape })).arrayBuffer();
      const doubled = numbers.map((number) => number * 2);
      assert.deepEqual(new Uint8Array(out).slice(-32_000), new Uint8Array(doubled.buffer));
      opened.check();
      array.destroy();

      // In the magic number, the length of the header, the header; at its end; within the first and a later element; between.
      for (const end of [0, 3, 9, 10, 50, 127, 128, 129, 131, 132, 4000, 20_127, little.length - 1, little.length]) {
        for (const [kind, make] of Object.entries(SOURCES)) {
          const what = `${kind} that fails after ${end} bytes`;
          await assert.rejects(loadNpy(memory, make(failing(file, end))), /the line broke/, what);
          opened.check();
        }
      }
    }
    await memory.createArray("u8", 1).fill(1);
    const { host, device: devices } = memory.stats;
    assert.deepEqual([host.usedBytes - host.retainedBytes, devices.usedBytes], [opened.machine.pageSize, 0]);
  });
}

test("aborted before, in the header, behind it or among the elements, loading rejects with the reason and lets its source go", async (t) => {
  const opened = await openMemory(t);
  const file = npy({ shape: "(3000,)", data: new Uint8Array(12000) });
  for (const start of [-1, 0, 5, 128, 500]) {
    const controller = new AbortController();
    const reasons: unknown[] = [];
    const silent = new ReadableStream<Uint8Array>({
      start: (stream) => (start > 0 ? stream.enqueue(file.slice(0, start)) : undefined),
      cancel: (reason) => void reasons.push(reason),
    });
    if (start < 0) controller.abort("enough");
    const loading = loadNpy(opened.memory, silent, { signal: controller.signal });
    const refused = assert.rejects(loading, (reason) => reason === "enough");
    await new Promise(setImmediate);
    controller.abort("enough");
    await refused;
    assert.equal(reasons.length, 1);
    assert.equal(silent.locked, false);
  }
  await opened.memory.createArray("u8", 1).fill(1);
  assert.equal(opened.memory.stats.host.usedBytes, opened.machine.pageSize);
});

test("a stream out fails when it is aborted, when its array or the memory is destroyed; cancelled it reads no more", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f32", 200_000);
  await array.fill(1);
  const controller = new AbortController();
  const aborted = npyStream(array, { signal: controller.signal }).getReader();
  assert.equal((await aborted.read()).value?.byteLength, 128);
  controller.abort("enough");
  await assert.rejects(aborted.read(), (reason) => reason === "enough");
  const cancelled = npyStream(array).getReader();
  await cancelled.read();
  await cancelled.cancel();
  assert.equal((await cancelled.read()).done, true);
  const orphan = npyStream(array).getReader();
  await orphan.read();
  await orphan.read();
  array.destroy();
  await assert.rejects(orphan.read(), memoryError("EINVAL", /destroyed/));
  opened.check();
});

test("a shape of another number of elements is refused", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("f32", 6, { label: "six" });
  assert.throws(() => npyStream(array, { shape: [2, 2] }), memoryError("EINVAL", /shape \(2, 2\).*6 elements.*"six"/));
});
