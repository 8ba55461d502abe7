/**
 * Where data is kept between runs, and how files get there: everything is made in a work folder inside the
 * cache and renamed into place when it is whole and on the disk. Invariants: under its final name a thing is complete;
 * two runs at once do each other no harm; what an interrupted run left is removed by the next.
 */

import { rmSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir, hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { explain, systemCode } from "../program/failure.js";

const workPrefix = "incomplete";
/**
 * After this long a work folder counts as left behind even if its process cannot be asked: it may have run on another
 * machine that shares the disk, or its number may be another process's by now.
 */
const abandonedAfter = 24 * 3600 * 1000;

export function cacheFolder(
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
  home: string = homedir(),
): string {
  if (environment["PAGEFERRY_CACHE"]) return resolve(environment["PAGEFERRY_CACHE"]);
  if (environment["XDG_CACHE_HOME"]) return resolve(environment["XDG_CACHE_HOME"], "pageferry");
  if (platform === "darwin") return join(home, "Library", "Caches", "pageferry");
  if (platform === "win32")
    return join(environment["LOCALAPPDATA"] ?? join(home, "AppData", "Local"), "pageferry", "Cache");
  return join(home, ".cache", "pageferry");
}

/** A folder of this run's own in `cache`; removed with all it holds when `work` is done, fails, or the process exits. */
export async function withWorkFolder<T>(cache: string, work: (folder: string) => Promise<T>): Promise<T> {
  let folder: string;
  try {
    await makeFolder(cache);
    await removeLeftovers(cache);
    folder = await mkdtemp(join(cache, `${workPrefix}-${machine()}-${process.pid}-`));
  } catch (error) {
    throw explain(error, `cannot write to the cache folder ${cache}`);
  }
  // A second Ctrl-C does not wait for anything; what it must not skip is this.
  const removeNow = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", removeNow);
  try {
    return await work(folder);
  } finally {
    process.off("exit", removeNow);
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/**
 * Moves the folder `from` to the name `to`; what has that name is first moved to `aside`. False when another run gave its
 * own folder that name between the two: then `from` is where it was.
 */
export async function putInPlace(from: string, to: string, aside: string): Promise<boolean> {
  await rename(to, aside).catch((error: unknown) => {
    if (systemCode(error) !== "ENOENT") throw error;
  });
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    const code = systemCode(error) ?? "";
    if (code === "ENOTEMPTY" || code === "EEXIST") return false;
    // So Windows says the same.
    if (code === "EPERM" && (await exists(to))) return false;
    throw error;
  }
}

/** Removes the work folders of runs that are over. */
export async function removeLeftovers(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    const [, host, process] = /^incomplete-([a-z0-9]+)-(\d+)-/.exec(name) ?? [];
    if (host === undefined || process === undefined) continue;
    const folder = join(cache, name);
    const isOver = host === machine() && !isRunning(Number(process));
    if (isOver || (await isOld(folder))) await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Not mkdir's `recursive`: where a file system answers "no such folder" to making one at all, as /proc does, Node 20
 * tries again for ever.
 */
async function makeFolder(folder: string): Promise<void> {
  const make = async (): Promise<void> => {
    await mkdir(folder).catch(async (error: unknown) => {
      if (systemCode(error) !== "EEXIST" || !(await stat(folder)).isDirectory()) throw error;
    });
  };
  await make().catch(async (error: unknown) => {
    if (systemCode(error) !== "ENOENT" || dirname(folder) === folder) throw error;
    await makeFolder(dirname(folder));
    await make();
  });
}

function machine(): string {
  return (
    hostname()
      .toLowerCase()
      .replaceAll(/[^a-z0-9]/g, "") || "here"
  );
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}

async function isOld(folder: string): Promise<boolean> {
  const status = await stat(folder).catch(() => null);
  return status !== null && Date.now() - status.mtimeMs > abandonedAfter;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
