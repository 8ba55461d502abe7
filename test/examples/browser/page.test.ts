// The example's page, in Chromium: it searches, gives the answer that the reference gives, and shows where the pages are, while
// it runs and afterwards. Screenshots are kept in dist/screenshots.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { type PageServer, servePage } from "../../../examples/browser/server.js";
import { readCommandLine } from "../../../examples/browser/command-line.js";
import { verify } from "../../../examples/nearest-words/reference.js";
import { findWordVectors, type WordVectors } from "../../../examples/word-vectors/word-vectors.js";
import { type Browser, launchChromium, type Page } from "../../chromium/browser.js";
import { repository } from "../../packaging/sample-project.js";

const SCREENSHOTS = join(repository, "dist/screenshots");
const K = 10;

/** What the page shows. */
interface Shown {
  readonly words: readonly string[];
  readonly similarities: readonly number[];
  readonly message: string;
  readonly device: string;
  readonly mode: string;
  /** Of each bar, in words. */
  readonly bars: readonly string[];
  /** Colours of the vectors' bar, from left to right, each once. */
  readonly colours: readonly string[];
  readonly legend: Readonly<Record<string, string>>;
}

const LOOK = `(() => {
  const text = (selector) => document.querySelector(selector)?.textContent ?? "";
  const canvas = document.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 1);
  const colours = [];
  for (let i = 0; i < data.length; i += 4) {
    const colour = "rgb(" + data.slice(i, i + 3).join(", ") + ")";
    if (colours.at(-1) !== colour) colours.push(colour);
  }
  return {
    words: [...document.querySelectorAll("#answer span")].map((span) => span.textContent),
    similarities: [...document.querySelectorAll("#answer data")].map((data) => Number(data.value)),
    message: text("#message"),
    device: text("#device"),
    mode: text("#numbers dd"),
    bars: [...document.querySelectorAll("canvas")].map((bar) => bar.getAttribute("aria-label")),
    colours,
    legend: Object.fromEntries([...document.querySelectorAll("#legend li")].map((entry) => [
      entry.dataset.place,
      getComputedStyle(entry.querySelector("i")).backgroundColor,
    ])),
  };
})()`;

describe("the page of the example", () => {
  let browser: Browser | string;
  let data: WordVectors;
  let server: PageServer;

  before(async () => {
    browser = await launchChromium();
    if (typeof browser === "string" && process.env["PAGEFERRY_REQUIRE_WEBGPU"] === "1") throw new Error(browser);
    const watcher = { note: () => {}, phase: () => ({ update() {}, end() {} }) };
    data = await findWordVectors({ kind: "demo" }, watcher, new AbortController().signal);
    server = await servePage(data, 0);
    mkdirSync(SCREENSHOTS, { recursive: true });
  });
  after(async () => {
    await server.close();
    if (typeof browser !== "string") await browser.close();
  });

  /** A page that has loaded; null where there is no browser. Nothing may be thrown on it. */
  async function open(t: TestContext, query: string): Promise<Page | null> {
    if (typeof browser === "string") {
      t.skip(browser);
      return null;
    }
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    t.after(async () => {
      await page.close();
      assert.deepEqual(errors, []);
    });
    await page.setViewportSize({ width: 1100, height: 900 });
    await page.goto(`${server.address}${query}`);
    await page.waitForFunction("document.body.dataset.state", undefined, { timeout: 0 });
    return page;
  }

  async function search(page: Page, word: string): Promise<Shown> {
    await page.evaluate(`(() => {
      globalThis.seen = new Set();
      const bar = document.querySelector("canvas");
      new MutationObserver(() => seen.add(bar.getAttribute("aria-label"))).observe(bar, { attributes: true });
      document.getElementById("word").value = ${JSON.stringify(word)};
      document.getElementById("search").requestSubmit();
    })()`);
    await page.waitForFunction("!document.getElementById('go').disabled", undefined, { timeout: 0 });
    return page.evaluate<Shown>(LOOK);
  }

  const percentOf = (bar: string | undefined, place: string): number =>
    Number(new RegExp(`([\\d.]+)% ${place}`).exec(bar ?? "")?.[1] ?? 0);

  async function assertAnswer(word: string, { words, similarities, message }: Shown): Promise<void> {
    assert.match(message, /^Compared 2,000 words in /);
    const neighbours = words.map((text, i) => ({ index: data.words.indexOf(text), similarity: similarities[i] ?? 0 }));
    const verdict = await verify(data.file, [{ query: data.words.indexOf(word), neighbours }], K);
    assert.deepEqual(verdict.faults, []);
    assert.ok(verdict.verified);
  }

  test("finds the nearest words on the software device, and shows pages come and go", async (t) => {
    const page = await open(t, "?device=mirror");
    if (page === null) return;
    const before = await page.evaluate<Shown>(LOOK);
    assert.match(before.device, /^Device: mirror .* because the address asks for it\.$/);
    assert.deepEqual(before.bars, ["vectors: 100.0% in host memory", "scores: 100.0% not there yet"]);
    assert.deepEqual(before.colours, [before.legend["host"]]);

    const shown = await search(page, "queen");
    await assertAnswer("queen", shown);
    assert.match(shown.mode, /^streamed, \d+ steps$/);
    const [vectors, scores] = shown.bars;
    const kept = percentOf(vectors, "on the device, and kept in host memory");
    assert.ok(kept > 15 && kept <= 25.1, `a quarter is on the device at most: ${vectors}`);
    assert.equal(Math.round(kept + percentOf(vectors, "in host memory")), 100);
    assert.equal(scores, "scores: 100.0% in host memory");
    assert.deepEqual(new Set(shown.colours), new Set([shown.legend["host"], shown.legend["retained"]]));
    const seen = await page.evaluate<string[]>("[...seen]");
    assert.ok(seen.length >= 2, `the bar is drawn while the search runs: ${seen.join("; ")}`);
    await page.screenshot({ path: join(SCREENSHOTS, "nearest-words-light.png"), fullPage: true });

    await page.emulateMedia({ colorScheme: "dark" });
    await assertAnswer("guitar", await search(page, "guitar"));
    const dark = await page.evaluate<Shown>(LOOK);
    assert.notEqual(dark.legend["host"], shown.legend["host"]);
    assert.deepEqual(new Set(dark.colours), new Set([dark.legend["host"], dark.legend["retained"]]));
    await page.screenshot({ path: join(SCREENSHOTS, "nearest-words-dark.png"), fullPage: true });
  });

  test("finds the same on the GPU, or on what plays one", async (t) => {
    const without = await open(t, "?device=mirror");
    if (without === null) return;
    const hasAdapter = await without.evaluate<boolean>(
      "navigator.gpu?.requestAdapter().then((adapter) => adapter !== null)",
    );
    if (hasAdapter !== true && process.env["PAGEFERRY_REQUIRE_WEBGPU"] !== "1") return t.skip("no WebGPU adapter");
    const page = await open(t, "?device=webgpu");
    if (page === null) return;
    const { device } = await page.evaluate<Shown>(LOOK);
    t.diagnostic(device);
    assert.match(device, /because the address asks for it\.$/);
    assert.equal(await page.evaluate("document.body.dataset.device"), "webgpu");
    const shown = await search(page, "queen");
    await assertAnswer("queen", shown);
    assert.match(shown.mode, /^streamed, \d+ steps$/);
    const kept = percentOf(shown.bars[0], "on the device, and kept in host memory");
    assert.ok(kept > 15 && kept <= 25.1, `a quarter is on the device at most: ${shown.bars[0]}`);
    await page.screenshot({ path: join(SCREENSHOTS, "nearest-words-webgpu.png"), fullPage: true });
  });

  test("says that it does not know a word, and goes on", async (t) => {
    const page = await open(t, "?device=mirror");
    if (page === null) return;
    assert.match((await search(page, "qqqq")).message, /“qqqq” is not among the 2,000 words/);
    await assertAnswer("queen", await search(page, " Queen "));
  });

  test("takes the software device where the only adapter of WebGPU is software too, and says so", async (t) => {
    const page = await open(t, "");
    if (page === null) return;
    const { device } = await page.evaluate<Shown>(LOOK);
    const isGpu = (await page.evaluate("document.body.dataset.device")) === "webgpu";
    const software = /^Device: mirror .* because (the only WebGPU adapter is .* on the CPU|this browser has no .*)\.$/;
    assert.match(device, isGpu ? /because there is a GPU\.$/ : software);
  });

  test("says what is wrong with the address", async (t) => {
    if (typeof browser === "string") return t.skip(browser);
    const page = await browser.newPage();
    t.after(() => page.close());
    await page.goto(`${server.address}?device=abacus`);
    await page.waitForFunction("document.body.dataset.state === 'failed'", undefined, { timeout: 0 });
    assert.match(await page.evaluate<string>("message.textContent"), /there is no device "abacus"/);
  });

  test("is served with what it needs, and nothing else", async () => {
    for (const path of ["", "page.css", "dist/src/index.js", "data/words.txt", "data/source.txt"])
      assert.equal((await fetch(server.address + path)).status, 200, path);
    const vectors = await fetch(`${server.address}data/vectors.npy`);
    assert.equal((await vectors.arrayBuffer()).byteLength, Number(vectors.headers.get("Content-Length")));
    for (const path of [
      "package.json",
      "dist/../package.json",
      "dist/%2e%2e/package.json",
      "dist/.js",
      "data/x",
      "dist",
    ])
      assert.equal((await fetch(server.address + path)).status, 404, path);
  });

  test("is refused a port that somebody has, with a way out", async () => {
    const { port } = new URL(server.address);
    await assert.rejects(servePage(data, Number(port)), { code: "EADDRINUSE", message: /is somebody else's/ });
  });
});

test("the server's command line takes the data and a port, and no words", () => {
  assert.deepEqual(readCommandLine(["--demo", "--port", "0"]), { help: false, data: { kind: "demo" }, port: 0 });
  assert.equal(readCommandLine([]).port, 8080);
  assert.throws(() => readCommandLine(["--port", "65536"]), /--port "65536" is not a whole number from 0 to 65535/);
  assert.throws(() => readCommandLine(["king"]), /"king" is no option: words are asked for on the page/);
});
