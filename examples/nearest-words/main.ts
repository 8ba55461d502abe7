/**
 * The project's main job: exact nearest neighbours by cosine over word vectors that do not fit into device memory.
 * It reads as it runs: command line, vectors, search, verification, report. Exit codes: 0 when the answer is verified,
 * 1 when the reference disagrees, 2 when the command line or the machine is in the way, with a sentence and no stack.
 */

import { createUnifiedMemory, MemoryError, type Stats } from "../../src/index.js";
import { mirrorDevice } from "../../src/device/mirror/index.js";
import { readCommandLine, usage, type CommandLine } from "./command-line.js";
import { explain, JobFailure } from "./failure.js";
import { Progress } from "./progress.js";
import { verify } from "./reference.js";
import { asJson, asText, type Findings } from "./report.js";
import { search, type SearchResult } from "./search.js";
import { bytesPerNumber, hasDirection, type VectorFile } from "./vector-file.js";
import { placeOf } from "./word-list.js";
import { findWordVectors } from "./word-vectors.js";

const wordsWhenNoneGiven = ["queen", "physics", "guitar", "linux"];
const faultsShown = 5;

const progress = new Progress(process.stderr);
const interruption = new AbortController();

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // Whoever read our output has seen enough.
  if (error.code === "EPIPE") process.exit();
  const failure = explain(error, "cannot write to standard output");
  if (!(failure instanceof JobFailure)) throw error;
  // An exit code that was set would be overwritten when `run` ends.
  report(failure, () => process.exit(2));
});
// Where messages cannot be written there is nowhere to say so; the answer and the exit code still tell.
process.stderr.on("error", () => {});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (interruption.signal.aborted) process.exit(2);
    interruption.abort(new JobFailure("EINTR", "interrupted; nothing was left behind"));
  });
}

try {
  process.exitCode = await run(process.argv.slice(2), interruption.signal);
} catch (error) {
  report(failureOf(error));
  process.exitCode = 2;
}

function report(failure: JobFailure, done?: () => void): void {
  progress.stop();
  const lines = [`pageferry: ${failure.message}`, ...failure.waysOut.map((way) => `  ${way}`), ""];
  process.stderr.write(lines.join("\n"), done);
}

async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
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

  const { neighbours, report, stats } = await searchInUnifiedMemory(commandLine, file, queries, signal);

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
  if (verdict.verified) return 0;
  const more = verdict.faults.length - faultsShown;
  process.stderr.write(
    [
      "pageferry: the answer is wrong; the reference disagrees:",
      ...verdict.faults.slice(0, faultsShown).map((fault) => `  ${fault}`),
      ...(more > 0 ? [`  and ${more} more`] : []),
      "",
    ].join("\n"),
  );
  return 1;
}

async function searchInUnifiedMemory(
  { deviceMemory, pageSize, k }: CommandLine,
  file: VectorFile,
  queries: readonly number[],
  signal: AbortSignal,
): Promise<SearchResult & { stats: Stats }> {
  const memory = await createUnifiedMemory({ device: mirrorDevice({ budget: deviceMemory }), pageSize, signal });
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

/** The memory's refusals (a budget too small for one step) are the user's to change, too. */
function failureOf(error: unknown): JobFailure {
  if (error instanceof JobFailure) return error;
  if (interruption.signal.aborted) return interruption.signal.reason as JobFailure;
  if (error instanceof MemoryError && (error.code === "EINVAL" || error.code === "ENOMEM")) {
    const message = error.message.replace(`${error.code}: `, "");
    return new JobFailure(error.code, message, {
      waysOut: ["npm start -- --device-memory 32MiB --page-size 64KiB"],
      cause: error,
    });
  }
  throw error;
}
