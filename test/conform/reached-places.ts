/**
 * How often a program came by a place in the sources: V8 counts every block of a process, with nothing added to the code,
 * and writes the counts when the process ends (`NODE_V8_COVERAGE`).
 */

import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Occurrences, Place } from "./protocol-rows.js";

const dist = fileURLToPath(new URL("../../", import.meta.url));

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface Script {
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly Range[] }[];
}

function sourceText(source: string): string {
  return readFileSync(join(dist, "src", source), "utf8");
}

/** How often a place's text occurs: once, or it is no place. */
export function occurrencesOf(source: string, place: Place): number {
  return find(source, place).length;
}

function offsetOf(source: string, place: Place): number {
  const found = find(source, place);
  if (found.length !== 1) throw new Error(`${source} has ${found.length} times, not once: ${place}`);
  return found[0].index + found[0][1].length;
}

function find(source: string, place: Place): RegExpExecArray[] {
  const marked = place.includes("»") ? place : `»${place}`;
  const [before, after] = marked.split("»").map(patternOf);
  return [...sourceText(source).matchAll(new RegExp(`(${before})${after}`, "g"))];
}

/** White space is as the compiler left it. */
function patternOf(text: string): string {
  const words = text.split(/\s+/).map((word) => word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return words.join("\\s*");
}

export class Counts {
  constructor(
    /** What the process answered. */
    readonly code: number,
    readonly output: string,
    readonly scripts: ReadonlyMap<string, readonly Range[]>,
  ) {}

  /** How often a case occurred. */
  of(source: string, at: Occurrences): number {
    if (typeof at === "string") return this.#at(source, at);
    const sum = (places: readonly Place[]) => places.reduce((total, place) => total + this.#at(source, place), 0);
    return sum(at.of) - sum(at.without);
  }

  /** The count of the innermost block around the place. */
  #at(source: string, place: Place): number {
    const offset = offsetOf(source, place);
    const ranges = this.scripts.get(pathToFileURL(join(dist, "src", source)).href) ?? [];
    let innermost: Range | null = null;
    for (const range of ranges) {
      if (range.startOffset > offset || range.endOffset <= offset) continue;
      if (innermost === null || length(range) <= length(innermost)) innermost = range;
    }
    return innermost?.count ?? 0;
  }
}

function length({ startOffset, endOffset }: Range): number {
  return endOffset - startOffset;
}

/** Runs Node with the arguments, in dist/, and counts. */
export async function countBlocks(args: readonly string[]): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), "pageferry-counts-"));
  // What is run may be a test: it is to report here, not to the runner above.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  try {
    const { code, output } = await run(args, { ...environment, NODE_V8_COVERAGE: folder });
    return new Counts(code, output, countsIn(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { cwd: dist, env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (child.exitCode ?? -1), output: stdout + stderr });
    });
  });
}

function countsIn(folder: string): Map<string, Range[]> {
  const scripts = new Map<string, Range[]>();
  for (const file of readdirSync(folder)) {
    const { result } = JSON.parse(readFileSync(join(folder, file), "utf8")) as { result: Script[] };
    for (const { url, functions } of result)
      scripts.set(
        url,
        functions.flatMap(({ ranges }) => ranges),
      );
  }
  return scripts;
}
