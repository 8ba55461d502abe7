/** A copy of the compiled sources and of the tests that search them, in a folder of its own, with one bug in it. */

import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Bug } from "./bugs.js";

const dist = fileURLToPath(new URL("../../../", import.meta.url));

/** What the searches need. */
const PARTS = [
  "src",
  "test/property",
  "test/simulation",
  "test/device/ledger-driver.js",
  "test/mm/huge/huge-space.js",
  "test/unified/opened-memory.js",
  "test/unified/remote-memory.js",
  ...["builders", "bytes", "environments", "invariants", "kernel-module", "setting", "test-device"].map(
    (module) => `test/${module}.js`,
  ),
];

export interface Build extends Disposable {
  readonly folder: string;
  readonly hunt: string;
  readonly huntHuge: string;
  readonly huntArrays: string;
  readonly command: string;
}

/** Throws when the text that the bug replaces does not occur exactly once. */
export function buildWith(bug: Pick<Bug, "file" | "text" | "replacement"> | null, more: readonly string[] = []): Build {
  const folder = mkdtempSync(join(tmpdir(), "pageferry-bug-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const wanted = (source: string): boolean => !source.endsWith(".map") && !source.endsWith(".d.ts");
    for (const part of [...PARTS, ...more]) {
      cpSync(join(dist, part), join(folder, part), { recursive: true, filter: wanted });
    }
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    symlinkSync(join(dist, "../node_modules"), join(folder, "node_modules"), "junction");
    if (bug !== null) alter(join(folder, "src", bug.file), bug);
  } catch (error) {
    remove();
    throw error;
  }
  return {
    folder,
    hunt: join(folder, "test/property/seeded-bugs/hunt.js"),
    huntHuge: join(folder, "test/property/seeded-bugs/hunt-huge.js"),
    huntArrays: join(folder, "test/property/seeded-bugs/hunt-arrays.js"),
    command: join(folder, "src/cli/main.js"),
    [Symbol.dispose]: remove,
  };
}

function alter(path: string, { file, text, replacement }: Pick<Bug, "file" | "text" | "replacement">): void {
  const parts = readFileSync(path, "utf8").split(text);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, not once: ${text}`);
  writeFileSync(path, parts.join(replacement));
}
