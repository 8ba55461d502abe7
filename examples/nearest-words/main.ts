/**
 * The project's main job: exact nearest neighbours by cosine over word vectors that do not fit into device memory.
 * It reads as it runs: command line, vectors, search, verification, report.
 */

import { createUnifiedMemory, type Stats } from "../../src/index.js";
import { type ChosenDevice, chooseDevice } from "../program/device.js";
import { JobFailure } from "../program/failure.js";
import { judged, runProgram } from "../program/program.js";
import type { Progress } from "../program/progress.js";
import { bytesPerNumber, hasDirection, type VectorFile } from "../word-vectors/vector-file.js";
import { placeOf } from "../word-vectors/word-list.js";
import { findWordVectors } from "../word-vectors/word-vectors.js";
import { readCommandLine, usage, type CommandLine } from "./command-line.js";
import { verify } from "./reference.js";
import { asJson, asText, type Findings } from "./report.js";
import { search, type SearchResult } from "./search.js";

const wordsWhenNoneGiven = ["queen", "physics", "guitar", "linux"];

await runProgram({ command: "npm start", fittingMemory: "--device-memory 32MiB --page-size 64KiB", run });

async function run(args: readonly string[], progress: Progress, signal: AbortSignal): Promise<number> {
  const commandLine = readCommandLine(args);
  if (commandLine.help) {
    process.stdout.write(usage);
    return 0;
  }
  const { file, words, name, source } = await findWordVectors(commandLine.data, progress, signal);
  const { k } = commandLine;
  if (k >= words.length)
    throw new JobFailure("EINVAL", `--k ${k} is too many: a word has ${words.length - 1} neighbours in ${name}`);
  const asked = commandLine.words.length > 0 ? commandLine.words : await suggestions(words, file);
  const queries = asked.map((word) => placeOf(word, words, name));
  for (const [i, query] of queries.entries()) {
    if (await hasDirection(file, query)) continue;
    throw new JobFailure(
      "EINVAL",
      `${JSON.stringify(asked[i])} has no direction: vector ${query + 1} of ${file.file} is all zeros, and so no word is near it`,
    );
  }

  const chosen = await chooseDevice(commandLine.device, commandLine.deviceMemory);
  const { neighbours, report, stats } = await searchInUnifiedMemory(
    commandLine,
    chosen,
    file,
    queries,
    progress,
    signal,
  );

  const verification = progress.phase("verify", 1, "share");
  const claims = queries.map((query, i) => ({ query, neighbours: neighbours[i] }));
  const verdict = await verify(file, claims, k, { signal, onProgress: (share) => verification.update(share) });
  verification.end();

  const findings: Findings = {
    source,
    rows: file.rows,
    dimensions: file.dimensions,
    queries: asked.map((word, i) => ({
      word,
      neighbours: neighbours[i].map(({ index, similarity }) => ({ word: words[index], similarity })),
    })),
    chosen,
    stats,
    verdict,
    time: {
      load: progress.took.get("load") ?? 0,
      search: progress.took.get("search") ?? 0,
      ...report.phases,
      verify: progress.took.get("verify") ?? 0,
    },
  };
  process.stdout.write(commandLine.json ? asJson(findings) : `\n${asText(findings, process.stdout.columns ?? 100)}`);
  return judged(verdict.faults);
}

async function searchInUnifiedMemory(
  { pageSize, k }: CommandLine,
  { driver }: ChosenDevice,
  file: VectorFile,
  queries: readonly number[],
  progress: Progress,
  signal: AbortSignal,
): Promise<SearchResult & { stats: Stats }> {
  const memory = await createUnifiedMemory({ device: driver, pageSize, signal });
  try {
    const load = progress.phase("load", file.rows * file.dimensions * bytesPerNumber);
    let searching = null as ReturnType<Progress["phase"]> | null;
    const result = await search(
      memory,
      file,
      queries,
      k,
      {
        loading: (bytes) => load.update(bytes),
        loaded: () => {
          load.end();
          searching = progress.phase("search", file.rows, "words");
        },
        searching: (completed) => searching?.update(completed),
      },
      signal,
    );
    searching?.end();
    return { ...result, stats: memory.stats };
  } finally {
    await memory.destroy();
  }
}

/** Nobody asked for these, so those without a direction are passed over, as long as one is left. */
async function suggestions(words: readonly string[], file: VectorFile): Promise<readonly string[]> {
  const known = wordsWhenNoneGiven.filter((word) => words.includes(word));
  const candidates = known.length > 0 ? known : words.slice(0, wordsWhenNoneGiven.length);
  const directed: string[] = [];
  for (const word of candidates) if (await hasDirection(file, words.indexOf(word))) directed.push(word);
  return directed.length > 0 ? directed : candidates;
}
