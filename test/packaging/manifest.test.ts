// What the manifest and the lockfile promise to whoever installs from them.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repository } from "./sample-project.js";

interface Manifest {
  readonly exports: Record<string, string | { types: string; default: string }>;
  readonly bin: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly dependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
  readonly peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}
interface Lockfile {
  readonly packages: Record<
    string,
    { resolved?: string; integrity?: string; optionalDependencies?: Record<string, string> }
  >;
}

const read = (file: string): unknown => JSON.parse(readFileSync(join(repository, file), "utf8"));
const manifest = read("package.json") as Manifest;
const lockfile = read("package-lock.json") as Lockfile;

test("every export and the command have been built, with types beside them", () => {
  const targets = Object.values(manifest.exports).flatMap((target) =>
    typeof target === "string" ? [target] : [target.types, target.default],
  );
  const missing = [...targets, ...Object.values(manifest.bin)].filter((path) => !existsSync(join(repository, path)));
  assert.deepEqual(missing, []);
});

test("the command starts by itself", () => {
  for (const path of Object.values(manifest.bin)) {
    assert.match(readFileSync(join(repository, path), "utf8"), /^#!\/usr\/bin\/env node\n/, path);
  }
});

for (const file of [
  "package-lock.json",
  "test/packaging/tools/package-lock.json",
  "test/transparent/package-lock.json",
  "test/webgpu/package-lock.json",
]) {
  test(`${file} pins every package by its digest and names no place to download it from`, () => {
    const packages = Object.entries((read(file) as Lockfile).packages).filter(([path]) => path !== "");
    assert.ok(packages.length > 0);
    for (const [path, { integrity, resolved }] of packages) {
      assert.match(integrity ?? "", /^sha512-/, path);
      assert.equal(resolved, undefined, path);
    }
  });
}

test("the lockfile holds the packages of every platform, not only of the one it was written on", () => {
  const locked = new Set(Object.keys(lockfile.packages).map((path) => path.replace(/^.*node_modules\//, "")));
  const forPlatforms = Object.values(lockfile.packages).flatMap(({ optionalDependencies = {} }) =>
    Object.keys(optionalDependencies),
  );
  assert.ok(forPlatforms.length > 0);
  assert.deepEqual(
    forPlatforms.filter((name) => !locked.has(name)),
    [],
  );
});

test("every dependency is pinned to one version", () => {
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
  }
});

test("what only some programs need is asked of nobody else", () => {
  const { peerDependencies = {}, peerDependenciesMeta = {} } = manifest;
  assert.deepEqual(Object.keys(peerDependencies), ["koffi", "webgpu"]);
  for (const name of Object.keys(peerDependencies)) assert.equal(peerDependenciesMeta[name]?.optional, true, name);
});
