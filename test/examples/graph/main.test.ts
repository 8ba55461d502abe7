import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { outlineFiles } from "../../../examples/graph/outline.js";
import { temporaryFolder } from "../../temporary-folder.js";
import { runProgram } from "../run-program.js";

interface Answer {
  readonly graph: { source: string; nodes: number; edges: number; bytes: number };
  readonly pageRank: { iterations: number; mode: string; top: readonly { name: string; rank: number }[] };
  readonly searches: readonly { word: string; mode: string; levels: readonly number[]; unreached: number }[];
  readonly device: { name: string; budgetBytes: number; pageSize: number; why: string };
  readonly verified: boolean;
}

const run = (...args: string[]) => runProgram("graph", args);

async function answer(...args: string[]): Promise<Answer> {
  const { code, output, messages } = await run(...args, "--json");
  assert.equal(code, 0, messages);
  assert.equal(output.trim().split("\n").length, 1);
  return JSON.parse(output) as Answer;
}

test("the demo's neighbours are ranked and searched page by page through memory for a quarter of them, verified", async () => {
  const { graph, pageRank, searches, device, verified } = await answer(
    "--graph",
    "neighbours",
    "--demo",
    "--device",
    "mirror",
    "king",
    "Guitar",
  );
  assert.equal(verified, true);
  assert.deepEqual([graph.nodes, graph.edges], [2000, 124_000]);
  assert.ok(device.budgetBytes <= graph.bytes / 4);
  assert.equal(pageRank.mode, "paged");
  assert.equal(pageRank.top.length, 12);
  assert.deepEqual(
    pageRank.top,
    pageRank.top.toSorted((a, b) => b.rank - a.rank),
  );
  assert.deepEqual(
    searches.map(({ word, mode, levels }) => [word, mode, levels[0], levels[1]]),
    [
      ["king", "paged", 1, 62],
      ["Guitar", "paged", 1, 62],
    ],
  );
  for (const { levels, unreached } of searches) {
    assert.equal(
      levels.reduce((sum, nodes) => sum + nodes, unreached),
      2000,
    );
  }
});

test("for people there are the ranks, the levels, the mode and why, the migrations, the time and the verdict", async () => {
  const { code, output, messages } = await run("--demo", "--top", "3", "page");
  assert.equal(code, 0, messages);
  for (const part of [
    /^\d+ synsets, \d+ edges, [\d.]+ KiB, through 64 KiB of device memory$/m,
    /^DEMO: /m,
    /^ +\d\.\d {2}page +noun: what memory is divided into$/m,
    /^resident: \d+ dispatches in \d+ steps, /m,
    /^ {2}\(\d+ bytes fit into the 65536 bytes of device memory\)$/m,
    /^from "page", level by level; all are reached\n +0 +1 {2}page\n +1 +7 {2}.*\bidea\b/m,
    /^to device +\w+ +[\d,]+ +\d/m,
    /^time: graph .*rank .*search .*verify /m,
    /^verified: \d+ ranks as a float64 reference has them, within 1e-4 .*; \d+ levels the same$/m,
  ]) {
    assert.match(output, part);
  }
});

test("files of one's own are read; nothing of them reaches the terminal as a control character", async (t) => {
  const folder = await temporaryFolder(t);
  for (const [name, bytes] of Object.entries(outlineFiles("a\u001b[2J, b | \u001b[2J\n  c | under\n"))) {
    await writeFile(join(folder, name), bytes);
  }
  const { graph, searches } = await answer("--wordnet", folder, "c");
  assert.deepEqual([graph.nodes, graph.edges], [2, 2]);
  assert.deepEqual(searches[0].levels, [1, 1]);
  const { output } = await run("--wordnet", folder, "c");
  assert.match(output, /\[2J/);
  assert.ok(!output.includes("\u001b"));
});

test("what is in the way is said in a sentence, with exit code 2 and ways out that name this example", async (t) => {
  const folder = await temporaryFolder(t);
  const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [["--graph", "roads"], /--graph "roads" is not wordnet or neighbours/],
    [["--graph", "neighbours", "--wordnet", folder], /--wordnet FOLDER is not for --graph neighbours/],
    [["--demo", "--wordnet", folder], /--demo and --wordnet exclude each other/],
    [["--demo", "--top", "0"], /--top "0" is not a whole number from 1 to 1000/],
  ];
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, output, messages } = await run(...args);
      assert.deepEqual([code, output], [2, ""], messages);
      assert.match(messages, message);
      assert.match(messages, /^ {2}npm run example:graph -- --/m);
      assert.doesNotMatch(messages, /^ +at /m);
    }),
  );
  const unknown = await run("--demo", "unicorn");
  assert.equal(unknown.code, 2);
  assert.match(unknown.messages, /^pageferry: "unicorn" is not among the \d+ synsets$/m);
  const missing = await run("--wordnet", folder);
  assert.match(missing.messages, /^pageferry: cannot read .*data\.noun: no such file or folder \(ENOENT\)$/m);
});
