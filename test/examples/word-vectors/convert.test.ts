import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { convertArchive } from "../../../examples/word-vectors/convert.js";
import { checkIntegrity } from "../../../examples/data/integrity.js";
import { openVectorFile } from "../../../examples/word-vectors/vector-file.js";
import { readWords } from "../../../examples/word-vectors/word-list.js";
import { awkwardWords, madeArchive, madeJson, madePackage, madeTar, madeVectors } from "../data/made-archive.js";
import { temporaryFolder } from "../../temporary-folder.js";

test("row n is the vector of word n, to the last bit, also for words made of JSON's own signs", async (t) => {
  const folder = await temporaryFolder(t);
  const made = madeVectors();
  const archive = madeArchive(madeJson(made));
  await writeFile(join(folder, "a.tgz"), archive);
  const converted = await convertArchive(join(folder, "a.tgz"), madePackage(archive), folder);
  assert.deepEqual([converted.rows, converted.dimensions], [awkwardWords.length, 4]);

  const vectors = await openVectorFile(join(folder, "vectors.npy"));
  assert.deepEqual([vectors.rows, vectors.dimensions], [awkwardWords.length, 4]);
  assert.deepEqual(await readWords(join(folder, "words.txt"), vectors.rows), awkwardWords);
  const bytes = await readFile(join(folder, "vectors.npy"));
  const numbers = new Float32Array(
    bytes.buffer.slice(bytes.byteOffset + vectors.dataOffset, bytes.byteOffset + bytes.length),
  );
  assert.deepEqual([...numbers], made.rows.flat());

  for (const name of ["vectors.npy", "words.txt"] as const) {
    const file = await readFile(join(folder, name));
    assert.deepEqual(converted.files[name], {
      bytes: file.length,
      sha256: createHash("sha256").update(file).digest("hex"),
    });
  }
});

test("thousands of records that cross the chunks' borders are all there", async (t) => {
  const folder = await temporaryFolder(t);
  const made = madeVectors(
    Array.from({ length: 20_000 }, (_, i) => `word ${i}`),
    7,
  );
  const archive = madeArchive(madeJson(made));
  await writeFile(join(folder, "a.tgz"), archive);
  const progress: number[] = [];
  await convertArchive(join(folder, "a.tgz"), madePackage(archive), folder, {
    onProgress: (bytes) => progress.push(bytes),
  });
  assert.deepEqual(await readWords(join(folder, "words.txt"), 20_000), made.words);
  const bytes = await readFile(join(folder, "vectors.npy"));
  assert.deepEqual(new Float32Array(bytes.buffer.slice(bytes.byteOffset + 128)), Float32Array.from(made.rows.flat()));
  assert.equal(progress.at(-1), archive.length);
});

test("an archive that is not the pinned one is refused with both digests", async (t) => {
  const folder = await temporaryFolder(t);
  const archive = madeArchive(madeJson(madeVectors()));
  const changed = Buffer.from(archive);
  changed[20] ^= 1;
  await writeFile(join(folder, "a.tgz"), changed);
  const source = madePackage(archive);
  await assert.rejects(checkIntegrity(join(folder, "a.tgz"), source), (error: Error) => {
    assert.match(error.message, /made-vectors@1\.0\.0 is not the expected archive: sha512-.{88}, not sha512-/);
    assert.ok(error.message.endsWith(source.integrity));
    return true;
  });
  await writeFile(join(folder, "a.tgz"), archive);
  await checkIntegrity(join(folder, "a.tgz"), source);
});

const json = madeJson(madeVectors());
const broken: readonly (readonly [what: string, archive: Buffer, message: RegExp])[] = [
  ["cut off in its compression", madeArchive(json).subarray(0, 300), /the archive is damaged: unexpected end of file/],
  ["not compressed", Buffer.from("not an archive"), /the archive is damaged: incorrect header check/],
  ["cut off in the tar", gzipSync(gunzipSync(madeArchive(json)).subarray(0, 1800)), /the archive is cut off/],
  ["without the entry", gzipSync(madeTar({ "package/other.json": json })), /no entry package\/vectors\.json/],
  ["with JSON cut off", madeArchive(json.slice(0, -40)), /the JSON is cut off after/],
  [
    "with a record missing",
    madeArchive(json.replace('"the":[', '"the":["x"],"the":[')),
    /record 0 does not belong to word 0/,
  ],
  [
    "with records in another order",
    madeArchive(madeJson({ ...madeVectors(), words: ["b", "a"] }).replace('"words":["b","a"]', '"words":["a","b"]')),
    /record 0 does not belong/,
  ],
  [
    "with fewer records than words",
    madeArchive(json.replace('"size":13', '"size":14').replace('"words":[', '"words":["more",')),
    /record 0 does not belong/,
  ],
  [
    "with a list of words of another length",
    madeArchive(json.replace('"size":13', '"size":12')),
    /does not say, before its vectors/,
  ],
  [
    "with the list of words missing",
    madeArchive(json.replace('"words":', '"names":')),
    /does not say, before its vectors/,
  ],
  [
    "with a word that holds a line end",
    madeArchive(json.replaceAll('"the"', '"t\\ne"')),
    /not all strings of one line/,
  ],
  [
    "with a vector that is too short",
    madeArchive(json.replace(/"the":\[[^\]]*\]/, '"the":[1,2,3,null,0,0]')),
    /record 0 has null in place of number 3/,
  ],
  ["without vectors", madeArchive('{"size":0,"words":[]}'), /the archive ends after 0 records/],
];

for (const [what, archive, message] of broken) {
  test(`an archive ${what} is refused`, async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, "a.tgz"), archive);
    await assert.rejects(convertArchive(join(folder, "a.tgz"), madePackage(archive), folder), {
      code: "EBADMSG",
      message,
    });
  });
}

test("an archive with its last records missing is refused with both numbers", async (t) => {
  const folder = await temporaryFolder(t);
  const made = madeVectors(["a", "b", "c"]);
  const archive = madeArchive(madeJson(made).replace(/,"c":\[[^\]]*\]/, ""));
  await writeFile(join(folder, "a.tgz"), archive);
  await assert.rejects(convertArchive(join(folder, "a.tgz"), madePackage(archive), folder), {
    message: "the archive ends after 2 of 3 records",
  });
});

test("converting stops with the signal's reason", async (t) => {
  const folder = await temporaryFolder(t);
  const archive = madeArchive(
    madeJson(
      madeVectors(
        Array.from({ length: 20_000 }, (_, i) => `word ${i}`),
        7,
      ),
    ),
  );
  await writeFile(join(folder, "a.tgz"), archive);
  const interruption = new AbortController();
  const reason = new Error("enough");
  await assert.rejects(
    convertArchive(join(folder, "a.tgz"), madePackage(archive), folder, {
      signal: interruption.signal,
      onProgress: () => interruption.abort(reason),
    }),
    reason,
  );
});
