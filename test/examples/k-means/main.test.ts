import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../temporary-folder.js";
import { changeBeforeVerification, runProgram } from "../run-program.js";

interface Answer {
  readonly clusters: readonly { size: number; words: readonly string[] }[];
  readonly iterations: readonly { moved: number; inertia: number }[];
  readonly mode: string;
  readonly device: { name: string; budgetBytes: number; pageSize: number; why: string };
  readonly verified: boolean;
}

const run = (...args: string[]) => runProgram("k-means", args);

test("the demo's words are clustered through memory for a quarter of them, verified, as one JSON object", async () => {
  const { code, output, messages } = await run("--demo", "--json", "--device", "mirror", "--clusters", "12");
  assert.equal(code, 0, messages);
  assert.equal(output.trim().split("\n").length, 1);
  const { clusters, iterations, mode, device, verified } = JSON.parse(output) as Answer;
  assert.equal(verified, true);
  assert.equal(mode, "streamed");
  assert.ok(device.budgetBytes <= 800_000 / 4);
  assert.equal(device.why, "it was asked for");
  assert.equal(
    clusters.reduce((sum, { size }) => sum + size, 0),
    2000,
  );
  assert.ok(clusters.length <= 12);
  assert.equal(iterations[0].moved, 2000);
  for (let i = 1; i < iterations.length; i++) assert.ok(iterations[i].inertia < iterations[i - 1].inertia);
});

test("a seed gives the same clusters again, another one others", async () => {
  const answers = await Promise.all(
    ["1", "1", "2"].map(async (seed) => {
      const { output } = await run("--demo", "--json", "--seed", seed, "--iterations", "3");
      return (JSON.parse(output) as Answer).clusters;
    }),
  );
  assert.deepEqual(answers[0], answers[1]);
  assert.notDeepEqual(answers[0], answers[2]);
});

test("for people there are the clusters, the migrations, the time and the verdict", async () => {
  const { code, output, messages } = await run("--demo", "--iterations", "2");
  assert.equal(code, 0, messages);
  for (const part of [
    /^2,000 words x 100 numbers, 800 kB, through 192 KiB of device memory: streamed in \d+ steps$/m,
    /^device: mirror \(private, software\), pages of 8 KiB: /m,
    /^DEMO: /m,
    /^ +\d+ {2}.*\bguitar\b/m,
    /^to device +\w+ +[\d,]+ +\d/m,
    /^2 iterations from seed 1: mean squared distance 0\.\d{4}, at first 0\.\d{4}; \d+ words moved in the last$/m,
    /^verified: 2,000 labels as a float64 reference has them, /m,
  ]) {
    assert.match(output, part);
  }
  assert.match(messages, /^ {2}iteration 1: 2,000 words moved, /m);
});

test("when the reference disagrees the exit code is 1, and the verdict says so", async (t) => {
  const folder = await temporaryFolder(t);
  const [vectors, words] = [join(folder, "v.f32"), join(folder, "w.txt")];
  await writeFile(vectors, new Uint8Array(Float32Array.of(1, 0, 0, 1, 1, 0.1, 0.1, 1).buffer));
  await writeFile(words, "a\nb\nc\nd\n");
  const { code, output, messages } = await runProgram(
    "k-means",
    ["--vectors", vectors, "--words", words, "--dim", "2", "--clusters", "2"],
    {
      environment: { CHANGED_FILE: vectors, CHANGED_AFTER: "cluster" },
      nodeOptions: ["--import", changeBeforeVerification],
    },
  );
  assert.equal(code, 1, messages);
  assert.match(output, /^NOT VERIFIED: /m);
  assert.match(messages, /^pageferry: the answer is wrong; the reference disagrees:\n +(row|iteration) \d/m);
});

test("what is in the way is said in a sentence, with exit code 2 and ways out that name this example", async () => {
  const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [["king"], /"king" is not an option/],
    [["--clusters", "0"], /--clusters "0" is not a whole number from 1 to 1024/],
    [["--seed", "-1"], /'--seed' argument is ambiguous/],
    [["--seed=x"], /--seed "x" is not a whole number from 0 to 4294967295/],
    [["--device", "cuda"], /--device "cuda" is not auto, webgpu or mirror/],
    [
      ["--demo", "--device-memory", "8KiB", "--page-size", "8KiB"],
      /uses at least \d+ bytes at once, more than the 8192 bytes of device memory/,
    ],
  ];
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, output, messages } = await run(...args);
      assert.deepEqual([code, output], [2, ""], messages);
      assert.match(messages, message);
      assert.match(messages, /^ {2}npm run example:k-means -- --/m);
      assert.doesNotMatch(messages, /^ +at /m);
    }),
  );
});
