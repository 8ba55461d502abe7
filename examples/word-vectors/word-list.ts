/**
 * The words that belong to the vectors: a text file in UTF-8, one word a line, line n for vector n. Invariant: words are
 * never dropped, trimmed or joined, so that the n-th stays the n-th; only a line's end (LF or CR LF) is taken off. No word
 * stands twice, so that a word means one vector.
 */

import { readFile, stat } from "node:fs/promises";
import { explain, JobFailure } from "../program/failure.js";
import { count, fileSize } from "../program/sizes.js";

const largestFile = 256 * 1024 ** 2;

export async function readWords(file: string, expected: number): Promise<string[]> {
  const words = splitWords(await readText(file));
  if (words.length !== expected) {
    throw new JobFailure(
      "EINVAL",
      `${file} has ${count(words.length)} words, but there are ${count(expected)} vectors`,
    );
  }
  refuseDuplicates(words, file);
  return words;
}

function refuseDuplicates(words: readonly string[], file: string): void {
  if (new Set(words).size === words.length) return;
  const lines = new Map<string, number>();
  for (const [i, word] of words.entries()) {
    const first = lines.get(word);
    if (first !== undefined) {
      throw new JobFailure(
        "EINVAL",
        `${file} has ${JSON.stringify(word)} in line ${first} and again in line ${i + 1}; each word may have one vector`,
      );
    }
    lines.set(word, i + 1);
  }
}

export function splitWords(text: string): string[] {
  const words = text.split("\n");
  if (words.at(-1) === "") words.pop();
  return text.includes("\r") ? words.map((word) => (word.endsWith("\r") ? word.slice(0, -1) : word)) : words;
}

/** Where the word stands. */
export function placeOf(word: string, words: readonly string[], source: string): number {
  const place = words.indexOf(word);
  if (place >= 0) return place;
  const folded = word.toLowerCase();
  const hint = folded !== word && words.includes(folded) ? `; ${JSON.stringify(folded)} is` : "";
  throw new JobFailure(
    "EINVAL",
    `${JSON.stringify(word)} is not among the ${count(words.length)} words of ${source}${hint}`,
  );
}

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > largestFile) {
      throw new JobFailure(
        "EINVAL",
        `${file} has ${fileSize(size)}; a list of words may have ${fileSize(largestFile)}`,
      );
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if (error instanceof TypeError) throw new JobFailure("EINVAL", `${file} is not text in UTF-8`, { cause: error });
    throw explain(error, `cannot read ${file}`);
  }
}
