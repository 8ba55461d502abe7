// .npy files in and out: every type and byte order, header versions, what is refused, and sources that fail anywhere.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SCALAR_TYPES, strideOf, viewOf } from "../../src/device/element.js";
import type { ScalarType } from "../../src/device/layout.js";
import { loadNpy, npyStream } from "../../src/npy/index.js";
import { memoryError } from "../builders.js";
import { openMemory } from "../unified/opened-memory.js";

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

test("a source that fails anywhere, or is aborted, rejects with its own reason and leaves no array", async (t) => {
  const opened = await openMemory(t);
  const file = npy({ shape: "(3000,)", data: new Uint8Array(12000) });
  for (let failAt = 0; failAt < file.length; failAt += 1777) {
    await assert.rejects(loadNpy(opened.memory, cut(file, 61, failAt)), /the line broke/);
  }
  for (const start of [0, 5, 500]) {
    const controller = new AbortController();
    const reasons: unknown[] = [];
    const silent = new ReadableStream<Uint8Array>({
      start: (stream) => (start > 0 ? stream.enqueue(file.slice(0, start)) : undefined),
      cancel: (reason) => void reasons.push(reason),
    });
    const loading = loadNpy(opened.memory, silent, { signal: controller.signal });
    await new Promise(setImmediate);
    controller.abort("enough");
    await assert.rejects(loading, (reason) => reason === "enough");
    assert.equal(reasons.length, 1);
    assert.equal(silent.locked, false);
  }
  await opened.memory.createArray("u8", 1).fill(1);
  assert.equal(opened.memory.stats.host.usedBytes, opened.machine.pageSize);
});

test("a shape of another number of elements is refused", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("f32", 6, { label: "six" });
  assert.throws(() => npyStream(array, { shape: [2, 2] }), memoryError("EINVAL", /shape \(2, 2\).*6 elements.*"six"/));
});
