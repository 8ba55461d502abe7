/** What k-means found, for people and for programs. */

import type { DispatchReport, Stats } from "../../src/index.js";
import type { ChosenDevice } from "../program/device.js";
import { deviceLine, memoryJson, migrationTable } from "../program/memory-report.js";
import { seconds } from "../program/progress.js";
import { count, fileSize, memorySize } from "../program/sizes.js";
import { printable } from "../program/text.js";
import type { Iteration } from "./cluster.js";
import { relativeTolerance, tolerance, type Verdict } from "./reference.js";

export interface FoundCluster {
  readonly size: number;
  /** Some of those that are near the centroid, in the order of the list. */
  readonly words: readonly string[];
}

export interface Findings {
  readonly source: string;
  readonly rows: number;
  readonly dimensions: number;
  readonly seed: number;
  /** The largest first. */
  readonly clusters: readonly FoundCluster[];
  readonly iterations: readonly Iteration[];
  readonly report: DispatchReport;
  readonly chosen: ChosenDevice;
  readonly stats: Stats;
  readonly verdict: Verdict;
  readonly time: Readonly<Record<"load" | "cluster" | "verify", number>>;
}

export function asJson({ clusters, iterations, seed, report, chosen, stats, verdict, time }: Findings): string {
  const { verified, equal, ties, largestDifference } = verdict;
  return `${JSON.stringify({
    clusters,
    iterations,
    seed,
    mode: report.mode,
    ...memoryJson(chosen, stats, time),
    verdict: { equal, ties, largestDifference },
    verified,
  })}\n`;
}

export function asText(findings: Findings, width: number): string {
  const { source, rows, dimensions, clusters, iterations, report, chosen, stats, time } = findings;
  const inertia = iterations.at(-1)!.inertia;
  return [
    `${count(rows)} words x ${dimensions} numbers, ${fileSize(rows * dimensions * 4)}, through ${memorySize(stats.device.budgetBytes)} of device memory: ${report.mode} in ${count(report.steps)} steps`,
    deviceLine(chosen, stats),
    source,
    "",
    "   words  such as (the most frequent of the half that is nearest to the centroid)",
    ...clusters.map(({ size, words }) => `${count(size).padStart(8)}  ${wordsIn(words, width - 10)}`),
    "",
    ...migrationTable(stats),
    "",
    `${iterations.length} iterations from seed ${findings.seed}: mean squared distance ${(inertia / rows).toFixed(4)}, at first ${(iterations[0].inertia / rows).toFixed(4)}; ${count(iterations.at(-1)!.moved)} words moved in the last`,
    `time: load ${seconds(time.load)}, cluster ${seconds(time.cluster)}, verify ${seconds(time.verify)}`,
    verdictLine(findings.verdict),
    "",
  ].join("\n");
}

export function verdictLine({ verified, equal, ties, largestDifference, faults }: Verdict): string {
  if (!verified)
    return `NOT VERIFIED: the reference found ${faults.length} ${faults.length === 1 ? "fault" : "faults"}`;
  const difference = largestDifference === 0 ? "0" : largestDifference.toExponential(1);
  return (
    `verified: ${count(equal)} labels as a float64 reference has them, ${count(ties)} as near within ${tolerance}; ` +
    `inertia within ${relativeTolerance.toExponential()} (at most ${difference})`
  );
}

/** As many as fit into the width, one at least. */
function wordsIn(words: readonly string[], width: number): string {
  let line = "";
  for (const word of words) {
    const longer = line === "" ? printable(word) : `${line} ${printable(word)}`;
    if (line !== "" && longer.length > width) break;
    line = longer;
  }
  return line;
}
