/**
 * Makes the demo's files again, byte for byte, from the full vectors: the chosen words and as many of the most frequent
 * others, in the order of the full list, as make 2,000. The numbers are copied as they are, not rounded or scaled.
 *
 *     node dist/examples/word-vectors/demo/make-demo.js
 */

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { writeNpyHeader } from "../../../src/npy/index.js";
import { Progress } from "../../program/progress.js";
import { bytesPerNumber, readChunks } from "../vector-file.js";
import { findWordVectors } from "../word-vectors.js";
import { chosenWords } from "./chosen-words.js";

const size = 2000;
const folder = new URL("../../../../examples/word-vectors/demo/", import.meta.url);

const { file, words } = await findWordVectors(
  { kind: "package" },
  new Progress(process.stderr),
  new AbortController().signal,
);
const missing = [...chosenWords].filter((word) => !words.includes(word));
if (missing.length > 0) throw new Error(`chosen, but not in the full list: ${missing.join(" ")}`);

// Punctuation and numerals are frequent, too, and make poor neighbours.
const isWord = (word: string): boolean => /^[a-z]{2,}$/.test(word);
const others = words.filter((word) => isWord(word) && !chosenWords.has(word)).slice(0, size - chosenWords.size);
const kept = new Set([...chosenWords, ...others]);

const rowBytes = file.dimensions * bytesPerNumber;
const rows: Uint8Array[] = [];
let row = 0;
let rest = new Uint8Array(0);
for await (const chunk of readChunks(file)) {
  const bytes = new Uint8Array(rest.length + chunk.length);
  bytes.set(rest);
  bytes.set(chunk, rest.length);
  let start = 0;
  for (; start + rowBytes <= bytes.length; start += rowBytes, row++) {
    if (kept.has(words[row])) rows.push(bytes.slice(start, start + rowBytes));
  }
  rest = bytes.slice(start);
}
const list = words.filter((word) => kept.has(word));
await writeFile(
  fileURLToPath(new URL("vectors.npy", folder)),
  Buffer.concat([writeNpyHeader("f32", [rows.length, file.dimensions]), ...rows]),
);
await writeFile(fileURLToPath(new URL("words.txt", folder)), list.map((word) => `${word}\n`).join(""));
process.stdout.write(`${rows.length} words: ${chosenWords.size} chosen, ${others.length} frequent\n`);
