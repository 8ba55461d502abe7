/**
 * The buffers that the rounds of a paged dispatch need beside the pools: made for the first dispatch of a kernel, kept for the
 * next, made anew where they are too small.
 */

import { COUNTER_WORDS } from "../../wgsl/rewrite/paged/contract.js";
import type { GpuBuffers } from "../gpu-buffers.js";
import { BUFFER_COPY_DST, BUFFER_COPY_SRC, BUFFER_MAP_READ, BUFFER_STORAGE, BUFFER_UNIFORM } from "../usage.js";
import type { PagedPipeline } from "./paged-pipelines.js";

/** Where the parts of tables and state begin, in words. */
export interface RoundLayout {
  readonly pages: number;
  /** Words of one bit for each page. */
  readonly pageBits: number;
  readonly units: number;
  readonly list: number;
  readonly counters: number;
  readonly touched: number;
  readonly missed: number;
  readonly writes: number;
  readonly pending: number;
  /** Of the whole state. */
  readonly words: number;
}

export function roundLayout(pages: number, units: number): RoundLayout {
  const pageBits = Math.ceil(pages / 32);
  const counters = pages;
  const touched = counters + COUNTER_WORDS;
  const missed = touched + pageBits;
  const writes = missed + pageBits;
  const pending = writes + pageBits;
  const words = pending + Math.ceil(units / 32);
  return { pages, pageBits, units, list: pages, counters, touched, missed, writes, pending, words };
}

export class RoundBuffers {
  readonly tables: GPUBuffer;
  readonly state: GPUBuffer;
  /** And behind them the kernel's own uniforms. */
  readonly parameters: GPUBuffer;
  readonly readback: GPUBuffer;
  /** Over these buffers, and nothing of a caller's; by pipeline. */
  readonly groups = new Map<PagedPipeline, readonly GPUBindGroup[]>();
  readonly #buffers: GpuBuffers;

  private constructor(buffers: GpuBuffers, made: readonly GPUBuffer[]) {
    this.#buffers = buffers;
    [this.tables, this.state, this.parameters, this.readback] = made;
  }

  /** Throws ENOMEM; no buffer is left then. */
  static async make(buffers: GpuBuffers, layout: RoundLayout, parameterBytes: number): Promise<RoundBuffers> {
    const made: GPUBuffer[] = [];
    const make = async (what: string, bytes: number, usage: number): Promise<void> => {
      made.push(await buffers.create(what, bytes, usage));
    };
    try {
      await make("page tables", 4 * (layout.list + layout.units), BUFFER_STORAGE | BUFFER_COPY_SRC | BUFFER_COPY_DST);
      await make("the state of a round", 4 * layout.words, BUFFER_STORAGE | BUFFER_COPY_SRC | BUFFER_COPY_DST);
      await make("parameters", parameterBytes, BUFFER_UNIFORM | BUFFER_COPY_DST);
      await make("what a round has found", 4 * (layout.words - layout.counters), BUFFER_MAP_READ | BUFFER_COPY_DST);
      return new RoundBuffers(buffers, made);
    } catch (error) {
      for (const buffer of made) buffers.destroy(buffer);
      throw error;
    }
  }

  fits(layout: RoundLayout): boolean {
    return (
      this.tables.size >= 4 * (layout.list + layout.units) &&
      this.state.size >= 4 * layout.words &&
      this.readback.size >= 4 * (layout.words - layout.counters)
    );
  }

  /** Of device memory. */
  get bytes(): number {
    return this.#all.reduce((sum, { size }) => sum + size, 0);
  }

  destroy(): void {
    for (const buffer of this.#all) this.#buffers.destroy(buffer);
  }

  get #all(): readonly GPUBuffer[] {
    return [this.tables, this.state, this.parameters, this.readback];
  }
}
