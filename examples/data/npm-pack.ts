/**
 * Has the user's own npm fetch one archive, so that the registry, proxy and certificates set up for npm are the ones
 * used. Nothing of the package is installed or run. npm's own messages stay off the screen: the one line that says what
 * went wrong is taken from the object it prints with --json.
 */

import { spawn, type ChildProcess } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { JobFailure } from "../program/failure.js";
import type { NpmPackage } from "./npm-package.js";

interface Options {
  readonly signal: AbortSignal;
  readonly onProgress?: (bytes: number) => void;
}

/** Leaves the archive in `folder` and gives its path. */
export async function packArchive(source: NpmPackage, folder: string, options: Options): Promise<string> {
  const { signal, onProgress } = options;
  signal.throwIfAborted();
  const specifier = `${source.name}@${source.version}`;
  const [command, ...first] = npmCommand();
  const child = spawn(
    command,
    // A registry that refuses connections is tried again after seconds, not minutes: someone is waiting.
    [
      ...first,
      "pack",
      specifier,
      "--json",
      "--ignore-scripts",
      "--loglevel=error",
      "--no-update-notifier",
      "--fetch-retry-mintimeout=1000",
      "--fetch-retry-maxtimeout=4000",
    ],
    {
      // By the environment, for a path can hold what the shell of Windows would take apart.
      env: { ...process.env, npm_config_pack_destination: folder },
      stdio: ["ignore", "pipe", "pipe"],
      shell: command === "npm.cmd",
      windowsHide: true,
    },
  );
  const stop = (): void => void child.kill();
  signal.addEventListener("abort", stop, { once: true });
  const watching = onProgress === undefined ? undefined : watchDownload(onProgress, source.archiveBytes);
  try {
    const { code, output, errors } = await outcome(child, source);
    signal.throwIfAborted();
    if (code !== 0) throw failureOf(output, errors, source, code);
  } finally {
    clearInterval(watching);
    signal.removeEventListener("abort", stop);
  }
  const archives = (await readdir(folder)).filter((name) => name.endsWith(".tgz"));
  if (archives.length !== 1) {
    throw new JobFailure("ENOENT", `npm pack ${specifier} left ${archives.length} archives in ${folder}, not 1`, {
      waysOut: source.instead,
    });
  }
  return join(folder, archives[0]);
}

/** The npm that runs this job, if one does; else the one on the path. */
function npmCommand(): [command: string, ...first: string[]] {
  const running = process.env["npm_execpath"];
  if (running !== undefined && basename(running).startsWith("npm-cli.")) return [process.execPath, running];
  return [process.platform === "win32" ? "npm.cmd" : "npm"];
}

async function outcome(
  child: ChildProcess,
  source: NpmPackage,
): Promise<{ code: number | string; output: string; errors: string }> {
  let output = "";
  let errors = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text));
  return new Promise((resolve, reject) => {
    child.once("error", (error) =>
      reject(
        new JobFailure("ENOENT", `npm cannot be started: ${error.message}`, { waysOut: source.instead, cause: error }),
      ),
    );
    child.once("close", (code, signal) => resolve({ code: code ?? signal ?? "unknown", output, errors }));
  });
}

const unreachable = [
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "ECONNRESET",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "ETIMEDOUT",
  "ERR_SOCKET_TIMEOUT",
  "ENOTCACHED",
];
const ofTheDisk = ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS"];

function failureOf(output: string, errors: string, source: NpmPackage, exit: number | string): JobFailure {
  const { code, summary } = errorObject(output) ?? errorLines(errors);
  const doing = `npm could not fetch ${source.name}@${source.version}`;
  if (code === "ENOTCACHED")
    return new JobFailure(code, `${doing}: npm is set to work offline and has no copy`, { waysOut: source.instead });
  if (unreachable.includes(code)) {
    return new JobFailure(code, `${doing}: the registry cannot be reached (${summary})`, { waysOut: source.instead });
  }
  if (code === "E404")
    return new JobFailure(code, `${doing}: the registry does not have it (${summary})`, { waysOut: source.instead });
  // Without a way out: what the cache has to do with it, the caller knows.
  if (ofTheDisk.includes(code)) return new JobFailure(code, `${doing}: ${summary}`);
  return new JobFailure(code || "EIO", `${doing}: ${summary || `it ended with ${exit} and said nothing`}`, {
    waysOut: source.instead,
  });
}

function errorObject(output: string): { code: string; summary: string } | null {
  try {
    const { error } = JSON.parse(output) as { error?: { code?: unknown; summary?: unknown } };
    if (error === undefined) return null;
    const text = (value: unknown): string => (typeof value === "string" ? value : "");
    return { code: text(error.code), summary: oneLine(text(error.summary)) };
  } catch {
    return null;
  }
}

function errorLines(errors: string): { code: string; summary: string } {
  const lines = errors.split("\n").map((line) => line.replace(/^npm (error|ERR!) ?/, "").trim());
  const code = lines.find((line) => /^code \S+$/.test(line))?.slice("code ".length) ?? "";
  const summary = lines.find((line) => line !== "" && !/^(code|syscall|errno|path) /.test(line)) ?? "";
  return { code, summary: oneLine(summary) };
}

function oneLine(text: string): string {
  return (text.split("\n").find((line) => line.trim() !== "") ?? "")
    .trim()
    .replace(/^[A-Z]\w*Error: /, "")
    .replace(/\.$/, "");
}

/** npm reports no progress; but what it downloads grows as a file in its cache, which is enough for a bar. */
function watchDownload(onProgress: (bytes: number) => void, expected: number): NodeJS.Timeout {
  const downloads = join(npmCache(), "_cacache", "tmp");
  const started = Date.now();
  const look = async (): Promise<void> => {
    let largest = 0;
    for (const name of await readdir(downloads).catch(() => [])) {
      const status = await stat(join(downloads, name)).catch(() => null);
      if (status !== null && status.isFile() && status.mtimeMs >= started) largest = Math.max(largest, status.size);
    }
    if (largest > 0) onProgress(Math.min(largest, expected));
  };
  return setInterval(() => void look(), 200);
}

function npmCache(): string {
  const { npm_config_cache: given, LOCALAPPDATA: local } = process.env;
  if (given) return given;
  return process.platform === "win32" && local ? join(local, "npm-cache") : join(homedir(), ".npm");
}
