// .npy files as mapped arrays: nothing is read before it is used, and what cannot lie there as memory has it is refused.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "node:test";
import { writeNpyHeader } from "../../src/npy/header.js";
import { mapNpy } from "../../src/npy/index.js";
import { FileSource } from "../../src/unified/local/file-source.js";
import { memoryError, PAGE } from "../builders.js";
import { temporaryFolder } from "../temporary-folder.js";
import { openMemory } from "../unified/opened-memory.js";
import { numpyBytes } from "./numpy-files.js";

test("nothing but the header is read before pages are used, and then those pages; writes stay in memory", async (t) => {
  const opened = await openMemory(t, { devicePages: 4 });
  const path = join(await temporaryFolder(t), "numbers.npy");
  const numbers = Float32Array.from({ length: 10 * 1024 }, (_, i) => i);
  const file = Buffer.concat([writeNpyHeader("f32", [10, 1024]), new Uint8Array(numbers.buffer)]);
  await writeFile(path, file);
  const { memory } = opened;
  const { array, shape } = await mapNpy(memory, pathToFileURL(path));
  assert.deepEqual(shape, [10, 1024]);
  assert.equal(memory.stats.files.readBytes, 0);
  assert.deepEqual([...(await array.read({ start: 4 * 1024, length: 2 }))], [4096, 4097]);
  assert.equal(memory.stats.files.readBytes, PAGE);
  const kernel = await memory.createKernel({
    footprint: { x: { each: 1 } },
    host: {
      writes: ["x"],
      run({ first, count, arrays, base }) {
        for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]] += 1;
      },
    },
  });
  await kernel.dispatch({ invocations: array.length, arrays: { x: array } });
  assert.deepEqual(
    await array.read(),
    numbers.map((number) => number + 1),
  );
  assert.deepEqual((await mapNpy(memory, path)).array.label, "array 2");
  opened.check();
});

test("a header of any length is read whole, and no more than there is", async (t) => {
  const { memory } = await openMemory(t);
  const data = new Uint8Array([1, 2, 3]);
  for (const spaces of [1, 200, 1000, 40_000, 65_400]) {
    const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }${" ".repeat(spaces)}\n`;
    const start = Buffer.from("\x93NUMPY\x02\x00\0\0\0\0", "latin1");
    start.writeUInt32LE(text.length, 8);
    const { array } = await mapNpy(memory, new Blob([start, text, data]));
    assert.deepEqual([...(await array.read())], [1, 2, 3]);
  }
});

test("what is not as its header says, or cannot be mapped, is refused with the figures, and the file is closed", async (t) => {
  const opened = await openMemory(t);
  const path = join(await temporaryFolder(t), "x.npy");
  const original = FileSource.open.bind(FileSource);
  let files = 0;
  let closed = 0;
  t.mock.method(FileSource, "open", async (given: string) => {
    const source = await original(given);
    files++;
    const close = source.close.bind(source);
    source.close = () => close().finally(() => closed++);
    return source;
  });
  const four = numpyBytes("one-dimension");
  const text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".padEnd(58);
  const odd = Buffer.from(`\x93NUMPY\x01\x00\0\0${text}\n`, "latin1");
  odd.writeUInt16LE(odd.length - 10, 8);
  const refused: [bytes: Uint8Array, message: RegExp][] = [
    [four.subarray(0, 137), /has 137 bytes, and its header of 128 and its 5 u16 take 138/],
    [Buffer.concat([four, new Uint8Array(1)]), /has 139 bytes, and its header of 128 and its 5 u16 take 138/],
    [four.subarray(0, 60), /ends after 60 bytes, within its header/],
    [four.subarray(0, 3), /ends after 3 bytes, within its header/],
    [new Uint8Array(0), /ends after 0 bytes, within its header/],
    [
      Buffer.concat([odd, new Uint8Array(8)]),
      /has f32 elements from byte 69 on, no multiple of 4, which cannot be mapped/,
    ],
    [Buffer.from("PK archive"), /does not begin with/],
  ];
  for (const [bytes, message] of refused) {
    await writeFile(path, bytes);
    await assert.rejects(mapNpy(opened.memory, path), memoryError("EINVAL", message));
    await assert.rejects(mapNpy(opened.memory, new Blob([bytes])), memoryError("EINVAL", message));
  }
  assert.deepEqual([files, closed], [refused.length, refused.length]);
  await assert.rejects(mapNpy(opened.memory, join(path, "absent")), /absent cannot be mapped/);
  await assert.rejects(mapNpy(opened.memory, 3 as never), memoryError("EINVAL", /a path or a file URL, not 3/));
  await assert.rejects(
    mapNpy(opened.memory, path, { lable: "x" } as never),
    memoryError("EINVAL", /mapNpy has no option/),
  );
  opened.check();
});
