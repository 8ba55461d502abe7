// No file holds the marks of a merge that nobody finished: documents compile whatever is in them.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repository } from "./sample-project.js";

/** Folders of texts that are written by hand. */
const FOLDERS = ["bench", "docs", "examples", "scripts", "src", "test"];
const TEXT = /\.(?:md|ts|js|json|html|css|c)$/;
const MARK = /^(?:<{7}|>{7}) /m;

function filesOf(folder: string): string[] {
  return readdirSync(join(repository, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesOf(path);
    return entry.isFile() && TEXT.test(entry.name) ? [path] : [];
  });
}

test("no file holds the marks of an unfinished merge", () => {
  const files = [...FOLDERS.flatMap(filesOf), "README.md", "CHANGELOG.md", "package.json", ".ci/run"];
  assert.ok(files.length > 500, `${files.length} files were found`);
  assert.deepEqual(
    files.filter((file) => MARK.test(readFileSync(join(repository, file), "utf8"))),
    [],
  );
  assert.ok(MARK.test(`text\n${"<".repeat(7)} HEAD\n`));
});
