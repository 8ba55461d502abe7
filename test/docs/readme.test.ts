// The README's checkpoint example is run as it stands there, and logs what its comments say.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mock, test } from "node:test";
import { pathToFileURL } from "node:url";

const README = new URL("../../../README.md", import.meta.url);
const ENTRY = new URL("../../src/index.js", import.meta.url);

test("the example of incremental checkpoints logs what its comments say", async (t) => {
  const readme = await readFile(README, "utf8");
  const example = /^## Snapshots and incremental checkpoints$.*?^```js\n(.*?)^```$/ms.exec(readme)?.[1];
  assert.ok(example !== undefined, "the README has the example");
  const folder = await mkdtemp(join(tmpdir(), "pageferry-readme-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "example.mjs");
  await writeFile(file, example.replace('from "pageferry"', `from "${ENTRY.href}"`));
  const lines: string[] = [];
  const log = mock.method(console, "log", (...words: unknown[]) => lines.push(words.map(String).join(" ")));
  try {
    await import(pathToFileURL(file).href);
  } finally {
    log.mock.restore();
  }
  const comments = [...example.matchAll(/^console\.log\(.*; \/\/ ([^:\n]*)/gm)].map((match) => match[1]);
  assert.equal(comments.length, 3);
  assert.deepEqual(lines, comments);
});
