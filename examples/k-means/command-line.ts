/** What k-means can be told. */

import { deviceNames, type DeviceName, deviceOptions, deviceUsage } from "../program/device.js";
import { parseOptions, programOptions, readOneOf, readPageSize, readWhole, invalid } from "../program/options.js";
import { parseSize } from "../program/sizes.js";
import { type DataChoice, dataOptions, dataUsage, downloadUsage, readDataChoice } from "../word-vectors/data-choice.js";

export interface CommandLine {
  readonly help: boolean;
  readonly json: boolean;
  readonly data: DataChoice;
  readonly clusters: number;
  readonly iterations: number;
  readonly seed: number;
  readonly device: DeviceName;
  /** Null: a quarter of the data. */
  readonly deviceMemory: number | null;
  readonly pageSize: number | null;
}

export const mostClusters = 1024;
const mostIterations = 1000;

export const usage = `usage: npm run example:k-means -- [OPTION ...]

Puts 341,479 words into clusters by the directions of their vectors (Lloyd's k-means): the device assigns, streaming the
vectors through memory for a quarter of them, and the CPU takes the means over the same pages; then checks labels and
inertia against a plain k-means in float64.

  --clusters N             so many clusters, 1 to ${mostClusters} (24)
  --iterations N           at most so many iterations, 1 to ${mostIterations} (10)
  --seed N                 draws the words that the centroids begin as (1)
${deviceUsage}  --device-memory SIZE     budget of device memory, in bytes, KiB, MiB or GiB (a quarter of the vectors)
  --page-size SIZE         size of a page, a power of two from 4KiB to 2MiB (64KiB, less for little data)
  --json                   one JSON object on standard output, nothing else
${dataUsage}  --help                   this text

${downloadUsage}`;

export function readCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parseOptions(args, {
    ...programOptions,
    ...deviceOptions,
    ...dataOptions,
    clusters: { type: "string", default: "24" },
    iterations: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    "device-memory": { type: "string" },
    "page-size": { type: "string" },
  });
  if (positionals.length > 0) throw invalid(`${JSON.stringify(positionals[0])} is not an option`);
  const { "device-memory": memory, "page-size": page } = values;
  return {
    help: values.help,
    json: values.json,
    data: readDataChoice(values),
    clusters: readWhole(values.clusters, "--clusters", 1, mostClusters),
    iterations: readWhole(values.iterations, "--iterations", 1, mostIterations),
    seed: readWhole(values.seed, "--seed", 0, 2 ** 32 - 1),
    device: readOneOf(values.device, "--device", deviceNames),
    deviceMemory: memory === undefined ? null : parseSize(memory, "--device-memory"),
    pageSize: page === undefined ? null : readPageSize(page),
  };
}
