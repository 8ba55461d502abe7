// Starts one of the project's programs after doing whatever set-up it still needs: installs the dependencies when
// they are missing or not those of the lockfile, compiles what changed, and says nothing when there is nothing to do.
// Invariant: what runs is exactly what the sources say; an output whose source is gone is removed, never run.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, "dist");
const usage = "usage: node scripts/run.js start|test|test:chromium|bench|build|example NAME [ARGUMENT ...]";

/** Test files whose subject is no machine, or one that they alter, measure or share by themselves: not run a second time. */
const RUN_ONCE = [
  "bench",
  "docs",
  "examples",
  "packaging",
  "property/seeded-bugs",
  "conform/protocol-rows",
  "access/user-mode/interleavings",
  "access/transparent",
  "transparent",
  "webgpu/corpus",
  "webgpu/found-shaders",
  "webgpu/interop",
  "webgpu/paged-dispatches",
  "webgpu/random-kernels",
  "webgpu/step-kernels",
  "webgpu/step-modules",
  "webgpu/workgroups",
];

/** A signal has ended the tests. */
let stopped = false;

const [task, ...args] = process.argv.slice(2);

switch (task) {
  case "start":
    prepare();
    await become("examples/nearest-words/main.js");
    break;
  case "bench":
    prepare();
    await become("bench/main.js");
    break;
  case "example":
    prepare();
    preparePage();
    await become(`examples/${args.shift() ?? fail(usage)}/main.js`);
    break;
  case "test":
    prepare();
    preparePage();
    await test();
    break;
  case "test:chromium":
    prepare();
    preparePage();
    await become("test/chromium/main.js");
    break;
  case "build":
    prepare();
    break;
  default:
    fail(usage);
}

function prepare() {
  if (!isInstalled()) {
    process.stderr.write("pageferry: installing dependencies\n");
    step("installing dependencies", ...npm("ci", "--ignore-scripts", "--include=dev", "--loglevel=error"));
  }
  removeStaleOutputs();
  step("compiling", process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--project", root]);
}

/** The page of an example is compiled with the types of a browser. */
function preparePage() {
  const page = join(root, "examples/browser/page");
  if (existsSync(page))
    step("compiling the page", process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--project", page]);
}

/** Whether every package of the lockfile is installed at its version; optional ones are for other platforms. */
function isInstalled() {
  const installed = packagesOf("node_modules/.package-lock.json");
  if (installed === undefined) return false;
  return Object.entries(packagesOf("package-lock.json") ?? {}).every(
    ([path, { version, optional }]) =>
      path === "" || installed[path]?.version === version || (optional === true && !(path in installed)),
  );
}

/** @returns {Record<string, { version?: string, optional?: boolean }> | undefined} */
function packagesOf(/** @type {string} */ lockfile) {
  const path = join(root, lockfile);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).packages : undefined;
}

/** @returns {[command: string, args: string[]]} */
function npm(/** @type {string[]} */ ...args) {
  const started = process.env["npm_execpath"];
  return started?.endsWith("npm-cli.js") ? [process.execPath, [started, ...args]] : ["npm", args];
}

function removeStaleOutputs() {
  for (const path of filesUnder(output)) {
    const stem = /^(.*?)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(relative(output, path))?.[1];
    if (stem !== undefined && !existsSync(join(root, `${stem}.ts`))) rmSync(path, { force: true });
  }
}

/**
 * Runs the test files whose paths contain one of the arguments, or all: without `--shared` over machines of one thread, with
 * it over shared ones, and all files both ways when there is no argument. `--grep TEXT` chooses tests by name, and every other
 * option goes to Node as it is (`--test-reporter=tap`, `--experimental-test-coverage`).
 */
async function test() {
  /** @type {string[]} */
  const options = [];
  /** @type {string[]} */
  const filters = [];
  let passes = args.length === 0 ? [false, true] : [false];
  for (let i = 0; i < args.length; i += 1) {
    const arg = args[i] ?? "";
    if (arg === "--grep") options.push(`--test-name-pattern=${args[(i += 1)] ?? fail("--grep needs a value")}`);
    else if (arg === "--shared") passes = [true];
    else if (arg === "--unshared") passes = [false];
    else if (arg.startsWith("--grep=")) options.push(arg.replace("--grep", "--test-name-pattern"));
    else if (arg.startsWith("-")) options.push(arg);
    else filters.push(arg.replace(/^\.\//, "").replace(/\.ts$/, ".js"));
  }
  const files = filesUnder(join(output, "test"))
    .map((path) => relative(root, path).split(sep).join("/"))
    .filter((path) => path.endsWith(".test.js"))
    .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
    .toSorted();
  if (files.length === 0) {
    fail(filters.length === 0 ? "there is no test file" : `no test file's path contains ${filters.join(" or ")}`);
  }
  if (!options.some((option) => option.startsWith("--test-reporter"))) {
    options.push("--test-reporter=spec", "--test-reporter-destination=stdout");
    options.push(
      `--test-reporter=${new URL("tests-ran.js", import.meta.url).href}`,
      "--test-reporter-destination=stderr",
    );
  }
  if (!options.some((option) => option.startsWith("--test-concurrency"))) {
    options.push(`--test-concurrency=${availableParallelism()}`);
  }
  for (const shared of passes) {
    if (passes.length > 1)
      process.stderr.write(`pageferry: tests over ${shared ? "shared machines" : "machines of one thread"}\n`);
    const again = passes.length > 1 && shared;
    const chosen = again
      ? files.filter((file) => !RUN_ONCE.some((path) => file.startsWith(`dist/test/${path}`)))
      : files;
    const complete = filters.length === 0 && !shared && !options.some((option) => option.startsWith("--test-name"));
    // Apart, because suites that both have in common stand in files of their own, by which the runner reports their tests.
    const isWebgpu = (/** @type {string} */ file) => file.startsWith("dist/test/webgpu/");
    const runs = complete
      ? [
          { counted: "mirror in Node", files: chosen.filter((file) => !isWebgpu(file)) },
          { counted: "webgpu in Node", files: chosen.filter(isWebgpu) },
        ]
      : [{ counted: "", files: chosen }];
    for (const { counted, files: some } of runs) {
      if (some.length === 0) continue;
      const code = await runTests(options, some, { shared, counted });
      if (code !== 0) process.exitCode = code;
      if (stopped) return;
    }
  }
}

/** @returns {Promise<number>} */
function runTests(
  /** @type {string[]} */ options,
  /** @type {string[]} */ files,
  /** @type {{ shared: boolean, counted: string }} */ { shared, counted },
) {
  // A runner started from within a test would otherwise report to that test's runner instead of to us.
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const env = {
    ...inherited,
    PAGEFERRY_TEST_SHARED: shared ? "1" : "0",
    PAGEFERRY_COUNTED: counted,
  };
  const tests = spawn(process.execPath, ["--expose-gc", "--enable-source-maps", "--test", ...options, ...files], {
    cwd: root,
    env,
    stdio: "inherit",
  });
  // A terminal sends Ctrl-C to the tests as well; this process stays to hand on how they ended.
  const stop = () => (stopped = true);
  const terminate = () => stop() && tests.kill("SIGTERM");
  process.on("SIGINT", stop);
  process.on("SIGTERM", terminate);
  return new Promise((resolve) => {
    tests.on("exit", (code, signal) => {
      process.off("SIGINT", stop);
      process.off("SIGTERM", terminate);
      resolve(code ?? exitCodeOf(signal));
    });
  });
}

/** Runs a compiled program in this very process, so that signals, exit codes and the terminal are its own. */
async function become(/** @type {string} */ program) {
  const path = join(output, program);
  if (!existsSync(path)) fail(`${program.replace(/\.js$/, ".ts")} does not exist`);
  process.argv = [process.execPath, path, ...args];
  await import(pathToFileURL(path).href);
}

function step(/** @type {string} */ what, /** @type {string} */ command, /** @type {string[]} */ args) {
  const shell = process.platform === "win32" && command === "npm";
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], shell });
  if (error !== undefined) fail(`${what} failed: ${error.message}`);
  if (status !== 0) fail(`${what} failed`, status ?? exitCodeOf(signal));
}

/** @returns {string[]} */
function filesUnder(/** @type {string} */ folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** What a shell reports for a program that a signal ended. */
function exitCodeOf(/** @type {NodeJS.Signals | null} */ signal) {
  return signal === null ? 1 : 128 + constants.signals[signal];
}

/** @returns {never} */
function fail(/** @type {string} */ message, code = 1) {
  process.stderr.write(`pageferry: ${message}\n`);
  process.exit(code);
}
