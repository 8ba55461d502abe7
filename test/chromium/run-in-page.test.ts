// Test files on pages of Chromium: every way in which a test ends is told as it is, and nothing that goes wrong beside a test
// is lost.

import assert from "node:assert/strict";
import { before, after, describe, test, type TestContext } from "node:test";
import { type Browser, launchChromium } from "./browser.js";
import { onlyForNode } from "./modules.js";
import { type FileOutcome, runInPage } from "./run-in-page.js";
import { serveTests, type TestServer } from "./server.js";

describe("a test file on a page", () => {
  let server: TestServer;
  let browser: Browser | string;

  before(async () => {
    server = await serveTests();
    browser = await launchChromium();
    if (typeof browser === "string" && process.env["PAGEFERRY_REQUIRE_WEBGPU"] === "1") throw new Error(browser);
  });
  after(async () => {
    server.close();
    if (typeof browser !== "string") await browser.close();
  });

  /** Null where there is no browser, and the test is skipped. */
  async function outcomeOf(t: TestContext, fixture: string): Promise<FileOutcome | null> {
    if (typeof browser === "string") {
      t.skip(browser);
      return null;
    }
    return runInPage(browser, server.origin, `dist/test/chromium/fixtures/${fixture}.js`, {});
  }

  test("tells how each test ended, in order, and why", async (t) => {
    const told = await outcomeOf(t, "every-outcome");
    if (told === null) return;
    assert.deepEqual(told.errors, []);
    assert.deepEqual(
      told.tests.map(({ path, outcome }) => `${path.join(" > ")}: ${outcome}`),
      [
        "passes: passed",
        "runs after what the last one left to be done: passed",
        "fails: failed",
        "rejects: failed",
        "fails in what it leaves to be done: failed",
        "has parts > that pass: passed",
        "has parts > that fail: failed",
        "has parts: failed",
        "is skipped: skipped",
        "skips itself: skipped",
        "a suite > within another > has its own and the outer one's hooks: passed",
        "a suite > comes in order: passed",
        "a suite whose beginning fails: failed",
        "replaces a method: passed",
        "has the method back: passed",
        "has memory to share with workers, and a collector to ask: passed",
      ],
    );
    assert.deepEqual(told.diagnostics, [{ kind: "diagnostic", path: ["passes"], message: "a word on the side" }]);
    const errorOf = (name: string): string => told.tests.find(({ path }) => path.at(-1) === name)?.error ?? "";
    assert.match(errorOf("fails"), /AssertionError: expected 2, got 1/);
    assert.match(errorOf("rejects"), /TypeError: no[^]*caused by: Error: deeper/);
    assert.match(errorOf("fails in what it leaves to be done"), /left behind/);
    assert.match(errorOf("has parts"), /1 subtests failed/);
    assert.deepEqual(
      told.tests.flatMap(({ reason }) => reason ?? []),
      ["for a reason", "after a look"],
    );
  });

  test("tells what is thrown and rejected beside a test", async (t) => {
    const told = await outcomeOf(t, "throws-beside");
    if (told === null) return;
    assert.deepEqual(
      told.tests.map(({ outcome }) => outcome),
      ["passed"],
    );
    assert.equal(told.errors.length, 2);
    assert.match(told.errors.join("\n"), /thrown beside the test/);
    assert.match(told.errors.join("\n"), /rejected beside the test/);
  });

  test("ends when it cannot be imported or is not there, and says why", async (t) => {
    const told = await outcomeOf(t, "cannot-be-imported");
    if (told === null) return;
    assert.deepEqual(told.tests, []);
    assert.match(told.errors.join("\n"), /thrown on the way/);
    assert.match((await outcomeOf(t, "not-there"))?.errors.join("\n") ?? "", /Failed to fetch/);
  });

  test("ends when it holds no test", async (t) => {
    const told = await outcomeOf(t, "no-test");
    if (told !== null) assert.deepEqual(told, { ...told, tests: [], errors: [] });
  });
});

test("a test file that needs a module of Node is for Node alone, and says which", () => {
  assert.equal(onlyForNode("dist/test/mm/machine.test.js"), null);
  assert.equal(onlyForNode("dist/test/property/unified/random-arrays.test.js"), null, "packages are served");
  assert.equal(onlyForNode("dist/test/webgpu/gpu.test.js"), null, "what finds the adapter has a counterpart");
  assert.equal(onlyForNode("dist/test/mm/shared-word.test.js"), "node:worker_threads");
  assert.equal(onlyForNode("dist/test/chromium/run-in-page.test.js"), "node:child_process");
  assert.equal(onlyForNode("dist/test/examples/program/sizes.test.js"), "a program for Node");
});

test("the server gives scripts with addresses for packages, and nothing outside of the project", async (t) => {
  const server = await serveTests();
  t.after(() => server.close());
  const given = await fetch(`${server.origin}/dist/test/builders.js`);
  assert.equal(given.status, 200);
  assert.equal(given.headers.get("Cross-Origin-Embedder-Policy"), "require-corp");
  assert.match(await given.text(), /from "\/dist\/test\/chromium\/page\/assert-strict.js"/);
  for (const path of ["/package.json", "/.git/config", "/dist/%2e%2e/package.json", "/dist/../package.json", "/dist"]) {
    const { status } = await fetch(`${server.origin}${path}`);
    assert.equal(status, 404, path);
  }
});
