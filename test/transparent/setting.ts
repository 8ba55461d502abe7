/**
 * Whether transparent access can be tested here: on Linux, with the package `koffi` of test/transparent/package.json (`npm run
 * tools:transparent`), and with a descriptor of full privileges. Where it cannot, tests are skipped and say what is missing; with
 * PAGEFERRY_REQUIRE_TRANSPARENT=1 they fail.
 */

import { execFile, execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { System } from "../../src/access/transparent/linux/system.js";
import { Userfaultfd } from "../../src/access/transparent/linux/userfaultfd.js";
import { repository } from "../packaging/sample-project.js";

async function findMissing(): Promise<string | false> {
  if (process.platform !== "linux") return `transparent access needs Linux, and this is ${process.platform}`;
  try {
    const koffi = createRequire(join(repository, "test/transparent/package.json")).resolve("koffi");
    const system = await System.load(pathToFileURL(koffi).href);
    const watch = Userfaultfd.open(system);
    watch.close();
    return watch.privilege === "user mode only" ? "userfaultfd is for user mode only here" : false;
  } catch (error) {
    const [why] = String(error).split("\n");
    return `no transparent access (npm run tools:transparent): ${why}`;
  }
}

/** Why these tests cannot run here; false where they can. An option of `test`. */
export const skip = await findMissing();

if (skip !== false && process.env["PAGEFERRY_REQUIRE_TRANSPARENT"] === "1") throw new Error(skip);

/** How a program of a test has ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: string;
  readonly errors: string;
}

const hook = fileURLToPath(new URL("./resolve-koffi.js", import.meta.url));

/** Runs a program that finds `koffi`. */
export function runProgram(
  path: string,
  args: readonly string[] = [],
  options: readonly string[] = [],
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ["--import", hook, "--enable-source-maps", ...options, path, ...args],
      { maxBuffer: 2 ** 26 },
      (_, output, errors) => resolve({ code: child.exitCode, signal: child.signalCode, output, errors }),
    );
  });
}

/** Is a command here? */
export function has(command: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${command}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
