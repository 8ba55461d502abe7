// How `npm start` and `npm test` set themselves up, tried on a small project with a stub compiler and a stub npm.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { type Outcome, SampleProject } from "./sample-project.js";

const lockfile = (version: string) => JSON.stringify({ packages: { "": {}, "node_modules/dependency": { version } } });

const passing = 'import { test } from "node:test"; test("water is wet", () => {});';
const failing = 'import { test } from "node:test"; test("water is dry", () => { throw new Error("it is not"); });';

/** A project that is installed and compiled. */
function upToDate(context: TestContext, files: Record<string, string> = {}): SampleProject {
  return new SampleProject(context, {
    "package-lock.json": lockfile("1.0.0"),
    "node_modules/.package-lock.json": lockfile("1.0.0"),
    "node_modules/typescript/package.json": "{}",
    "node_modules/typescript/bin/tsc": "",
    "stub/npm-cli.js": `
      import { copyFileSync } from "node:fs";
      copyFileSync("package-lock.json", "node_modules/.package-lock.json");
      console.log("npm " + process.argv.slice(2).join(" "));`,
    "examples/nearest-words/main.ts": "",
    "dist/examples/nearest-words/main.js": "console.log(process.argv.slice(2).join(' '));",
    ...files,
  });
}

describe("starting the main job", () => {
  test("a project with nothing to set up prints what the job prints and no more", (context) => {
    assert.deepEqual(upToDate(context).node("scripts/run.js", "start", "king", "--k", "3"), {
      code: 0,
      stdout: "king --k 3\n",
      stderr: "",
    });
  });

  test("the job's exit code is the exit code", (context) => {
    const project = upToDate(context, { "dist/examples/nearest-words/main.js": "process.exitCode = 2;" });
    assert.equal(project.node("scripts/run.js", "start").code, 2);
  });

  test("dependencies that are missing are installed once, with the set-up's words kept off standard output", (context) => {
    const project = upToDate(context);
    project.remove("node_modules/.package-lock.json");
    const { code, stdout, stderr } = project.node("scripts/run.js", "start", "king");
    assert.equal(code, 0);
    assert.equal(stdout, "king\n");
    assert.match(stderr, /^npm ci .*--ignore-scripts/m);
    assert.equal(project.node("scripts/run.js", "start", "king").stderr, "");
  });

  test("dependencies of another version than the lockfile's are installed again", (context) => {
    const project = upToDate(context, { "package-lock.json": lockfile("1.0.1") });
    assert.match(project.node("scripts/run.js", "start").stderr, /^npm ci /m);
  });

  test("an optional dependency for another platform is not missed", (context) => {
    const packages = {
      "": {},
      "node_modules/dependency": { version: "1.0.0" },
      "node_modules/for-another-platform": { version: "1.0.0", optional: true },
    };
    const project = upToDate(context, { "package-lock.json": JSON.stringify({ packages }) });
    assert.equal(project.node("scripts/run.js", "start").stderr, "");
  });

  test("an installation that fails ends with its exit code and one line that says so", (context) => {
    const project = upToDate(context, {
      "package-lock.json": lockfile("1.0.1"),
      "stub/npm-cli.js": "process.exitCode = 9;",
    });
    const { code, stdout, stderr } = project.node("scripts/run.js", "start");
    assert.equal(code, 9);
    assert.equal(stdout, "");
    assert.match(stderr, /^pageferry: installing dependencies failed$/m);
  });

  test("a compilation that fails ends with its exit code, and the old program is not run", (context) => {
    const project = upToDate(context, { "node_modules/typescript/bin/tsc": "process.exitCode = 2;" });
    assert.deepEqual(project.node("scripts/run.js", "start", "king"), {
      code: 2,
      stdout: "",
      stderr: "pageferry: compiling failed\n",
    });
  });

  test("a job whose source is gone is named, not run", (context) => {
    const project = upToDate(context);
    project.remove("examples/nearest-words/main.ts");
    assert.deepEqual(project.node("scripts/run.js", "start"), {
      code: 1,
      stdout: "",
      stderr: "pageferry: examples/nearest-words/main.ts does not exist\n",
    });
  });
});

describe("running the tests", () => {
  const withTests = (context: TestContext, files: Record<string, string>) =>
    upToDate(
      context,
      Object.fromEntries(
        Object.entries(files).flatMap(([stem, text]) => [
          [`test/${stem}.ts`, ""],
          [`dist/test/${stem}.js`, text],
        ]),
      ),
    );

  test("a project without a test file fails", (context) => {
    const { code, stderr } = upToDate(context).node("scripts/run.js", "test");
    assert.equal(code, 1);
    assert.equal(stderr, "pageferry: there is no test file\n");
  });

  test("tests that pass, pass, and the last lines count them", (context) => {
    const { code, stdout, stderr } = withTests(context, { "a.test": passing }).node("scripts/run.js", "test", "a");
    assert.equal(code, 0);
    assert.match(stdout, /^ℹ pass 1$/m);
    assert.equal(stderr, "");
  });

  test("without an argument all tests run twice, over machines of one thread and over shared ones", (context) => {
    const test = (shared: string) =>
      `import { test } from "node:test";\ntest("one pass", { skip: process.env.PAGEFERRY_TEST_SHARED !== "${shared}" }, () => {});`;
    const project = withTests(context, { "a.test": test("0"), "b.test": test("1"), "docs/c.test": test("0") });
    const { code, stdout, stderr } = project.node("scripts/run.js", "test");
    assert.equal(code, 0);
    assert.deepEqual(stderr.split("\n"), [
      "pageferry: tests over machines of one thread",
      "pageferry: tests executed, mirror in Node: 2",
      "pageferry: tests over shared machines",
      "",
    ]);
    assert.deepEqual(stdout.match(/^ℹ (pass|skipped) .*$/gm), ["ℹ pass 2", "ℹ skipped 1", "ℹ pass 1", "ℹ skipped 1"]);
    assert.equal(project.node("scripts/run.js", "test", "--shared", "b").code, 0);
    assert.equal(project.node("scripts/run.js", "test", "--unshared", "b").code, 1, "no test ran");
  });

  test("fewer tests than recorded fail a run of all of them, where all they need has to be there", (context) => {
    const record = JSON.stringify({ "mirror in Node": 2, "webgpu in Node": 2 });
    const project = withTests(context, {
      "webgpu/a.test": passing,
      "webgpu/b.test": passing,
      "c.test": passing,
    });
    project.write("test/webgpu/tests-executed.json", record);
    const run = (...args: string[]): Outcome => project.node("scripts/run.js", "test", ...args);
    project.environment["PAGEFERRY_REQUIRE_WEBGPU"] = "0";
    const { code, stderr } = run();
    assert.equal(code, 0);
    assert.match(stderr, /^pageferry: tests executed, mirror in Node: 1, FEWER than the 2 recorded$/m);
    assert.match(stderr, /^pageferry: tests executed, webgpu in Node: 2$/m);
    project.environment["PAGEFERRY_REQUIRE_WEBGPU"] = "1";
    assert.equal(run("c.test").code, 0, "a part of the tests is compared with nothing");
    assert.equal(run("--grep", "wet").code, 0);
    const refused = run();
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^pageferry: fewer tests ran than test\/webgpu\/tests-executed\.json has$/m);
  });

  test("a failure in the first pass fails the run", (context) => {
    const failsFirst = passing.replace(
      /\(\) => \{.*\}/s,
      '() => { if (process.env.PAGEFERRY_TEST_SHARED === "0") throw 1; }',
    );
    const project = withTests(context, { "a.test": failsFirst });
    assert.equal(project.node("scripts/run.js", "test").code, 1);
  });

  test("one failing test fails the run", (context) => {
    const project = withTests(context, { "a.test": passing, "b.test": failing });
    assert.equal(project.node("scripts/run.js", "test").code, 1);
  });

  test("a test whose source is gone is deleted, not run", (context) => {
    const project = withTests(context, { "a.test": passing, "deep/b.test": failing });
    project.remove("test/deep/b.test.ts");
    assert.equal(project.node("scripts/run.js", "test").code, 0);
    assert.equal(existsSync(join(project.root, "dist/test/deep/b.test.js")), false);
  });

  test("an argument chooses the files whose paths contain it, by source or by output", (context) => {
    const project = withTests(context, { "mm/frames.test": passing, "migrate/collect.test": failing });
    for (const filter of ["mm/", "./test/mm/frames.test.ts", "dist/test/mm"]) {
      assert.equal(project.node("scripts/run.js", "test", filter).code, 0, filter);
    }
    assert.equal(project.node("scripts/run.js", "test", "collect").code, 1);
  });

  test("an argument that chooses no file fails", (context) => {
    const { code, stderr } = withTests(context, { "a.test": passing }).node("scripts/run.js", "test", "z");
    assert.equal(code, 1);
    assert.equal(stderr, "pageferry: no test file's path contains z\n");
  });

  test("--grep chooses tests by name", (context) => {
    const project = withTests(context, { "a.test": passing, "b.test": failing });
    assert.equal(project.node("scripts/run.js", "test", "--grep", "wet").code, 0);
    assert.equal(project.node("scripts/run.js", "test", "--grep=dry").code, 1);
  });

  test("--grep that chooses no test fails", (context) => {
    const project = withTests(context, { "a.test": passing });
    const { code, stderr } = project.node("scripts/run.js", "test", "--grep", "snow");
    assert.equal(code, 1);
    assert.equal(stderr, "pageferry: no test ran\n");
  });

  test("a test file that holds no test fails the run", (context) => {
    const project = withTests(context, { "a.test": passing, "b.test": "" });
    const { code, stderr } = project.node("scripts/run.js", "test");
    assert.equal(code, 1);
    assert.match(stderr, /b\.test\.js holds no test$/m);
  });
});
