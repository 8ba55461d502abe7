/**
 * What is written by hand for data larger than the GPU's memory: tiles that take turns on the device. While the kernel works
 * on one, JavaScript fills the next; what was written comes back through a buffer of each tile's own, two or three tiles later.
 */

import {
  BUFFER_COPY_DST,
  BUFFER_COPY_SRC,
  BUFFER_MAP_READ,
  BUFFER_MAP_WRITE,
  MAP_READ,
  MAP_WRITE,
} from "../../src/device/webgpu/usage.js";
import type { PlainProgram } from "./plain-program.js";

/** How a tile is filled: by the queue's `writeBuffer`, or copied from a buffer that was mapped. */
const FILLINGS = ["writeBuffer", "mapped"] as const;
/** Tiles on the device at once. */
const TILES = [2, 3];
/** Bytes of a tile. */
const CHUNKS = [256 * 1024, 512 * 1024, 1 << 20, 2 << 20, 4 << 20, 8 << 20];
/** Runs of a way before the one that is timed to find the best, and the timed ones. */
const TRIALS = 2;

interface Way {
  readonly filling: (typeof FILLINGS)[number];
  readonly tiles: number;
  /** Bytes of a tile. */
  readonly chunk: number;
}

export interface Tiling {
  readonly pipeline: GPUComputePipeline;
  /** What the tiles are of; written to as well where the kernel writes. */
  readonly data: Uint8Array<ArrayBuffer>;
  readonly written: boolean;
  /** Bytes of data that one workgroup works on. */
  readonly workgroupBytes: number;
  /** What is bound beside a tile that begins at byte `at` of the data, from binding 1 on. */
  readonly beside: (at: number, bytes: number) => readonly (GPUBuffer | GPUBufferBinding)[];
  /** A buffer of zeros before a run, which is read when all tiles are done. */
  readonly result?: { readonly buffer: GPUBuffer; readonly into: Uint8Array<ArrayBuffer> };
}

interface Tile {
  readonly buffer: GPUBuffer;
  readonly staging: GPUBuffer | null;
  /** The staging buffer is mapped again. */
  staged: Promise<unknown>;
  readonly readback: GPUBuffer | null;
  /** The tile's kernel is done, and what it wrote is mapped. */
  done: Promise<unknown>;
  /** What it was filled with; null when nothing is to come back. */
  at: number | null;
}

/** All data once through the kernel. */
export class TiledProgram {
  readonly #program: PlainProgram;
  readonly #tiling: Tiling;
  readonly #way: Way;
  readonly #tiles: readonly Tile[];
  readonly #readback: GPUBuffer | null;

  private constructor(program: PlainProgram, tiling: Tiling, way: Way) {
    this.#program = program;
    this.#tiling = tiling;
    this.#way = way;
    const { chunk, filling, tiles } = way;
    this.#tiles = Array.from({ length: tiles }, () => ({
      buffer: program.storage(chunk),
      staging: filling === "mapped" ? program.mappable(chunk, BUFFER_MAP_WRITE | BUFFER_COPY_SRC, true) : null,
      staged: Promise.resolve(),
      readback: tiling.written ? program.mappable(chunk, BUFFER_MAP_READ | BUFFER_COPY_DST) : null,
      done: Promise.resolve(),
      at: null,
    }));
    const bytes = tiling.result?.buffer.size ?? 0;
    this.#readback = bytes === 0 ? null : program.mappable(bytes, BUFFER_MAP_READ | BUFFER_COPY_DST);
  }

  /** The quickest of all ways whose tiles fit into `budget` bytes together; all of them are tried. */
  static async best(program: PlainProgram, tiling: Tiling, budget: number): Promise<TiledProgram> {
    let best: TiledProgram | null = null;
    let least = Infinity;
    for (const chunk of CHUNKS) {
      for (const tiles of TILES) {
        if (chunk * tiles > budget) continue;
        for (const filling of FILLINGS) {
          const tried = new TiledProgram(program, tiling, { filling, tiles, chunk });
          let took = Infinity;
          for (let trial = 0; trial < TRIALS; trial++) {
            const began = performance.now();
            await tried.run();
            took = Math.min(took, performance.now() - began);
          }
          if (took < least) {
            best?.destroy();
            [best, least] = [tried, took];
          } else tried.destroy();
        }
      }
    }
    if (best === null) throw new Error(`no tiles fit into ${budget} bytes`);
    return best;
  }

  get name(): string {
    const { chunk, filling, tiles } = this.#way;
    return `${tiles} tiles of ${chunk / 1024} KiB, ${filling}`;
  }

  async run(): Promise<void> {
    const { device } = this.#program;
    const { data, pipeline, beside, workgroupBytes, result } = this.#tiling;
    const { chunk } = this.#way;
    const readback = this.#readback;
    for (let at = 0, n = 0; at < data.byteLength; at += chunk, n++) {
      const tile = this.#tiles[n % this.#tiles.length];
      const bytes = Math.min(chunk, data.byteLength - at);
      await this.#receive(tile);
      const encoder = device.createCommandEncoder();
      if (at === 0 && result !== undefined) encoder.clearBuffer(result.buffer);
      await this.#fill(tile, encoder, data.subarray(at, at + bytes));
      const group = this.#program.bind(pipeline, [
        { buffer: tile.buffer, offset: 0, size: bytes },
        ...beside(at, bytes),
      ]);
      this.#program.run(encoder, pipeline, group, Math.ceil(bytes / workgroupBytes));
      if (tile.readback !== null) encoder.copyBufferToBuffer(tile.buffer, 0, tile.readback, 0, bytes);
      if (at + bytes === data.byteLength && result !== undefined && readback !== null)
        encoder.copyBufferToBuffer(result.buffer, 0, readback, 0, readback.size);
      device.queue.submit([encoder.finish()]);
      if (tile.staging !== null) tile.staged = tile.staging.mapAsync(MAP_WRITE);
      tile.done = tile.readback?.mapAsync(MAP_READ, 0, bytes) ?? device.queue.onSubmittedWorkDone();
      tile.at = at;
    }
    for (const tile of this.#tiles.toSorted((a, b) => (a.at ?? 0) - (b.at ?? 0))) await this.#receive(tile);
    if (result === undefined || readback === null) return;
    await readback.mapAsync(MAP_READ);
    result.into.set(new Uint8Array(readback.getMappedRange()));
    readback.unmap();
  }

  destroy(): void {
    this.#readback?.destroy();
    for (const { buffer, staging, readback } of this.#tiles)
      for (const each of [buffer, staging, readback]) each?.destroy();
  }

  async #fill({ buffer, staging, staged }: Tile, encoder: GPUCommandEncoder, bytes: Uint8Array<ArrayBuffer>) {
    if (staging === null) {
      this.#program.device.queue.writeBuffer(buffer, 0, bytes);
      return;
    }
    await staged;
    new Uint8Array(staging.getMappedRange()).set(bytes);
    staging.unmap();
    encoder.copyBufferToBuffer(staging, 0, buffer, 0, bytes.byteLength);
  }

  /** Waits for the tile, and copies what came back to where it belongs. */
  async #receive(tile: Tile): Promise<void> {
    await tile.done;
    const { readback, at } = tile;
    if (readback === null || at === null) return;
    const { data } = this.#tiling;
    const bytes = Math.min(this.#way.chunk, data.byteLength - at);
    data.set(new Uint8Array(readback.getMappedRange(0, bytes)), at);
    readback.unmap();
    tile.at = null;
  }
}
