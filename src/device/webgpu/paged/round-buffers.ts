/**
 * The buffers that the rounds of a paged dispatch need beside the pools: made for the first dispatch of a kernel, kept for the
 * next, made anew where they are too small.
 */

import { COUNTER_WORDS } from "../../wgsl/rewrite/paged/contract.js";
import type { GpuBuffers } from "../gpu-buffers.js";
import { BUFFER_COPY_DST, BUFFER_COPY_SRC, BUFFER_MAP_READ, BUFFER_STORAGE, BUFFER_UNIFORM } from "../usage.js";
import type { PagedPipeline } from "./paged-pipelines.js";

/**
 * Where the parts of tables and state begin, in words. The tables are the pages' words, zeros for the rest of the state, so that
 * one copy begins a round, and the list.
 */
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
  return { pages, pageBits, units, list: words, counters, touched, missed, writes, pending, words };
}

export class RoundBuffers {
  /** Parameters of a round, the kernel's own uniforms, and from `tables` on the tables: side by side, because each write takes its time. */
  readonly inputs: GPUBuffer;
  /** A byte. */
  readonly tables: number;
  readonly state: GPUBuffer;
  readonly readback: GPUBuffer;
  /** Whose zeros the device has in the inputs. */
  layout: RoundLayout | null = null;
  /** Over these buffers, and nothing of a caller's, who may destroy it; by pipeline. A round with them was right, so others are. */
  readonly groups = new Map<PagedPipeline, readonly GPUBindGroup[]>();
  readonly #buffers: GpuBuffers;

  private constructor(buffers: GpuBuffers, made: readonly GPUBuffer[], tables: number) {
    this.#buffers = buffers;
    this.tables = tables;
    [this.inputs, this.state, this.readback] = made;
  }

  /** Throws ENOMEM; no buffer is left then. */
  static async make(buffers: GpuBuffers, layout: RoundLayout, tables: number): Promise<RoundBuffers> {
    const made: GPUBuffer[] = [];
    const make = async (what: string, bytes: number, usage: number): Promise<void> => {
      made.push(await buffers.create(what, bytes, usage));
    };
    try {
      const read = BUFFER_UNIFORM | BUFFER_STORAGE;
      await make("parameters and tables", bytesOfInputs(layout, tables), read | BUFFER_COPY_SRC | BUFFER_COPY_DST);
      await make("the state of a round", 4 * layout.words, BUFFER_STORAGE | BUFFER_COPY_SRC | BUFFER_COPY_DST);
      await make("what a round has found", 4 * (layout.words - layout.counters), BUFFER_MAP_READ | BUFFER_COPY_DST);
      return new RoundBuffers(buffers, made, tables);
    } catch (error) {
      for (const buffer of made) buffers.destroy(buffer);
      throw error;
    }
  }

  fits(layout: RoundLayout): boolean {
    return (
      this.inputs.size >= bytesOfInputs(layout, this.tables) &&
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
    return [this.inputs, this.state, this.readback];
  }
}

function bytesOfInputs({ list, units }: RoundLayout, tables: number): number {
  return tables + 4 * (list + units);
}
