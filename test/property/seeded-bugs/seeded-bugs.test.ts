/**
 * Does the suite find what it is there to find? One bug at a time is put into a copy of the compiled sources, and the
 * random programs, or the recorded runs, have to find it by themselves.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { suite, test } from "node:test";
import { skip } from "../../webgpu/gpu.js";
import { recorded } from "../../conform/traces.js";
import { buildWith, type Build } from "./altered-build.js";
import { bugs, type Finder } from "./bugs.js";

/** Programs to run: without a bug all of them are, with one as many as it takes. */
const PROGRAMS = 150;
const MOST_PROGRAMS = 2000;
const HUGE_PROGRAMS = 30;
const MOST_HUGE_PROGRAMS = 300;
const KERNELS = 4;
const GPU_KERNELS = 2;
const MOST_KERNELS = 100;
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
    using build = buildWith(null);
    for (const finder of FINDERS) {
      if (finder === "random kernels on a GPU" && skip !== false) continue;
      const { code, output } = await find(build, finder, FEW[finder] ?? PROGRAMS);
      assert.equal(code, 0, `${finder}: ${output}`);
    }
  });

  for (const bug of bugs) {
    const skipped = bug.found === "random kernels on a GPU" ? skip : false;
    test(`${bug.name}: found by ${bug.found}`, { skip: skipped }, async (t) => {
      using build = buildWith(bug);
      const { code, output } = await find(build, bug.found, MOST[bug.found] ?? MOST_PROGRAMS, bug.focus);
      t.diagnostic(output.trim().split("\n")[0]);
      assert.equal(code, bug.found === "recorded runs" ? FOUND_BY_RUNS : FOUND_BY_PROGRAMS, `not found: ${output}`);
    });
  }
});

function find(
  { hunt, huntHuge, huntArrays, huntKernels, command }: Build,
  finder: Finder,
  programs: number,
  focus: readonly string[] = [],
): Promise<{ code: unknown; output: string }> {
  const args = {
    "random programs": [hunt, String(programs), ...focus],
    "huge programs": [huntHuge, String(programs)],
    "random arrays": [huntArrays, String(programs)],
    "random kernels": [huntKernels, String(programs), "mirror"],
    "random kernels on a GPU": [huntKernels, String(programs), "webgpu"],
    "recorded runs": [command, "conform", ...recorded],
  }[finder];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : child.exitCode, output: stdout + stderr });
    });
  });
}
