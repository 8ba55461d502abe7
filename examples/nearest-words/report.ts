/**
 * What the job found, for people and for programs. People get columns; programs get one JSON object whose numbers are
 * those of the memory, unrounded. Invariant: words come from files, so none reaches a terminal with a control character.
 */

import type { Stats } from "../../src/index.js";
import type { ChosenDevice } from "../program/device.js";
import { deviceLine, memoryJson, migrationTable } from "../program/memory-report.js";
import { seconds } from "../program/progress.js";
import { tolerance, type Verdict } from "./reference.js";
import { count, fileSize, memorySize } from "../program/sizes.js";
import { columnsOf, pad, printable } from "../program/text.js";

export interface QueryResult {
  readonly word: string;
  readonly neighbours: readonly { readonly word: string; readonly similarity: number }[];
}

export interface Findings {
  readonly source: string;
  readonly rows: number;
  readonly dimensions: number;
  readonly queries: readonly QueryResult[];
  readonly chosen: ChosenDevice;
  readonly stats: Stats;
  readonly verdict: Verdict;
  /** Milliseconds by phase; the middle three are parts of the search. */
  readonly time: Readonly<Record<"load" | "search" | "upload" | "compute" | "evict" | "verify", number>>;
}

export function asJson({ queries, chosen, stats, verdict, time }: Findings): string {
  return `${JSON.stringify({
    queries,
    ...memoryJson(chosen, stats, time),
    verified: verdict.verified,
  })}\n`;
}

export function asText(findings: Findings, width: number): string {
  const { source, rows, dimensions, queries, chosen, stats } = findings;
  return [
    `${count(rows)} words x ${dimensions} numbers, ${fileSize(rows * dimensions * 4)}, through ${memorySize(stats.device.budgetBytes)} of device memory`,
    deviceLine(chosen, stats),
    source,
    "",
    ...neighbourColumns(queries, width),
    ...migrationTable(stats),
    "",
    timeLine(findings.time),
    verdictLine(findings.verdict),
    "",
  ].join("\n");
}

export function verdictLine({ verified, compared, largestDifference, faults }: Verdict): string {
  if (!verified)
    return `NOT VERIFIED: the reference found ${faults.length} ${faults.length === 1 ? "fault" : "faults"}`;
  const difference = largestDifference === 0 ? "0" : largestDifference.toExponential(1);
  return `verified: ${count(compared)} neighbours as a float64 reference finds them, within ${tolerance.toExponential()} (at most ${difference})`;
}

function neighbourColumns(queries: readonly QueryResult[], width: number): string[] {
  const columns = queries.map(({ word, neighbours }) => {
    const words = neighbours.map((neighbour) => printable(neighbour.word));
    const widest = Math.max(...words.map(columnsOf), columnsOf(printable(word)) - 8, 8);
    const lines = neighbours.map(
      ({ similarity }, i) => `${pad(words[i], widest)}  ${similarity.toFixed(4).padStart(7)}`,
    );
    const total = widest + 9;
    return { total, lines: [pad(printable(word), total), "-".repeat(total), ...lines] };
  });
  const output: string[] = [];
  for (let start = 0; start < columns.length;) {
    let end = start + 1;
    let used = columns[start].total;
    while (end < columns.length && used + 3 + columns[end].total <= width) used += 3 + columns[end++].total;
    const group = columns.slice(start, end);
    for (let line = 0; line < group[0].lines.length; line++) {
      output.push(
        group
          .map((column) => column.lines[line])
          .join("   ")
          .trimEnd(),
      );
    }
    output.push("");
    start = end;
  }
  return output;
}

function timeLine({ load, search, upload, compute, evict, verify }: Findings["time"]): string {
  const parts = `upload ${seconds(upload)}, compute ${seconds(compute)}, evict ${seconds(evict)}`;
  return `time: load ${seconds(load)}, search ${seconds(search)} (${parts}), verify ${seconds(verify)}`;
}
