/**
 * A trace file, line by line, plain or compressed with gzip (told by its first bytes, not by its name). Only the lines
 * that are being looked at are in memory, however long the file.
 *
 * Invariant: a file that cannot be read to its end, or that is no trace, ends in a TraceError that says where.
 */

import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { TraceError } from "./trace-error.js";
import { FormatError, type Header, type Operation, OperationParser, parseHeader } from "./trace-format.js";

/** Longer lines are no trace's; the state of a thousand huge pages fits into a hundredth of it. */
const MAX_LINE_LENGTH = 1 << 24;

export class TraceReader {
  readonly header: Header;
  /** Operations handed out so far. */
  operations = 0;
  readonly #file: string;
  /** Where the recorder forked, the header may stand again: what its buffer held was written by both processes. */
  readonly #headerLine: string;
  readonly #parser: OperationParser;
  readonly #pieces: AsyncGenerator<string[]>;
  #line = 1;
  #lines: string[];
  #next = 1;

  private constructor(file: string, lines: string[], pieces: AsyncGenerator<string[]>) {
    this.#file = file;
    this.#headerLine = lines[0];
    this.header = parsed(file, 1, () => parseHeader(lines[0]));
    this.#parser = new OperationParser(this.header);
    this.#lines = lines;
    this.#pieces = pieces;
  }

  static async open(file: string): Promise<TraceReader> {
    const pieces = linesOf(file);
    const { done, value } = await pieces.next();
    if (done === true) throw new TraceError("EBADMSG", file, null, "it is empty");
    try {
      return new TraceReader(file, value, pieces);
    } catch (error) {
      await pieces.return(undefined);
      throw error;
    }
  }

  /** The next operation, undefined at the end of the file. */
  async operation(): Promise<Operation | undefined> {
    for (;;) {
      while (this.#next === this.#lines.length) {
        const { done, value } = await this.#pieces.next();
        if (done === true) return this.#end();
        this.#lines = value;
        this.#next = 0;
      }
      const line = this.#lines[this.#next++];
      this.#line++;
      if (line === "" || line === this.#headerLine) continue;
      this.operations++;
      return parsed(this.#file, this.#line, () => this.#parser.parse(line));
    }
  }

  async close(): Promise<void> {
    await this.#pieces.return(undefined);
  }

  #end(): undefined {
    if (this.operations === 0) throw new TraceError("EBADMSG", this.#file, null, "it holds no operation");
  }
}

function parsed<T>(file: string, line: number, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof FormatError) throw new TraceError("EBADMSG", file, line, error.message);
    throw error;
  }
}

/** The lines of a file, as many at a time as a piece of it holds. */
async function* linesOf(file: string): AsyncGenerator<string[]> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const piece of await contentOf(file)) {
      const lines = (rest + decoder.decode(piece as Uint8Array, { stream: true })).split("\n");
      rest = lines.pop() as string;
      if (rest.length > MAX_LINE_LENGTH) {
        throw new TraceError("EBADMSG", file, null, `it has a line of more than ${MAX_LINE_LENGTH} characters`);
      }
      if (lines.length > 0) yield lines;
    }
  } catch (error) {
    throw explained(file, error);
  }
  rest += decoder.decode();
  if (rest !== "") yield [rest];
}

async function contentOf(file: string): Promise<AsyncIterable<unknown>> {
  const stream = createReadStream(file);
  const compressed = await new Promise<boolean>((resolve, reject) => {
    stream.once("error", reject);
    stream.once("readable", () => {
      const start = stream.read() as Uint8Array | null;
      if (start !== null) stream.unshift(start);
      resolve(start !== null && start[0] === 0x1f && start[1] === 0x8b);
    });
  });
  if (!compressed) return stream;
  const gunzip = createGunzip();
  stream.on("error", (error) => gunzip.destroy(error));
  gunzip.on("close", () => stream.destroy());
  return stream.pipe(gunzip);
}

function explained(file: string, cause: unknown): unknown {
  if (cause instanceof TraceError || !(cause instanceof Error) || !("code" in cause)) return cause;
  switch (cause.code) {
    case "ENOENT":
      return new TraceError("ENOENT", file, null, "there is no such file", { cause });
    case "EACCES":
      return new TraceError("EACCES", file, null, "permission to read it is denied", { cause });
    case "EISDIR":
      return new TraceError("EISDIR", file, null, "it is a folder", { cause });
    case "Z_DATA_ERROR":
    case "Z_BUF_ERROR":
      return new TraceError("EBADMSG", file, null, `its gzip data is broken (${cause.message})`, { cause });
    default:
      return new TraceError("EIO", file, null, `it cannot be read (${cause.message})`, { cause });
  }
}
