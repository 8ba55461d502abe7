/**
 * PageRank and breadth-first search over graphs that do not fit into device memory, by kernels of which nobody knows
 * beforehand what they read. It reads as it runs: command line, graph, ranks, levels, verification, report.
 */

import { createUnifiedMemory, type Stats } from "../../src/index.js";
import { budgetFor } from "../program/budget.js";
import { type ChosenDevice, chooseDevice } from "../program/device.js";
import { JobFailure } from "../program/failure.js";
import { judged, runProgram } from "../program/program.js";
import type { Progress } from "../program/progress.js";
import { count } from "../program/sizes.js";
import { breadthFirst, type Levels } from "./breadth-first.js";
import { readCommandLine, usage } from "./command-line.js";
import { findGraph } from "./find-graph.js";
import { type Graph, incomingEdges } from "./graph.js";
import { graphBytes, putGraph } from "./graph-memory.js";
import { unreached } from "./kernels.js";
import { damping, pageRank, type Ranking } from "./page-rank.js";
import { verify } from "./reference.js";
import { asJson, asText, type Findings, type FoundLevels } from "./report.js";

const wordsWhenNoneGiven = ["computer", "violin"];
/** Of a level. */
const nodesShown = 6;
/** Ranks have settled when they change by less on average. */
const enough = 1e-5;

await runProgram({ command: "npm run example:graph", fittingMemory: "--device-memory 1MiB --page-size 4KiB", run });

async function run(args: readonly string[], progress: Progress, signal: AbortSignal): Promise<number> {
  const commandLine = readCommandLine(args);
  if (commandLine.help) {
    process.stdout.write(usage);
    return 0;
  }
  const started = performance.now();
  const graph = await findGraph(commandLine.graph, progress, signal);
  const searches = rootsOf(commandLine.words, graph);
  const time = { graph: performance.now() - started };

  const dataBytes = graphBytes(graph.nodes, graph.to.length);
  const budget = budgetFor(dataBytes, commandLine);
  const chosen = await chooseDevice(commandLine.device, budget.deviceMemory);
  const { ranking, found, stats } = await inUnifiedMemory(
    chosen,
    budget.pageSize,
    graph,
    searches.map(({ roots }) => roots),
    commandLine.iterations,
    progress,
    signal,
  );

  const verification = progress.phase("verify", 1, "share");
  const verdict = verify(graph, {
    damping,
    iterations: ranking.iterations,
    ranks: ranking.ranks,
    searches: found.map(({ levels, counts }, i) => ({ roots: searches[i].roots, unreached, levels, counts })),
  });
  verification.end();

  const byRank = Array.from(ranking.ranks.keys()).sort((a, b) => ranking.ranks[b] - ranking.ranks[a] || a - b);
  const findings: Findings = {
    graph,
    dataBytes,
    top: byRank.slice(0, commandLine.top).map((node) => ({ node, rank: ranking.ranks[node] })),
    iterations: ranking.iterations,
    change: ranking.change,
    ranking: ranking.tally,
    searches: found.map((levels, i) => described(searches[i].word, levels, byRank)),
    chosen,
    stats,
    verdict,
    time: {
      ...time,
      rank: progress.took.get("rank") ?? 0,
      search: progress.took.get("search") ?? 0,
      verify: progress.took.get("verify") ?? 0,
    },
  };
  process.stdout.write(commandLine.json ? asJson(findings) : `\n${asText(findings, process.stdout.columns ?? 100)}`);
  return judged(verdict.faults);
}

interface Search {
  readonly word: string;
  readonly roots: readonly number[];
}

/** Nobody asked for words: the first of a few that the graph has, else its first node. */
function rootsOf(words: readonly string[], graph: Graph): Search[] {
  if (words.length > 0) {
    return words.map((word) => {
      const roots = graph.find(word);
      if (roots.length > 0) return { word, roots };
      throw new JobFailure("EINVAL", `${JSON.stringify(word)} is not among the ${count(graph.nodes)} ${graph.what}`);
    });
  }
  const known = wordsWhenNoneGiven.find((word) => graph.find(word).length > 0);
  return [known === undefined ? { word: graph.name(0), roots: [0] } : { word: known, roots: graph.find(known) }];
}

async function inUnifiedMemory(
  { driver }: ChosenDevice,
  pageSize: number,
  graph: Graph,
  searches: readonly (readonly number[])[],
  iterations: number,
  progress: Progress,
  signal: AbortSignal,
): Promise<{ ranking: Ranking; found: Levels[]; stats: Stats }> {
  const memory = await createUnifiedMemory({ device: driver, pageSize, signal });
  try {
    const inMemory = await putGraph(memory, incomingEdges(graph), signal);
    const ranks = progress.phase("rank", iterations, "share");
    const ranking = await pageRank(inMemory, iterations, enough, (iteration) => ranks.update(iteration), signal);
    ranks.end();
    const search = progress.phase("search", searches.length * graph.nodes, "share");
    const found: Levels[] = [];
    for (const [i, roots] of searches.entries()) {
      found.push(await breadthFirst(inMemory, roots, (reached) => search.update(i * graph.nodes + reached), signal));
    }
    search.end();
    return { ranking, found, stats: memory.stats };
  } finally {
    await memory.destroy();
  }
}

function described(word: string, { levels, counts, tally }: Levels, byRank: readonly number[]): FoundLevels {
  const some: number[][] = counts.map(() => []);
  for (const node of byRank) if (levels[node] !== unreached) addUpTo(some[levels[node]], node);
  return {
    word,
    levels: counts.map((nodes, level) => ({ nodes, some: some[level] })),
    unreached: levels.length - counts.reduce((sum, nodes) => sum + nodes, 0),
    tally,
  };
}

function addUpTo(list: number[] | undefined, node: number): void {
  if (list !== undefined && list.length < nodesShown) list.push(node);
}
