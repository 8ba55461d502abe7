/**
 * The graph of nearest neighbours of the first word vectors of a list: from each word an edge to each of the k whose vectors
 * have the largest cosine with its own, exactly, in float32. Made by a kernel, tile by tile of candidates, in device memory for a
 * quarter of the vectors, and kept: it is some billion products.
 */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { createUnifiedMemory, type KernelDescriptor, mirrorDevice } from "../../src/index.js";
import { cacheFolder } from "../data/cache-folder.js";
import { obtainFiles, type Watcher } from "../data/kept-files.js";
import { OutputFile } from "../data/output-file.js";
import { budgetFor } from "../program/budget.js";
import { JobFailure } from "../program/failure.js";
import { count, fileSize } from "../program/sizes.js";
import { normaliseKernel } from "../word-vectors/normalise.js";
import { readChunks, type VectorFile } from "../word-vectors/vector-file.js";
import type { WordVectors } from "../word-vectors/word-vectors.js";
import type { Graph } from "./graph.js";

/** The most frequent words are enough: 16,384 x 64 are 1,048,576 edges. */
const mostWords = 16_384;
const mostNeighbours = 64;
const candidatesAtOnce = 512;
const fileName = "neighbours.u32";

export async function neighbourGraph(
  { file, words, source }: WordVectors,
  isKept: boolean,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<Graph> {
  const nodes = Math.min(words.length, mostWords);
  const k = Math.min(mostNeighbours, Math.max(1, Math.floor(nodes / 32)), nodes - 1);
  const find = (): Promise<Uint32Array> => findNeighbours(file, nodes, k, watcher, signal);
  const to = isKept ? await keptNeighbours(file, nodes, k, find, watcher, signal) : await find();
  const places = new Map(words.slice(0, nodes).map((word, i) => [word, i]));
  return {
    source: `the ${k} nearest neighbours of each of ${count(nodes)} words; ${source}`,
    what: "words",
    nodes,
    from: Uint32Array.from(to, (_, e) => Math.floor(e / k)),
    to,
    name: (node) => words[node],
    about: () => "",
    find: (word) => {
      const place = places.get(word) ?? places.get(word.toLowerCase());
      return place === undefined ? [] : [place];
    },
  };
}

async function keptNeighbours(
  file: VectorFile,
  nodes: number,
  k: number,
  find: () => Promise<Uint32Array>,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<Uint32Array> {
  const cache = cacheFolder();
  const bytes = nodes * k * 4;
  const kept = {
    what: "neighbours",
    name: `${basename(join(file.file, ".."))}-neighbours-${nodes}x${k}`,
    integrity: `cosines of ${await digestOfRows(file, nodes, signal)}`,
    files: [fileName],
    announcement: `neighbours: ${count(nodes)} x ${k}, made once, ${fileSize(bytes)} kept in ${cache}`,
    neededBytes: bytes,
    instead: ["npm start -- --demo                          a small graph that comes with the project"],
    make: async (ready: string) => {
      const found = await find();
      const output = await OutputFile.create(join(ready, fileName));
      try {
        await output.write(new Uint8Array(found.buffer));
        return { files: { [fileName]: await output.finish() } };
      } finally {
        await output.close();
      }
    },
  };
  const folder = await obtainFiles(kept, cache, watcher, signal);
  const read = await readFile(join(folder, fileName));
  if (read.length !== bytes) throw new JobFailure("EBADMSG", `${fileName} has ${read.length} bytes, not ${bytes}`);
  return new Uint32Array(read.buffer.slice(read.byteOffset, read.byteOffset + bytes));
}

async function digestOfRows(file: VectorFile, rows: number, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of readChunks({ ...file, rows }, { signal })) hash.update(chunk);
  return `sha256-${hash.digest("base64")}`;
}

/** Row by row the k nearest others, nearest first; of two as near the one that comes first in the list. */
export async function findNeighbours(
  file: VectorFile,
  rows: number,
  k: number,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<Uint32Array> {
  const { dimensions } = file;
  const tile = Math.min(candidatesAtOnce, rows);
  const { deviceMemory, pageSize } = budgetFor(rows * (dimensions + 2 * k) * 4 + tile * dimensions * 16, {
    deviceMemory: null,
    pageSize: null,
  });
  // Not on the device of the command line: what is kept must not depend on it.
  const memory = await createUnifiedMemory({ device: mirrorDevice({ budget: deviceMemory }), pageSize, signal });
  try {
    const vectors = memory.createArray("f32", rows * dimensions, { label: "vectors" });
    const candidates = memory.createArray("f32", tile * dimensions, { label: "candidates" });
    const cosines = memory.createArray("f32", rows * k, { label: "cosines" });
    const neighbours = memory.createArray("u32", rows * k, { label: "neighbours" });
    await vectors.write(readChunks({ ...file, rows }, { signal }), { signal });
    const normalise = await memory.createKernel(normaliseKernel(dimensions));
    await normalise.dispatch({ invocations: rows, arrays: { vectors }, signal });
    await cosines.fill(-Infinity);

    const kernel = await memory.createKernel(nearestKernel(dimensions, k));
    const progress = watcher.phase("neighbours", rows, "words");
    for (let first = 0; first < rows; first += tile) {
      const many = Math.min(tile, rows - first);
      const some = await vectors.read({ start: first * dimensions, length: many * dimensions, signal });
      await candidates.write(some, { signal });
      await kernel.dispatch({
        invocations: rows,
        arrays: { vectors, candidates, cosines, neighbours },
        uniforms: { first, many },
        signal,
      });
      progress.update(first + many);
    }
    progress.end();
    return await neighbours.read({ signal });
  } finally {
    await memory.destroy();
  }
}

/**
 * Takes candidates `first` to `first + many` into each row's list of the k best. A function alone: four
 * candidates at a time, in registers, are what makes it bearable on one core.
 */
function nearestKernel(dimensions: number, k: number): KernelDescriptor {
  return {
    label: "nearest",
    footprint: { vectors: { each: dimensions }, candidates: "whole", cosines: { each: k }, neighbours: { each: k } },
    host: {
      writes: ["cosines", "neighbours"],
      run({ first: firstRow, count: rows, arrays, base, uniforms }) {
        const v = arrays["vectors"] as Float32Array;
        const c = arrays["candidates"] as Float32Array;
        const cosines = arrays["cosines"] as Float32Array;
        const neighbours = arrays["neighbours"] as Uint32Array;
        const { first, many } = uniforms as { first: number; many: number };
        const insert = (row: number, list: number, candidate: number, cosine: number): void => {
          // Candidates come by rising number, so one that only equals the last has lost.
          if (candidate === row || cosine <= cosines[list + k - 1]) return;
          let place = list + k - 1;
          for (; place > list && cosines[place - 1] < cosine; place--) {
            cosines[place] = cosines[place - 1];
            neighbours[place] = neighbours[place - 1];
          }
          cosines[place] = cosine;
          neighbours[place] = candidate;
        };
        for (let row = firstRow; row < firstRow + rows; row++) {
          const start = row * dimensions - base["vectors"];
          const list = row * k - base["cosines"];
          for (let candidate = 0; candidate < many; candidate += 4) {
            const c0 = candidate * dimensions;
            const c1 = c0 + dimensions;
            const c2 = c1 + dimensions;
            const c3 = c2 + dimensions;
            let s0 = 0;
            let s1 = 0;
            let s2 = 0;
            let s3 = 0;
            for (let d = 0; d < dimensions; d++) {
              const number = v[start + d];
              s0 += number * c[c0 + d];
              s1 += number * c[c1 + d];
              s2 += number * c[c2 + d];
              s3 += number * c[c3 + d];
            }
            insert(row, list, first + candidate, Math.fround(s0));
            if (candidate + 1 < many) insert(row, list, first + candidate + 1, Math.fround(s1));
            if (candidate + 2 < many) insert(row, list, first + candidate + 2, Math.fround(s2));
            if (candidate + 3 < many) insert(row, list, first + candidate + 3, Math.fround(s3));
          }
        }
      },
    },
  };
}
