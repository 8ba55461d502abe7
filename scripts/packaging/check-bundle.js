// Checks the package as an application ships it: bundled and minified by Vite with its own settings. What the core entry
// loads before anything is asked for stays within its limit, an import that is not used leaves nothing of it, and no entry
// reaches a Node module. One program, bundled, must print the same in this Node, the lowest that is supported, the newest,
// and Chromium, with cross-origin isolation and without; a part that cannot be loaded on demand must be named. `--require-chromium` makes it a failure that there is no Chromium; otherwise that part is skipped, and says so.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { fail, name, nodeAt, pack, Project, report, root, run, specifiers, tool } from "./installed-package.js";

/**
 * A script that Vite made.
 * @typedef {{ fileName: string, code: string, isEntry: boolean, imports: string[], dynamicImports: string[], moduleIds: string[] }} Chunk
 */

/** Bytes of the core entry, minified and compressed: all that is loaded before anything is asked for. */
const CORE_LIMIT = 40_000;

/** Adds 1 to each element where the page's own script runs, 2 in a worker. */
const kernelModule = `export const count = {
  writes: ["y"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays.y[i - base.y] += globalThis.isPage ? 1 : 2;
  },
};
`;

/**
 * Arrays over several times the device's memory, streamed, snapshot and read back: a checksum that all engines share. Then a
 * kernel that is a module, which runs in a worker where memory can be shared with one, and what is loaded on demand: arrays
 * over a blob, and over a store to swap to.
 */
const program = `import { createUnifiedMemory, KiB, MemoryError, mirrorDevice } from "${name}";
globalThis.isPage = true;
const shared = typeof SharedArrayBuffer !== "undefined" && globalThis.crossOriginIsolated !== false;
const mirror = mirrorDevice({ budget: 256 * KiB });
const device = { ...mirror, open: (host) => mirror.open({ ...host, shared }) };
const memory = await createUnifiedMemory({ device, pageSize: 4 * KiB });
const length = 200_000;
const x = memory.createArray("f32", length);
const y = memory.createArray("f32", length);
await x.write(Float32Array.from({ length }, (_, i) => i % 251));
const kernel = await memory.createKernel({
  footprint: { x: { each: 1 }, y: { each: 1 } },
  host: {
    writes: ["y"],
    run({ first, count, arrays, base }) {
      for (let i = first; i < first + count; i++) arrays.y[i - base.y] = 2 * arrays.x[i - base.x] + 1;
    },
  },
});
const { mode } = await kernel.dispatch({ invocations: length, arrays: { x, y } });
const snapshot = y.snapshot();
await y.fill(0);
const sum = (await snapshot.read()).reduce((total, value) => total + value, 0);
snapshot.destroy();
const counting = await memory.createKernel({
  footprint: { y: { each: 1 } },
  host: { module: new URL("./kernels.js", import.meta.url), export: "count" },
});
await counting.dispatch({ invocations: length, arrays: { y } });
const counted = (await y.read()).reduce((total, value) => total + value, 0) / length;
const blob = new Blob([Float32Array.from({ length: 5000 }, (_, i) => i)]);
const mapped = await memory.mapBlob(blob, { type: "f32" });
const read = (await mapped.read({ start: 2500 })).reduce((total, value) => total + value, 0);
const slots = new Map();
const swapStore = {
  slots: 1000,
  write: async (slot, bytes) => void slots.set(slot, bytes.slice()),
  read: async (slot, into) => into.set(slots.get(slot)),
  discard: (slot) => slots.delete(slot),
};
const small = await createUnifiedMemory({ pageSize: 4 * KiB, hostBudget: 64 * KiB, swapStore });
const large = small.createArray("f32", length);
await large.fill(3);
const swapped = slots.size > 100 && (await large.read({ start: 1000, length: 5 })).join("");
await small.destroy();
const refused = await createUnifiedMemory({ pageSize: 3 }).catch((error) => error instanceof MemoryError && error.code);
await memory.destroy();
const outcome = mode + " " + sum + " " + (counted === (shared ? 2 : 1)) + " " + read + " " + swapped + " " + refused;
globalThis.outcome = outcome;
console.log(outcome);
`;
const sum = Array.from({ length: 200_000 }, (_, i) => 2 * (i % 251) + 1).reduce((a, b) => a + b);
const expected = `streamed ${sum} true ${(2500 * (2500 + 4999)) / 2} 33333 EINVAL`;

/** A worker adds to an array in its place, with the pager on the page and in a worker of its own. */
const sharing = `import { createUnifiedMemory } from "${name}";
const tried = [];
for (const pager of ["here", "worker"]) {
  try {
    const memory = await createUnifiedMemory({ shared: true, pager });
    const array = memory.createArray("u32", 100_000);
    await array.fill(1);
    await array.prefetch("device");
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    const port = await memory.port();
    worker.postMessage({ port, handle: array.handle }, [port]);
    const { data } = await new Promise((resolve) => worker.addEventListener("message", resolve));
    tried.push(data + " " + (await array.read()).reduce((total, value) => total + value, 0));
    worker.terminate();
    await memory.disconnect(port, { terminated: true });
    await memory.destroy();
  } catch (error) {
    tried.push(error.code + " " + /Cross-Origin-Opener-Policy.*Cross-Origin-Embedder-Policy/.test(error.message));
  }
}
globalThis.outcome = tried.join(", ");
`;
const sharingWorker = `import { connect } from "${name}/worker";
addEventListener("message", async ({ data: { port, handle } }) => {
  const memory = await connect(port);
  const array = memory.arrayFrom(handle);
  const pin = await array.pin("write", { length: 50_000 });
  for (let i = 0; i < pin.length; i++) pin.view[i] += 2;
  pin.release();
  const again = array.tryPin("read", { length: 10 });
  postMessage(again === null ? "null" : "pinned");
  again?.release();
});
`;
const shared = "pinned 200000, pinned 200000";
const notIsolated = "ENOTSUP true, ENOTSUP true";

const vite = await import(pathToFileURL(tool("vite", "dist", "node", "index.js")).href);
const project = new Project(pack());
project.write("kernels.js", kernelModule);

const whole = await bundle("whole", `import * as all from "${name}"; globalThis.all = all;`);
const used = await bundle(
  "used",
  `import { createUnifiedMemory } from "${name}"; globalThis.all = createUnifiedMemory;`,
);
const unused = await bundle("unused", `import { createUnifiedMemory } from "${name}"; console.log("alone");`);
for (const [what, { first, later }] of Object.entries({ "every export": whole, createUnifiedMemory: used })) {
  const bytes = sizeOf(first);
  report(`${what} of ${name}: ${bytes} bytes gzipped, less than ${CORE_LIMIT}`);
  for (const chunk of later) report(`  on demand ${chunk.fileName}: ${sizeOf([chunk])} bytes`);
  if (bytes >= CORE_LIMIT) fail(`${what} of ${name} takes ${bytes} bytes, minified and gzipped: ${CORE_LIMIT} or more`);
  if (later.length === 0)
    fail(`${what} of ${name} loads nothing on demand: kernels, swap and mapped files are in the first script`);
}
if (sizeOf(used.first) >= sizeOf(whole.first)) fail("createUnifiedMemory alone takes as much as every export");
const left = unused.first.map(({ code }) => code).join("");
if (unused.later.length > 0 || !/^console\.log\([`"']alone[`"']\);?\s*$/.test(left))
  fail(`an unused import leaves code behind: ${left.slice(0, 500)}`);
report("an unused import leaves nothing: ok");
for (const specifier of specifiers.filter((entry) => !entry.endsWith(".json"))) {
  await bundle("entry", `import * as all from "${specifier}"; globalThis.all = all;`);
  report(`${specifier} without Node modules: ok`);
}

await bundle("program", program);
const bundled = join("program", entryScript("program"));
for (const node of [process.execPath, nodeAt("oldest"), nodeAt("newest")]) {
  const version = run("node", root, node, "--version").trim();
  const printed = project.run(`${version}, the bundle`, node, bundled).trim();
  if (printed !== expected) fail(`the bundle printed ${printed} in Node ${version}, not ${expected}`);
}
project.write("worker.js", sharingWorker);
await bundle("sharing", sharing);
await inChromium();

/**
 * What Vite makes of a page with one script, `text`. Fails when a module of Node is in it, in whichever way.
 * @returns {Promise<{ first: Chunk[], later: Chunk[] }>} what the page loads before its script runs, and on demand
 */
async function bundle(/** @type {string} */ folder, /** @type {string} */ text) {
  project.write("main.js", text);
  project.write("index.html", '<!doctype html><title>page</title><script type="module" src="/main.js"></script>');
  /** @type {{ output: (Chunk & { type: string })[] }} */
  const { output } = await vite.build({
    root: project.root,
    configFile: false,
    logLevel: "warn",
    // Files beside each other find each other in Node too.
    base: "./",
    // The polyfill would be in every script, and needs a document.
    build: { outDir: folder, modulePreload: false, target: "es2023" },
  });
  const chunks = new Map(output.filter(({ type }) => type === "chunk").map((chunk) => [chunk.fileName, chunk]));
  for (const { imports, dynamicImports, moduleIds } of chunks.values()) {
    const reached = [...imports, ...dynamicImports, ...moduleIds].filter((id) =>
      /^node:|__vite-browser-external/.test(id),
    );
    if (reached.length > 0) fail(`the bundle ${folder} reaches ${reached.join(", ")}: ${text}`);
  }
  const entry = [...chunks.values()].find(({ isEntry }) => isEntry) ?? fail(`${folder} has no script`);
  const first = new Set([entry]);
  for (const { imports } of first) {
    for (const file of imports) first.add(chunks.get(file) ?? fail(`${folder} has no ${file}`));
  }
  return { first: [...first], later: [...chunks.values()].filter((chunk) => !first.has(chunk)) };
}

/** The script of the page, within the folder. */
function entryScript(/** @type {string} */ folder) {
  const page = readFileSync(join(project.root, folder, "index.html"), "utf8");
  return /<script [^>]*src="\.\/([^"]+)"/.exec(page)?.[1] ?? fail(`${folder} has no script: ${page}`);
}

/** Bytes that are transferred for the scripts. */
function sizeOf(/** @type {Chunk[]} */ chunks) {
  return chunks.reduce((total, { code }) => total + gzipSync(code, { level: 9 }).length, 0);
}

async function inChromium() {
  const executablePath = ["chromium", "chromium-browser", "google-chrome"]
    .map((command) => spawnSync("sh", ["-c", `command -v ${command}`], { encoding: "utf8" }).stdout.trim())
    .find((path) => path !== "");
  if (executablePath === undefined) {
    if (process.argv.includes("--require-chromium")) fail("there is no Chromium");
    report("SKIPPED: the bundle in Chromium, because there is no Chromium on this machine");
    return;
  }
  const { chromium } = await import(pathToFileURL(tool("playwright-core", "index.mjs")).href);
  const quiet = ["--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", ...quiet] });
  try {
    for (const isolated of [false, true]) {
      await runIn(browser, isolated, "program", expected);
      await runIn(browser, isolated, "sharing", isolated ? shared : notIsolated);
    }
    await loseNetwork(browser);
  } finally {
    await browser.close();
  }
}

/** @typedef {any} Browser Of Playwright, whose types are not to be had here. */

/** The program on a page prints what it prints in Node. */
async function runIn(
  /** @type {Browser} */ browser,
  /** @type {boolean} */ isolated,
  /** @type {string} */ folder,
  /** @type {string} */ wanted,
) {
  const server = await serve(join(project.root, folder), isolated);
  const page = await browser.newPage();
  try {
    /** @type {string[]} */
    const errors = [];
    page.on("pageerror", (/** @type {Error} */ error) => errors.push(error.message));
    await page.goto(`http://localhost:${server.port}/`);
    const given = await page
      .waitForFunction("globalThis.outcome", undefined, { timeout: 60_000 })
      .then((/** @type {{ jsonValue(): Promise<unknown> }} */ handle) => handle.jsonValue())
      .catch((/** @type {Error} */ error) => fail(`no outcome in Chromium: ${[...errors, error.message].join("; ")}`));
    const really = await page.evaluate("crossOriginIsolated");
    if (really !== isolated) fail(`crossOriginIsolated is ${really}, not ${isolated}`);
    if (given !== wanted) fail(`the bundle ${folder} gave ${given} in Chromium, not ${wanted}`);
    if (errors.length > 0) fail(`errors on the page: ${errors.join("; ")}`);
    report(`Chromium ${browser.version()}, ${folder}, ${isolated ? "with" : "without"} cross-origin isolation: ok`);
  } finally {
    await page.close();
    server.close();
  }
}

/** A part that cannot be loaded any more is an error that names it. */
async function loseNetwork(/** @type {Browser} */ browser) {
  const server = await serve(join(project.root, "program"), false);
  const page = await browser.newPage();
  try {
    await page.route("**/on-demand-*.js", (/** @type {{ abort(): Promise<void> }} */ route) => route.abort());
    const failed = page.waitForEvent("pageerror", { timeout: 60_000 });
    await page.goto(`http://localhost:${server.port}/`);
    const { message } = await failed;
    if (!/the part of pageferry for kernels could not be loaded: ./.test(message))
      fail(`without the part for kernels, the page says ${message}`);
    report("Chromium, a part that cannot be loaded is named: ok");
  } finally {
    await page.close();
    server.close();
  }
}

/** @returns {Promise<{ port: number, close(): void }>} */
async function serve(/** @type {string} */ folder, /** @type {boolean} */ isolated) {
  const server = createServer(({ url = "/" }, response) => {
    if (isolated) {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    const isScript = /^\/assets\/[\w.-]+\.js$/.test(url) && existsSync(join(folder, url));
    response.statusCode = isScript || url === "/" ? 200 : 204;
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(response.statusCode === 204 ? "" : readFileSync(join(folder, isScript ? url : "index.html")));
  });
  await new Promise((resolve) => server.listen(0, "localhost", () => resolve(undefined)));
  const address = server.address();
  if (address === null || typeof address === "string") return fail("the server has no port");
  return { port: address.port, close: () => void server.close() };
}
