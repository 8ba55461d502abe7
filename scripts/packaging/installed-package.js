// The package as its users get it: the packed archive, not the checkout, installed into an empty project in a folder of
// its own, which goes when the process ends. The tools are those of test/packaging/tools, with a lockfile of their own,
// so that an ordinary install of this repository stays small.

import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const { name, version, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
/** What a program writes to import each export: "pageferry", "pageferry/mm" and so on. */
export const specifiers = Object.keys(exports).map((subpath) => name + subpath.slice(1));

const folder = realpathSync(mkdtempSync(join(tmpdir(), "pageferry-package-")));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** The path of something that the tools bring; ends the process when they are not installed. */
export function tool(/** @type {string[]} */ ...path) {
  const found = join(root, "test", "packaging", "tools", "node_modules", ...path);
  if (!existsSync(found)) fail(`${path.join("/")} is missing: npm run tools installs what the package checks need`);
  return found;
}

/** Node as a package, the lowest that is supported or the newest, for this platform. */
export function nodeAt(/** @type {"oldest" | "newest"} */ age) {
  return tool(`${age}-node-${process.platform}-${process.arch}`, "bin", "node");
}

/** Packs the package, without building it first. @returns {string} the archive */
export function pack() {
  run("pack", root, "npm", "pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", folder);
  return join(folder, `${name}-${version}.tgz`);
}

/** An empty project with the archive installed: by npm install, and again from its lockfile without scripts. */
export class Project {
  /** @readonly */
  root = join(folder, "project");

  constructor(/** @type {string} */ archive) {
    mkdirSync(this.root);
    this.write("package.json", JSON.stringify({ private: true, type: "module" }));
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    run("install", this.root, "npm", "install", ...quiet, archive);
    run("install from the lockfile, without scripts", this.root, "npm", "ci", ...quiet);
  }

  /** Writes a file. @returns {string} its path */
  write(/** @type {string} */ file, /** @type {string} */ text) {
    const path = join(this.root, file);
    writeFileSync(path, text);
    return path;
  }

  run(/** @type {string} */ what, /** @type {string} */ command, /** @type {string[]} */ ...args) {
    return run(what, this.root, command, ...args);
  }
}

/**
 * Runs commands, as many at once as there are processors, and says of each that it went well, or ends the process.
 * @param {readonly { what: string, cwd: string, command: string, args: string[] }[]} commands
 */
export async function runAll(commands) {
  const waiting = [...commands];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { what, cwd, command, args } = next;
      try {
        await promisify(execFile)(command, args, { cwd });
      } catch (error) {
        const { stdout, stderr, message } = /** @type {Error & { stdout?: string, stderr?: string }} */ (error);
        process.stderr.write(`${stdout ?? ""}${stderr ?? ""}${message}\n`);
        fail(`${what} failed`);
      }
      report(`${what}: ok`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
}

/** Runs a command to its end, says that it went well, or ends the process. @returns {string} what it printed */
export function run(
  /** @type {string} */ what,
  /** @type {string} */ cwd,
  /** @type {string} */ command,
  /** @type {string[]} */ ...args
) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) {
    process.stderr.write(`${stdout ?? ""}${stderr ?? ""}${error === undefined ? "" : `${error.message}\n`}`);
    fail(`${what} failed`);
  }
  report(`${what}: ok`);
  return stdout;
}

export function report(/** @type {string} */ line) {
  process.stdout.write(`${line}\n`);
}

/** @returns {never} */
export function fail(/** @type {string} */ message) {
  process.stderr.write(`pageferry: ${message}\n`);
  process.exit(1);
}
