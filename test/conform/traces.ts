// The recorded runs that come with the project, and small traces written for a test.

import { readdirSync, readFileSync, rmSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const folder = fileURLToPath(new URL("../../../test/fixtures/linux-traces/", import.meta.url));

/** The recorded runs, as paths. */
export const recorded: readonly string[] = readdirSync(folder)
  .filter((name) => name.endsWith(".jsonl.gz"))
  .map((name) => join(folder, name));

/** The lines of a recorded run: the header, then its operations. A header that the file repeats is left out. */
export function linesOf(file: string): string[] {
  const [header, ...rest] = gunzipSync(readFileSync(file)).toString().trimEnd().split("\n");
  return [header, ...rest.filter((line) => line !== header)];
}

/** Writes a file that goes when the test ends, and returns its path. */
export function written(t: TestContext, content: string | Uint8Array, name = "trace.jsonl"): string {
  const directory = mkdtempSync(join(tmpdir(), "pageferry-conform-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

/** A trace of a mapping of four pages and one private device. */
export function trace(...operations: readonly object[]): string {
  const header = { format: "linux-hmm-trace/1", page_size: 4096, pages: 4, mapping: "anon-private", huge: false };
  return [{ ...header, devices: ["private"] }, ...operations].map((line) => `${JSON.stringify(line)}\n`).join("");
}
