/**
 * A paged dispatch on a GPU, round by round: one submission fills the state anew, runs the units, and copies what they have found to
 * where the host reads it; one promise waits for all of that. A round makes no buffer and no bind group.
 *
 * Its counterpart is the text that `wgsl/rewrite/paged/` writes; what both mean is in `contract.ts` there.
 */

import { MemoryError } from "../../../mm/errors.js";
import {
  type DispatchShape,
  PAGE_WRITE,
  type PagedDispatch,
  type PagedRound,
  type PagedRun,
  type PagedUnits,
} from "../../driver.js";
import { ARRAYS, ARRAY_WORDS, COUNTERS, PARAMETERS, WRITABLE_PAGE } from "../../wgsl/rewrite/paged/contract.js";
import type { DeviceGone } from "../device-gone.js";
import { gpuMessage } from "../gpu-message.js";
import type { Pools } from "../pools.js";
import { MAP_READ } from "../usage.js";
import { bindsForeign, type PagedPipeline } from "./paged-pipelines.js";
import type { RoundBuffers, RoundLayout } from "./round-buffers.js";

/** What a run is made of; all but the groups outlives it. */
export interface PagedRunParts {
  readonly device: GPUDevice;
  readonly gone: DeviceGone;
  readonly pools: Pools;
  readonly pipeline: PagedPipeline;
  readonly groups: readonly GPUBindGroup[];
  readonly buffers: RoundBuffers;
  /** What the buffer of inputs is to hold: zeros, but for the kernel's uniforms. */
  readonly inputs: Uint32Array<ArrayBuffer>;
  readonly layout: RoundLayout;
  readonly units: number;
  readonly poolShift: number;
  /** In each dimension of a dispatch. */
  readonly mostWorkgroups: number;
  /** The dispatch in workgroups of the kernel. */
  readonly workgroups: DispatchShape;
  /** The error for an array, by its number, that a unit has used where it had not touched it. */
  violation(array: number): MemoryError;
  onClose(): void;
}

export class WebgpuPagedRun implements PagedRun {
  readonly units: number;
  readonly mostUnits: number;
  readonly #parts: PagedRunParts;
  /** Parts of the inputs. */
  readonly #parameters: Uint32Array;
  readonly #table: Uint32Array;
  readonly #list: Uint32Array;
  readonly #touched: Uint32Array;
  #pending = new Uint32Array(0);
  #misses = new Uint32Array(0);
  /** After a round that was right others are, save for buffers that the caller may have destroyed. */
  #isWatched: boolean;
  /** Words of the inputs that the device does not have yet: `[first, end)`, and far from them those of the list. */
  #firstChanged = 0;
  #endChanged: number;

  constructor(parts: PagedRunParts, { shape, operands }: PagedDispatch) {
    const { buffers, inputs, layout, pipeline, units } = parts;
    this.#parts = parts;
    this.#isWatched = !buffers.groups.has(pipeline);
    this.units = units;
    this.mostUnits = layout.units;
    const tables = buffers.tables / 4;
    this.#table = inputs.subarray(tables, tables + layout.pages);
    this.#list = inputs.subarray(tables + layout.list);
    this.#endChanged = tables + (isSame(buffers.layout, layout) ? layout.pages : layout.list);
    this.#touched = new Uint32Array(layout.pageBits);
    const words = inputs.subarray(0, pipeline.module.parameters.bytes / 4);
    words[PARAMETERS.counters] = layout.counters;
    words[PARAMETERS.touched] = layout.touched;
    words[PARAMETERS.missed] = layout.missed;
    words[PARAMETERS.writes] = layout.writes;
    words[PARAMETERS.pending] = layout.pending;
    words.set(shape, PARAMETERS.shapeX);
    words.set(parts.workgroups, PARAMETERS.workgroupsX);
    for (const [number, name] of pipeline.module.arrays.entries()) {
      const operand = operands.find((candidate) => candidate.name === name);
      if (operand === undefined) throw new MemoryError("EINVAL", `no array is given for "${name}"`);
      words.set([operand.firstPage, operand.total - 1, operand.total], ARRAYS + number * ARRAY_WORDS);
    }
    this.#parameters = words;
  }

  map(page: number, frame: number, writable: boolean): void {
    const { pools, poolShift } = this.#parts;
    let word = 0;
    if (frame >= 0) {
      const pageShift = Math.log2(pools.pageSize / 4);
      const pool = Math.floor(frame / pools.runFrames);
      const slot = (frame % pools.runFrames) + 1;
      word = (pool * 2 ** (poolShift - pageShift) + slot + (writable ? WRITABLE_PAGE : 0)) >>> 0;
    }
    if (this.#table[page] === word) return;
    this.#table[page] = word;
    const at = this.#parts.buffers.tables / 4 + page;
    this.#change(at, at + 1);
  }

  async round(units: PagedUnits): Promise<PagedRound> {
    const { device, gone, buffers, groups, layout, pipeline } = this.#parts;
    gone.assertUsable();
    const count = units.list === undefined ? units.count : units.list.length;
    const isWatched = this.#isWatched;
    if (isWatched) device.pushErrorScope("validation");
    let thrown: unknown = null;
    const words = layout.pending - layout.counters + Math.ceil(count / 32);
    try {
      this.#write(units, count);
      this.#submit(count, words);
    } catch (error) {
      thrown = error;
    }
    // Asked for at once: there is one wait for the work, and what is read is that of this round.
    const mapped = buffers.readback.mapAsync(MAP_READ, 0, 4 * words);
    let invalid: GPUError | null = null;
    if (isWatched) [invalid] = await gone.until(Promise.all([device.popErrorScope(), mapped]));
    else await gone.until(mapped);
    const cause = thrown ?? invalid;
    if (cause !== null) {
      buffers.readback.unmap();
      throw new MemoryError("EINVAL", `the GPU does not run a round: ${gpuMessage(cause)}`, { cause });
    }
    if (isWatched && !bindsForeign(pipeline)) {
      buffers.groups.set(pipeline, groups);
      this.#isWatched = false;
    }
    const found = new Uint32Array(buffers.readback.getMappedRange(0, 4 * words));
    try {
      return this.#read(found, units, count);
    } finally {
      buffers.readback.unmap();
    }
  }

  close(): void {
    this.#parts.onClose();
  }

  #write(units: PagedUnits, count: number): void {
    const { layout, buffers } = this.#parts;
    const words = this.#parameters;
    const first = units.list === undefined ? units.first : 0;
    const list = units.list === undefined ? 0 : layout.list;
    if (words[PARAMETERS.count] !== count || words[PARAMETERS.first] !== first || words[PARAMETERS.list] !== list) {
      words[PARAMETERS.count] = count;
      words[PARAMETERS.first] = first;
      words[PARAMETERS.list] = list;
      this.#change(0, words.length);
    }
    if (units.list !== undefined) {
      this.#list.set(units.list);
      const at = buffers.tables / 4 + layout.list;
      if (at > this.#endChanged + MOST_BETWEEN) this.#send(at, at + count);
      else this.#change(at, at + count);
    }
    this.#send(this.#firstChanged, this.#endChanged);
    buffers.layout = layout;
    this.#firstChanged = Infinity;
    this.#endChanged = 0;
  }

  #change(first: number, end: number): void {
    if (first < this.#firstChanged) this.#firstChanged = first;
    if (end > this.#endChanged) this.#endChanged = end;
  }

  #send(first: number, end: number): void {
    const { device, buffers, inputs } = this.#parts;
    if (first < end) device.queue.writeBuffer(buffers.inputs, 4 * first, inputs, first, end - first);
  }

  #submit(count: number, words: number): void {
    const { device, buffers, layout, pipeline, groups, mostWorkgroups } = this.#parts;
    const encoder = device.createCommandEncoder();
    // The pages' words, and zeros.
    encoder.copyBufferToBuffer(buffers.inputs, buffers.tables, buffers.state, 0, 4 * (layout.counters + words));
    const workgroups = Math.ceil(count / pipeline.module.unitsPerWorkgroup);
    const rows = Math.ceil(workgroups / mostWorkgroups);
    const pass = encoder.beginComputePass();
    for (const [i, stage] of pipeline.stages.entries()) {
      pass.setPipeline(stage.pipeline);
      if (groups[i] !== groups[i - 1]) pass.setBindGroup(0, groups[i]);
      pass.dispatchWorkgroups(Math.ceil(workgroups / rows), rows);
    }
    pass.end();
    encoder.copyBufferToBuffer(buffers.state, 4 * layout.counters, buffers.readback, 0, 4 * words);
    device.queue.submit([encoder.finish()]);
  }

  #read(found: Uint32Array, units: PagedUnits, count: number): PagedRound {
    const { layout } = this.#parts;
    const array = found[COUNTERS.violation];
    if (array !== 0) throw this.#parts.violation(array - 1);
    const from = layout.counters;
    this.#touched.set(found.subarray(layout.touched - from, layout.missed - from));
    if (found[COUNTERS.pending] === 0) return { pending: NONE, misses: NONE, touched: this.#touched };
    const misses = this.#readMisses(
      found.subarray(layout.missed - from, layout.writes - from),
      found.subarray(layout.writes - from, layout.pending - from),
    );
    return { pending: this.#readPending(found, layout.pending - from, units, count), misses, touched: this.#touched };
  }

  #readMisses(missed: Uint32Array, writes: Uint32Array): Uint32Array {
    let number = 0;
    for (let i = 0; i < missed.length; i++) {
      let bits = missed[i] | writes[i];
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits);
        bits &= bits - 1;
        if (number === this.#misses.length) this.#misses = grown(this.#misses);
        const isWrite = ((writes[i] >>> bit) & 1) === 1;
        this.#misses[number++] = i * 32 + bit + (isWrite ? PAGE_WRITE : 0);
      }
    }
    return this.#misses.subarray(0, number);
  }

  #readPending(found: Uint32Array, from: number, units: PagedUnits, count: number): Uint32Array {
    const words = Math.ceil(count / 32);
    let number = 0;
    if (this.#pending.length < count) this.#pending = new Uint32Array(count);
    for (let i = 0; i < words; i++) {
      let bits = found[from + i];
      while (bits !== 0) {
        const slot = i * 32 + 31 - Math.clz32(bits & -bits);
        bits &= bits - 1;
        this.#pending[number++] = units.list === undefined ? units.first + slot : units.list[slot];
      }
    }
    return this.#pending.subarray(0, number);
  }
}

const NONE = new Uint32Array(0);
/** Words between two changes that are rather written again than left out by a write of their own. */
const MOST_BETWEEN = 4096;

function isSame(one: RoundLayout | null, other: RoundLayout): boolean {
  return one !== null && one.pages === other.pages && one.units === other.units;
}

function grown(words: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(64, 2 * words.length));
  larger.set(words);
  return larger;
}
