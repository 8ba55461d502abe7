/** What the main job can be told. */

import { deviceNames, type DeviceName, deviceOptions, deviceUsage } from "../program/device.js";
import { parseOptions, programOptions, readOneOf, readPageSize, readWhole } from "../program/options.js";
import { parseSize } from "../program/sizes.js";
import { type DataChoice, dataOptions, dataUsage, downloadUsage, readDataChoice } from "../word-vectors/data-choice.js";

export interface CommandLine {
  readonly help: boolean;
  readonly json: boolean;
  readonly data: DataChoice;
  /** Empty when none was given. */
  readonly words: readonly string[];
  readonly k: number;
  readonly device: DeviceName;
  readonly deviceMemory: number;
  readonly pageSize: number;
}

const largestK = 1000;

export const usage = `usage: npm start [-- OPTION ... WORD ...]

Finds the nearest neighbours of each WORD by cosine similarity, exactly, among 341,479 word vectors that are
paged through a device memory smaller than they are; then checks them against a plain search in float64.

  --k N                    so many neighbours of each word, 1 to ${largestK} (10)
${deviceUsage}  --device-memory SIZE     budget of device memory, in bytes, KiB, MiB or GiB (32MiB)
  --page-size SIZE         size of a page, a power of two from 4KiB to 2MiB (64KiB)
  --json                   one JSON object on standard output, nothing else
${dataUsage}  --help                   this text

${downloadUsage}`;

export function readCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parseOptions(args, {
    ...programOptions,
    ...deviceOptions,
    ...dataOptions,
    k: { type: "string", default: "10" },
    "device-memory": { type: "string", default: "32MiB" },
  });
  const k = readWhole(values.k, "--k", 1, largestK);
  return {
    help: values.help,
    json: values.json,
    data: readDataChoice(values),
    words: positionals,
    k,
    device: readOneOf(values.device, "--device", deviceNames),
    deviceMemory: parseSize(values["device-memory"], "--device-memory"),
    pageSize: readPageSize(values["page-size"]),
  };
}
