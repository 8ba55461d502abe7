/**
 * k-means over word vectors that do not fit into device memory: assigned on the device, averaged on the CPU, over the same
 * pages. It reads as it runs: command line, vectors, clusters, verification, report.
 */

import { createUnifiedMemory, type Stats } from "../../src/index.js";
import { budgetFor } from "../program/budget.js";
import { type ChosenDevice, chooseDevice } from "../program/device.js";
import { JobFailure } from "../program/failure.js";
import { judged, runProgram } from "../program/program.js";
import type { Progress } from "../program/progress.js";
import { count } from "../program/sizes.js";
import { bytesPerNumber, type VectorFile } from "../word-vectors/vector-file.js";
import { findWordVectors } from "../word-vectors/word-vectors.js";
import { cluster, type Clustering } from "./cluster.js";
import { readCommandLine, usage } from "./command-line.js";
import { verify } from "./reference.js";
import { asJson, asText, type Findings, type FoundCluster } from "./report.js";
import { seedRows } from "./seeds.js";

const wordsShown = 12;
/** Of a cluster's words, those that speak for it: what is nearest of all is often a word that nobody knows. */
const nearShare = 0.5;

await runProgram({ command: "npm run example:k-means", fittingMemory: "--device-memory 32MiB --page-size 64KiB", run });

async function run(args: readonly string[], progress: Progress, signal: AbortSignal): Promise<number> {
  const commandLine = readCommandLine(args);
  if (commandLine.help) {
    process.stdout.write(usage);
    return 0;
  }
  const { clusters, iterations: most, seed } = commandLine;
  const { file, words, name, source } = await findWordVectors(commandLine.data, progress, signal);
  if (clusters > words.length)
    throw new JobFailure("EINVAL", `--clusters ${clusters} is too many: ${name} has ${count(words.length)} words`);
  const seeds = seedRows(words.length, clusters, seed);

  const budget = budgetFor(file.rows * file.dimensions * bytesPerNumber, commandLine);
  const chosen = await chooseDevice(commandLine.device, budget.deviceMemory);
  const found = await clusterInUnifiedMemory(chosen, budget.pageSize, file, seeds, most, progress, signal);
  const { labels, distances, iterations, report, stats } = found;

  const verification = progress.phase("verify", 1, "share");
  const claim = { seeds, labels, inertia: iterations.map(({ inertia }) => inertia) };
  const verdict = await verify(file, claim, { signal, onProgress: (share) => verification.update(share) });
  verification.end();

  const findings: Findings = {
    source,
    rows: file.rows,
    dimensions: file.dimensions,
    seed,
    clusters: nearestWords(labels, distances, clusters, words),
    iterations,
    report,
    chosen,
    stats,
    verdict,
    time: {
      load: progress.took.get("load") ?? 0,
      cluster: progress.took.get("cluster") ?? 0,
      verify: progress.took.get("verify") ?? 0,
    },
  };
  process.stdout.write(commandLine.json ? asJson(findings) : `\n${asText(findings, process.stdout.columns ?? 100)}`);
  return judged(verdict.faults);
}

async function clusterInUnifiedMemory(
  { driver }: ChosenDevice,
  pageSize: number,
  file: VectorFile,
  seeds: readonly number[],
  most: number,
  progress: Progress,
  signal: AbortSignal,
): Promise<Clustering & { stats: Stats }> {
  const memory = await createUnifiedMemory({ device: driver, pageSize, signal });
  try {
    const load = progress.phase("load", file.rows * file.dimensions * bytesPerNumber);
    let clustering = null as ReturnType<Progress["phase"]> | null;
    const result = await cluster(
      memory,
      file,
      seeds,
      most,
      {
        loading: (bytes) => load.update(bytes),
        loaded: () => {
          load.end();
          clustering = progress.phase("cluster", most * file.rows, "share");
        },
        assigning: (iteration, completed) => clustering?.update((iteration - 1) * file.rows + completed),
        iterated: (number, { moved, inertia }) =>
          progress.note(
            `  iteration ${number}: ${count(moved)} words moved, mean squared distance ${(inertia / file.rows).toFixed(4)}`,
          ),
      },
      signal,
    );
    clustering?.end();
    return { ...result, stats: memory.stats };
  } finally {
    await memory.destroy();
  }
}

/** The clusters that have words, the largest first; of each the first words of the list among those near its centroid. */
function nearestWords(
  labels: Uint32Array,
  distances: Float32Array,
  clusters: number,
  words: readonly string[],
): FoundCluster[] {
  const members: number[][] = Array.from({ length: clusters }, () => []);
  for (const [row, label] of labels.entries()) members[label].push(row);
  return members
    .filter((rows) => rows.length > 0)
    .toSorted((a, b) => b.length - a.length)
    .map((rows) => ({
      size: rows.length,
      words: rows
        .toSorted((a, b) => distances[a] - distances[b] || a - b)
        .slice(0, Math.max(wordsShown, Math.floor(rows.length * nearShare)))
        .toSorted((a, b) => a - b)
        .slice(0, wordsShown)
        .map((row) => words[row]),
    }));
}
