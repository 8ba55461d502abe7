import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { placeOf, readWords, splitWords } from "../../../examples/word-vectors/word-list.js";
import { temporaryFolder } from "../../temporary-folder.js";

test("one word a line, with or without a last line end, with either kind of line end", () => {
  for (const text of ["a\nb\nc", "a\nb\nc\n", "a\r\nb\r\nc\r\n"]) assert.deepEqual(splitWords(text), ["a", "b", "c"]);
});

test("an empty line, a space and an unusual separator are words like others, so that the n-th stays the n-th", () => {
  assert.deepEqual(splitWords("a\n\n \nb\u2028c\u0085d\n"), ["a", "", " ", "b\u2028c\u0085d"]);
});

test("a list of another length than the vectors is refused with both numbers", async (t) => {
  const file = join(await temporaryFolder(t), "words.txt");
  await writeFile(file, "a\nb\n");
  assert.deepEqual(await readWords(file, 2), ["a", "b"]);
  await assert.rejects(readWords(file, 1234), {
    code: "EINVAL",
    message: /words\.txt has 2 words, but there are 1,234 vectors$/,
  });
});

test("a list that is not UTF-8, or not there, is refused", async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "latin1.txt"), Buffer.from("caf\xe9\n", "latin1"));
  await assert.rejects(readWords(join(folder, "latin1.txt"), 1), { code: "EINVAL", message: /not text in UTF-8$/ });
  await assert.rejects(readWords(join(folder, "absent.txt"), 1), { code: "ENOENT" });
  await assert.rejects(readWords(folder, 1), { name: "JobFailure", message: /^cannot read / });
});

test("a list that has a word twice is refused with the word and both of its lines", async (t) => {
  const file = join(await temporaryFolder(t), "words.txt");
  await writeFile(file, "a\nb\nc\r\nd\nc\nb\n");
  await assert.rejects(readWords(file, 6), {
    code: "EINVAL",
    message: /words\.txt has "c" in line 3 and again in line 5; each word may have one vector$/,
  });
  await writeFile(file, "a\nA\na \n\n");
  assert.deepEqual(await readWords(file, 4), ["a", "A", "a ", ""]);
});

test("a word is found at its place", () => {
  assert.equal(placeOf("b", ["a", "b", "c"], "w.txt"), 1);
});

test("an unknown word is refused, with a hint when only its case is wrong", () => {
  assert.throws(() => placeOf("King", ["queen", "king"], "the demo"), {
    code: "EINVAL",
    message: '"King" is not among the 2 words of the demo; "king" is',
  });
  assert.throws(() => placeOf("kink", ["queen", "king"], "the demo"), {
    message: '"kink" is not among the 2 words of the demo',
  });
});
