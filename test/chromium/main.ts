/**
 * Runs the compiled tests in headless Chromium: every test file that needs nothing of Node and is no long search, or those whose
 * paths contain one of the arguments. `--shared` runs them over shared machines. The run fails when a test fails, when something is thrown outside
 * of a test, and when a file holds no test. Where there is no Chromium or no playwright-core that is said; with
 * PAGEFERRY_REQUIRE_WEBGPU=1 it is a failure, and so is it when fewer tests ran than `test/webgpu/tests-executed.json` says.
 */

import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, launchChromium } from "./browser.js";
import { isLongSearch, onlyForNode, ROOT } from "./modules.js";
import { type FileOutcome, runInPage } from "./run-in-page.js";
import { serveTests } from "./server.js";

/** Settings of the environment that tests ask for (`test/setting.ts`). */
const SETTINGS = /^(PAGEFERRY_\w+|SEED)$/;

/** Has everything that the tests need to be there? */
const REQUIRED = process.env["PAGEFERRY_REQUIRE_WEBGPU"] === "1";

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const filters = args.filter((arg) => !arg.startsWith("-")).map((arg) => arg.replace(/\.ts$/, ".js"));
  const unknown = args.filter((arg) => arg.startsWith("-") && arg !== "--shared");
  if (unknown.length > 0) return refuse(`unknown option ${unknown.join(", ")}; known is --shared`);
  const shared = args.includes("--shared");

  const files = testFiles().filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)));
  const forPages = files.filter((file) => leftOut(file, filters) === null);
  if (forPages.length === 0) return refuse(`no test file for pages has a path with ${filters.join(" or ")}`);

  const browser = await launchChromium();
  if (typeof browser === "string") {
    if (REQUIRED) return refuse(browser);
    print(`SKIPPED: the tests in Chromium, because ${browser}`);
    return 0;
  }
  try {
    print(`Chromium ${browser.version()}: ${forPages.length} test files`);
    for (const file of files) {
      const why = leftOut(file, filters);
      if (why !== null) print(`left out: ${sourceOf(file)} (${why})`);
    }
    const outcomes = await runAll(browser, forPages, shared);
    return await conclude(outcomes, filters.length === 0 && !shared);
  } finally {
    await browser.close();
  }
}

/** Why a file does not run on a page, or null. */
function leftOut(file: string, filters: readonly string[]): string | null {
  return onlyForNode(file) ?? (filters.length === 0 && isLongSearch(file) ? "a long search" : null);
}

async function runAll(browser: Browser, files: readonly string[], shared: boolean): Promise<FileOutcome[]> {
  const server = await serveTests();
  // The longest, which use the GPU, come last in the alphabet: begun last, one of them would run alone at the end.
  const waiting = files.toReversed();
  const outcomes: FileOutcome[] = [];
  const settings: Record<string, string> = {};
  for (const [name, value = ""] of Object.entries(process.env)) if (SETTINGS.test(name)) settings[name] = value;
  settings["PAGEFERRY_TEST_SHARED"] = shared ? "1" : "0";
  const work = async (): Promise<void> => {
    const context = await browser.newContext();
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const outcome = await runInPage(context, server.origin, file, settings);
      outcomes.push(outcome);
      print(textOf(outcome));
    }
    await context.close();
  };
  try {
    await Promise.all(Array.from({ length: availableParallelism() }, work));
  } finally {
    server.close();
  }
  return outcomes;
}

async function conclude(outcomes: readonly FileOutcome[], complete: boolean): Promise<number> {
  const tests = outcomes.flatMap(({ tests }) => tests);
  const failed = tests.filter(({ outcome }) => outcome === "failed");
  const broken = outcomes.filter((outcome) => outcome.errors.length > 0 || outcome.tests.length === 0);
  const skipped = tests.filter(({ outcome }) => outcome === "skipped").length;
  print(`\n${tests.length - skipped} tests, ${failed.length} failed, ${skipped} skipped`);
  for (const { file, tests: own } of outcomes) {
    for (const { path, outcome } of own)
      if (outcome === "failed") print(`failed: ${sourceOf(file)}: ${path.join(" > ")}`);
  }
  for (const { file, errors } of broken) print(`failed: ${sourceOf(file)}: ${errors[0] ?? "it holds no test"}`);
  if (!complete) return failed.length > 0 || broken.length > 0 ? 1 : 0;
  const record = await testsExecuted();
  const counts = new Map([
    ["mirror in Chromium", 0],
    ["webgpu in Chromium", 0],
  ]);
  for (const { file, tests: own } of outcomes) {
    for (const { path, outcome } of own) {
      if (outcome === "skipped") continue;
      const count = record.countOf(file, path.join(" "), "Chromium");
      counts.set(count, (counts.get(count) ?? 0) + 1);
    }
  }
  const { lines, fewer } = record.compareWithRecord(counts);
  for (const line of lines) print(line);
  return failed.length > 0 || broken.length > 0 || (fewer && REQUIRED) ? 1 : 0;
}

/** A script, which is not compiled. */
function testsExecuted(): Promise<{
  compareWithRecord(counts: ReadonlyMap<string, number>): { lines: string[]; fewer: boolean };
  countOf(file: string, name: string, where: "Chromium"): string;
}> {
  return import(pathToFileURL(join(ROOT, "scripts/tests-executed.js")).href);
}

function textOf({ file, tests, diagnostics, errors }: FileOutcome): string {
  const lines = [`\n${sourceOf(file)}`];
  for (const { path, outcome, error, reason, milliseconds } of tests) {
    const mark = { passed: "✔", failed: "✖", skipped: "﹣" }[outcome];
    const why = outcome === "skipped" ? ` # skipped: ${reason ?? ""}` : "";
    lines.push(`${mark} ${path.join(" > ")} (${milliseconds.toFixed(0)} ms)${why}`);
    for (const { path: whose, message } of diagnostics)
      if (whose.join("\0") === path.join("\0")) lines.push(`    ${message}`);
    if (error !== undefined) lines.push(indented(error));
  }
  for (const error of errors) lines.push("✖ outside of the tests", indented(error));
  return lines.join("\n");
}

function testFiles(): string[] {
  const folder = join(ROOT, "dist/test");
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((path) => `dist/test/${path.split(sep).join("/")}`)
    .filter((path) => path.endsWith(".test.js"))
    .toSorted();
}

/** The source of a compiled file, for people. */
function sourceOf(file: string): string {
  return file.replace(/^dist\//, "").replace(/\.js$/, ".ts");
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, "    ");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function refuse(message: string): number {
  process.stderr.write(`pageferry: ${message}\n`);
  return 1;
}
