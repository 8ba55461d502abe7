/**
 * Does the suite find what it is there to find? One bug at a time is put into a compiled source as it is loaded, and the
 * random programs, or the recorded runs, have to find it by themselves.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite, test } from "node:test";
import { skip } from "../../webgpu/gpu.js";
import { recorded } from "../../conform/traces.js";
import { optionsWith } from "./alteration.js";
import { bugs, type Bug, type Finder } from "./bugs.js";

/** Programs to run: without a bug all of them are, which tests of their own have run in larger numbers; with one as many as it takes. */
const PROGRAMS = 25;
const MOST_PROGRAMS = 2000;
const HUGE_PROGRAMS = 10;
const MOST_HUGE_PROGRAMS = 300;
const KERNELS = 4;
const GPU_KERNELS = 2;
const MOST_KERNELS = 100;
const RECORDED_RUNS_AT_ONCE = 30;
const FOUND_BY_PROGRAMS = 3;
const FOUND_BY_RUNS = 1;
const FEWEST_BUGS = 75;

assert.ok(bugs.length >= FEWEST_BUGS);

const FINDERS: readonly Finder[] = [
  "random programs",
  "huge programs",
  "random arrays",
  "random kernels",
  "random kernels on a GPU",
  "recorded runs",
];
const FEW: Partial<Record<Finder, number>> = {
  "huge programs": HUGE_PROGRAMS,
  "random kernels": KERNELS,
  "random kernels on a GPU": GPU_KERNELS,
};
const MOST: Partial<Record<Finder, number>> = {
  "huge programs": MOST_HUGE_PROGRAMS,
  "random kernels": MOST_KERNELS,
  "random kernels on a GPU": MOST_KERNELS,
};

suite("seeded bugs", { concurrency: 2 }, () => {
  test("without a bug nothing is found", async () => {
    for (const finder of FINDERS) {
      if (finder === "random kernels on a GPU" && skip !== false) continue;
      const { code, output } = await find(finder, FEW[finder] ?? PROGRAMS);
      assert.equal(code, 0, `${finder}: ${output}`);
    }
  });

  for (const bug of bugs) {
    const skipped = bug.found === "random kernels on a GPU" ? skip : false;
    test(`${bug.name}: found by ${bug.found}`, { skip: skipped }, async (t) => {
      const { code, output } = await find(bug.found, MOST[bug.found] ?? MOST_PROGRAMS, bug);
      t.diagnostic(output.trim().split("\n")[0]);
      assert.equal(code, bug.found === "recorded runs" ? FOUND_BY_RUNS : FOUND_BY_PROGRAMS, `not found: ${output}`);
    });
  }
});

interface Outcome {
  readonly code: unknown;
  readonly output: string;
}

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const COMMAND = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

function find(finder: Finder, programs: number, bug?: Bug): Promise<Outcome> {
  const options = bug === undefined ? [] : optionsWith(bug);
  if (finder === "recorded runs") return findByRuns(options);
  const focus = bug?.focus ?? [];
  const [program, ...args] = {
    "random programs": ["hunt.js", String(programs), ...focus],
    "huge programs": ["hunt-huge.js", String(programs)],
    "random arrays": ["hunt-arrays.js", String(programs), ...focus],
    "random kernels": ["hunt-kernels.js", String(programs), "mirror"],
    "random kernels on a GPU": ["hunt-kernels.js", String(programs), "webgpu"],
  }[finder] as [string, ...string[]];
  return outcomeOf([...options, join(FOLDER, program), ...args]);
}

/** Some runs after the others, until one differs. */
async function findByRuns(options: readonly string[]): Promise<Outcome> {
  let outcome: Outcome = { code: 0, output: "" };
  for (let at = 0; at < recorded.length && outcome.code === 0; at += RECORDED_RUNS_AT_ONCE) {
    const some = recorded.slice(at, at + RECORDED_RUNS_AT_ONCE);
    outcome = await outcomeOf([...options, COMMAND, "conform", ...some]);
  }
  return outcome;
}

function outcomeOf(args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : child.exitCode, output: stdout + stderr });
    });
  });
}
