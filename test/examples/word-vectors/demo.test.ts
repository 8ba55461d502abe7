import assert from "node:assert/strict";
import { test } from "node:test";
import { chosenWords } from "../../../examples/word-vectors/demo/chosen-words.js";
import { readChunks } from "../../../examples/word-vectors/vector-file.js";
import { findWordVectors } from "../../../examples/word-vectors/word-vectors.js";

const silent = {
  note: () => assert.fail("the demo needs nothing"),
  phase: () => assert.fail("the demo needs nothing"),
};

test("the demo's files hold 2,000 different words with their vectors, and say that they are the demo", async () => {
  const { file, words, source, name } = await findWordVectors({ kind: "demo" }, silent, new AbortController().signal);
  assert.deepEqual([file.rows, file.dimensions, words.length, new Set(words).size], [2000, 100, 2000, 2000]);
  assert.match(source, /^DEMO: /);
  assert.match(source, /GloVe/);
  assert.equal(name, "the demo");
  let bytes = 0;
  for await (const chunk of readChunks(file)) bytes += chunk.length;
  assert.equal(bytes, 800_000);
});

test("every chosen word is in the demo, and so are the words that are searched when none is given", async () => {
  const { words } = await findWordVectors({ kind: "demo" }, silent, new AbortController().signal);
  for (const word of [...chosenWords, "queen", "physics", "guitar", "linux"]) assert.ok(words.includes(word), word);
});
