// Files that NumPy itself wrote: what is in them is what NumPy says, and what comes out of arrays is the same, byte for byte.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type ElementType, SCALAR_TYPES, type View, viewOf } from "../../src/device/element.js";
import { SCALAR_OF_NAME } from "../../src/npy/descriptor.js";
import { loadNpy, mapNpy, npyStream } from "../../src/npy/index.js";
import { struct } from "../../src/struct/index.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError } from "../builders.js";
import { openMemory } from "../unified/opened-memory.js";
import { NUMPY_FILES, numbersIn, numpyBytes, numpyPath } from "./numpy-files.js";

async function written(array: PagedArray, shape: readonly number[]): Promise<Buffer> {
  return Buffer.from(await new Response(npyStream(array, { shape })).arrayBuffer());
}

/** The file's type is the last part of its name: "big-u4". */
const typeOf = (name: string) => SCALAR_OF_NAME[name.slice(-2)] ?? assert.fail(name);

const SIMPLE = Object.keys(NUMPY_FILES).filter((name) => /^(little|big)-/.test(name));

test("there is a file of every type, in both byte orders where there are two", () => {
  assert.deepEqual(new Set(SIMPLE.map(typeOf)), new Set(SCALAR_TYPES));
  assert.equal(SIMPLE.length, 11 + 8);
});

for (const name of SIMPLE) {
  test(`${name} of NumPy is loaded with NumPy's values, and written again as NumPy writes it`, async (t) => {
    const { memory } = await openMemory(t);
    const type = typeOf(name);
    const { array, shape } = await loadNpy(memory, numpyBytes(name));
    assert.equal(array.type, type);
    assert.deepEqual(shape, [2, 3]);
    const read: View = await array.read();
    assert.deepEqual(Array.from(read as Iterable<number | bigint>), numbersIn(name, type));
    if (name === "little-b1") return;
    assert.ok((await written(array, shape)).equals(numpyBytes(name.replace("big", "little"))));
  });

  const mappable = name.startsWith("little");
  test(`${name} of NumPy ${mappable ? "is mapped" : "is refused by its byte order where it is to be mapped"}`, async (t) => {
    const { memory } = await openMemory(t);
    for (const source of [numpyPath(name), new Blob([numpyBytes(name)])]) {
      if (!mappable) {
        await assert.rejects(mapNpy(memory, source), memoryError("EINVAL", /is big endian, .* loadNpy reads it/));
        continue;
      }
      const { array, shape } = await mapNpy(memory, source, { label: name });
      assert.deepEqual([array.label, shape], [name, [2, 3]]);
      const read: View = await array.read();
      assert.deepEqual(Array.from(read as Iterable<number | bigint>), numbersIn(name, typeOf(name)));
    }
  });
}

for (const [name, type] of Object.entries({
  "version-2": "f32",
  "version-3": "f32",
  single: "i32",
  "one-dimension": "u16",
  "three-dimensions": "i16",
  "header-of-192-bytes": "u8",
})) {
  test(`${name} of NumPy is loaded and mapped with its shape`, async (t) => {
    const { memory } = await openMemory(t);
    for (const { array, shape } of [await loadNpy(memory, numpyBytes(name)), await mapNpy(memory, numpyPath(name))]) {
      assert.deepEqual(shape, NUMPY_FILES[name]?.shape);
      const read: View = await array.read();
      assert.deepEqual([array.type, Array.from(read as Iterable<number | bigint>)], [type, numbersIn(name, type)]);
      if (!name.startsWith("version")) assert.ok((await written(array, shape)).equals(numpyBytes(name)));
    }
  });
}

const particle = struct({ position: "vec3f", mass: "f32" });
const nested = struct({ place: "vec2f", count: "u32", inner: struct({ flag: "i32", turn: "mat2x3f" }) });

/** Elements with padding of 1 bits, which is not to come out. */
function elementsOf<T extends ElementType>(type: T, length: number, set: (view: View<T>) => void): View<T> {
  const bytes = new Uint8Array(new ArrayBuffer(length * 128)).fill(0xff);
  const view = viewOf(type, bytes.buffer, 0, length);
  set(view);
  return view;
}

/** Columns of three numbers each take the place of four. */
function spread(view: Float32Array, name: string, rows: number): void {
  for (const [i, number] of numbersIn(name, "f32").entries())
    view[Math.floor(i / rows) * 4 + (i % rows)] = Number(number);
}

for (const { name, type, length, view } of [
  { name: "vec2u", type: "vec2u", length: 5, view: Uint32Array.from(numbersIn("vec2u", "u32") as number[]) },
  { name: "vec4i", type: "vec4i", length: 5, view: Int32Array.from(numbersIn("vec4i", "i32") as number[]) },
  { name: "mat2x2f", type: "mat2x2f", length: 3, view: Float32Array.from(numbersIn("mat2x2f", "f32") as number[]) },
  { name: "vec3f", type: "vec3f", length: 5, view: elementsOf("vec3f", 5, (v) => spread(v, "vec3f", 3)) },
  { name: "mat4x3f", type: "mat4x3f", length: 3, view: elementsOf("mat4x3f", 3, (v) => spread(v, "mat4x3f", 3)) },
  {
    name: "particles",
    type: particle,
    length: 2,
    view: particle.of({ position: [1, 2, 3], mass: 4 }, { position: [5, 6, 7], mass: 8 }),
  },
  {
    name: "nested",
    type: nested,
    length: 2,
    view: nested.of(
      { place: [1, 2], count: 3, inner: { flag: 4, turn: [5, 6, 7, 8, 9, 10] } },
      { place: [11, 12], count: 13, inner: { flag: 14, turn: [15, 16, 17, 18, 19, 20] } },
    ),
  },
] as const) {
  test(`${name}: as NumPy writes it, without padding`, async (t) => {
    const { memory } = await openMemory(t);
    const array: PagedArray = memory.createArray(type, length);
    await array.write(view as View);
    assert.ok((await written(array, [length])).equals(numpyBytes(name)), name);
  });
}

test("names of members in any letters are written as NumPy writes them", async (t) => {
  const { memory } = await openMemory(t);
  for (const [name, type] of [
    ["latin-name", struct({ größe: "f32", b: "f32" })],
    ["greek-name", struct({ μάζα: "f32", b: "f32" })],
  ] as const) {
    const array = memory.createArray(type, 1);
    await array.write(new Float32Array([1, 2]));
    assert.ok((await written(array, [1])).equals(numpyBytes(name)), name);
  }
});

for (const [name, message] of Object.entries({
  "refused-fortran": /Fortran order, shape \(3, 2\)/,
  "refused-c8": /elements of type '<c8'/,
  "refused-f2": /elements of type '<f2'/,
  "refused-U5": /elements of type '<U5'/,
  "refused-M8": /elements of type '<M8\[ns\]'/,
  "refused-no-elements": /shape \(0, 3\), 0 elements/,
  particles: /structured type, with the fields position, mass: only single numbers/,
  "greek-name": /with the fields μάζα, b:/,
  "latin-name": /with the fields größe, b:/,
})) {
  test(`${name} of NumPy is refused by name, loaded or mapped`, async (t) => {
    const opened = await openMemory(t);
    await assert.rejects(loadNpy(opened.memory, numpyBytes(name)), memoryError("EINVAL", message));
    await assert.rejects(mapNpy(opened.memory, numpyPath(name)), memoryError("EINVAL", message));
    opened.check();
  });
}
