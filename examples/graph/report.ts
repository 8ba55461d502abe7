/** What was found in a graph, for people and for programs. */

import type { Stats } from "../../src/index.js";
import type { ChosenDevice } from "../program/device.js";
import { deviceLine, memoryJson, migrationTable } from "../program/memory-report.js";
import { seconds } from "../program/progress.js";
import { count, memorySize } from "../program/sizes.js";
import { columnsOf, pad, printable } from "../program/text.js";
import type { Graph } from "./graph.js";
import type { Tally } from "./graph-memory.js";
import { damping } from "./page-rank.js";
import { tolerance, type Verdict } from "./reference.js";

export interface RankedNode {
  readonly node: number;
  readonly rank: number;
}

export interface FoundLevels {
  readonly word: string;
  /** Nodes of each level, and a few of them, by rank. */
  readonly levels: readonly { readonly nodes: number; readonly some: readonly number[] }[];
  readonly unreached: number;
  readonly tally: Tally;
}

export interface Findings {
  readonly graph: Graph;
  readonly dataBytes: number;
  readonly top: readonly RankedNode[];
  readonly iterations: number;
  readonly change: number;
  readonly ranking: Tally;
  readonly searches: readonly FoundLevels[];
  readonly chosen: ChosenDevice;
  readonly stats: Stats;
  readonly verdict: Verdict;
  readonly time: Readonly<Record<"graph" | "rank" | "search" | "verify", number>>;
}

export function asJson(findings: Findings): string {
  const { graph, dataBytes, top, iterations, change, ranking, searches, chosen, stats, verdict, time } = findings;
  return `${JSON.stringify({
    graph: { source: graph.source, nodes: graph.nodes, edges: graph.to.length, bytes: dataBytes },
    pageRank: {
      iterations,
      change,
      top: top.map(({ node, rank }) => ({ name: graph.name(node), rank })),
      ...ranking,
    },
    searches: searches.map(({ word, levels, unreached, tally }) => ({
      word,
      levels: levels.map(({ nodes }) => nodes),
      unreached,
      ...tally,
    })),
    ...memoryJson(chosen, stats, time),
    verified: verdict.verified,
  })}\n`;
}

export function asText(findings: Findings, width: number): string {
  const { graph, dataBytes, top, iterations, change, ranking, searches, chosen, stats, time } = findings;
  const { budgetBytes } = stats.device;
  return [
    `${count(graph.nodes)} ${graph.what}, ${count(graph.to.length)} edges, ${memorySize(dataBytes)}, through ${memorySize(budgetBytes)} of device memory`,
    deviceLine(chosen, stats),
    graph.source,
    "",
    `PageRank, damping ${damping}, ${iterations} iterations; the last changed ranks by ${change.toExponential(1)} on average`,
    `    rank  (times the average)`,
    ...top.map(({ node, rank }) => cut(`${rank.toFixed(1).padStart(8)}  ${described(graph, node)}`, width)),
    ...tallyLines(ranking),
    ...searches.flatMap((search) => ["", ...searchLines(search, graph, width)]),
    "",
    ...migrationTable(stats),
    "",
    `time: graph ${seconds(time.graph)}, rank ${seconds(time.rank)}, search ${seconds(time.search)}, verify ${seconds(time.verify)}`,
    verdictLine(findings.verdict, findings),
    "",
  ].join("\n");
}

export function verdictLine(
  { verified, largestDifference, faults }: Verdict,
  { graph, searches }: Pick<Findings, "graph" | "searches">,
): string {
  if (!verified)
    return `NOT VERIFIED: the reference found ${faults.length} ${faults.length === 1 ? "fault" : "faults"}`;
  const difference = largestDifference === 0 ? "0" : largestDifference.toExponential(1);
  return (
    `verified: ${count(graph.nodes)} ranks as a float64 reference has them, within ${tolerance.toExponential()} ` +
    `(at most ${difference}); ${count(searches.length * graph.nodes)} levels the same`
  );
}

function searchLines({ word, levels, unreached, tally }: FoundLevels, graph: Graph, width: number): string[] {
  const widest = Math.max(...levels.map(({ nodes }) => count(nodes).length), 5);
  return [
    `from ${JSON.stringify(printable(word))}, level by level; ${unreached === 0 ? "all are reached" : `no way leads to ${count(unreached)}`}`,
    ...levels.map(({ nodes, some }, level) =>
      cut(
        `${String(level).padStart(4)}  ${count(nodes).padStart(widest)}  ${some.map((node) => printable(graph.name(node))).join("; ")}`,
        width,
      ),
    ),
    ...tallyLines(tally),
  ];
}

function tallyLines({ dispatches, mode, why, steps, movedBytes, footprintBytes, advice }: Tally): string[] {
  const what = mode === "paged" ? "rounds" : "steps";
  return [
    `${mode}: ${count(dispatches)} dispatches in ${count(steps)} ${what}, ${memorySize(footprintBytes)} used by one, ${memorySize(movedBytes)} moved`,
    `  (${why})`,
    ...(advice === null ? [] : [`  advice: ${advice}`]),
  ];
}

function described(graph: Graph, node: number): string {
  const about = graph.about(node);
  const name = printable(graph.name(node));
  return about === "" ? name : `${pad(name, 32)}  ${withoutControls(about)}`;
}

function withoutControls(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "\u{fffd}");
}

function cut(line: string, width: number): string {
  if (columnsOf(line) <= width) return line;
  let kept = "";
  for (const character of line) {
    if (columnsOf(kept + character) > width - 1) break;
    kept += character;
  }
  return `${kept.trimEnd()}…`;
}
