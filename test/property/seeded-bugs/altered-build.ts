/** A copy of the compiled sources and of the tests that search them, in a folder of its own, with one bug in it. */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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
  "test/packaging/sample-project.js",
  ...["gpu", "opened-device", "shadowed-driver"].map((module) => `test/webgpu/${module}.js`),
  ...["builders", "bytes", "environments", "invariants", "kernel-module", "setting", "test-device"].map(
    (module) => `test/${module}.js`,
  ),
];

export interface Build extends Disposable {
  /** The compiled files. */
  readonly built: string;
  readonly hunt: string;
  readonly huntHuge: string;
  readonly huntArrays: string;
  readonly huntKernels: string;
  readonly command: string;
}

/** Throws when the text that the bug replaces does not occur exactly once. */
export function buildWith(bug: Pick<Bug, "file" | "text" | "replacement"> | null, more: readonly string[] = []): Build {
  const folder = mkdtempSync(join(tmpdir(), "pageferry-bug-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  // Where the repository has its compiled files, which look for packages beside them.
  const built = join(folder, "dist");
  const hunts = join(built, "test/property/seeded-bugs");
  try {
    const wanted = (source: string): boolean => !source.endsWith(".map") && !source.endsWith(".d.ts");
    for (const part of [...PARTS, ...more]) {
      cpSync(join(dist, part), join(built, part), { recursive: true, filter: wanted });
    }
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    mkdirSync(join(folder, "test"));
    for (const place of ["node_modules", "test/webgpu"])
      symlinkSync(join(dist, "..", place), join(folder, place), "junction");
    if (bug !== null) alter(join(built, "src", bug.file), bug);
  } catch (error) {
    remove();
    throw error;
  }
  return {
    built,
    hunt: join(hunts, "hunt.js"),
    huntHuge: join(hunts, "hunt-huge.js"),
    huntArrays: join(hunts, "hunt-arrays.js"),
    huntKernels: join(hunts, "hunt-kernels.js"),
    command: join(built, "src/cli/main.js"),
    [Symbol.dispose]: remove,
  };
}

function alter(path: string, { file, text, replacement }: Pick<Bug, "file" | "text" | "replacement">): void {
  const parts = readFileSync(path, "utf8").split(text);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, not once: ${text}`);
  writeFileSync(path, parts.join(replacement));
}
