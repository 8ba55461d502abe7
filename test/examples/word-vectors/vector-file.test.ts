import assert from "node:assert/strict";
import { mkdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { writeNpyHeader } from "../../../src/npy/index.js";
import { openVectorFile, readChunks } from "../../../examples/word-vectors/vector-file.js";
import { temporaryFolder } from "../../temporary-folder.js";

const bytesOf = (numbers: Float32Array): Uint8Array => new Uint8Array(numbers.buffer);

test("a .npy file and a raw file of the same numbers give the same numbers", async (t) => {
  const folder = await temporaryFolder(t);
  // More than one chunk of 1 MiB, and not a whole number of them.
  const rows = 3001;
  const numbers = Float32Array.from({ length: rows * 100 }, (_, i) => i / 8);
  await writeFile(join(folder, "v.npy"), Buffer.concat([writeNpyHeader("f32", [rows, 100]), bytesOf(numbers)]));
  await writeFile(join(folder, "v.f32"), bytesOf(numbers));
  for (const vectors of [
    await openVectorFile(join(folder, "v.npy")),
    await openVectorFile(join(folder, "v.f32"), 100),
  ]) {
    assert.deepEqual([vectors.rows, vectors.dimensions], [rows, 100]);
    const progress: number[] = [];
    const chunks = [];
    for await (const chunk of readChunks(vectors, { onProgress: (bytes) => progress.push(bytes) })) chunks.push(chunk);
    assert.ok(Buffer.concat(chunks).equals(bytesOf(numbers)));
    assert.deepEqual(progress, [1024 ** 2, numbers.byteLength]);
  }
});

test("a .npy file that is cut off or too long is refused with both lengths", async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, "v.npy");
  await writeFile(file, Buffer.concat([writeNpyHeader("f32", [10, 100]), new Uint8Array(4000)]));
  await truncate(file, 4000);
  await assert.rejects(openVectorFile(file), {
    code: "EBADMSG",
    message: /v\.npy is cut off: 4,000 bytes, but 10 x 100 numbers and the header take 4,128$/,
  });
  await truncate(file, 4129);
  await assert.rejects(openVectorFile(file), { code: "EBADMSG", message: /v\.npy is too long: 4,129 bytes/ });
});

test("a raw file that is not a whole number of vectors, or empty, is refused", async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, "v.f32");
  for (const length of [0, 401, 1000]) {
    await writeFile(file, new Uint8Array(length));
    await assert.rejects(openVectorFile(file, 100), {
      code: "EBADMSG",
      message: /not a whole number of vectors of 100 float32 \(400 bytes\)/,
    });
  }
});

test("what kind of file it is must be known, and known once", async (t) => {
  const folder = await temporaryFolder(t);
  const [raw, npy, wrong, directory] = ["v.f32", "v.npy", "wrong.npy", "folder.npy"].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  await writeFile(raw, new Uint8Array(400));
  await writeFile(wrong, new Uint8Array(400));
  await writeFile(npy, Buffer.concat([writeNpyHeader("f32", [1, 100]), new Uint8Array(400)]));
  await mkdir(directory);
  await assert.rejects(openVectorFile(raw), { code: "EINVAL", message: /not a .npy file; .* --dim$/ });
  await assert.rejects(openVectorFile(npy, 100), { code: "EINVAL", message: /^--dim 100 is for raw float32/ });
  await assert.rejects(openVectorFile(wrong, 100), {
    code: "EINVAL",
    message: /not a .npy file: it does not begin with/,
  });
  await assert.rejects(openVectorFile(directory), { name: "JobFailure", message: /^cannot read .*folder\.npy: / });
  await assert.rejects(openVectorFile(join(folder, "absent.npy")), {
    code: "ENOENT",
    message: /no such file or folder \(ENOENT\)$/,
  });
});

test("a number that is not finite is refused with its place, wherever it stands", async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, "v.f32");
  for (const [row, column, value] of [
    [0, 0, Number.NaN],
    [2999, 99, Infinity],
    [2700, 41, -Infinity],
  ] as const) {
    const numbers = new Float32Array(3000 * 100).fill(1);
    numbers[row * 100 + column] = value;
    await writeFile(file, bytesOf(numbers));
    const vectors = await openVectorFile(file, 100);
    await assert.rejects(
      async () => {
        for await (const chunk of readChunks(vectors)) assert.ok(chunk.length > 0);
      },
      { code: "EINVAL", message: new RegExp(`number ${column + 1} of vector ${row + 1} is ${value}; `) },
    );
  }
});

test("large numbers whose sum overflows float32 are as good as any", async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, "v.f32");
  await writeFile(file, bytesOf(new Float32Array(1000).fill(3e38)));
  let bytes = 0;
  for await (const chunk of readChunks(await openVectorFile(file, 100))) bytes += chunk.length;
  assert.equal(bytes, 4000);
});

test("a file that shrinks while it is read is noticed", async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, "v.f32");
  await writeFile(file, new Uint8Array(4000));
  const vectors = await openVectorFile(file, 100);
  await truncate(file, 3000);
  await assert.rejects(
    async () => {
      for await (const chunk of readChunks(vectors)) assert.ok(chunk.length > 0);
    },
    { code: "EBADMSG", message: /became shorter while it was read: 3,000 of 4,000 bytes/ },
  );
});

test("reading stops with the signal's reason", async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, "v.f32");
  await writeFile(file, new Uint8Array(3 * 1024 ** 2));
  const vectors = await openVectorFile(file, 64);
  const interruption = new AbortController();
  let chunks = 0;
  await assert.rejects(
    async () => {
      for await (const chunk of readChunks(vectors, { signal: interruption.signal })) {
        chunks += chunk.length > 0 ? 1 : 0;
        interruption.abort(new Error("enough"));
      }
    },
    { message: "enough" },
  );
  assert.equal(chunks, 1);
});
