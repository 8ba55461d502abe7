/**
 * The lines of a `linux-hmm-trace/1` file: a header, then operations, each with what Linux answered and the state it was
 * in afterwards. What the parsers return is within bounds, so that a replay never has to ask.
 */

import { countRuns } from "./run-length.js";

export const FORMAT = "linux-hmm-trace/1";

/** A machine of the recorder has at most so many processes at a time. */
export const PROCESS_SLOTS = 3;
const MAX_PAGES = 1 << 20;
const MAX_DEVICES = 16;
const MAX_WORD = 2 ** 32 - 1;

export type MappingKind = "anon-private" | "file-private" | "anon-shared";
export type DeviceKind = "private" | "coherent";

export interface Header {
  readonly pageSize: number;
  /** Pages of the mapping under test. */
  readonly pages: number;
  readonly mapping: MappingKind;
  readonly huge: boolean;
  readonly devices: readonly DeviceKind[];
}

/** The operations of the format, and the numbers that each takes. */
const ARGUMENTS = {
  load: ["p", "i"],
  store: ["p", "i", "v"],
  to_dev: ["p", "d", "i", "n"],
  to_sys: ["p", "d", "i", "n"],
  dev_read: ["p", "d", "i", "n"],
  dev_write: ["p", "d", "i", "n", "v"],
  exclusive: ["p", "d", "i", "n"],
  mprotect: ["p", "i", "n", "prot"],
  munmap: ["p", "i", "n"],
  mmap: ["p", "i", "n", "prot"],
  dontneed: ["p", "i", "n"],
  pageout: ["p", "i", "n"],
  cleardirty: ["p"],
  fork: ["p", "child"],
  exit: ["p"],
  pin: ["p", "i"],
  unpin: ["p", "i"],
  longterm: ["p", "i", "n", "write"],
  release: ["d"],
} as const;

export type OperationName = keyof typeof ARGUMENTS;
type ArgumentName = (typeof ARGUMENTS)[OperationName][number];

/** One operation; arguments that it does not take are 0, and `n` is 1. */
export interface Operation extends Readonly<Record<ArgumentName, number>> {
  readonly op: OperationName;
  /** What Linux answered. */
  readonly results: Results;
  /** The living processes afterwards; null where the trace does not say. */
  readonly state: readonly ProcessState[] | null;
}

export interface Results {
  /** 0, a negative errno, or a signal's name. */
  readonly rc: number | string;
  readonly value?: number;
  readonly cpages?: number;
  readonly faults?: number;
  readonly values?: readonly number[];
  readonly pinned?: number;
  /** The first and the last word of the page differed. */
  readonly torn?: boolean;
}

const COUNTS = ["value", "cpages", "faults", "pinned"] as const;

export const RESULT_FIELDS = ["rc", "value", "cpages", "faults", "values", "pinned", "torn"] as const;

/** How one process sees every page, by itself (`pm`) and through each device (`d0`, `d1` ...). */
export interface ProcessState {
  readonly p: number;
  readonly pm: string;
  readonly devices: readonly string[];
}

/** A line that is not what the format asks for. */
export class FormatError extends Error {
  override readonly name = "FormatError";
}

type Fields = Record<string, unknown>;

/** Throws FormatError. */
export function parseHeader(line: string): Header {
  const fields = parseObject(line);
  if (fields["format"] !== FORMAT) throw new FormatError(`format ${show(fields["format"])} is not "${FORMAT}"`);
  const pageSize = integer(fields, "page_size", 4096, 1 << 21);
  if (!Number.isInteger(Math.log2(pageSize))) throw new FormatError(`page_size ${pageSize} is not a power of two`);
  const devices = fields["devices"];
  if (!Array.isArray(devices) || devices.length > MAX_DEVICES) {
    throw new FormatError(`devices ${show(devices)} is not a list of at most ${MAX_DEVICES} kinds`);
  }
  return {
    pageSize,
    pages: integer(fields, "pages", 1, MAX_PAGES),
    mapping: oneOf("mapping", fields["mapping"], ["anon-private", "file-private", "anon-shared"]),
    huge: boolean(fields, "huge"),
    devices: devices.map((kind) => oneOf("device kind", kind, ["private", "coherent"])),
  };
}

type Bounds = Readonly<Record<ArgumentName, readonly [least: number, most: number]>>;

/** Parses the operations that follow a header. */
export class OperationParser {
  readonly #header: Header;
  readonly #bounds: Bounds;

  constructor(header: Header) {
    this.#header = header;
    this.#bounds = {
      p: [0, PROCESS_SLOTS - 1],
      child: [0, PROCESS_SLOTS - 1],
      d: [0, header.devices.length - 1],
      i: [0, header.pages - 1],
      n: [1, header.pages],
      v: [0, MAX_WORD],
      prot: [0, 7],
      write: [0, 1],
    };
  }

  /** Throws FormatError. */
  parse(line: string): Operation {
    const fields = parseObject(line);
    const { op } = fields;
    if (!isOperationName(op)) throw new FormatError(`op ${show(op)} is not an operation of the format`);
    const results = parseResults(fields);
    const state = parseState(fields["state"], this.#header);
    const operation = { op, p: 0, child: 0, d: 0, i: 0, n: 1, v: 0, prot: 0, write: 0, results, state };
    for (const name of ARGUMENTS[op]) {
      const [least, most] = this.#bounds[name];
      operation[name] = integer(fields, name, least, most);
    }
    const end = operation.i + operation.n;
    if (end > this.#header.pages) {
      throw new FormatError(`pages ${operation.i} to ${end} exceed the mapping's ${this.#header.pages}`);
    }
    return operation;
  }
}

/** The operation with the arguments that it takes, in the words of the format. */
export function textOf(operation: Operation): string {
  return [operation.op, ...ARGUMENTS[operation.op].map((name) => `${name}=${operation[name]}`)].join(" ");
}

function parseResults(fields: Fields): Results {
  const { rc } = fields;
  if (!Number.isSafeInteger(rc) && typeof rc !== "string") throw new FormatError(`rc ${show(rc)} is no return code`);
  const results: Fields = { rc };
  for (const name of COUNTS) {
    if (fields[name] !== undefined) results[name] = integer(fields, name, 0, MAX_WORD);
  }
  if ("torn" in fields) results["torn"] = boolean(fields, "torn");
  if ("values" in fields) {
    const { values } = fields;
    if (!Array.isArray(values) || !values.every((value) => Number.isSafeInteger(value))) {
      throw new FormatError("values is not a list of integers");
    }
    results["values"] = values;
  }
  return results as unknown as Results;
}

function parseState(state: unknown, header: Header): ProcessState[] | null {
  if (state === undefined) return null;
  if (!Array.isArray(state) || state.length > PROCESS_SLOTS) {
    throw new FormatError(`state is not a list of at most ${PROCESS_SLOTS} processes`);
  }
  return state.map((entry: unknown) => {
    if (!isObject(entry)) throw new FormatError(`state holds ${show(entry)}, which is no process`);
    return {
      p: integer(entry, "p", 0, PROCESS_SLOTS - 1),
      pm: cells(entry, "pm", header),
      devices: header.devices.map((_, d) => cells(entry, `d${d}`, header)),
    };
  });
}

function parseObject(line: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new FormatError("it is not JSON");
  }
  if (!isObject(value)) throw new FormatError("it is not a JSON object");
  return value;
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOperationName(value: unknown): value is OperationName {
  return typeof value === "string" && Object.hasOwn(ARGUMENTS, value);
}

function integer(fields: Fields, name: string, least: number, most: number): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw new FormatError(`${name} ${show(value)} is not an integer from ${least} to ${most}`);
  }
  return value;
}

function boolean(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value !== "boolean") throw new FormatError(`${name} ${show(value)} is not true or false`);
  return value;
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new FormatError(`${name} ${show(value)} is not a string`);
  return value;
}

/** A cell a page; run-length coded where there are huge pages. */
function cells(fields: Fields, name: string, { huge, pages }: Header): string {
  const value = text(fields, name);
  if (huge && countRuns(value) !== pages) {
    throw new FormatError(`${name} ${show(value)} is not a run-length code of ${pages} pages`);
  }
  return value;
}

function oneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw new FormatError(`${name} ${show(value)} is not one of ${allowed.join(", ")}`);
  return found;
}

/** A value as it stands in the file, not longer than a message can be. */
function show(value: unknown): string {
  if (value === undefined) return "(missing)";
  const json = JSON.stringify(value);
  return json.length > 40 ? `${json.slice(0, 40)}...` : json;
}
