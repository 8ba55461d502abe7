/** What the server of the page can be told. */

import { invalid, parseOptions, readWhole } from "../program/options.js";
import { type DataChoice, dataOptions, dataUsage, downloadUsage, readDataChoice } from "../word-vectors/data-choice.js";

export interface CommandLine {
  readonly help: boolean;
  readonly data: DataChoice;
  /** 0 for any that is free. */
  readonly port: number;
}

const options = {
  ...dataOptions,
  port: { type: "string", default: "8080" },
  help: { type: "boolean", short: "h", default: false },
} as const;

export const usage = `usage: npm run example:browser [-- OPTION ...]

Serves a page to this machine that finds the nearest neighbours of a word among 341,479 word vectors, through a quarter
of the memory that they take: on the GPU where the browser has one, else on the software device. It shows where the
pages are while it searches.

  --port N                 1 to 65535, or 0 for any that is free (8080)
${dataUsage}  --help                   this text

${downloadUsage}`;

export function readCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parseOptions(args, options);
  if (positionals.length > 0)
    throw invalid(`${JSON.stringify(positionals[0])} is no option: words are asked for on the page`);
  return { help: values.help, data: readDataChoice(values), port: readWhole(values.port, "--port", 0, 65_535) };
}
