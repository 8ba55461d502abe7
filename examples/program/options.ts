/**
 * A command line, read strictly: what is not understood is refused, never ignored. A budget's bounds depend on the job
 * and are the memory's to check; a page's are fixed, and are refused here in the words that were typed.
 */

import { parseArgs, type ParseArgsConfig } from "node:util";
import { JobFailure } from "./failure.js";
import { memorySize, parseSize } from "./sizes.js";

export type Options = NonNullable<ParseArgsConfig["options"]>;

type Parsed<T extends Options> = ReturnType<typeof parseArgs<{ options: T; allowPositionals: true; strict: true }>>;

export type OptionValues<T extends Options> = Parsed<T>["values"];

/** What every example has. */
export const programOptions = {
  "page-size": { type: "string", default: "64KiB" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** The memory's own bounds. */
const smallestPage = 4 * 1024;
const largestPage = 2 * 1024 ** 2;

export function parseOptions<T extends Options>(args: readonly string[], options: T): Parsed<T> {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, strict: true, options });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // The first sentence says what is wrong; the rest of Node's text is about positional arguments.
    const sentence = (error.message.split(/\. |\n/)[0] ?? "").replace(/\.$/, "");
    throw invalid(`${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`, error);
  }
}

export function readPageSize(text: string): number {
  const bytes = parseSize(text, "--page-size");
  if (!Number.isInteger(Math.log2(bytes)) || bytes < smallestPage || bytes > largestPage) {
    const bounds = `from ${memorySize(smallestPage)} to ${memorySize(largestPage)}`;
    throw invalid(`--page-size ${text.trim()} is not a power of two ${bounds}`);
  }
  return bytes;
}

export function readWhole(text: string, option: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw invalid(`${option} ${JSON.stringify(text)} is not a whole number from ${least} to ${most}`);
  return value;
}

export function readOneOf<T extends string>(text: string, option: string, names: readonly T[]): T {
  const name = names.find((candidate) => candidate === text);
  if (name !== undefined) return name;
  throw invalid(`${option} ${JSON.stringify(text)} is not ${names.slice(0, -1).join(", ")} or ${names.at(-1)}`);
}

export function invalid(message: string, cause?: unknown): JobFailure {
  return new JobFailure("EINVAL", message, { waysOut: ["npm start -- --help"], cause });
}
