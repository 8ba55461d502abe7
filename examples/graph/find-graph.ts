/** The graph that the command line asks for. Nothing after this knows which it was. */

import { readFile } from "node:fs/promises";
import { cacheFolder } from "../data/cache-folder.js";
import type { Watcher } from "../data/kept-files.js";
import { findWordVectors } from "../word-vectors/word-vectors.js";
import type { GraphChoice } from "./command-line.js";
import type { Graph } from "./graph.js";
import { neighbourGraph } from "./neighbour-graph.js";
import { outlineFiles } from "./outline.js";
import { readWordnet, wordnetGraph } from "./wordnet-file.js";
import { obtainWordnet, wordnetPackage } from "./wordnet-package.js";

/** The outline stands beside the sources, which are three folders above the compiled file and down again. */
const outline = new URL("../../../examples/graph/demo/outline.txt", import.meta.url);

export async function findGraph(choice: GraphChoice, watcher: Watcher, signal: AbortSignal): Promise<Graph> {
  if (choice.kind === "neighbours") {
    const vectors = await findWordVectors({ kind: choice.demo ? "demo" : "package" }, watcher, signal);
    return neighbourGraph(vectors, !choice.demo, watcher, signal);
  }
  if (choice.demo)
    return wordnetGraph(outlineFiles(await readFile(outline, "utf8")), "DEMO: an outline in WordNet's format");
  if (choice.folder !== null) return readWordnet(choice.folder, choice.folder);
  const folder = await obtainWordnet(wordnetPackage, cacheFolder(), watcher, signal);
  return readWordnet(folder, wordnetPackage.credit);
}
