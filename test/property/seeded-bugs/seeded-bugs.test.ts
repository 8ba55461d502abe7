/**
 * Does the suite find what it is there to find? One bug at a time is put into a copy of the compiled sources, and the
 * random programs, or the recorded runs, have to find it by themselves.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { suite, test } from "node:test";
import { recorded } from "../../conform/traces.js";
import { buildWith, type Build } from "./altered-build.js";
import { bugs, type Finder } from "./bugs.js";

/** Programs to run: without a bug all of them are, with one as many as it takes. */
const PROGRAMS = 150;
const MOST_PROGRAMS = 2000;
const HUGE_PROGRAMS = 30;
const MOST_HUGE_PROGRAMS = 300;
const FOUND_BY_PROGRAMS = 3;
const FOUND_BY_RUNS = 1;
const FEWEST_BUGS = 50;

assert.ok(bugs.length >= FEWEST_BUGS);

suite("seeded bugs", { concurrency: 2 }, () => {
  test("without a bug nothing is found", async () => {
    using build = buildWith(null);
    for (const finder of ["random programs", "huge programs", "random arrays", "recorded runs"] as const) {
      const { code, output } = await find(build, finder, finder === "huge programs" ? HUGE_PROGRAMS : PROGRAMS);
      assert.equal(code, 0, `${finder}: ${output}`);
    }
  });

  for (const bug of bugs) {
    test(`${bug.name}: found by ${bug.found}`, async (t) => {
      using build = buildWith(bug);
      const most = bug.found === "huge programs" ? MOST_HUGE_PROGRAMS : MOST_PROGRAMS;
      const { code, output } = await find(build, bug.found, most, bug.focus);
      t.diagnostic(output.trim().split("\n")[0]);
      assert.equal(code, bug.found === "recorded runs" ? FOUND_BY_RUNS : FOUND_BY_PROGRAMS, `not found: ${output}`);
    });
  }
});

function find(
  { hunt, huntHuge, huntArrays, command }: Build,
  finder: Finder,
  programs: number,
  focus: readonly string[] = [],
): Promise<{ code: unknown; output: string }> {
  const args = {
    "random programs": [hunt, String(programs), ...focus],
    "huge programs": [huntHuge, String(programs)],
    "random arrays": [huntArrays, String(programs)],
    "recorded runs": [command, "conform", ...recorded],
  }[finder];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : child.exitCode, output: stdout + stderr });
    });
  });
}
