/** The table of all rows, for people; bounds are judged in it unless the sizes were too small for that. */

import type { Judged } from "./figure.js";

const HEAD = ["row", "ratio", "spread", "median", "unit", "baseline", "page", "bound", ""] as const;

export function formatTable(rows: readonly Judged[], judged: boolean): string {
  const lines = [HEAD, ...rows.map((row) => cells(row, judged))];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => pad(cell, widths[column], column))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function cells(judged: Judged, isJudged: boolean): readonly string[] {
  const { row, ratio, spread, median, unit, baseline, pageSize, bounds } = judged;
  const precision = ratio === null ? plain : (figure: number) => figure.toFixed(3);
  return [
    row,
    ratio === null ? "" : ratio.toFixed(3),
    spread.map(precision).join(" - "),
    plain(median),
    unit,
    baseline === null ? "" : `${plain(baseline.median)} ${baseline.name}`,
    `${pageSize / 1024} KiB`,
    bounds.map(({ text }) => text).join(", "),
    bounds.length === 0 || !isJudged ? "" : bounds.every(({ kept }) => kept) ? "ok" : "MISSED",
  ];
}

/** Three digits that count. */
function plain(figure: number): string {
  if (figure >= 100) return figure.toFixed(0);
  return figure.toFixed(figure >= 10 ? 1 : 2);
}

const TEXT_COLUMNS: ReadonlySet<number> = new Set([0, 4, 7, 8]);

function pad(cell: string, width: number, column: number): string {
  return TEXT_COLUMNS.has(column) ? cell.padEnd(width) : cell.padStart(width);
}
