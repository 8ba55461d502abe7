/**
 * What the job found, for people and for programs. People get columns; programs get one JSON object whose numbers are
 * those of the memory, unrounded. Invariant: words come from files, so none reaches a terminal with a control character.
 */

import type { Stats } from "../../src/index.js";
import { seconds } from "./progress.js";
import { tolerance, type Verdict } from "./reference.js";
import { count, fileSize, memorySize } from "./sizes.js";

export interface QueryResult {
  readonly word: string;
  readonly neighbours: readonly { readonly word: string; readonly similarity: number }[];
}

export interface Findings {
  readonly source: string;
  readonly rows: number;
  readonly dimensions: number;
  readonly queries: readonly QueryResult[];
  readonly stats: Stats;
  readonly verdict: Verdict;
  /** Milliseconds by phase; the middle three are parts of the search. */
  readonly time: Readonly<Record<"load" | "search" | "upload" | "compute" | "evict" | "verify", number>>;
}

export function asJson({ queries, stats, verdict, time }: Findings): string {
  const { device, pageSize, migrations, droppedClean, evictions, faults } = stats;
  return `${JSON.stringify({
    queries,
    device: { ...device, pageSize },
    migrations: { ...migrations, droppedClean, evictions, faults, time },
    verified: verdict.verified,
  })}\n`;
}

export function asText(findings: Findings, width: number): string {
  const { source, rows, dimensions, queries, stats } = findings;
  const { device, pageSize } = stats;
  return [
    `${count(rows)} words x ${dimensions} numbers, ${fileSize(rows * dimensions * 4)}, through ${memorySize(device.budgetBytes)} of device memory`,
    `device: ${device.name}, pages of ${memorySize(pageSize)}`,
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

/** Pages are those that changed place; bytes those really copied, which may be fewer. */
function migrationTable({ migrations, droppedClean, evictions, faults }: Stats): string[] {
  const line = (what: string, cause: string, pages: string, bytes = ""): string =>
    `${what.padEnd(14)}${cause.padEnd(12)}${pages.padStart(10)}${bytes.padStart(12)}`.trimEnd();
  const moved = (
    direction: string,
    causes: Stats["migrations"]["toDevice"] | Stats["migrations"]["toHost"],
  ): string[] =>
    Object.entries(causes).map(([cause, { pages, bytes }], i) =>
      line(i === 0 ? direction : "", cause, count(pages), memorySize(bytes)),
    );
  return [
    line("migrations", "cause", "pages", "copied"),
    ...moved("to device", migrations.toDevice),
    ...moved("to host", migrations.toHost),
    `${line("dropped clean", "", count(droppedClean.pages))} of these, saving copies of ${memorySize(droppedClean.bytes)}`,
    line("evictions", "", count(evictions)),
    ...Object.entries(faults).map(([kind, number], i) => line(i === 0 ? "faults" : "", kind, count(number))),
  ];
}

function timeLine({ load, search, upload, compute, evict, verify }: Findings["time"]): string {
  const parts = `upload ${seconds(upload)}, compute ${seconds(compute)}, evict ${seconds(evict)}`;
  return `time: load ${seconds(load)}, search ${seconds(search)} (${parts}), verify ${seconds(verify)}`;
}

const longestWord = 32;

function printable(word: string): string {
  const visible = Array.from(word.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "\u{fffd}"));
  return visible.length <= longestWord ? visible.join("") : `${visible.slice(0, longestWord - 1).join("")}…`;
}

/** How many columns of a terminal the text takes: two for East Asian characters, none for combining marks. */
function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (/\p{M}/u.test(character)) continue;
    columns += /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}]/u.test(
      character,
    )
      ? 2
      : 1;
  }
  return columns;
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - columnsOf(text)));
}
